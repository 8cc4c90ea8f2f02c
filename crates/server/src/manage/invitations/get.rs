//! `GET /v1/invitations/{id}`

use axum::extract::State;
use keystile_core::id::InvitationId;

use super::view::InvitationView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadMembers};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// An invitation, without its link.
#[utoipa::path(get, operation_id = "getInvitation", path = "/v1/invitations/{id}", tag = "Members",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 200, body = InvitationView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadMembers>,
    State(app): State<App>,
    Id(id): Id<InvitationId>,
) -> Result<axum::Json<InvitationView>, Problem> {
    Ok(axum::Json(InvitationView::of(app.invitation(&caller, id).await?, app.now())))
}
