//! `GET /v1/sessions`

use axum::extract::State;

use super::view::{Paged, SessionView};
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadMembers};
use crate::manage::extract::Query;
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Who is logged in at the organization.
#[utoipa::path(get, operation_id = "listSessions", path = "/v1/sessions", tag = "Members", params(Paged),
    security(("management_key" = [])), responses((status = 200, body = List<SessionView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadMembers>,
    State(app): State<App>,
    Query(asked): Query<Paged>,
) -> Result<axum::Json<List<SessionView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.sessions(caller.organization, (&app.identity.limits, app.now()), page).await;
    let rows = rows.map_err(|error| internal(&error))?;
    let current = caller.session.as_deref().map(|person| person.id());
    let view = |session| SessionView::of(session, &app.identity.limits, current);
    Ok(axum::Json(shown(rows, page, |session| session.number, view)))
}
