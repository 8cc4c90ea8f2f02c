//! What a plan would have done to calls that were made: which of them it had let through, which limit or quota had refused
//! the others, and what statements it had come to.
//!
//! The calls come from anywhere, in order of time: of an access log, or of what was counted. They meet what real calls meet
//! in the order in which these meet it: hard quotas, then the limits, all of them or none. What is refused costs nothing and
//! uses nothing. Limits follow one clock here, the calls' own: windows lie from the beginning of 1970 on, where those of a
//! server that follow its ticks lie from its start on.
//!
//! Whoever calls has the plan from the beginning of the period of its first call, and pays for each period in which it made
//! a call, refused ones too: a whole fee with all that it includes. For a billing period the day of its first call is the one
//! on which it got the plan.
//!
//! Not here: calls in flight, for nobody knows when such a call ended ([`LeftOut`]), and credits ([`PaidByCredits`]).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;

use rust_decimal::Decimal;

use super::balance::{Balance, Drawing};
use super::period::Period;
use super::price::{Line, Price};
use super::quota::{Exhausted, Quota};
use super::statement::Part;
use super::{PlanTerms, Zone};
use crate::facts::Facts;
use crate::id::{KeyId, OrganizationId, ProjectId};
use crate::limit::{Algorithm, Counted, Dimension, LimitRule, Scope, Slot, Subject, Weighed};
use crate::time::{Moment, Ticks, Timestamp};

/// A call that was made.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// When.
    pub at: Timestamp,
    /// Who made it: what would be a project.
    pub who: &'a str,
    /// What it costs under this plan; an ordinary call costs 1.
    pub cost: u32,
    /// With which key, if that is known.
    pub key: Option<KeyId>,
    /// From which address, if that is known.
    pub address: Option<IpAddr>,
    /// The number of its operation, if that is known.
    pub operation: Option<u32>,
}

/// What is known of all calls besides when, who and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Their keys.
    pub key: bool,
    /// Their addresses.
    pub address: bool,
    /// Their operations.
    pub operation: bool,
}

impl Known {
    const fn has(self, dimension: &Dimension) -> bool {
        match dimension {
            Dimension::Key => self.key,
            Dimension::ClientAddress => self.address,
            Dimension::Operation => self.operation,
            Dimension::Project | Dimension::Organization | Dimension::EndUser | Dimension::Tag(_) => false,
        }
    }
}

/// What would have become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It would have passed.
    LetThrough,
    /// A limit would have refused it.
    Limited,
    /// A quota would have refused it, before any limit was asked.
    Exhausted,
}

/// Why a limit is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// It counts calls in flight, and nobody knows when these ended.
    InFlight,
    /// It is counted apart by this, which is not known of the calls.
    Unknown(Dimension),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight => f.write_str("it counts calls in flight, and it is not known when the calls ended"),
            Self::Unknown(dimension) => {
                write!(f, "it is counted apart by {dimension}, which is not known of the calls")
            }
        }
    }
}

/// Calls of the plan are paid by credits: how many somebody had is not known of any call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidByCredits;

impl fmt::Display for PaidByCredits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its calls are paid by credits, and what was prepaid is not known of the calls")
    }
}

impl std::error::Error for PaidByCredits {}

/// A statement would be of more money than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a statement would be of more money than there is")
    }
}

impl std::error::Error for TooMuch {}

/// A plan that is tried out on calls.
#[derive(Debug)]
pub struct Simulation {
    limits: Vec<OfLimit>,
    left_out: Vec<(LimitRule, LeftOut)>,
    quotas: Vec<OfQuota>,
    /// What quotas look at: several may look at one balance.
    books: Vec<(Period, Counted)>,
    price: Option<Price>,
    zone: Zone,
    standings: BTreeMap<String, Standing>,
    now: Timestamp,
}

/// A limit, and what it would have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfLimit {
    /// The limit.
    pub rule: LimitRule,
    /// Calls that it would have refused; of one that is only tried out, those that it would have refused otherwise. A call that
    /// several refuse is counted at each.
    pub refused: u64,
}

/// A quota, and what it would have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfQuota {
    /// The quota.
    pub quota: Quota,
    /// Calls that it would have refused. A call that several refuse is counted at each.
    pub refused: u64,
    /// What would have been used beyond it, if it lets that through.
    pub beyond: u64,
    book: usize,
}

/// What somebody has by now.
#[derive(Debug)]
struct Standing {
    /// When it got the plan.
    since: Timestamp,
    /// A slot a limit, of those that count its calls together.
    slots: Vec<Slot>,
    /// Those of limits that are counted apart, by the number of the limit and the hash of whom.
    apart: BTreeMap<(usize, u64), Slot>,
    /// A balance a book; `None` before the first call.
    balances: Vec<Option<Balance>>,
    sums: Sums,
    /// What was used in which time, in order.
    times: Vec<(Part, Sums)>,
}

/// What calls come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Calls that were let through.
    pub let_through: u64,
    /// Calls that limits refused.
    pub limited: u64,
    /// Calls that quotas refused.
    pub exhausted: u64,
    /// What those cost that were let through.
    pub units: u64,
}

