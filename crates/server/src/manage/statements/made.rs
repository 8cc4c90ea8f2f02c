//! A statement as it is made: what was used, by the ledger, and what that costs, by the plan that was in force. Once it is closed it
//! stays as it is: what is recorded of its time afterwards is an adjustment of the statement of the time in which it is recorded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use keystile_core::id::{ActivationId, ApiId, PlanId, ProjectId};
use keystile_core::plan::{Currency, Item, Line, Money, Part, PlanName, Price};
use keystile_core::time::Timestamp;
use keystile_store::records::{Activation, Plan, PlanVersion};
use keystile_store::{Billed, BilledUsage, Catalog, Ledger};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::problem::internal;
use crate::problem::Problem;

/// For so long what was recorded before a statement closed may be under way to the store.
const UNDER_WAY_SECS: i64 = 300;

/// A line of a statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementLine)]
struct LineView {
    /// `base_fee`, with the units that it includes, `overage`, or `adjustment` of an earlier statement that was closed.
    #[schema(value_type = String)]
    item: Item,
    /// How many units; of an adjustment, how many more than that statement has, or fewer.
    units: i64,
    /// What it costs: a decimal number, rounded half to even to the currency's smallest unit. Of an adjustment: what the earlier
    /// statement would cost more, or less.
    amount: String,
    /// Of an adjustment: which time the earlier statement is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Timestamp>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    /// In which money, if that is not the statement's; then it is no part of the total.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "EUR")]
    currency: Option<Currency>,
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
    /// Whether it is closed and stays as it is: an hour after its end, and five minutes for what is under way. What is recorded of its
    /// time after that hour is an adjustment of a later one.
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
    /// Their sum; below 0 if adjustments take back more than it costs.
    #[schema(example = "9.90")]
    total: String,
}

/// What was in force for a while.
struct Piece {
    /// The number of the activation.
    link: u32,
    plan: (PlanId, PlanName),
    version: PlanVersion,
    price: Price,
    /// When its billing periods are counted from.
    anchor: Timestamp,
    from: Timestamp,
    until: Option<Timestamp>,
}

impl Piece {
    /// The part that holds a moment, if it was in force then.
    fn part(&self, at: Timestamp) -> Option<Part> {
        let period = (self.price.period, &self.version.terms.time_zone, self.anchor);
        Part::of(at, (self.from, self.until), period)
    }
}

/// What statements are made of.
pub(super) struct Books {
    /// Plans, and who had which.
    catalog: Catalog,
    /// What was counted.
    ledger: Ledger,
    /// Plans that were read: many statements are of the same few.
    plans: HashMap<u32, Option<Plan>>,
}

impl Books {
    /// Those of an installation, as its plans are now.
    pub(super) fn new(catalog: Catalog, ledger: Ledger) -> Self {
        Self { catalog, ledger, plans: HashMap::new() }
    }

    async fn plan(&mut self, number: u32) -> Result<Option<&Plan>, Problem> {
        let plan = match self.plans.entry(number) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(unread) => {
                let plan = self.catalog.plan_of_number(number).await.map_err(|error| internal(&error))?;
                unread.insert(plan)
            }
        };
        Ok(plan.as_ref())
    }
}

/// All that was ever in force for the project at the API and has a price, in order: of activations that were taken away, too.
async fn pieces(books: &mut Books, link: &Activation) -> Result<Vec<Piece>, Problem> {
    let links = books.catalog.activations_had(link.project_number, link.api_number).await;
    let mut pieces = Vec::new();
    for (number, gone_at) in links.map_err(|error| internal(&error))? {
        add_pieces(books, (number, gone_at), &mut pieces).await?;
    }
    Ok(pieces)
}

/// Those of one activation, until it was taken away.
async fn add_pieces(
    books: &mut Books,
    (link, gone_at): (u32, Option<Timestamp>),
    pieces: &mut Vec<Piece>,
) -> Result<(), Problem> {
    let had = books.catalog.plans_had(link).await.map_err(|error| internal(&error))?;
    for (place, one) in had.iter().enumerate() {
        let Some((number, anchor)) = one.plan else { continue };
        let until = had.get(place + 1).map(|next| next.since).into_iter().chain(gone_at).min();
        let Some(plan) = books.plan(number).await? else { continue };
        for (place, version) in plan.versions.iter().enumerate() {
            let Some(price) = version.terms.price.clone() else { continue };
            let next = plan.versions.get(place + 1).map(|next| next.from);
            let from = version.from.max(one.since);
            let until = next.into_iter().chain(until).min();
            let (plan, version) = ((plan.id, plan.name.clone()), version.clone());
            pieces.push(Piece { link, plan, version, price, anchor, from, until });
        }
    }
    Ok(())
}

/// The part that holds a moment, and what was in force in it.
fn part_at(pieces: &[Piece], at: Timestamp) -> Option<(&Piece, Part)> {
    pieces.iter().find_map(|piece| Some((piece, piece.part(at)?)))
}

