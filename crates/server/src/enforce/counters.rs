//! Counters of rate limits: in memory, exact on one node, charged all or nothing.
//!
//! A key's slots lie side by side in an arena and are allocated when its first call is counted; what is counted apart for
//! others (end users, addresses, projects) is in tables of a fixed size, a part of them in each stripe. A call holds the
//! locks of the stripes that it is counted in while it weighs and charges, taken in their order: for most calls that is
//! the one of their key, and two cores meet there only when they count the same key, or by a chance of 1 in 256. So 100
//! calls at once against a limit of `L` admit exactly `L`, and a call that one rule refuses is charged by none.
//!
//! Counters are not kept across a restart: a window begins anew. Changing a key's limits also begins anew.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use arrayvec::ArrayVec;
use keystile_core::decide::{MAX_ASKED, Weight, Weights};
use keystile_core::id::OrganizationId;
use keystile_core::limit::{Counted, Dimension, LimitRule, Scope, Slot, Subject, Terms, Weighed};
use keystile_core::time::{Moment, Ticks, Timestamp};
use parking_lot::{Mutex, MutexGuard};

use super::arena::Arena;
use super::limits::Limits;
use super::subjects::{Mark, State, Subjects};

/// Locks; many more than cores, so that two keys in use at once rarely share one.
const STRIPES: usize = 256;
/// How many subjects are counted apart unless the settings say otherwise; each takes 32 bytes.
pub const DEFAULT_SUBJECTS: usize = 1_000_000;

/// On a cache line of its own, so that two stripes do not slow each other down.
#[derive(Default)]
#[repr(align(64))]
struct Stripe(Mutex<Subjects>);

/// Two words; written only under the stripe's lock.
#[derive(Default)]
struct Cell([AtomicU64; 2]);

impl Cell {
    fn load(&self) -> [u64; 2] {
        [self.0[0].load(Ordering::Relaxed), self.0[1].load(Ordering::Relaxed)]
    }

    fn store(&self, words: [u64; 2]) {
        self.0[0].store(words[0], Ordering::Relaxed);
        self.0[1].store(words[1], Ordering::Relaxed);
    }
}

/// A call that is to be counted.
pub struct Charge<'a> {
    /// The lists of limits that are asked, in this order: of the key or of those without one, of the plan, of the API.
    pub lists: [Option<&'a Limits>; 3],
    /// Where the key is that the first list is of, if it is a key's.
    pub key: u32,
    /// Whom it is counted for.
    pub subject: Subject<'a>,
    /// What it counts; 0 looks, and counts nothing.
    pub cost: u32,
    /// Whether what it really costs is told later.
    pub reports: bool,
    /// When.
    pub now: Moment,
}

/// One of several questions that are asked together: a rule, whom it is counted apart for, and what it counts.
pub struct Apart<'a> {
    /// Whose rule it is: others may have one of the same name.
    pub owner: Option<OrganizationId>,
    /// The rule.
    pub rule: LimitRule,
    /// Whom.
    pub subject: &'a str,
    /// What it counts; 0 looks, and counts nothing.
    pub cost: u32,
}

/// Where a rule's count for one subject is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Among the cells of a key, of which this is the list of limits.
    Key { key: u32, fingerprint: u64, rules: u32, rule: u32 },
    /// Among the subjects.
    Subject(Mark),
}

impl Place {
    fn stripe(self) -> usize {
        match self {
            Self::Key { key, .. } => key as usize % STRIPES,
            Self::Subject(mark) => mark.stripe(STRIPES),
        }
    }
}

/// A rule that is asked.
#[derive(Clone, Copy)]
struct Asked {
    place: Place,
    terms: Terms,
    cost: u32,
    /// Whether it counts what a call costs.
    by_cost: bool,
    shadow: bool,
}

/// What of a call's counts is not settled: that it is in flight, which is given back when this is dropped, and what it
/// costs, if that is told later.
pub struct Held {
    counters: Arc<Counters>,
    in_flight: Box<[(Place, Terms)]>,
    /// Where its cost was counted, as far as it is told later.
    counted: Box<[(Place, Terms)]>,
    /// What was counted as its cost.
    cost: u32,
    /// When it was counted.
    at: Ticks,
}

