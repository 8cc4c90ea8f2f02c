//! `GET /v1/patterns`

use axum::extract::State;

use super::view::PatternView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadPatterns};
use crate::manage::extract::Query;
use crate::manage::list::{List, Named, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// The patterns of the organization.
#[utoipa::path(get, operation_id = "listPatterns", path = "/v1/patterns", tag = "Patterns", params(Named), security(("management_key" = [])),
    responses((status = 200, body = List<PatternView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadPatterns>,
    State(app): State<App>,
    Query(asked): Query<Named>,
) -> Result<axum::Json<List<PatternView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.patterns(caller.organization, asked.name.as_deref(), page).await;
    let rows = rows.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |pattern| pattern.number, PatternView::from)))
}
