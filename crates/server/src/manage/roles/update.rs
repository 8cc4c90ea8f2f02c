//! `PATCH /v1/roles/{id}`

use axum::extract::State;
use keystile_core::id::RoleId;
use keystile_core::permission::Permission;
use keystile_core::role::RoleName;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::checked;
use super::view::RoleView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteRoles};
use crate::manage::extract::{Id, Json, said};
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// What is to change of a role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleUpdate {
    /// Its name. Keys that have it keep it.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    name: Option<RoleName>,
    /// What it is for.
    #[serde(default, deserialize_with = "said")]
    description: Option<String>,
    /// What keys that have it may do; the whole list. It holds for all of them from the next call on.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Option<Vec<Permission>>,
}

/// Change a role, and with it what the keys that have it may do. Fields that are not said stay as they are.
#[utoipa::path(patch, operation_id = "updateRole", path = "/v1/roles/{id}", tag = "Roles", params(("id" = String, Path)),
    request_body = RoleUpdate, security(("management_key" = [])),
    responses((status = 200, body = RoleView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WriteRoles>,
    State(app): State<App>,
    Id(id): Id<RoleId>,
    body: Json<RoleUpdate>,
) -> Result<axum::Json<RoleView>, Problem> {
    let role = app.role(&caller, id).await?;
    let wanted = body.value;
    let change = Change::UpdateRole {
        id,
        was: role.revision,
        name: wanted.name.unwrap_or(role.name),
        description: wanted.description.map_or(Ok(role.description), |text| checked_text("description", text))?,
        permissions: wanted.permissions.map_or(Ok(role.permissions), checked)?,
    };
    app.apply(&caller, change).await?;
    Ok(axum::Json(RoleView::from(app.role(&caller, id).await?)))
}
