//! `GET /v1/activations/{id}/quotas`: how much a project has used of what it has.

use axum::extract::State;
use keystile_core::id::ActivationId;
use keystile_core::limit::{Counted, LimitRule};
use keystile_core::plan::{Exhausted, Left, Period, Quota, QuotaOf};
use keystile_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadActivations};
use crate::manage::extract::Id;
use crate::manage::keys::policy::RateLimitShape;
use crate::problem::Problem;

/// How much of a quota is used.
#[derive(Serialize, ToSchema)]
#[schema(as = QuotaStanding)]
struct StandingView {
    /// Its name.
    name: String,
    /// `plan`, or `project` for a ceiling of the project's own.
    #[schema(value_type = String)]
    of: QuotaOf,
    /// For how long it is.
    #[schema(value_type = String)]
    period: Period,
    /// When the period began.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// How much there is.
    limit: u64,
    /// How much of it is used; more than there is, if calls go on beyond.
    used: u64,
    /// How much is left.
    remaining: u64,
    /// What of calls is counted.
    #[schema(value_type = String)]
    counts: Counted,
    /// What becomes of calls when it is used up.
    #[schema(value_type = String)]
    on_exhausted: Exhausted,
}

/// What a project has at an API, and how much of it is used.
#[derive(Serialize, ToSchema)]
#[schema(as = ActivationQuotas)]
pub(super) struct QuotasView {
    /// The limits of its plan.
    #[schema(value_type = Vec<RateLimitShape>)]
    rate_limits: Vec<LimitRule>,
    /// The quotas of its plan, and its own ceilings.
    quotas: Vec<StandingView>,
    /// The credits that are left; `null` if its calls are not paid by credits.
    credits: Option<u64>,
}

impl StandingView {
    fn new(quota: &Quota, of: QuotaOf, left: Left) -> Self {
        Self {
            name: quota.name.as_str().to_owned(),
            of,
            period: quota.period,
            starts_at: left.span.start,
            ends_at: left.span.end,
            limit: left.limit,
            used: left.used,
            remaining: left.remaining,
            counts: quota.counts,
            on_exhausted: quota.on_exhausted,
        }
    }
}

/// How much a project has used of its quotas, as of now.
#[utoipa::path(get, operation_id = "getActivationQuotas", path = "/v1/activations/{id}/quotas", tag = "Activations",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 200, body = QuotasView), (status = 401), (status = 404)))]
pub(super) async fn quotas(
    caller: Caller<ReadActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
) -> Result<axum::Json<QuotasView>, Problem> {
    let activation = app.activation(&caller, id).await?;
    let numbers = (activation.project_number, activation.api_number);
    let standing = app.feed.engine().standing(numbers, app.clock.now());
    Ok(axum::Json(QuotasView {
        rate_limits: standing.plan.map(|plan| plan.limits.rules.clone()).unwrap_or_default(),
        credits: standing.credits,
        quotas: standing.quotas.iter().map(|(quota, of, left)| StandingView::new(quota, *of, *left)).collect(),
    }))
}
