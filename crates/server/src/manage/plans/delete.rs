//! `DELETE /v1/plans/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::PlanId;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WritePlans};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Delete a plan that no project has. What it said stays in the audit log.
#[utoipa::path(delete, operation_id = "deletePlan", path = "/v1/plans/{id}", tag = "Plans", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: Caller<WritePlans>,
    State(app): State<App>,
    Id(id): Id<PlanId>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::DeletePlan { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