impl Held {
    /// Nanoseconds after which it is to be given back if nobody tells of the call's end: the shortest that a rule says.
    /// `None` if no rule counts it until it ends.
    pub fn lease_nanos(&self) -> Option<u64> {
        self.in_flight.iter().map(|(_, terms)| terms.lease_nanos()).min()
    }

    /// What was counted as its cost.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// It is in flight no more; whether it was.
    pub fn land(&mut self) -> bool {
        let in_flight = std::mem::take(&mut self.in_flight);
        // Whether a place is free does not depend on when.
        let now = Moment { wall: Timestamp::from_secs(0), ticks: Ticks::from_nanos(0) };
        for (place, terms) in &in_flight {
            self.counters.change(*place, terms, now, |slot| terms.released(slot));
        }
        !in_flight.is_empty()
    }

    /// It cost this and not what was thought: the counters go on as if that had been known.
    pub fn costs(&mut self, cost: u32, now: Moment) {
        let more = i64::from(cost) - i64::from(self.cost);
        if more != 0 {
            for (place, terms) in &self.counted {
                // What has slid out of its window is not taken back from others.
                if more < 0 && now.ticks.nanos_since(self.at) >= terms.lease_nanos() {
                    continue;
                }
                self.counters.change(*place, terms, now, |slot| terms.corrected(slot, more, now));
            }
        }
        self.cost = cost;
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("in_flight", &self.in_flight.len()).finish_non_exhaustive()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.land();
    }
}

/// The counters of every key, and of every subject.
pub struct Counters {
    stripes: Box<[Stripe]>,
    /// Per key, where its block begins; 0 for none.
    blocks: Arena<AtomicU32>,
    /// Blocks: a head (fingerprint of the rules, room in cells), then a cell a rule.
    cells: Arena<Cell>,
    used: AtomicU32,
    /// Keyed at random: nobody can aim at another one's place.
    hasher: RandomState,
    /// Places for subjects in each stripe.
    room: AtomicUsize,
    forgotten: AtomicU64,
}

/// The locks of the stripes that a call is counted in.
type Guards<'a> = ArrayVec<(usize, MutexGuard<'a, Subjects>), MAX_ASKED>;

