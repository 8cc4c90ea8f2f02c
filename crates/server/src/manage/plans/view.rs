//! A plan as it is shown.

use keystile_core::api::OperationCost;
use keystile_core::id::{ApiId, PlanId};
use keystile_core::limit::LimitRule;
use keystile_core::plan::{CreditTerms, PlanName, Price, Quota};
use keystile_core::time::Timestamp;
use keystile_store::records::{Plan, PlanVersion};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::manage::apis::settings::OperationCostShape;
use crate::manage::keys::policy::RateLimitShape;

/// An amount for a period of the calendar.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = Quota)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(in crate::manage) struct QuotaShape {
    /// Its name in headers, answers and events.
    #[schema(example = "month")]
    name: String,
    /// How much there is.
    #[schema(example = 10000)]
    limit: u64,
    /// `day`, `week` (from Monday), `month`, or `billing_period`: a month from the day on which the project got its plan.
    #[schema(example = "month")]
    period: String,
    /// `cost` (if nothing is said; an ordinary call costs 1) or `calls`.
    counts: Option<String>,
    /// What becomes of calls when it is used up: `refuse` (if nothing is said) or `allow`.
    on_exhausted: Option<String>,
    /// What becomes of calls while the store can't be asked, once all is used that was set aside for that: `refuse` (if
    /// nothing is said) or `allow`.
    on_outage: Option<String>,
    /// Of which shares in percent the event `quota.warning` tells, and of all of it `quota.exhausted`; 80 and 100 unless
    /// said otherwise.
    warn_at: Option<Vec<u8>>,
}

/// What a plan costs.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = Price)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(in crate::manage) struct PriceShape {
    /// In which money: the code of ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    /// For which period: `month` (if nothing is said) or `billing_period`.
    period: Option<String>,
    /// For the period, whatever is used: a decimal number in quotes, `"0"` unless said otherwise.
    #[schema(example = "9.90")]
    base_fee: Option<String>,
    /// Units that the fee includes; 0 unless said otherwise.
    included: Option<u64>,
    /// For every `per_units` units beyond: a decimal number in quotes, `"0"` unless said otherwise.
    #[schema(example = "0.40")]
    unit_price: Option<String>,
    /// For so many; 1 unless said otherwise.
    per_units: Option<u64>,
}

/// Credits that come with a plan, once for each holder.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = CreditTrial)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(in crate::manage) struct TrialShape {
    /// How many.
    #[schema(example = 1000)]
    amount: u64,
    /// For how many days from then on; 90 unless said otherwise.
    days: Option<u32>,
}

/// Credits that come anew in each period, and lapse with it.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = CreditRefill)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(in crate::manage) struct RefillShape {
    /// How many.
    #[schema(example = 5000)]
    amount: u64,
    /// `week` (from Monday), `month`, or `billing_period`: a month from the day on which the project got its plan.
    #[schema(example = "month")]
    period: String,
}

/// That calls are paid by credits, one for each unit of what they cost.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = CreditTerms)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(in crate::manage) struct CreditTermsShape {
    /// By whose: the `project`'s (if nothing is said), or its `organization`'s, which all of its projects share.
    of: Option<String>,
    /// Credits to begin with.
    trial: Option<TrialShape>,
    /// Credits that come anew in each period.
    refill: Option<RefillShape>,
}

/// What a plan says from a moment on.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanVersion)]
pub(in crate::manage) struct VersionView {
    /// Its number, from 1.
    version: u32,
    /// From when it is in force, until the next one.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Limits of a project's calls.
    #[schema(value_type = Vec<RateLimitShape>)]
    rate_limits: Vec<LimitRule>,
    /// How much a project has in a period of the calendar.
    #[schema(value_type = Vec<QuotaShape>)]
    quotas: Vec<Quota>,
    /// Operations whose calls cost something else than the API says.
    #[schema(value_type = Vec<OperationCostShape>)]
    operation_costs: Vec<OperationCost>,
    /// What it costs; `null` for nothing.
    #[schema(value_type = Option<PriceShape>)]
    price: Option<Price>,
    /// Whether calls are paid by credits, and by which; `null` if they are not.
    #[schema(value_type = Option<CreditTermsShape>)]
    credits: Option<CreditTerms>,
    /// By whose clock these begin.
    #[schema(example = "Europe/Vienna")]
    time_zone: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<PlanVersion> for VersionView {
    fn from(version: PlanVersion) -> Self {
        let terms = version.terms;
        Self {
            version: version.version,
            from: version.from,
            rate_limits: terms.rate_limits,
            quotas: terms.quotas,
            operation_costs: terms.operation_costs,
            price: terms.price,
            credits: terms.credits,
            time_zone: terms.time_zone.name().to_owned(),
            created_at: version.created_at,
        }
    }
}

/// What an API's owner offers to those who call it.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub(in crate::manage) struct PlanView {
    /// Its id, `pln_…`.
    #[schema(value_type = String, example = "pln_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: PlanId,
    /// The API that it is of.
    #[schema(value_type = String)]
    api_id: ApiId,
    /// Its name.
    #[schema(value_type = String, example = "Free")]
    name: PlanName,
    /// What it is for.
    description: String,
    /// Whether projects get it unless something else is said.
    standard: bool,
    /// The number of the version that is in force; `null` before the first.
    version: Option<u32>,
    /// What it said, says and will say, in the order in which it is in force.
    versions: Vec<VersionView>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl PlanView {
    /// A plan as it is at a moment.
    pub(in crate::manage) fn new(plan: Plan, now: Timestamp) -> Self {
        Self {
            version: plan.at(now).map(|version| version.version),
            id: plan.id,
            api_id: plan.api,
            name: plan.name,
            description: plan.description,
            standard: plan.standard,
            versions: plan.versions.into_iter().map(VersionView::from).collect(),
            created_at: plan.created_at,
            updated_at: plan.updated_at,
        }
    }
}
