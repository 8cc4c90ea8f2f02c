//! Calls that a verification let through and that are not over for the counters: nobody here sees their end, or what they
//! cost. Whoever asked tells of it, or it is done with when its time is over.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keystile_core::id::{LeaseId, OrganizationId};
use keystile_core::time::Ticks;
use keystile_core::usage::Dimensions;
use parking_lot::Mutex;

use super::counters::Held;
use super::engine::Engine;
use crate::telemetry::metrics::{Kind, Registry};

/// Most leases at once. Of more the one that would end first ends at once.
const MAX_LEASES: usize = 100_000;

/// What is kept of a call.
pub struct Lent {
    /// Who asked, if that is known: nobody else ends it.
    pub owner: Option<OrganizationId>,
    /// What it has to give back, if a limit counts it until it ends.
    pub held: Option<Held>,
    /// What it was counted under, if its cost is to be told.
    pub reports: Option<Dimensions>,
}

/// The leases that have not ended.
pub struct Leases {
    all: Mutex<All>,
    /// When the first of them ends, in nanoseconds.
    first_end: AtomicU64,
}

#[derive(Default)]
struct All {
    by_id: HashMap<LeaseId, (u64, Lent)>,
    by_end: BTreeSet<(u64, LeaseId)>,
}

impl Default for Leases {
    fn default() -> Self {
        Self { all: Mutex::default(), first_end: AtomicU64::new(u64::MAX) }
    }
}

impl Leases {
    /// Keeps what a call holds, until it is taken back or so many nanoseconds are over.
    pub fn lend(&self, id: LeaseId, lent: Lent, now: Ticks, nanos: u64) {
        let end = now.as_nanos().saturating_add(nanos);
        let mut all = self.all.lock();
        let mut ended = None;
        if all.by_id.len() >= MAX_LEASES
            && let Some((_, first)) = all.by_end.pop_first()
        {
            ended = all.by_id.remove(&first);
        }
        all.by_end.insert((end, id));
        all.by_id.insert(id, (end, lent));
        self.note(&all);
        drop(all);
        drop(ended);
    }

    /// Ends a lease, and says what it was; `None` if there is no such lease any more, it is another one's, or none of which a
    /// cost is to be told although it has to be.
    pub fn end(&self, id: LeaseId, owner: Option<OrganizationId>, reports: bool) -> Option<Lent> {
        let mut all = self.all.lock();
        all.by_id.get(&id).filter(|(_, lent)| lent.owner == owner && (lent.reports.is_some() || !reports))?;
        let (end, lent) = all.by_id.remove(&id)?;
        all.by_end.remove(&(end, id));
        self.note(&all);
        Some(lent)
    }

    /// Ends those whose time is over. For every call that is decided: it asks one number.
    pub fn end_those_over(&self, now: Ticks) {
        if now.as_nanos() < self.first_end.load(Ordering::Relaxed) {
            return;
        }
        let mut all = self.all.lock();
        let mut ended = Vec::new();
        while let Some((end, id)) = all.by_end.first().copied().filter(|(end, _)| *end <= now.as_nanos()) {
            all.by_end.remove(&(end, id));
            ended.extend(all.by_id.remove(&id));
        }
        self.note(&all);
        // What they hold is given back without the lock.
        drop(all);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.lock().by_id.len()
    }

    fn note(&self, all: &All) {
        let first = all.by_end.first().map_or(u64::MAX, |(end, _)| *end);
        self.first_end.store(first, Ordering::Relaxed);
    }
}

/// Declares what is to be seen of leases, and of subjects that limits are counted apart for.
pub fn declare(engine: Arc<Engine>, registry: &Registry) {
    let of = engine.clone();
    let help = "Calls in flight that limits count and of which somebody else sees the end.";
    registry.family(Kind::Gauge, "keystile_limit_leases", help, move |samples| {
        samples.put(&[], of.leases.count() as u64);
    });
    let help = "Counts of limits that were forgotten before their time because others took their places.";
    registry.family(Kind::Counter, "keystile_limit_subjects_forgotten_total", help, move |samples| {
        samples.put(&[], engine.counters.forgotten());
    });
}

#[cfg(test)]
mod tests {
    use keystile_core::decide::Weights;
    use keystile_core::limit::{Algorithm, LimitRule};
    use keystile_core::time::{Moment, Timestamp};

    use super::*;
    use crate::enforce::counters::{Apart, Counters};

    const OURS: Option<OrganizationId> = Some(OrganizationId::from_entropy([1; 16]));
    const THEIRS: Option<OrganizationId> = Some(OrganizationId::from_entropy([2; 16]));

    fn at(seconds: u64) -> Moment {
        Moment { wall: Timestamp::from_secs(0), ticks: Ticks::from_nanos((1 << 40) + seconds * 1_000_000_000) }
    }

    fn id(n: u32) -> LeaseId {
        LeaseId::from_entropy(u128::from(n).to_be_bytes())
    }

    #[test]
    fn a_lease_ends_when_it_is_given_back_or_its_time_is_over_and_only_once() {
        let (counters, leases) = (Arc::new(Counters::default()), Leases::default());
        let begin = |n: u32, now: Moment| {
            leases.end_those_over(now.ticks);
            let rule = LimitRule::new("calls", 2, 60, Algorithm::Concurrency, None).unwrap();
            let asked = [Apart { owner: None, rule, subject: "a", cost: 1 }];
            let held = counters.charge_apart(&asked, now, &mut Weights::new());
            let Some(held) = held else { return false };
            let nanos = held.lease_nanos().unwrap();
            leases.lend(id(n), Lent { owner: OURS, held: Some(held), reports: None }, now.ticks, nanos);
            true
        };
        let end = |n: u32| leases.end(id(n), OURS, false).is_some();
        assert_eq!([1, 2, 3].map(|n| begin(n, at(0))), [true, true, false]);
        for owner in [None, THEIRS] {
            assert!(leases.end(id(1), owner, false).is_none(), "nobody else ends it");
        }
        assert!(leases.end(id(1), OURS, true).is_none(), "of which no cost is to be told");
        assert!(end(1) && !end(1) && !end(9));
        assert_eq!([4, 5].map(|n| begin(n, at(30))), [true, false], "one place is free, not two");
        assert!(!begin(6, at(59)));
        assert!(begin(7, at(60)), "the one of the beginning has ended by itself");
        assert!(!begin(8, at(89)) && begin(9, at(90)));
        assert!(!end(4));
        assert_eq!(leases.count(), 2);
    }

    #[test]
    fn leases_have_a_bound() {
        let (counters, leases) = (Arc::new(Counters::default()), Leases::default());
        let rule = LimitRule::new("calls", 1_000_000, 60, Algorithm::Concurrency, None).unwrap();
        for n in 0..MAX_LEASES as u32 + 10 {
            let asked = [Apart { owner: None, rule: rule.clone(), subject: "a", cost: 1 }];
            let held = counters.charge_apart(&asked, at(0), &mut Weights::new());
            leases.lend(id(n), Lent { owner: None, held, reports: None }, at(0).ticks, 1_000);
        }
        assert_eq!(leases.count(), MAX_LEASES);
    }
}
