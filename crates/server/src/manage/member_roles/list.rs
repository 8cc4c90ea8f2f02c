//! `GET /v1/member_roles`

use axum::extract::State;

use super::view::MemberRoleView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadMembers};
use crate::manage::extract::Query;
use crate::manage::list::{List, Named, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// The roles that the organization made for its members.
#[utoipa::path(get, operation_id = "listMemberRoles", path = "/v1/member_roles", tag = "Members", params(Named),
    security(("management_key" = [])),
    responses((status = 200, body = List<MemberRoleView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadMembers>,
    State(app): State<App>,
    Query(asked): Query<Named>,
) -> Result<axum::Json<List<MemberRoleView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.member_roles(caller.organization, asked.name.as_deref(), page).await;
    let rows = rows.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |role| role.number, MemberRoleView::from)))
}
