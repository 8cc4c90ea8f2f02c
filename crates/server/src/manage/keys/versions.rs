//! `/v1/keys/{id}/versions`: the texts that a key has had, and when those before the latest one end.

use axum::extract::State;
use keystile_core::id::KeyId;
use keystile_core::key::{DEFAULT_OVERLAP_SECS, OverlapError, move_end};
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::{FormerVersion, Key};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules::{is_ruled, rules_of};
use super::state::may_bring_back;
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, ReadKeys, WriteKeys};
use crate::manage::extract::{Id, Json, Nothing, Pair};
use crate::manage::list::List;
use crate::manage::problem::{conflict, internal, invalid, not_found};
use crate::problem::Problem;

/// A version of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyVersion)]
pub(super) struct VersionView {
    /// Which one, from 1.
    version: u16,
    /// `latest`, `overlap` while it is still good, or `ended`.
    #[schema(example = "overlap")]
    state: &'static str,
    /// What may be shown of its text.
    hint: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the next one took its place; absent for the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    superseded_at: Option<Timestamp>,
    /// Until when it is good; absent for the latest, which is good as long as the key is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    /// Calls that presented it since the key was first rotated, refused ones too.
    calls: u64,
    /// Those that were refused.
    refused: u64,
    /// When the last of them came; `null` if there was none.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

/// The versions of a key, the latest first, and who still uses which.
#[utoipa::path(get, operation_id = "listKeyVersions", path = "/v1/keys/{id}/versions", tag = "Keys", params(("id" = String, Path)),
    security(("management_key" = [])),
    responses((status = 200, body = List<VersionView>), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn list(
    caller: Caller<ReadKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
) -> Result<axum::Json<List<VersionView>>, Problem> {
    let key = app.key(&caller, id).await?;
    Ok(axum::Json(List { items: versions(&app, &key).await?, next_cursor: None }))
}

/// End a former version of a key now.
#[utoipa::path(post, operation_id = "endKeyVersion", path = "/v1/keys/{id}/versions/{version}/end", tag = "Keys",
    params(("id" = String, Path), ("version" = String, Path)), security(("management_key" = [])),
    responses((status = 200, body = VersionView), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn end(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Pair(id, version): Pair<KeyId>,
    _: Nothing,
) -> Result<axum::Json<VersionView>, Problem> {
    end_in(&caller, &app, (id, &version), 0, "end_version").await
}

/// How much longer.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Extend {
    /// Seconds from now that it stays good: 1 to 604800, which is seven days; 86400, a day, unless said otherwise. It never
    /// lives longer than a key may (`max_key_days`).
    overlap_seconds: Option<u32>,
}

/// Let a former version of a key that has not ended be good for longer, or for less long.
#[utoipa::path(post, operation_id = "extendKeyVersion", path = "/v1/keys/{id}/versions/{version}/extend", tag = "Keys",
    params(("id" = String, Path), ("version" = String, Path)), request_body = Extend, security(("management_key" = [])),
    responses((status = 200, body = VersionView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn extend(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Pair(id, version): Pair<KeyId>,
    body: Option<Json<Extend>>,
) -> Result<axum::Json<VersionView>, Problem> {
    let wanted = body.map(|body| body.value).unwrap_or_default();
    let seconds = wanted.overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECS);
    if seconds == 0 {
        return Err(invalid("overlap_seconds is at least 1; to end the version now, use its `end`."));
    }
    may_bring_back(&caller, &app.key(&caller, id).await?)?;
    end_in(&caller, &app, (id, &version), seconds, "extend_version").await
}

async fn end_in(
    asker: &Asker,
    app: &App,
    (id, version): (KeyId, &str),
    seconds: u32,
    action: &'static str,
) -> Result<axum::Json<VersionView>, Problem> {
    let key = app.key(asker, id).await?;
    let version: u16 = version.parse().map_err(|_| not_found("version"))?;
    if version == key.version {
        return Err(conflict("This is the latest version: it is good as long as the key is. Rotate the key first."));
    }
    let known = app.catalog.former_versions(key.number).await.map_err(|error| internal(&error))?;
    let former = known.iter().find(|former| former.version == version).ok_or_else(|| not_found("version"))?;
    let ends_at = move_end(former.ends_at, app.now(), seconds).map_err(|error| match error {
        OverlapError::Ended { .. } => conflict(format!("{error}.")),
        OverlapError::TooLong => invalid(format!("overlap_seconds: {error}.")),
    })?;
    let ends_at = if seconds > 0 { bounded(asker, app, &key, former, ends_at).await? } else { ends_at };
    app.apply(asker, Change::EndKeyVersion { id, was: key.revision, version, ends_at, action }).await?;
    let key = app.key(asker, id).await?;
    let all = versions(app, &key).await?;
    let mut view = all.into_iter().find(|view| view.version == version).ok_or_else(|| not_found("version"))?;
    if asker.conditions.dry_run {
        // Former versions are no things of their own, so what was only tried is not read again.
        view.ends_at = Some(ends_at);
        view.state = if ends_at > app.now() { "overlap" } else { "ended" };
    }
    Ok(axum::Json(view))
}

/// A later end of a version, no later than a key may live that was made when it was; what it has is not taken from it.
async fn bounded(
    asker: &Asker,
    app: &App,
    key: &Key,
    former: &FormerVersion,
    ends_at: Timestamp,
) -> Result<Timestamp, Problem> {
    let rules = rules_of(app, asker.organization, key.project).await?;
    match rules.latest_end(former.created_at).filter(|_| is_ruled(key.kind)) {
        Some(latest) if latest < former.ends_at && former.ends_at < ends_at => Err(conflict(
            "The version would live longer than a key may (max_key_days of an API that the key's project may call); it \
             can't be extended.",
        )),
        Some(latest) => Ok(ends_at.min(latest.max(former.ends_at))),
        None => Ok(ends_at),
    }
}

async fn versions(app: &App, key: &Key) -> Result<Vec<VersionView>, Problem> {
    app.writer.flush().await.map_err(|error| internal(&error))?;
    let former = app.catalog.former_versions(key.number).await.map_err(|error| internal(&error))?;
    let used = app.ledger.version_use(key.number).await.map_err(|error| internal(&error))?;
    let now = app.now();
    let view = |version: u16, hint: String, created_at: Timestamp, end: Option<(Timestamp, Timestamp)>| {
        let used = used.iter().find(|used| used.version == version);
        VersionView {
            version,
            state: match end {
                None => "latest",
                Some((_, ends_at)) if ends_at > now => "overlap",
                Some(_) => "ended",
            },
            hint,
            created_at,
            superseded_at: end.map(|(superseded_at, _)| superseded_at),
            ends_at: end.map(|(_, ends_at)| ends_at),
            calls: used.map_or(0, |used| used.calls),
            refused: used.map_or(0, |used| used.refused),
            last_used_at: used.map(|used| used.last_at),
        }
    };
    let latest = view(key.version, key.hint.clone(), key.versioned_at, None);
    let former = former.into_iter().map(|former| {
        view(former.version, former.hint, former.created_at, Some((former.superseded_at, former.ends_at)))
    });
    Ok([latest].into_iter().chain(former).collect())
}
