//! `DELETE /v1/sessions/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::SessionId;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteMembers};
use crate::manage::extract::Id;
use crate::manage::problem::{internal, not_found};
use crate::problem::Problem;

/// End a session at the organization. Its next request is refused, on every node.
#[utoipa::path(delete, operation_id = "endSession", path = "/v1/sessions/{id}", tag = "Members",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn end(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    Id(id): Id<SessionId>,
) -> Result<StatusCode, Problem> {
    let of = app.catalog.member_of_session(caller.organization, id).await.map_err(|error| internal(&error))?;
    caller.reaches(&of.ok_or_else(|| not_found("session"))?.granted)?;
    app.apply(&caller, Change::EndSession { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
