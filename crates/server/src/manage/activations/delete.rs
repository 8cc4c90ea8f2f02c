//! `DELETE /v1/activations/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::ActivationId;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteActivations};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Take a link away; both sides may.
#[utoipa::path(delete, operation_id = "deleteActivation", path = "/v1/activations/{id}", tag = "Activations", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn delete(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::DeleteActivation { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
