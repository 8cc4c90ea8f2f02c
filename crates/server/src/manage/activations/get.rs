//! `GET /v1/activations/{id}`

use axum::extract::State;
use keystile_core::id::ActivationId;

use super::view::ActivationView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadActivations};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// An activation.
#[utoipa::path(get, operation_id = "getActivation", path = "/v1/activations/{id}", tag = "Activations", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = ActivationView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
) -> Result<axum::Json<ActivationView>, Problem> {
    Ok(axum::Json(ActivationView::from(app.activation(&caller, id).await?)))
}
