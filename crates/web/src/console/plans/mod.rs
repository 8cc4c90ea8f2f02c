//! Plans: what an API's owner offers to those who call it. The list, making one and giving it a new version, its page, deleting it.

mod credits;
mod form;
mod list;
mod quota;
mod rate;
mod show;
mod terms;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Console;
use super::model::List;
use super::visit::Visit;
use crate::api::Asked;
use crate::ui::form::segment;

pub(super) use quota::{PERIODS, QuotaField, options as quota_options, quota_fields, quotas};
pub(super) use words::{limit_words, of_period, quota_words, summary};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/plans", get(list::list).post(form::create))
        .route("/plans.csv", get(list::export))
        .route("/plans/new", get(form::new))
        .route("/plans/code", post(form::code))
        .route("/plans/{id}", get(show::show))
        .route("/plans/{id}/edit", get(form::edit).post(form::save))
        .route("/plans/{id}/delete", get(show::delete_form).post(show::delete))
}

/// A plan.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) api_id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) standard: bool,
    pub(super) version: Option<u32>,
    pub(super) versions: Vec<Version>,
    pub(super) created_at: Timestamp,
}

impl Plan {
    /// The version that is in force.
    fn in_force(&self) -> Option<&Version> {
        self.versions.iter().find(|version| Some(version.version) == self.version)
    }
}

/// What a plan says from a moment on.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Version {
    version: u32,
    from: Timestamp,
    time_zone: String,
    rate_limits: Vec<Limit>,
    quotas: Vec<Quota>,
    operation_costs: Vec<Cost>,
    price: Option<Price>,
    credits: Option<Credits>,
}

/// How often something may be called.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Limit {
    name: String,
    limit: u64,
    #[serde(default)]
    window_seconds: Option<u64>,
    #[serde(default)]
    algorithm: Option<String>,
    #[serde(default)]
    burst: Option<u64>,
    #[serde(default)]
    by: Vec<String>,
    #[serde(default)]
    counts: Option<String>,
    #[serde(default)]
    overrides: Vec<Value>,
    #[serde(default)]
    shadow: Option<bool>,
}

/// An amount for a period of the calendar.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Quota {
    name: String,
    limit: u64,
    period: String,
    #[serde(default)]
    counts: Option<String>,
    #[serde(default)]
    on_exhausted: Option<String>,
    #[serde(default)]
    on_outage: Option<String>,
    #[serde(default)]
    warn_at: Option<Vec<u32>>,
}

/// What one operation costs.
#[derive(Debug, Clone, Deserialize)]
struct Cost {
    operation: String,
    cost: u64,
}

/// What a plan costs.
#[derive(Debug, Clone, Deserialize)]
struct Price {
    currency: String,
    #[serde(default)]
    base_fee: Option<String>,
    #[serde(default)]
    included: Option<u64>,
    #[serde(default)]
    unit_price: Option<String>,
    #[serde(default)]
    per_units: Option<u64>,
    #[serde(default)]
    period: Option<String>,
}

/// That calls are paid by credits.
#[derive(Debug, Clone, Deserialize)]
struct Credits {
    #[serde(default)]
    of: Option<String>,
    #[serde(default)]
    refill: Option<Refill>,
    #[serde(default)]
    trial: Option<Trial>,
}

/// Credits of each period.
#[derive(Debug, Clone, Deserialize)]
struct Refill {
    amount: u64,
    period: String,
}

/// Credits to begin with.
#[derive(Debug, Clone, Deserialize)]
struct Trial {
    amount: u64,
    #[serde(default)]
    days: Option<u64>,
}

async fn plan(visit: &Visit, id: &str) -> Asked<Plan> {
    visit.get(&format!("/v1/plans/{}", segment(id))).await
}

/// How many projects have each plan, as far as one page tells: the counts, and whether there are more.
async fn holders(visit: &Visit, of: &str) -> (std::collections::HashMap<String, u64>, bool) {
    #[derive(Deserialize)]
    struct Holder {
        plan_id: Option<String>,
        state: String,
    }
    let list: List<Holder> = visit.aside(&format!("/v1/activations?limit=200{of}")).await;
    let mut counts = std::collections::HashMap::new();
    let held = list.items.into_iter().filter(|one| one.state == "approved" || one.state == "suspended");
    for id in held.filter_map(|one| one.plan_id) {
        *counts.entry(id).or_insert(0) += 1;
    }
    (counts, list.next_cursor.is_some())
}
