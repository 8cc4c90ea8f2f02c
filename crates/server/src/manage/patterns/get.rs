//! `GET /v1/patterns/{id}`

use axum::extract::State;
use keystile_core::id::PatternId;

use super::view::PatternView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadPatterns};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// A pattern.
#[utoipa::path(get, operation_id = "getPattern", path = "/v1/patterns/{id}", tag = "Patterns", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = PatternView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadPatterns>,
    State(app): State<App>,
    Id(id): Id<PatternId>,
) -> Result<axum::Json<PatternView>, Problem> {
    Ok(axum::Json(PatternView::from(app.pattern(&caller, id).await?)))
}