impl Sums {
    /// All calls.
    pub const fn calls(&self) -> u64 {
        self.let_through + self.limited + self.exhausted
    }

    const fn add(&mut self, outcome: Outcome, cost: u32) {
        match outcome {
            Outcome::LetThrough => {
                self.let_through += 1;
                self.units += cost as u64;
            }
            Outcome::Limited => self.limited += 1,
            Outcome::Exhausted => self.exhausted += 1,
        }
    }

    /// These and others.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            let_through: self.let_through + other.let_through,
            limited: self.limited + other.limited,
            exhausted: self.exhausted + other.exhausted,
            units: self.units + other.units,
        }
    }
}

/// What the plan would have done.
#[derive(Debug)]
pub struct Simulated {
    /// To whom, by name.
    pub subjects: Vec<OfSubject>,
    /// Its limits that were asked.
    pub limits: Vec<OfLimit>,
    /// Those that were not, and why.
    pub left_out: Vec<(LimitRule, LeftOut)>,
    /// Its quotas.
    pub quotas: Vec<OfQuota>,
    /// What it costs.
    pub price: Option<Price>,
    /// The sum of all statements.
    pub total: Decimal,
}

/// What the plan would have done to one who calls.
#[derive(Debug)]
pub struct OfSubject {
    /// Who.
    pub who: String,
    /// What its calls come to.
    pub sums: Sums,
    /// Its statements, in order; none if the plan costs nothing.
    pub statements: Vec<Statement>,
    /// The sum of these.
    pub total: Decimal,
}

/// What somebody would have paid for a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Which time it is about.
    pub part: Part,
    /// What its calls come to.
    pub sums: Sums,
    /// Units that the fee includes.
    pub included: u64,
    /// Its lines.
    pub lines: [Line; 2],
    /// Their sum.
    pub total: Decimal,
}

impl Simulation {
    /// A plan of these terms, before anybody called.
    ///
    /// # Errors
    /// [`PaidByCredits`].
    pub fn new(terms: PlanTerms, known: Known) -> Result<Self, PaidByCredits> {
        // What operations cost is what calls cost, which they say.
        let PlanTerms { rate_limits, quotas, time_zone, operation_costs: _, price, credits } = terms;
        if credits.is_some() {
            return Err(PaidByCredits);
        }
        let (mut limits, mut left_out) = (Vec::new(), Vec::new());
        for rule in rate_limits {
            match why_left_out(&rule, known) {
                Some(why) => left_out.push((rule, why)),
                None => limits.push(OfLimit { rule, refused: 0 }),
            }
        }
        let mut books = Vec::new();
        let quotas = quotas.into_iter().map(|quota| {
            let wanted = (quota.period, quota.counts);
            let book = books.iter().position(|book| *book == wanted).unwrap_or_else(|| {
                books.push(wanted);
                books.len() - 1
            });
            OfQuota { quota, refused: 0, beyond: 0, book }
        });
        let quotas = quotas.collect();
        let (standings, now) = (BTreeMap::new(), Timestamp::from_micros(i64::MIN));
        Ok(Self { limits, left_out, quotas, books, price, zone: time_zone, standings, now })
    }

    /// What becomes of a call. One that is earlier than the one before is taken as made at its moment: no clock goes back.
    pub fn call(&mut self, call: &Call<'_>) -> Outcome {
        self.now = self.now.max(call.at);
        let now = self.now;
        let (limits, books) = (self.limits.len(), self.books.len());
        let standing = match self.standings.get_mut(call.who) {
            Some(standing) => standing,
            None => self.standings.entry(call.who.to_owned()).or_insert_with(|| Standing {
                since: now,
                slots: vec![Slot::default(); limits],
                apart: BTreeMap::new(),
                balances: vec![None; books],
                sums: Sums::default(),
                times: Vec::new(),
            }),
        };
        for ((period, _), balance) in self.books.iter().zip(&mut standing.balances) {
            if balance.is_none_or(|balance| !balance.span.holds(now)) {
                let span = period.at(now, &self.zone, standing.since);
                // Nobody else takes of it, so all of it is ours.
                *balance = Some(Balance { granted: u64::MAX, ..Balance::new(span, 0) });
            }
        }
        let outcome = if is_exhausted(&mut self.quotas, standing, call.cost) {
            Outcome::Exhausted
        } else if is_limited(&mut self.limits, standing, call, now) {
            Outcome::Limited
        } else {
            draw(&mut self.quotas, &self.books, standing, call.cost);
            Outcome::LetThrough
        };
        standing.sums.add(outcome, call.cost);
        if let Some(price) = &self.price {
            standing.at(now, price, &self.zone).add(outcome, call.cost);
        }
        outcome
    }

