//! `POST /v1/keys`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::{KeyId, ProjectId};
use keystile_core::key::{KeyKind, Prefix};
use keystile_core::limit::LimitRule;
use keystile_core::metadata::{Labels, Metadata, Tags};
use keystile_core::pattern::PatternRef;
use keystile_core::permission::Permission;
use keystile_core::policy::Policy;
use keystile_core::restrict::Restrictions;
use keystile_core::role::RoleRef;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::{NewKey, NewVersion};
use serde::Deserialize;
use utoipa::ToSchema;

use super::hand_over::{checked_hours, show};
use super::issue::{issue, keep_text};
use super::policy::{RateLimitShape, RestrictionsShape, checked, refuse_idle};
use super::rules::{End, end_in_days, rules_of};
use super::view::{KeyView, NewKeyView};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteKeys};
use crate::manage::extract::{Json, spoken};
use crate::manage::problem::not_found;
use crate::manage::projects::checked_name;
use crate::manage::{patterns, roles};
use crate::problem::Problem;

/// A key to make. Only `project_id` and `name` are needed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyCreate {
    /// Its project.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// Its name.
    name: String,
    /// `secret` (if nothing is said), `publishable` (for pages and apps; needs `restrictions.origins`, `referrers` or `apps`),
    /// `management`, or `canary` (nobody honest uses it; whoever does is told of).
    #[schema(value_type = Option<String>)]
    kind: Option<KeyKind>,
    /// What it may do, such as `pets.read` or `pets.*`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Vec<Permission>,
    /// Roles whose permissions it has as well, by id or name. A management key takes none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    roles: Vec<RoleRef>,
    /// Patterns that its calls must pass, by id or name. A management key takes none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    patterns: Vec<PatternRef>,
    /// Where and how it may be used.
    #[serde(default)]
    #[schema(value_type = Option<RestrictionsShape>)]
    restrictions: Restrictions,
    /// How often it may call.
    #[serde(default)]
    #[schema(value_type = Option<Vec<RateLimitShape>>)]
    rate_limits: Vec<LimitRule>,
    /// What it is found by.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    labels: Labels,
    /// What your programs want to know of it; verification gives it back. At most 4 KiB of JSON.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Metadata,
    /// When it ends; `null` for never. If nothing is said, after the days that the project's API says, or 90; a management
    /// key with the one that makes it at the latest.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Timestamp>>,
    /// Days until it ends, instead of `expires_at`.
    expires_in_days: Option<u32>,
    /// Put its text behind a link that whoever opens it first gets it from, in place of the answer: for so many hours, 1 to
    /// 168.
    hand_over_hours: Option<u32>,
    /// Keep its text, encrypted, so that it can be had back with `reveal` by whoever may do `keys.reveal`. Only where all
    /// APIs that its project may call allow that (`recoverable_keys`).
    #[serde(default)]
    #[schema(required = false)]
    recoverable: bool,
    /// What its text begins with; if nothing is said, what the project's API says, or `ks`.
    #[schema(value_type = Option<String>)]
    prefix: Option<Prefix>,
}

/// Make a key. Its text is in the answer, this one time unless it is `recoverable`.
#[utoipa::path(post, operation_id = "createKey", path = "/v1/keys", tag = "Keys", request_body = KeyCreate, security(("management_key" = [])),
    responses((status = 201, body = NewKeyView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    body: Json<KeyCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    let hours = checked_hours(wanted.hand_over_hours)?;
    let project = app.project(&caller, wanted.project_id).await?;
    let kind = wanted.kind.unwrap_or(KeyKind::Secret);
    let policy = Policy {
        permissions: wanted.permissions,
        roles: roles::ids_of(&app, &caller, &wanted.roles).await?,
        patterns: patterns::ids_of(&app, &caller, &wanted.patterns).await?,
        restrictions: wanted.restrictions,
        rate_limits: wanted.rate_limits,
    };
    let rules = rules_of(&app, caller.organization, wanted.project_id).await?;
    let now = app.now();
    let end = End { at: wanted.expires_at, in_days: wanted.expires_in_days };
    let expires_at = match end.checked(&rules, kind, now)? {
        Some(end) => end,
        // It waits for whoever finds it.
        None if kind == KeyKind::Canary => None,
        None => {
            let usual = end_in_days(rules.days, now)?;
            // One that may do what another may ends with it, unless something else is said.
            let own = caller.expires_at.filter(|_| kind == KeyKind::Management);
            Some(own.map_or(usual, |own| own.min(usual)))
        }
    };
    refuse_idle(kind, &policy)?;
    let policy = checked(&caller, kind, policy, expires_at)?;
    let id = KeyId::from_entropy(app.id()?);
    let keep = keep_text(wanted.recoverable, kind, &rules)?.then_some((caller.organization, id, 1));
    let (shown, NewVersion { hint, digest, pepper_version, text }) =
        issue(&app, &wanted.prefix.unwrap_or(rules.prefix), project.environment, keep)?;
    let tags = Tags { labels: wanted.labels, metadata: wanted.metadata };
    let key =
        NewKey { id, name: checked_name(wanted.name)?, kind, hint, digest, pepper_version, text, expires_at, tags };
    let change = Change::CreateKey { project: wanted.project_id, key, policy };
    let (id, shown) = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => (id, Some(show(&app, &caller, id, &shown, hours).await?)),
        Made::Before(subject) => (subject.parse().map_err(|_| not_found("key"))?, None),
    };
    let key_object = KeyView::from(app.key(&caller, id).await?);
    Ok((StatusCode::CREATED, axum::Json(NewKeyView::new(key_object, shown))))
}
