//! `DELETE /v1/member_roles/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::MemberRoleId;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteMembers};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Delete a role of members that nobody has and no open invitation promises.
#[utoipa::path(delete, operation_id = "deleteMemberRole", path = "/v1/member_roles/{id}", tag = "Members",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    Id(id): Id<MemberRoleId>,
) -> Result<StatusCode, Problem> {
    caller.reaches(&app.member_role(&caller, id).await?.permissions)?;
    app.apply(&caller, Change::DeleteMemberRole { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
