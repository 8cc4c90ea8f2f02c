//! `GET /v1/plans/{id}`

use axum::extract::State;
use keystile_core::id::PlanId;

use super::view::PlanView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadPlans};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// A plan, with everything that it ever said.
#[utoipa::path(get, operation_id = "getPlan", path = "/v1/plans/{id}", tag = "Plans", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = PlanView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadPlans>,
    State(app): State<App>,
    Id(id): Id<PlanId>,
) -> Result<axum::Json<PlanView>, Problem> {
    Ok(axum::Json(PlanView::new(app.plan(&caller, id).await?, app.now())))
}