impl Counters {
    /// Nothing counted yet, and room for so many subjects.
    pub fn new(subjects: usize) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
            blocks: Arena::new(),
            cells: Arena::new(),
            used: AtomicU32::new(1),
            hasher: RandomState::new(),
            room: AtomicUsize::new(subjects / STRIPES),
            forgotten: AtomicU64::new(0),
        }
    }

    /// From now on there is room for so many subjects in stripes in which none was counted yet.
    pub fn bound(&self, subjects: usize) {
        self.room.store(subjects / STRIPES, Ordering::Relaxed);
    }

    /// How many subjects' counts were forgotten before their windows were over, because others took their places.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Weighs a call at every rule, and counts it at all of them if it fits all of them that are not only tried out.
    ///
    /// What each rule said is put into `weights`, which is long and therefore stays where it is. What is returned is to be
    /// kept until the call has ended.
    pub fn charge(self: &Arc<Self>, charge: &Charge<'_>, weights: &mut Weights) -> Option<Held> {
        weights.clear();
        if let [Some(of_key), None, None] = charge.lists
            && of_key.is_plain
        {
            if of_key.is_empty() {
                return if charge.reports { self.hold(&[], weights, (charge.cost, true, charge.now)) } else { None };
            }
            let _held = self.stripes[charge.key as usize % STRIPES].0.lock();
            return self.charge_key(charge, of_key, weights);
        }
        self.charge_asked(&self.asked(charge), (charge.cost, charge.reports, charge.now), weights)
    }

    /// The same for rules that belong to no key and no API. None of them may be there twice.
    pub fn charge_apart(self: &Arc<Self>, asked: &[Apart<'_>], now: Moment, weights: &mut Weights) -> Option<Held> {
        weights.clear();
        let asked: ArrayVec<_, MAX_ASKED> = asked.iter().take(MAX_ASKED).map(|one| self.asked_apart(one)).collect();
        self.charge_asked(&asked, (0, false, now), weights)
    }

    fn asked_apart(&self, one: &Apart<'_>) -> Asked {
        let hash = self.hasher.hash_one((one.owner, one.rule.identity(), one.subject));
        let place = Place::Subject(Mark::of(hash));
        Asked { place, terms: one.rule.terms(), cost: one.cost, by_cost: true, shadow: one.rule.shadow }
    }

    /// Called under the lock of the key's stripe.
    fn charge_key(self: &Arc<Self>, charge: &Charge<'_>, limits: &Limits, weights: &mut Weights) -> Option<Held> {
        let rules = limits.rules.len() as u32;
        let first = self.block(charge.key, rules, limits.fingerprint);
        let cells = |rule: usize| self.cells.make(first + rule as u32);
        let mut fits = true;
        for (index, rule) in limits.rules.iter().enumerate() {
            let terms = rule.terms();
            let weighed = terms.weigh(Slot(cells(index).load()), rule.counted(charge.cost), charge.now);
            fits &= rule.shadow || matches!(weighed, Weighed::Fits { .. });
            weights.push(Weight { weighed, shadow: rule.shadow });
        }
        for (index, (rule, weight)) in limits.rules.iter().zip(&mut *weights).enumerate() {
            match &mut weight.weighed {
                // Who only looks may look at another moment than this one.
                Weighed::Fits { slot, .. } if fits && rule.counted(charge.cost) > 0 => cells(index).store(slot.0),
                Weighed::Fits { .. } if fits => {}
                // Not charged after all, so what is left is what was left before.
                Weighed::Fits { reading, .. } => {
                    *reading = rule.terms().peek(Slot(cells(index).load()), charge.now);
                }
                Weighed::Over { .. } => {}
            }
        }
        if charge.reports && fits {
            self.hold(&self.asked(charge), weights, (charge.cost, charge.reports, charge.now))
        } else {
            None
        }
    }

    /// The general case: rules of several lists, counted in several stripes.
    #[cold]
    #[inline(never)]
    fn charge_asked(
        self: &Arc<Self>,
        asked: &[Asked],
        (cost, reports, now): (u32, bool, Moment),
        weights: &mut Weights,
    ) -> Option<Held> {
        let mut guards = self.lock(asked);
        let mut fits = true;
        for one in asked {
            let weighed = one.terms.weigh(self.load(&guards, one.place), one.cost, now);
            fits &= one.shadow || matches!(weighed, Weighed::Fits { .. });
            weights.push(Weight { weighed, shadow: one.shadow });
        }
        for (one, weight) in asked.iter().zip(&mut *weights) {
            match &mut weight.weighed {
                Weighed::Fits { slot, reading } if fits && one.cost > 0 => {
                    let state = State::of(&one.terms, *reading, now.ticks);
                    self.store(&mut guards, one.place, *slot, state);
                }
                Weighed::Fits { .. } if fits => {}
                Weighed::Fits { reading, .. } => {
                    *reading = one.terms.peek(self.load(&guards, one.place), now);
                }
                Weighed::Over { .. } => {}
            }
        }
        if fits { self.hold(asked, weights, (cost, reports, now)) } else { None }
    }

    /// What of a call that was charged is not settled, if anything.
    fn hold(
        self: &Arc<Self>,
        asked: &[Asked],
        weights: &Weights,
        (cost, reports, now): (u32, bool, Moment),
    ) -> Option<Held> {
        if !reports && !asked.iter().any(|one| one.terms.counts_in_flight()) {
            return None;
        }
        let fitted = || asked.iter().zip(weights).filter(|(_, weight)| matches!(weight.weighed, Weighed::Fits { .. }));
        let place = |(one, _): (&Asked, &Weight)| (one.place, one.terms);
        let in_flight = fitted().filter(|(one, _)| one.cost > 0 && one.terms.counts_in_flight()).map(place).collect();
        let counted = fitted().filter(|(one, _)| reports && one.by_cost).map(place).collect();
        let held = Held { counters: self.clone(), in_flight, counted, cost, at: now.ticks };
        (reports || !held.in_flight.is_empty()).then_some(held)
    }

    fn asked(&self, charge: &Charge<'_>) -> ArrayVec<Asked, MAX_ASKED> {
        let mut asked = ArrayVec::new();
        for limits in charge.lists.iter().flatten() {
            for (number, (rule, mark)) in (0..).zip(limits.rules.iter().zip(&limits.marks)) {
                let place = match mark {
                    Some(mark) => {
                        let mut hasher = self.hasher.build_hasher();
                        mark.hash(&mut hasher);
                        match limits.scope {
                            Scope::Key => charge.key.hash(&mut hasher),
                            Scope::Plan => charge.subject.hash_by(&[Dimension::Project], &mut hasher),
                            Scope::Api | Scope::Anonymous => {}
                        }
                        charge.subject.hash_by(limits.scope.dimensions(rule), &mut hasher);
                        Place::Subject(Mark::of(hasher.finish()))
                    }
                    None => Place::Key {
                        key: charge.key,
                        fingerprint: limits.fingerprint,
                        rules: limits.rules.len() as u32,
                        rule: number,
                    },
                };
                let terms = rule.terms_of(charge.subject.limit_of(rule, limits.scope));
                let by_cost = rule.counts == Counted::Cost;
                asked.push(Asked { place, terms, cost: rule.counted(charge.cost), by_cost, shadow: rule.shadow });
            }
        }
        asked
    }

    /// Each stripe once, in the order of their numbers: two calls that are counted in several never wait for each other.
    fn lock(&self, asked: &[Asked]) -> Guards<'_> {
        let mut stripes: ArrayVec<usize, MAX_ASKED> = asked.iter().map(|one| one.place.stripe()).collect();
        stripes.sort_unstable();
        let mut guards = Guards::new();
        for stripe in stripes {
            if guards.last().is_none_or(|(last, _)| *last != stripe) {
                guards.push((stripe, self.stripes[stripe].0.lock()));
            }
        }
        guards
    }

    fn load(&self, guards: &Guards<'_>, place: Place) -> Slot {
        match place {
            Place::Key { key, fingerprint, rules, rule } => {
                Slot(self.cells.make(self.block(key, rules, fingerprint) + rule).load())
            }
            Place::Subject(mark) => {
                let own = guards.iter().find(|(stripe, _)| *stripe == place.stripe());
                own.map_or_else(Slot::default, |(_, subjects)| subjects.get(mark))
            }
        }
    }

    fn store(&self, guards: &mut Guards<'_>, place: Place, slot: Slot, state: State) {
        match place {
            Place::Key { key, fingerprint, rules, rule } => {
                self.cells.make(self.block(key, rules, fingerprint) + rule).store(slot.0);
            }
            Place::Subject(mark) => {
                let own = guards.iter_mut().find(|(stripe, _)| *stripe == place.stripe());
                if own.is_some_and(|(_, subjects)| subjects.put(mark, slot, state, self.room())) {
                    self.forgotten.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }

    /// Changes what was counted for a subject, if anything is known of it.
    fn change(&self, place: Place, terms: &Terms, now: Moment, change: impl Fn(Slot) -> Slot) {
        let mut subjects = self.stripes[place.stripe()].0.lock();
        match place {
            Place::Key { key, fingerprint, rule, .. } => {
                let head = self.blocks.make(key).load(Ordering::Relaxed);
                // Under other limits it was never counted.
                if head != 0 && self.cells.make(head).load()[0] == fingerprint {
                    let cell = self.cells.make(head + 1 + rule);
                    cell.store(change(Slot(cell.load())).0);
                }
            }
            Place::Subject(mark) => {
                let kept = subjects.get(mark);
                // A call in flight whose count was forgotten frees no place, unless others have been counted there since.
                if kept != Slot::default() || !terms.counts_in_flight() {
                    let slot = change(kept);
                    subjects.put(mark, slot, State::of(terms, terms.peek(slot, now), now.ticks), self.room());
                }
            }
        }
    }

    /// The first cell of the key's rules; called under its lock.
    fn block(&self, key: u32, rules: u32, fingerprint: u64) -> u32 {
        let place = self.blocks.make(key);
        let head = place.load(Ordering::Relaxed);
        if head != 0 {
            let [known, room] = self.cells.make(head).load();
            if known == fingerprint {
                return head + 1;
            }
            if room >= u64::from(rules) {
                self.clear(head, rules, room, fingerprint);
                return head + 1;
            }
        }
        let head = self.used.fetch_add(rules + 1, Ordering::Relaxed);
        self.clear(head, rules, u64::from(rules), fingerprint);
        place.store(head, Ordering::Relaxed);
        head + 1
    }

    fn clear(&self, head: u32, rules: u32, room: u64, fingerprint: u64) {
        self.cells.make(head).store([fingerprint, room]);
        for rule in 0..rules {
            self.cells.make(head + 1 + rule).store([0, 0]);
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new(DEFAULT_SUBJECTS)
    }
}

#[cfg(test)]
mod tests;
