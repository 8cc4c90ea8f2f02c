//! `POST /v1/activations/{id}/plan`: which plan a project has.

use axum::extract::State;
use keystile_core::id::{ActivationId, PlanId};
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::ActivationView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteActivations};
use crate::manage::extract::{Id, Json, spoken};
use crate::manage::problem::invalid;
use crate::problem::Problem;

/// Another plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActivationPlan {
    /// A plan of the API; `null` for none.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>)]
    plan_id: Option<Option<PlanId>>,
}

/// Give the project another plan, from now on. What it has used of the day, week or month counts on; its billing periods
/// begin anew.
#[utoipa::path(post, operation_id = "setActivationPlan", path = "/v1/activations/{id}/plan", tag = "Activations", params(("id" = String, Path)),
    request_body = ActivationPlan, security(("management_key" = [])),
    responses((status = 200, body = ActivationView), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn set_plan(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
    body: Json<ActivationPlan>,
) -> Result<axum::Json<ActivationView>, Problem> {
    let was = app.activation(&caller, id).await?.revision;
    let plan = body.value.plan_id.ok_or_else(|| invalid("Say plan_id; null takes the plan away."))?;
    app.apply(&caller, Change::SetPlan { id, was, plan }).await?;
    Ok(axum::Json(ActivationView::from(app.activation(&caller, id).await?)))
}
