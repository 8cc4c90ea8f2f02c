//! `GET /v1/invitations`

use axum::extract::State;

use super::view::InvitationView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadMembers};
use crate::manage::extract::Query;
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::internal;
use crate::manage::sessions::view::Paged;
use crate::problem::Problem;

/// Who was invited to the organization, and what became of it.
#[utoipa::path(get, operation_id = "listInvitations", path = "/v1/invitations", tag = "Members", params(Paged),
    security(("management_key" = [])),
    responses((status = 200, body = List<InvitationView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadMembers>,
    State(app): State<App>,
    Query(asked): Query<Paged>,
) -> Result<axum::Json<List<InvitationView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.invitations(caller.organization, page).await.map_err(|error| internal(&error))?;
    let now = app.now();
    Ok(axum::Json(shown(rows, page, |one| one.number, |one| InvitationView::of(one, now))))
}
