//! `GET /v1/roles/{id}`

use axum::extract::State;
use keystile_core::id::RoleId;

use super::view::RoleView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadRoles};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// A role.
#[utoipa::path(get, operation_id = "getRole", path = "/v1/roles/{id}", tag = "Roles", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = RoleView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadRoles>,
    State(app): State<App>,
    Id(id): Id<RoleId>,
) -> Result<axum::Json<RoleView>, Problem> {
    Ok(axum::Json(RoleView::from(app.role(&caller, id).await?)))
}
