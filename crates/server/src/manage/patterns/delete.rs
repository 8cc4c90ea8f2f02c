//! `DELETE /v1/patterns/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::PatternId;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WritePatterns};
use crate::manage::extract::{Id, Query};
use crate::problem::Problem;

/// What becomes of the keys and projects that have it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Take it from the keys and projects that have it; without this, one that any have is not deleted.
    #[serde(default)]
    #[param(required = false)]
    unassign: bool,
}

/// Delete a pattern. One that keys or projects have is deleted only with `unassign=true`, and their calls need not pass it
/// any more.
#[utoipa::path(delete, operation_id = "deletePattern", path = "/v1/patterns/{id}", tag = "Patterns", params(("id" = String, Path), Asked),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: Caller<WritePatterns>,
    State(app): State<App>,
    Id(id): Id<PatternId>,
    Query(asked): Query<Asked>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::DeletePattern { id, unassign: asked.unassign }).await?;
    Ok(StatusCode::NO_CONTENT)
}
