//! `POST /v1/keys/{id}/compromised`: the one call for a key that others know (PRODUCT.md K11).

use axum::extract::State;
use keystile_core::id::KeyId;
use keystile_core::key::Standing;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::{NewKey, NewVersion};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::activity::{KeyActivity, activity, since};
use super::hand_over::{checked_hours, show};
use super::issue::{issue, prefix_of};
use super::policy::checked;
use super::rotate::renewed_end;
use super::rules::rules_of;
use super::view::{KeyView, NewKeyView};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, ReadKeys, WriteKeys};
use crate::manage::extract::{Id, Json, RequestHash};
use crate::manage::problem::not_found;
use crate::manage::reason;
use crate::problem::Problem;

/// What is known of it. Nothing needs to be said.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Compromised {
    /// Since when others may have used it: what was done with it since then is in the answer; 30 days ago unless said
    /// otherwise.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// What happened, for the audit.
    reason: String,
    /// Whether another key takes its place, with the same name, project and rights; if nothing is said, unless it was
    /// revoked before.
    replace: Option<bool>,
    /// Put the other key's text behind a link, in place of the answer: for so many hours, 1 to 168.
    hand_over_hours: Option<u32>,
}

/// What was done about a key that others know.
#[derive(Serialize, ToSchema)]
pub(super) struct CompromisedView {
    /// The key, revoked.
    key: KeyView,
    /// The key that takes its place, with its text, this one time; `null` if none was wanted.
    replacement: Option<NewKeyView>,
    /// What was done with the key; absent if you may not see keys (`keys.read`).
    #[serde(skip_serializing_if = "Option::is_none")]
    activity: Option<KeyActivity>,
}

/// End a key that others know, make the one that takes its place, and tell everything that was done with it.
#[utoipa::path(post, operation_id = "compromisedKey", path = "/v1/keys/{id}/compromised", tag = "Keys", params(("id" = String, Path)),
    request_body = Compromised, security(("management_key" = [])),
    responses((status = 200, body = CompromisedView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn compromised(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    body: Option<Json<Compromised>>,
) -> Result<axum::Json<CompromisedView>, Problem> {
    let key = app.key(&caller, id).await?;
    let (wanted, hash) = match body {
        Some(body) => (body.value, body.hash),
        None => (Compromised::default(), RequestHash::of("POST", &format!("/v1/keys/{id}/compromised"))),
    };
    let reason = reason::checked(wanted.reason)?;
    let hours = checked_hours(wanted.hand_over_hours)?;
    let since = since(&app, wanted.since)?;
    // Of one that was ended before, the next click makes no further key.
    let replace = wanted.replace.unwrap_or(key.state.standing() != Standing::Revoked);
    let (text, replacement) = if replace {
        let rules = rules_of(&app, caller.organization, key.project).await?;
        let expires_at = renewed_end(&caller, &key, &rules, app.now());
        // Ending a key needs no more than the right to; being given another does.
        checked(&caller, key.kind, key.policy.clone(), expires_at)?;
        let prefix = prefix_of(&key.hint, key.environment).unwrap_or(rules.prefix);
        let (id, name, kind) = (KeyId::from_entropy(app.id()?), key.name.clone(), key.kind);
        let keep = (key.recoverable && rules.recoverable).then_some((caller.organization, id, 1));
        let (shown, NewVersion { hint, digest, pepper_version, text }) = issue(&app, &prefix, key.environment, keep)?;
        let tags = key.tags.clone();
        (Some(shown), Some(NewKey { id, name, kind, hint, digest, pepper_version, text, expires_at, tags }))
    } else {
        (None, None)
    };
    let subject = replacement.as_ref().map_or(id, |key| key.id);
    let change = Change::CompromiseKey { id, was: key.revision, replacement, reason };
    let (subject, text) = match app.create(&caller, hash, subject.to_string(), change).await? {
        Made::Now => match text {
            Some(text) => (subject, Some(show(&app, &caller, subject, &text, hours).await?)),
            None => (subject, None),
        },
        Made::Before(subject) => (subject.parse().map_err(|_| not_found("key"))?, None),
    };
    let replacement =
        if subject == id { None } else { Some(NewKeyView::new(KeyView::from(app.key(&caller, subject).await?), text)) };
    let key = app.key(&caller, id).await?;
    let activity = match caller.needs::<ReadKeys>() {
        Ok(()) => Some(activity(&app, &key, since).await?),
        Err(_) => None,
    };
    Ok(axum::Json(CompromisedView { key: KeyView::from(key), replacement, activity }))
}
