//! `PATCH /v1/plans/{id}`

use axum::extract::State;
use keystile_core::api::OperationCost;
use keystile_core::id::PlanId;
use keystile_core::limit::LimitRule;
use keystile_core::plan::{CreditTerms, PlanName, PlanTerms, Price, Quota};
use keystile_core::time::Timestamp;
use keystile_core::zone::Zone;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::checked;
use super::view::{CreditTermsShape, PlanView, PriceShape, QuotaShape};
use crate::manage::apis::settings::OperationCostShape;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WritePlans};
use crate::manage::extract::{Id, Json, said, spoken};
use crate::manage::keys::policy::RateLimitShape;
use crate::manage::problem::invalid;
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// A moment that is past for no longer is meant as now.
const LATE_SECS: i64 = 60;

/// What is to change of a plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanUpdate {
    /// Its name.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    name: Option<PlanName>,
    /// What it is for.
    #[serde(default, deserialize_with = "said")]
    description: Option<String>,
    /// Whether projects get it unless something else is said.
    #[serde(default, deserialize_with = "said")]
    standard: Option<bool>,
    /// Limits of a project's calls; the whole list.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<RateLimitShape>>)]
    rate_limits: Option<Vec<LimitRule>>,
    /// How much a project has in a period of the calendar; the whole list.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<QuotaShape>>)]
    quotas: Option<Vec<Quota>>,
    /// By whose clock days, weeks and months begin.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    time_zone: Option<Zone>,
    /// Operations whose calls cost something else than the API says; the whole list.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<OperationCostShape>>)]
    operation_costs: Option<Vec<OperationCost>>,
    /// What it costs; `null` for nothing.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<PriceShape>)]
    price: Option<Option<Price>>,
    /// Whether calls are paid by credits, and which of them come with the plan; `null` if they are not.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<CreditTermsShape>)]
    credits: Option<Option<CreditTerms>>,
    /// From when new limits, quotas, costs, another time zone, price or credits are in force: now, unless a later moment is said.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
}

/// Change a plan, for all projects that have it. Other limits, quotas, costs of operations, another time zone, price or credits make a version, which is in force
/// from a moment on; what is not said of it stays as it is in force then. A version that begins later still comes as it was said, unless another one
/// is said from the same moment. What was used in the period counts on.
#[utoipa::path(patch, operation_id = "updatePlan", path = "/v1/plans/{id}", tag = "Plans", params(("id" = String, Path)),
    request_body = PlanUpdate, security(("management_key" = [])),
    responses((status = 200, body = PlanView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WritePlans>,
    State(app): State<App>,
    Id(id): Id<PlanId>,
    body: Json<PlanUpdate>,
) -> Result<axum::Json<PlanView>, Problem> {
    let plan = app.plan(&caller, id).await?;
    let wanted = body.value;
    let says = wanted.rate_limits.is_some()
        || wanted.quotas.is_some()
        || wanted.time_zone.is_some()
        || wanted.operation_costs.is_some()
        || wanted.price.is_some()
        || wanted.credits.is_some();
    if wanted.from.is_some() && !says {
        return Err(invalid(
            "from says when rate_limits, quotas, operation_costs, a time_zone, a price or credits begin; say at least one of these.",
        ));
    }
    let now = app.now();
    if wanted.from.is_some_and(|from| from.plus_secs(LATE_SECS) < now) {
        return Err(invalid("from is past; what was in force then stays as it was. Leave it out for now."));
    }
    let from = wanted.from.map_or(now, |from| from.max(now));
    let latest = plan.at(from).map(|version| version.terms.clone()).unwrap_or_default();
    let terms = PlanTerms {
        rate_limits: wanted.rate_limits.unwrap_or(latest.rate_limits),
        quotas: wanted.quotas.unwrap_or(latest.quotas),
        time_zone: wanted.time_zone.unwrap_or(latest.time_zone),
        operation_costs: wanted.operation_costs.unwrap_or(latest.operation_costs),
        price: wanted.price.unwrap_or(latest.price),
        credits: wanted.credits.unwrap_or(latest.credits),
    };
    let change = Change::UpdatePlan {
        id,
        was: plan.revision,
        name: wanted.name.unwrap_or(plan.name),
        description: wanted.description.map_or(Ok(plan.description), |text| checked_text("description", text))?,
        standard: wanted.standard.unwrap_or(plan.standard),
        terms: if says { Some((checked(terms)?, from)) } else { None },
    };
    app.apply(&caller, change).await?;
    Ok(axum::Json(PlanView::new(app.plan(&caller, id).await?, app.now())))
}
