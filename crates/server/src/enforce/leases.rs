//! Calls in flight that a verification let through: nobody here sees their end. Whoever asked tells of it, or the place is
//! taken back when its time is over.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keystile_core::id::LeaseId;
use keystile_core::time::Ticks;
use parking_lot::Mutex;

use super::counters::Held;
use super::engine::Engine;
use crate::telemetry::metrics::{Kind, Registry};

/// Most leases at once. Of more the one that would end first ends at once.
const MAX_LEASES: usize = 100_000;

/// The leases that have not ended.
pub struct Leases {
    lent: Mutex<Lent>,
    /// When the first of them ends, in nanoseconds.
    first_end: AtomicU64,
}

#[derive(Default)]
struct Lent {
    by_id: HashMap<LeaseId, (u64, Held)>,
    by_end: BTreeSet<(u64, LeaseId)>,
}

impl Default for Leases {
    fn default() -> Self {
        Self { lent: Mutex::default(), first_end: AtomicU64::new(u64::MAX) }
    }
}

impl Leases {
    /// Keeps what a call holds until it is given back; returns after how many nanoseconds it ends by itself.
    pub fn lend(&self, id: LeaseId, held: Held, now: Ticks) -> u64 {
        let nanos = held.lease_nanos();
        let end = now.as_nanos().saturating_add(nanos);
        let mut lent = self.lent.lock();
        if lent.by_id.len() >= MAX_LEASES
            && let Some((_, first)) = lent.by_end.pop_first()
        {
            lent.by_id.remove(&first);
        }
        lent.by_end.insert((end, id));
        lent.by_id.insert(id, (end, held));
        self.note(&lent);
        nanos
    }

    /// The call has ended. `false` if there is no such lease any more.
    pub fn give_back(&self, id: LeaseId) -> bool {
        let mut lent = self.lent.lock();
        let Some((end, held)) = lent.by_id.remove(&id) else { return false };
        lent.by_end.remove(&(end, id));
        self.note(&lent);
        drop(lent);
        drop(held);
        true
    }

    /// Ends those whose time is over. For every call that is decided: it asks one number.
    pub fn end_those_over(&self, now: Ticks) {
        if now.as_nanos() < self.first_end.load(Ordering::Relaxed) {
            return;
        }
        let mut lent = self.lent.lock();
        while let Some((end, id)) = lent.by_end.first().copied().filter(|(end, _)| *end <= now.as_nanos()) {
            lent.by_end.remove(&(end, id));
            lent.by_id.remove(&id);
        }
        self.note(&lent);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lent.lock().by_id.len()
    }

    fn note(&self, lent: &Lent) {
        let first = lent.by_end.first().map_or(u64::MAX, |(end, _)| *end);
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
            held.map(|held| leases.lend(id(n), held, now.ticks)).is_some()
        };
        assert_eq!([1, 2, 3].map(|n| begin(n, at(0))), [true, true, false]);
        assert!(leases.give_back(id(1)) && !leases.give_back(id(1)) && !leases.give_back(id(9)));
        assert_eq!([4, 5].map(|n| begin(n, at(30))), [true, false], "one place is free, not two");
        assert!(!begin(6, at(59)));
        assert!(begin(7, at(60)), "the one of the beginning has ended by itself");
        assert!(!begin(8, at(89)) && begin(9, at(90)));
        assert!(!leases.give_back(id(4)));
        assert_eq!(leases.count(), 2);
    }

    #[test]
    fn leases_have_a_bound() {
        let (counters, leases) = (Arc::new(Counters::default()), Leases::default());
        let rule = LimitRule::new("calls", 1_000_000, 60, Algorithm::Concurrency, None).unwrap();
        for n in 0..MAX_LEASES as u32 + 10 {
            let asked = [Apart { owner: None, rule: rule.clone(), subject: "a", cost: 1 }];
            let held = counters.charge_apart(&asked, at(0), &mut Weights::new()).unwrap();
            leases.lend(id(n), held, at(0).ticks);
        }
        assert_eq!(leases.count(), MAX_LEASES);
    }
}
