//! `PATCH /v1/keys/{id}`

use axum::extract::State;
use keystile_core::id::KeyId;
use keystile_core::key::Standing;
use keystile_core::limit::LimitRule;
use keystile_core::metadata::{Labels, Metadata, Tags};
use keystile_core::pattern::PatternRef;
use keystile_core::permission::Permission;
use keystile_core::policy::Policy;
use keystile_core::restrict::Restrictions;
use keystile_core::role::RoleRef;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::policy::{RateLimitShape, RestrictionsShape, checked, refuse_idle};
use super::rules::{End, rules_of};
use super::view::KeyView;
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteKeys};
use crate::manage::extract::{Id, Json, said, spoken};
use crate::manage::problem::conflict;
use crate::manage::projects::checked_name;
use crate::manage::{patterns, roles};
use crate::problem::Problem;

/// What is to change of a key.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyUpdate {
    /// Its name.
    #[serde(default, deserialize_with = "said")]
    name: Option<String>,
    /// What it may do; the whole list.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Option<Vec<Permission>>,
    /// Roles whose permissions it has as well, by id or name; the whole list.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    roles: Option<Vec<RoleRef>>,
    /// Patterns that its calls must pass, by id or name; the whole list.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    patterns: Option<Vec<PatternRef>>,
    /// Where and how it may be used; all of it.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<RestrictionsShape>)]
    restrictions: Option<Restrictions>,
    /// How often it may call; the whole list. What was counted under other limits is forgotten.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<RateLimitShape>>)]
    rate_limits: Option<Vec<LimitRule>>,
    /// What it is found by; the whole list.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    labels: Option<Labels>,
    /// What your programs want to know of it; all of it.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    /// When it ends; `null` for never.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Timestamp>>,
}

/// Change a key. Fields that are not said stay as they are.
#[utoipa::path(patch, operation_id = "updateKey", path = "/v1/keys/{id}", tag = "Keys", params(("id" = String, Path)), request_body = KeyUpdate,
    security(("management_key" = [])),
    responses((status = 200, body = KeyView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    body: Json<KeyUpdate>,
) -> Result<axum::Json<KeyView>, Problem> {
    Ok(axum::Json(changed(&caller, &app, id, body.value).await?))
}

/// Changes a key.
pub(super) async fn changed(asker: &Asker, app: &App, id: KeyId, wanted: KeyUpdate) -> Result<KeyView, Problem> {
    let key = app.key(asker, id).await?;
    if key.state.standing() == Standing::Revoked {
        return Err(conflict("The key was revoked; it stays as it was. Create a new one."));
    }
    let says_where = wanted.restrictions.is_some() || wanted.patterns.is_some();
    let policy = Policy {
        permissions: wanted.permissions.unwrap_or(key.policy.permissions),
        roles: match wanted.roles {
            Some(named) => roles::ids_of(app, asker, &named).await?,
            None => key.policy.roles,
        },
        patterns: match wanted.patterns {
            Some(named) => patterns::ids_of(app, asker, &named).await?,
            None => key.policy.patterns,
        },
        restrictions: wanted.restrictions.unwrap_or(key.policy.restrictions),
        rate_limits: wanted.rate_limits.unwrap_or(key.policy.rate_limits),
    };
    if says_where {
        refuse_idle(key.kind, &policy)?;
    }
    let expires_at = match wanted.expires_at {
        None => key.expires_at,
        said => {
            let rules = rules_of(app, asker.organization, key.project).await?;
            let end = End { at: said, in_days: None };
            end.checked(&rules, key.kind, app.now())?.unwrap_or(key.expires_at)
        }
    };
    let change = Change::UpdateKey {
        id,
        was: key.revision,
        name: wanted.name.map_or(Ok(key.name), checked_name)?,
        policy: checked(asker, key.kind, policy, expires_at)?,
        expires_at,
        tags: Tags {
            labels: wanted.labels.unwrap_or(key.tags.labels),
            metadata: wanted.metadata.unwrap_or(key.tags.metadata),
        },
    };
    app.apply(asker, change).await?;
    Ok(KeyView::from(app.key(asker, id).await?))
}
