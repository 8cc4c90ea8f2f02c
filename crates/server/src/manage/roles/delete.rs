//! `DELETE /v1/roles/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::RoleId;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteRoles};
use crate::manage::extract::{Id, Query};
use crate::problem::Problem;

/// What becomes of the keys that have it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Take it from the keys that have it; without this, one that keys have is not deleted.
    #[serde(default)]
    #[param(required = false)]
    from_keys: bool,
}

/// Delete a role. One that keys have is deleted only with `from_keys=true`, and they lose what it granted.
#[utoipa::path(delete, operation_id = "deleteRole", path = "/v1/roles/{id}", tag = "Roles", params(("id" = String, Path), Asked),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: Caller<WriteRoles>,
    State(app): State<App>,
    Id(id): Id<RoleId>,
    Query(asked): Query<Asked>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::DeleteRole { id, from_keys: asked.from_keys }).await?;
    Ok(StatusCode::NO_CONTENT)
}