/// The statement of a link of the time that holds a moment; `None` if nothing had a price then.
pub(super) async fn statement(
    books: &mut Books,
    link: &Activation,
    at: Timestamp,
    now: Timestamp,
) -> Result<Option<StatementView>, Problem> {
    let pieces = pieces(books, link).await?;
    let Some((piece, part)) = part_at(&pieces, at).filter(|(piece, _)| piece.link == link.number) else {
        return Ok(None);
    };
    let price = &piece.price;
    // What comes meanwhile is in none of what follows.
    let billed = books.ledger.billed(link.project_number, link.api_number).await;
    let mut billed = billed.map_err(|error| internal(&error))?;
    let used = used(&mut billed, &part).await?;
    let units = u64::try_from(used.cost).unwrap_or(0);
    let (lines, mut total) = price.of(units, part.minutes()).ok_or_else(too_much)?;
    let line = |line: &Line| LineView {
        item: line.item,
        units: line.units.cast_signed(),
        amount: line.amount.to_string(),
        starts_at: None,
        ends_at: None,
        currency: None,
    };
    let mut lines: Vec<LineView> = lines.iter().map(line).collect();
    for adjustment in adjustments(&mut billed, &pieces, &part).await? {
        let is_own = adjustment.currency == price.currency;
        if is_own {
            total = total.checked_add(adjustment.amount).ok_or_else(too_much)?;
        }
        lines.push(LineView {
            item: Item::Adjustment,
            units: adjustment.units,
            amount: adjustment.amount.to_string(),
            starts_at: Some(adjustment.of.span.start),
            ends_at: Some(adjustment.of.span.end),
            currency: (!is_own).then_some(adjustment.currency),
        });
    }
    let (plan_id, plan) = piece.plan.clone();
    Ok(Some(StatementView {
        activation_id: link.id,
        project_id: link.project,
        api_id: link.api,
        plan_id,
        plan,
        version: piece.version.version,
        starts_at: part.span.start,
        ends_at: part.span.end,
        period_starts_at: part.period.start,
        period_ends_at: part.period.end,
        closed: part.closes_at().plus_secs(UNDER_WAY_SECS) <= now,
        calls: used.calls,
        units,
        included: price.included_in(part.minutes()),
        currency: price.currency,
        unit_price: price.unit_price.to_string(),
        per_units: price.per_units,
        lines,
        total: total.to_string(),
    }))
}

fn too_much() -> Problem {
    internal(&std::io::Error::other("a statement of more money than there is"))
}

/// What was used in a part, as it was known when its statement closed.
async fn used(billed: &mut Billed, part: &Part) -> Result<BilledUsage, Problem> {
    let used = billed.used(part.span).await.map_err(|error| internal(&error))?;
    let late = billed.late(part.span, (part.closes_at(), None)).await.map_err(|error| internal(&error))?;
    Ok(BilledUsage { calls: used.calls.saturating_sub(late.calls), cost: used.cost.saturating_sub(late.cost) })
}

/// What a closed statement would have more, or less.
struct Adjustment {
    of: Part,
    units: i64,
    amount: Money,
    currency: Currency,
}

/// From when on what is recorded late is an adjustment of this part's statement: when the one before it closed, however long ago
/// that was.
fn adjusts_from(pieces: &[Piece], part: &Part) -> Timestamp {
    let start = part.span.start;
    let last = |piece: &Piece| piece.part(piece.until.map_or(start, |until| until.min(start)).plus_secs(-60));
    let closed = pieces.iter().filter(|piece| piece.from < start).filter_map(last).map(|before| before.closes_at());
    closed.max().unwrap_or(start)
}

/// What the statement of a part has to add for earlier ones: what was recorded of their times from when the one before it closed
/// until it closes itself. Of times at which nothing had a price there is nothing to add.
async fn adjustments(billed: &mut Billed, pieces: &[Piece], part: &Part) -> Result<Vec<Adjustment>, Problem> {
    let (since, until) = (adjusts_from(pieces, part), part.closes_at());
    let late = billed.late_minutes(part.span.start, (since, until)).await.map_err(|error| internal(&error))?;
    let mut adjustments: Vec<Adjustment> = Vec::new();
    for minute in late {
        // Minutes come in order, so those of one part are together.
        if adjustments.last().is_some_and(|last| last.of.span.holds(minute)) {
            continue;
        }
        let Some((piece, of)) = part_at(pieces, minute) else { continue };
        let recorded = billed.late(of.span, (since, Some(until))).await.map_err(|error| internal(&error))?;
        // As the statements before this one left it.
        let own = used(billed, &of).await?;
        let earlier = billed.late(of.span, (of.closes_at(), Some(since))).await.map_err(|error| internal(&error))?;
        let (before, units) = (own.cost.saturating_add(earlier.cost), recorded.cost);
        let after = before.saturating_add(units);
        let amount = piece.price.more((before, after), of.minutes()).ok_or_else(too_much)?;
        adjustments.push(Adjustment { of, units, amount, currency: piece.price.currency });
    }
    // Calls that cost nothing, or what was taken back at once, are nothing to add.
    adjustments.retain(|one| one.units != 0);
    Ok(adjustments)
}
