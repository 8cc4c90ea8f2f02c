//! `DELETE /v1/members/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::MemberId;
use keystile_store::Change;

use super::refuse_higher;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteMembers};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Take a member away. The sessions at this organization end; the account stays, for others.
#[utoipa::path(delete, operation_id = "deleteMember", path = "/v1/members/{id}", tag = "Members", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    Id(id): Id<MemberId>,
) -> Result<StatusCode, Problem> {
    let member = app.member(&caller, id).await?;
    refuse_higher(&caller, &member)?;
    app.apply(&caller, Change::DeleteMember { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
