//! `GET /v1/roles`

use axum::extract::State;

use super::view::RoleView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadRoles};
use crate::manage::extract::Query;
use crate::manage::list::{List, Named, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// The roles of the organization.
#[utoipa::path(get, operation_id = "listRoles", path = "/v1/roles", tag = "Roles", params(Named), security(("management_key" = [])),
    responses((status = 200, body = List<RoleView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadRoles>,
    State(app): State<App>,
    Query(asked): Query<Named>,
) -> Result<axum::Json<List<RoleView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.roles(caller.organization, asked.name.as_deref(), page).await;
    let rows = rows.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |role| role.number, RoleView::from)))
}
