//! A statement as it is made: what was used, by the ledger, and what that costs, by the plan that was in force.

use keystile_core::Code;
use keystile_core::id::{ActivationId, ApiId, PlanId, ProjectId};
use keystile_core::plan::{Currency, Item, Part, PlanName, Price};
use keystile_core::time::Timestamp;
use keystile_store::records::{Activation, PlanVersion};
use keystile_store::{GroupBy, UsageQuery};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::problem::internal;
use crate::problem::Problem;

/// For so long after its end a call may be told of that was begun in it.
const OPEN_SECS: i64 = 3_600;

/// A line of a statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementLine)]
struct LineView {
    /// `base_fee`, with the units that it includes, or `overage`.
    #[schema(value_type = String)]
    item: Item,
    /// How many units.
    units: u64,
    /// What it costs: a decimal number, rounded half to even to the currency's smallest unit.
    amount: String,
}

/// What a project used at an API in a period, and what that costs.
#[derive(Serialize, ToSchema)]
#[schema(as = Statement)]
pub(super) struct StatementView {
    /// The activation.
    #[schema(value_type = String)]
    activation_id: ActivationId,
    /// The project.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// The API.
    #[schema(value_type = String)]
    api_id: ApiId,
    /// The plan that it had.
    #[schema(value_type = String)]
    plan_id: PlanId,
    /// Its name.
    #[schema(value_type = String)]
    plan: PlanName,
    /// The version of it that was in force.
    version: u32,
    /// From when it counts, in whole minutes.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// When the period began of which this is a part; all of it, unless another plan or version began in it.
    #[schema(value_type = String, format = DateTime)]
    period_starts_at: Timestamp,
    /// When that ends.
    #[schema(value_type = String, format = DateTime)]
    period_ends_at: Timestamp,
    /// Whether it is over: an hour after its end. A call that takes longer is counted where it began.
    closed: bool,
    /// Calls that were let through.
    calls: u64,
    /// What they cost: 1 each, unless the API's settings, a verification or a report say otherwise.
    units: u64,
    /// How many of them the fee includes: of a part of a period the same part, rounded down.
    included: u64,
    /// In which money.
    #[schema(value_type = String, example = "EUR")]
    currency: Currency,
    /// The price of `per_units` units beyond.
    #[schema(example = "0.40")]
    unit_price: String,
    /// For so many units it is.
    per_units: u64,
    /// The lines.
    lines: Vec<LineView>,
    /// Their sum.
    #[schema(example = "9.90")]
    total: String,
}

/// What was in force at a moment.
struct InForce {
    plan: (PlanId, PlanName),
    version: PlanVersion,
    price: Price,
    part: Part,
}

async fn in_force(app: &App, link: &Activation, at: Timestamp) -> Result<Option<InForce>, Problem> {
    let had = app.catalog.plans_had(link.number).await.map_err(|error| internal(&error))?;
    for (place, one) in had.iter().enumerate() {
        let Some((number, anchor)) = one.plan else { continue };
        let until = had.get(place + 1).map(|next| next.since);
        let plan = app.catalog.plan_of_number(number).await.map_err(|error| internal(&error))?;
        let Some(plan) = plan else { continue };
        for (place, version) in plan.versions.iter().enumerate() {
            let Some(price) = version.terms.price.clone() else { continue };
            let next = plan.versions.get(place + 1).map(|next| next.from);
            let from = version.from.max(one.since);
            let until = next.into_iter().chain(until).min();
            let part = Part::of(at, (from, until), (price.period, &version.terms.time_zone, anchor));
            if let Some(part) = part {
                return Ok(Some(InForce { plan: (plan.id, plan.name.clone()), version: version.clone(), price, part }));
            }
        }
    }
    Ok(None)
}

/// The statement of a link of the time that holds a moment; `None` if nothing had a price then.
pub(super) async fn statement(
    app: &App,
    link: &Activation,
    at: Timestamp,
    now: Timestamp,
) -> Result<Option<StatementView>, Problem> {
    let Some(InForce { plan, version, price, part }) = in_force(app, link, at).await? else { return Ok(None) };
    let query = UsageQuery {
        from: part.span.start,
        until: part.span.end,
        bucket: None,
        by: GroupBy { code: true, ..GroupBy::default() },
        api: Some(link.api_number),
        project: Some(link.project_number),
        key: None,
        code: None,
        // Both sides of the link may see it.
        organizations: Vec::new(),
        after: 0,
        limit: u32::from(u8::MAX),
    };
    let rows = app.ledger.usage(&query).await.map_err(|error| internal(&error))?;
    let units: i64 = rows.iter().map(|row| row.counts.cost).sum();
    let units = u64::try_from(units).unwrap_or(0);
    let calls = rows.iter().filter(|row| row.code == Some(Code::Allowed)).map(|row| row.counts.calls).sum();
    let too_much = || internal(&std::io::Error::other("a statement of more money than there is"));
    let (lines, total) = price.of(units, part.minutes()).ok_or_else(too_much)?;
    let (plan_id, plan) = plan;
    Ok(Some(StatementView {
        activation_id: link.id,
        project_id: link.project,
        api_id: link.api,
        plan_id,
        plan,
        version: version.version,
        starts_at: part.span.start,
        ends_at: part.span.end,
        period_starts_at: part.period.start,
        period_ends_at: part.period.end,
        closed: part.span.end.plus_secs(OPEN_SECS) <= now,
        calls,
        units,
        included: price.included_in(part.minutes()),
        currency: price.currency,
        unit_price: price.unit_price.to_string(),
        per_units: price.per_units,
        lines: lines
            .iter()
            .map(|line| LineView { item: line.item, units: line.units, amount: line.amount.to_string() })
            .collect(),
        total: total.to_string(),
    }))
}