    /// What it came to.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn finish(self) -> Result<Simulated, TooMuch> {
        let Self { limits, left_out, quotas, price, standings, .. } = self;
        let subject = |(who, standing): (String, Standing)| {
            let mut total = Decimal::ZERO;
            let mut statements = Vec::new();
            for (part, sums) in standing.times {
                // Only what has a price is kept by time.
                let Some(price) = &price else { continue };
                let (lines, sum) = price.of(sums.units, part.minutes()).ok_or(TooMuch)?;
                total = total.checked_add(sum).ok_or(TooMuch)?;
                statements.push(Statement {
                    part,
                    sums,
                    included: price.included_in(part.minutes()),
                    lines,
                    total: sum,
                });
            }
            Ok(OfSubject { who, sums: standing.sums, statements, total })
        };
        let subjects = standings.into_iter().map(subject).collect::<Result<Vec<_>, TooMuch>>()?;
        let total = subjects.iter().try_fold(Decimal::ZERO, |sum, subject| sum.checked_add(subject.total));
        Ok(Simulated { subjects, limits, left_out, quotas, price, total: total.ok_or(TooMuch)? })
    }
}

impl Standing {
    /// What its calls of the time that holds this moment come to.
    fn at(&mut self, now: Timestamp, price: &Price, zone: &Zone) -> &mut Sums {
        // By the minute, as statements are.
        let now = now.floor_secs(60);
        if self.times.last().is_none_or(|(part, _)| !part.span.holds(now)) {
            let span = price.period.at(now, zone, self.since);
            let part = Part::of(now, (span.start, None), (price.period, zone, self.since));
            self.times.push((part.unwrap_or(Part { span, period: span }), Sums::default()));
        }
        let last = self.times.len() - 1;
        &mut self.times[last].1
    }
}

fn why_left_out(rule: &LimitRule, known: Known) -> Option<LeftOut> {
    if rule.algorithm == Algorithm::Concurrency {
        return Some(LeftOut::InFlight);
    }
    rule.by.iter().find(|dimension| !known.has(dimension)).cloned().map(LeftOut::Unknown)
}

/// Whether a hard quota is against a call that costs so much.
fn is_exhausted(quotas: &mut [OfQuota], standing: &Standing, cost: u32) -> bool {
    let mut is_exhausted = false;
    for of in quotas.iter_mut().filter(|of| of.quota.on_exhausted == Exhausted::Refuse) {
        let Some(balance) = &standing.balances[of.book] else { continue };
        if balance.draw(of.quota.counted(cost), of.quota.limit) == Drawing::Exhausted {
            of.refused += 1;
            is_exhausted = true;
        }
    }
    is_exhausted
}

/// Whether a limit is against a call. If none is, it is counted at all at which it fits.
fn is_limited(limits: &mut [OfLimit], standing: &mut Standing, call: &Call<'_>, now: Timestamp) -> bool {
    // A plan's limits are not counted by these.
    let (project, organization) = (ProjectId::from_entropy([0; 16]), OrganizationId::from_entropy([0; 16]));
    let micros = u64::try_from(now.as_micros()).unwrap_or(0);
    let moment = Moment { wall: now, ticks: Ticks::from_nanos(micros.saturating_mul(1_000)) };
    let facts = Facts { client: call.address, cost: call.cost, operation: call.operation, ..Facts::at(moment) };
    let subject = Subject { key: call.key.map(|key| (key, project, organization)), facts: &facts };
    let mut is_limited = false;
    let mut fitting = Vec::new();
    for (number, of) in limits.iter_mut().enumerate() {
        let place = place(&of.rule, &subject).map(|hash| (number, hash));
        let slot = match place {
            Some(place) => standing.apart.get(&place).copied().unwrap_or_default(),
            None => standing.slots[number],
        };
        let cost = of.rule.counted(call.cost);
        match of.rule.terms_of(subject.limit_of(&of.rule, Scope::Plan)).weigh(slot, cost, moment) {
            Weighed::Fits { slot, .. } if cost > 0 => fitting.push((number, place, slot)),
            Weighed::Fits { .. } => {}
            Weighed::Over { .. } => {
                of.refused += 1;
                is_limited |= !of.rule.shadow;
            }
        }
    }
    for (number, place, slot) in fitting.into_iter().filter(|_| !is_limited) {
        match place {
            Some(place) => drop(standing.apart.insert(place, slot)),
            None => standing.slots[number] = slot,
        }
    }
    is_limited
}

/// What tells whom a limit is counted apart for from others; `None` if it counts all together.
fn place(rule: &LimitRule, subject: &Subject<'_>) -> Option<u64> {
    if rule.by.is_empty() {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    subject.hash_by(&rule.by, &mut hasher);
    Some(hasher.finish())
}

/// Takes what a call costs of all that quotas look at.
fn draw(quotas: &mut [OfQuota], books: &[(Period, Counted)], standing: &mut Standing, cost: u32) {
    for of in quotas.iter_mut().filter(|of| of.quota.on_exhausted == Exhausted::Allow) {
        let Some(balance) = &standing.balances[of.book] else { continue };
        let wanted = of.quota.counted(cost);
        let beyond = balance.total().saturating_add(wanted).saturating_sub(of.quota.limit);
        of.beyond += beyond.min(wanted);
    }
    for ((_, counts), balance) in books.iter().zip(&mut standing.balances) {
        if let Some(balance) = balance {
            balance.used += u64::from(counts.of(cost));
        }
    }
}
