//! `DELETE /v1/members/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::MemberId;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteMembers};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Take a member away. The sessions at this organization end, and the invitations that the person made are taken back; the account
/// stays, for others, and so do the management keys that the person made: `GET /v1/audit?actor=acc_…&type=key.create` lists those.
#[utoipa::path(delete, operation_id = "deleteMember", path = "/v1/members/{id}", tag = "Members", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    Id(id): Id<MemberId>,
) -> Result<StatusCode, Problem> {
    let member = app.member(&caller, id).await?;
    caller.reaches(&member.granted)?;
    app.apply(&caller, Change::DeleteMember { id, was: member.revision }).await?;
    Ok(StatusCode::NO_CONTENT)
}
