//! `POST /v1/roles`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::RoleId;
use keystile_core::permission::Permission;
use keystile_core::role::RoleName;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::checked;
use super::view::RoleView;
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteRoles};
use crate::manage::extract::Json;
use crate::manage::problem::not_found;
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// A role to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleCreate {
    /// Its name, a word that no other role of the organization has.
    #[schema(value_type = String, example = "reader")]
    name: RoleName,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// What keys that have it may do, such as `pets.read` or `pets.*`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Vec<Permission>,
}

/// Make a role. Keys have it by naming it in `roles`.
#[utoipa::path(post, operation_id = "createRole", path = "/v1/roles", tag = "Roles", request_body = RoleCreate, security(("management_key" = [])),
    responses((status = 201, body = RoleView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteRoles>,
    State(app): State<App>,
    body: Json<RoleCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    let id = RoleId::from_entropy(app.id()?);
    let change = Change::CreateRole {
        id,
        name: wanted.name,
        description: checked_text("description", wanted.description)?,
        permissions: checked(wanted.permissions)?,
    };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("role"))?,
    };
    Ok((StatusCode::CREATED, axum::Json(RoleView::from(app.role(&caller, id).await?))))
}
