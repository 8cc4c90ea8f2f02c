//! `POST /v1/plans`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::api::OperationCost;
use keystile_core::id::{ApiId, PlanId};
use keystile_core::limit::LimitRule;
use keystile_core::plan::{CreditTerms, PlanName, PlanTerms, Price, Quota};
use keystile_core::zone::Zone;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::checked;
use super::view::{CreditTermsShape, PlanView, PriceShape, QuotaShape};
use crate::manage::apis::settings::OperationCostShape;
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WritePlans};
use crate::manage::extract::Json;
use crate::manage::keys::policy::RateLimitShape;
use crate::manage::problem::not_found;
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// A plan to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanCreate {
    /// The API that it is of.
    #[schema(value_type = String)]
    api_id: ApiId,
    /// Its name, which no other plan of the API has.
    #[schema(value_type = String, example = "Free")]
    name: PlanName,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Whether projects get it unless something else is said. Of an API's plans one at most is that: this takes the place of
    /// the one before.
    #[serde(default)]
    #[schema(required = false)]
    standard: bool,
    /// Limits of a project's calls, all of its keys together; `by` can be `key`, `end_user`, `operation`, `client_address`
    /// and `tag:NAME`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<RateLimitShape>>)]
    rate_limits: Vec<LimitRule>,
    /// How much a project has in a period of the calendar.
    #[serde(default)]
    #[schema(value_type = Option<Vec<QuotaShape>>)]
    quotas: Vec<Quota>,
    /// By whose clock days, weeks and months begin; `UTC` unless said otherwise.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Europe/Vienna")]
    time_zone: Zone,
    /// Operations whose calls cost something else for a project that has this plan than the API says; at most 1,000.
    #[serde(default)]
    #[schema(value_type = Option<Vec<OperationCostShape>>)]
    operation_costs: Vec<OperationCost>,
    /// What it costs; nothing, if nothing is said.
    #[schema(value_type = Option<PriceShape>)]
    price: Option<Price>,
    /// Whether calls are paid by credits, and which of them come with the plan; they are not, if nothing is said.
    #[schema(value_type = Option<CreditTermsShape>)]
    credits: Option<CreditTerms>,
}

/// Make a plan of an API. It is in force for the projects that are given it.
#[utoipa::path(post, operation_id = "createPlan", path = "/v1/plans", tag = "Plans", request_body = PlanCreate, security(("management_key" = [])),
    responses((status = 201, body = PlanView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WritePlans>,
    State(app): State<App>,
    body: Json<PlanCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    let id = PlanId::from_entropy(app.id()?);
    let terms = PlanTerms {
        rate_limits: wanted.rate_limits,
        quotas: wanted.quotas,
        time_zone: wanted.time_zone,
        operation_costs: wanted.operation_costs,
        price: wanted.price,
        credits: wanted.credits,
    };
    let change = Change::CreatePlan {
        id,
        api: wanted.api_id,
        name: wanted.name,
        description: checked_text("description", wanted.description)?,
        standard: wanted.standard,
        terms: checked(terms)?,
    };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("plan"))?,
    };
    let plan = app.plan(&caller, id).await?;
    Ok((StatusCode::CREATED, axum::Json(PlanView::new(plan, app.now()))))
}
