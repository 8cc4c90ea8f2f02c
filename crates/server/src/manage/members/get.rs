//! `GET /v1/members/{id}`

use axum::extract::State;
use keystile_core::id::MemberId;

use super::view::MemberView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadMembers};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// A member.
#[utoipa::path(get, operation_id = "getMember", path = "/v1/members/{id}", tag = "Members", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = MemberView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadMembers>,
    State(app): State<App>,
    Id(id): Id<MemberId>,
) -> Result<axum::Json<MemberView>, Problem> {
    Ok(axum::Json(MemberView::from(app.member(&caller, id).await?)))
}
