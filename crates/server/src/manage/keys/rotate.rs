//! `POST /v1/keys/{id}/rotate`: another text for the same key.

use axum::extract::State;
use keystile_core::api::KeyRules;
use keystile_core::id::KeyId;
use keystile_core::key::{DEFAULT_OVERLAP_SECS, KeyKind, Prefix, Standing, overlap_end};
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::Key;
use serde::Deserialize;
use utoipa::ToSchema;

use super::hand_over::{checked_hours, show};
use super::issue::{issue, keep_text, prefix_of};
use super::policy::checked;
use super::rules::{End, rules_of};
use super::view::{KeyView, NewKeyView};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Asker, Caller, WriteKeys};
use crate::manage::extract::{Id, Json, RequestHash, spoken};
use crate::manage::problem::{conflict, invalid};
use crate::problem::Problem;

/// How a key is rotated. Nothing needs to be said.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRotate {
    /// How long the text before stays good: 0 to 604800 seconds, which is seven days; 86400, a day, unless said
    /// otherwise. It ends with the key's former end at the latest.
    overlap_seconds: Option<u32>,
    /// When the key ends from now on; `null` for never. If nothing is said, it gets as long a life as it had, counted
    /// from now.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Timestamp>>,
    /// Days until it ends, instead of `expires_at`.
    expires_in_days: Option<u32>,
    /// Put the new text behind a link that whoever opens it first gets it from, in place of the answer: for so many hours, 1
    /// to 168.
    hand_over_hours: Option<u32>,
    /// Whether the new text can be had back; if nothing is said, as it was.
    recoverable: Option<bool>,
    /// What the new text begins with; if nothing is said, what the one before does.
    #[schema(value_type = Option<String>)]
    prefix: Option<Prefix>,
}

/// Give a key another text. It stays the same key, with its name, rights, limits and usage; the text before is good
/// for the overlap. The new text is in the answer, this one time.
#[utoipa::path(post, operation_id = "rotateKey", path = "/v1/keys/{id}/rotate", tag = "Keys", params(("id" = String, Path)),
    request_body = KeyRotate, security(("management_key" = [])),
    responses((status = 200, body = NewKeyView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn rotate(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    body: Option<Json<KeyRotate>>,
) -> Result<axum::Json<NewKeyView>, Problem> {
    let key = app.key(&caller, id).await?;
    let (wanted, hash) = match body {
        Some(body) => (body.value, body.hash),
        None => (KeyRotate::default(), RequestHash::of("POST", &format!("/v1/keys/{id}/rotate"))),
    };
    let hours = checked_hours(wanted.hand_over_hours)?;
    if key.state.standing() == Standing::Revoked {
        return Err(conflict("The key was revoked; create a new one."));
    }
    let now = app.now();
    let rules = rules_of(&app, caller.organization, key.project).await?;
    let end = End { at: wanted.expires_at, in_days: wanted.expires_in_days };
    let expires_at = match end.checked(&rules, key.kind, now)? {
        Some(end) => end,
        None => renewed_end(&caller, &key, &rules, now),
    };
    checked(&caller, key.kind, key.policy.clone(), expires_at)?;
    let overlap = wanted.overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECS);
    let overlap = overlap_end(now, overlap).map_err(|error| invalid(format!("overlap_seconds: {error}.")))?;
    // What has ended, or would have, is not brought back by the key's new end.
    let former_ends_at = key.expires_at.map_or(overlap, |end| end.min(overlap));
    let keep = match wanted.recoverable {
        Some(wanted) => keep_text(wanted, key.kind, &rules)?,
        None => key.recoverable && rules.recoverable,
    };
    let prefix = wanted.prefix.or_else(|| prefix_of(&key.hint, key.environment)).unwrap_or(rules.prefix);
    let (text, fresh) = issue(
        &app,
        &prefix,
        key.environment,
        keep.then_some((caller.organization, id, key.version.saturating_add(1))),
    )?;
    let change = Change::RotateKey { id, was: key.revision, fresh, former_ends_at, expires_at };
    let shown = match app.create(&caller, hash, id.to_string(), change).await? {
        Made::Now => Some(show(&app, &caller, id, &text, hours).await?),
        Made::Before(_) => None,
    };
    let key_object = KeyView::from(app.key(&caller, id).await?);
    Ok(axum::Json(NewKeyView::new(key_object, shown)))
}

/// The end of what takes the place of a key, or of a version of it, if nothing is said: as long a life as the key had, from
/// now on, within the rules.
pub(super) fn renewed_end(asker: &Asker, key: &Key, rules: &KeyRules, now: Timestamp) -> Option<Timestamp> {
    match key.kind {
        // One that may do what another may ends with it.
        KeyKind::Management => earlier(renewed(key, now), asker.expires_at),
        KeyKind::Secret | KeyKind::Publishable | KeyKind::Canary => rules.bounded(renewed(key, now), now),
    }
}

fn earlier(end: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (end, other) {
        (Some(end), Some(other)) => Some(end.min(other)),
        (end, other) => end.or(other),
    }
}

/// As long a life as the key had, from now on.
fn renewed(key: &Key, now: Timestamp) -> Option<Timestamp> {
    let life = key.expires_at?.as_micros().saturating_sub(key.versioned_at.as_micros());
    // It may have been given a shorter one meanwhile, but never one that begins after its end.
    Some(Timestamp::from_micros(now.as_micros().saturating_add(life.max(0))).max(key.expires_at?))
}
