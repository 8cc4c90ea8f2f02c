//! `GET /v1/member_roles/{id}`

use axum::extract::State;
use keystile_core::id::MemberRoleId;

use super::view::MemberRoleView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadMembers};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// A role of members.
#[utoipa::path(get, operation_id = "getMemberRole", path = "/v1/member_roles/{id}", tag = "Members",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 200, body = MemberRoleView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadMembers>,
    State(app): State<App>,
    Id(id): Id<MemberRoleId>,
) -> Result<axum::Json<MemberRoleView>, Problem> {
    Ok(axum::Json(MemberRoleView::from(app.member_role(&caller, id).await?)))
}
