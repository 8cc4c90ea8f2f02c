//! `DELETE /v1/invitations/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::InvitationId;
use keystile_core::member::MemberRole;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteMembers};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Take an invitation back. Its link leads nowhere from now on; it stays in the list as `withdrawn`.
#[utoipa::path(delete, operation_id = "withdrawInvitation", path = "/v1/invitations/{id}", tag = "Members",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    Id(id): Id<InvitationId>,
) -> Result<StatusCode, Problem> {
    let invitation = app.invitation(&caller, id).await?;
    let granted = match invitation.role {
        MemberRole::BuiltIn(role) => role.permissions(),
        MemberRole::Custom(role) => app.member_role(&caller, role).await?.permissions,
    };
    caller.reaches(&granted)?;
    app.apply(&caller, Change::WithdrawInvitation { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
