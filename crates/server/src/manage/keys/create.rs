//! `POST /v1/keys`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::decide::ActivationState;
use keystile_core::id::{KeyId, OrganizationId, ProjectId};
use keystile_core::key::{DEFAULT_KEY_DAYS, KeyKind, KeyText, Prefix};
use keystile_core::limit::LimitRule;
use keystile_core::permission::Permission;
use keystile_core::policy::Policy;
use keystile_core::restrict::Restrictions;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::{ActivationFilter, NewKey, Page};
use serde::Deserialize;
use utoipa::ToSchema;

use super::policy::{RateLimitShape, RestrictionsShape, checked, checked_end, end_in_days};
use super::view::{KeyView, NewKeyView};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteKeys};
use crate::manage::extract::{Json, spoken};
use crate::manage::problem::{internal, invalid, not_found};
use crate::manage::projects::checked_name;
use crate::problem::Problem;
use crate::world::random;

/// A key to make. Only `project_id` and `name` are needed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyCreate {
    /// Its project.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// Its name.
    name: String,
    /// `secret` (if nothing is said) or `management`.
    #[schema(value_type = Option<String>)]
    kind: Option<KeyKind>,
    /// What it may do, such as `pets.read` or `pets.*`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Vec<Permission>,
    /// Where and how it may be used.
    #[serde(default)]
    #[schema(value_type = Option<RestrictionsShape>)]
    restrictions: Restrictions,
    /// How often it may call.
    #[serde(default)]
    #[schema(value_type = Option<Vec<RateLimitShape>>)]
    rate_limits: Vec<LimitRule>,
    /// When it ends; `null` for never. If nothing is said, after the days that the project's API says, or 90; a management
    /// key with the one that makes it at the latest.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Timestamp>>,
    /// Days until it ends, instead of `expires_at`.
    expires_in_days: Option<u32>,
    /// What its text begins with; if nothing is said, what the project's API says, or `ks`.
    #[schema(value_type = Option<String>)]
    prefix: Option<Prefix>,
}

/// Make a key. Its text is in the answer, this one time.
#[utoipa::path(post, operation_id = "createKey", path = "/v1/keys", tag = "Keys", request_body = KeyCreate, security(("management_key" = [])),
    responses((status = 201, body = NewKeyView), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn create(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    body: Json<KeyCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    let project = app.project(&caller, wanted.project_id).await?;
    let kind = wanted.kind.unwrap_or(KeyKind::Secret);
    let policy =
        Policy { permissions: wanted.permissions, restrictions: wanted.restrictions, rate_limits: wanted.rate_limits };
    let (prefix, days) = habits(&app, caller.organization, wanted.project_id).await?;
    let now = app.now();
    let expires_at = match (wanted.expires_at, wanted.expires_in_days) {
        (Some(_), Some(_)) => return Err(invalid("Say expires_at or expires_in_days, not both.")),
        (Some(end), None) => end.map(|end| checked_end(end, now)).transpose()?,
        (None, Some(days)) => Some(end_in_days(days, now)?),
        (None, None) => {
            let usual = end_in_days(days, now)?;
            // One that may do what another may ends with it, unless something else is said.
            let own = caller.expires_at.filter(|_| kind == KeyKind::Management);
            Some(own.map_or(usual, |own| own.min(usual)))
        }
    };
    let policy = checked(&caller, kind, policy, expires_at)?;
    let entropy = random(&*app.entropy).map_err(|error| internal(&error))?;
    let text = KeyText::issue(&wanted.prefix.unwrap_or(prefix), project.environment, &entropy)
        .map_err(|error| internal(&error))?;
    let pepper = app.feed.engine().pepper();
    let id = KeyId::from_entropy(app.id()?);
    let key = NewKey {
        id,
        name: checked_name(wanted.name)?,
        kind,
        hint: text.hint(),
        digest: pepper.digest(text.expose()),
        pepper_version: pepper.version(),
        expires_at,
    };
    let change = Change::CreateKey { project: wanted.project_id, key, policy };
    let (id, shown) = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => (id, Some(text.expose().to_owned())),
        Made::Before(subject) => (subject.parse().map_err(|_| not_found("key"))?, None),
    };
    let key_object = KeyView::from(app.key(&caller, id).await?);
    Ok((StatusCode::CREATED, axum::Json(NewKeyView { key_object, key: shown })))
}

/// The prefix and the days that the one API of a project gives its keys; the general ones if there is none or several.
async fn habits(app: &App, organization: OrganizationId, project: ProjectId) -> Result<(Prefix, u32), Problem> {
    let filter = ActivationFilter { project: Some(project), api: None, state: Some(ActivationState::Approved) };
    let two = Page { before: None, limit: 2 };
    let links = app.catalog.activations(organization, filter, two).await.map_err(|error| internal(&error))?;
    let [link] = links.as_slice() else { return Ok((Prefix::default(), DEFAULT_KEY_DAYS)) };
    let api = app.catalog.api(link.api_organization, link.api).await.map_err(|error| internal(&error))?;
    Ok(api.map_or((Prefix::default(), DEFAULT_KEY_DAYS), |api| (api.settings.key_prefix, api.settings.key_days)))
}
