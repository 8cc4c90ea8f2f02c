//! Calls that a verification let through and that are not over for the counters: nobody here sees their end, or what they
//! cost. Whoever asked tells of it, or it is done with when its time is over.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keystile_core::id::{LeaseId, OrganizationId, RequestId};
use keystile_core::time::Ticks;
use keystile_core::usage::{Dimensions, Facets};
use parking_lot::Mutex;

use super::counters::Held;
use super::draws::Drawn;
use super::engine::Engine;
use crate::telemetry::metrics::{Kind, Registry};

/// Most leases of one owner at once. Of more the one that would end first ends at once: nobody loses another one's.
const MAX_LEASES: usize = 100_000;

/// Who asked, if that is known.
type Owner = Option<OrganizationId>;

/// What is kept of a call.
pub struct Lent {
    /// Who asked, if that is known: nobody else ends it.
    pub owner: Owner,
    /// What it has to give back, if a limit counts it until it ends.
    pub held: Option<Held>,
    /// What it has drawn by its project's plan.
    pub drawn: Option<Drawn>,
    /// What it was counted under, if its cost is to be told.
    pub reports: Option<Reports>,
}

/// What a call was counted under.
pub struct Reports {
    /// As every call.
    pub dimensions: Dimensions,
    /// Besides.
    pub facets: Option<Box<Facets>>,
}

/// The leases that have not ended.
pub struct Leases {
    all: Mutex<All>,
    /// Keyed at random.
    hasher: RandomState,
    /// How many ended before their time because their owner had too many.
    ended_early: AtomicU64,
    /// When the first of them ends, in nanoseconds.
    first_end: AtomicU64,
}

#[derive(Default)]
struct All {
    by_id: HashMap<LeaseId, (u64, Lent)>,
    by_end: BTreeSet<(u64, LeaseId)>,
    /// The same for each owner that has any.
    by_owner: HashMap<Owner, BTreeSet<(u64, LeaseId)>>,
}

impl All {
    fn put(&mut self, id: LeaseId, end: u64, lent: Lent) {
        self.by_end.insert((end, id));
        self.by_owner.entry(lent.owner).or_default().insert((end, id));
        self.by_id.insert(id, (end, lent));
    }

    fn take(&mut self, id: LeaseId) -> Option<Lent> {
        let (end, lent) = self.by_id.remove(&id)?;
        self.by_end.remove(&(end, id));
        if let Some(own) = self.by_owner.get_mut(&lent.owner) {
            own.remove(&(end, id));
            if own.is_empty() {
                self.by_owner.remove(&lent.owner);
            }
        }
        Some(lent)
    }

    /// The one of an owner that would end first, if it has as many as there may be.
    fn one_too_many(&self, owner: Owner) -> Option<LeaseId> {
        let own = self.by_owner.get(&owner).filter(|own| own.len() >= MAX_LEASES)?;
        own.first().map(|(_, id)| *id)
    }
}

impl Default for Leases {
    fn default() -> Self {
        let hasher = RandomState::new();
        Self { all: Mutex::default(), hasher, first_end: AtomicU64::new(u64::MAX), ended_early: AtomicU64::new(0) }
    }
}

impl Leases {
    /// Keeps what a call holds, until it is taken back or so many nanoseconds are over. The lease's id follows from that of
    /// the request by a random key, so that nobody can tell it who was not told it.
    pub fn lend(&self, request: RequestId, lent: Lent, now: Ticks, nanos: u64) -> LeaseId {
        let [high, low] = [1_u8, 2].map(|half| self.hasher.hash_one((half, request)));
        let id = LeaseId::from_entropy((u128::from(high) << 64 | u128::from(low)).to_be_bytes());
        let end = now.as_nanos().saturating_add(nanos);
        let mut all = self.all.lock();
        let ended = all.one_too_many(lent.owner).and_then(|first| all.take(first));
        if ended.is_some() {
            self.ended_early.fetch_add(1, Ordering::Relaxed);
        }
        all.put(id, end, lent);
        self.note(&all);
        drop(all);
        drop(ended);
        id
    }

    /// Ends a lease, and says what it was; `None` if there is no such lease any more, it is another one's, or none of which a
    /// cost is to be told although it has to be.
    pub fn end(&self, id: LeaseId, owner: Owner, reports: bool) -> Option<Lent> {
        let mut all = self.all.lock();
        all.by_id.get(&id).filter(|(_, lent)| lent.owner == owner && (lent.reports.is_some() || !reports))?;
        let lent = all.take(id);
        self.note(&all);
        lent
    }

    /// The call has ended; whether it was in flight. If its cost is to be told, the lease stays for that.
    pub fn release(&self, id: LeaseId, owner: Owner) -> bool {
        let mut all = self.all.lock();
        let Some((_, lent)) = all.by_id.get_mut(&id).filter(|(_, lent)| lent.owner == owner) else { return false };
        if lent.reports.is_some() && lent.held.as_mut().is_some_and(Held::land) {
            return true;
        }
        drop(all);
        self.end(id, owner, false).is_some()
    }

    /// Ends those whose time is over. For every call that is decided: it asks one number.
    pub fn end_those_over(&self, now: Ticks) {
        if now.as_nanos() < self.first_end.load(Ordering::Relaxed) {
            return;
        }
        let mut all = self.all.lock();
        let mut ended = Vec::new();
        while let Some((_, id)) = all.by_end.first().copied().filter(|(end, _)| *end <= now.as_nanos()) {
            ended.extend(all.take(id));
        }
        self.note(&all);
        // What they hold is given back without the lock.
        drop(all);
    }

    /// Forgets of the calls that are counted for an organization, by its number, whether they were an end user's; how many were.
    pub fn forget_end_user(&self, organization: u32, name: &str) -> u64 {
        let mut forgotten = 0;
        let mut all = self.all.lock();
        let of_it = all.by_id.values_mut().filter_map(|(_, lent)| lent.reports.as_mut());
        for reports in of_it.filter(|reports| reports.dimensions.organization == organization) {
            if let Some(facets) = reports.facets.as_mut().filter(|facets| facets.end_user.as_deref() == Some(name)) {
                facets.end_user = None;
                forgotten += 1;
            }
        }
        forgotten
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
    let of = engine.clone();
    let help = "Leases that ended before their time because their owner had too many.";
    registry.family(Kind::Counter, "keystile_limit_leases_ended_early_total", help, move |samples| {
        samples.put(&[], of.leases.ended_early.load(Ordering::Relaxed));
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

    fn request(n: u32) -> RequestId {
        RequestId::from_entropy(u128::from(n).to_be_bytes())
    }

    fn lent(counters: &Arc<Counters>, owner: Owner, now: Moment) -> Option<Lent> {
        let rule = LimitRule::new("calls", 2, 60, Algorithm::Concurrency, None).unwrap();
        let asked = [Apart { owner, rule, subject: "a", cost: 1 }];
        let held = Some(counters.charge_apart(&asked, now, &mut Weights::new())?);
        Some(Lent { owner, held, drawn: None, reports: None })
    }

    #[test]
    fn a_lease_ends_when_it_is_given_back_or_its_time_is_over_and_only_once() {
        let (counters, leases) = (Arc::new(Counters::default()), Leases::default());
        let begin = |n: u32, now: Moment| {
            leases.end_those_over(now.ticks);
            let lent = lent(&counters, OURS, now)?;
            let nanos = lent.held.as_ref()?.lease_nanos()?;
            Some(leases.lend(request(n), lent, now.ticks, nanos))
        };
        let end = |id: LeaseId| leases.end(id, OURS, false).is_some();
        let (first, second) = (begin(1, at(0)).unwrap(), begin(2, at(0)));
        assert!(second.is_some() && begin(3, at(0)).is_none());
        assert_ne!(first.to_bytes(), request(1).to_bytes());
        for owner in [None, THEIRS] {
            assert!(leases.end(first, owner, false).is_none(), "nobody else ends it");
        }
        assert!(leases.end(first, OURS, true).is_none(), "of which no cost is to be told");
        assert!(end(first) && !end(first));
        let fourth = begin(4, at(30)).unwrap();
        assert!(begin(5, at(30)).is_none(), "one place is free, not two");
        assert!(begin(6, at(59)).is_none());
        assert!(begin(7, at(60)).is_some(), "the one of the beginning has ended by itself");
        assert!(begin(8, at(89)).is_none() && begin(9, at(90)).is_some());
        assert!(!end(fourth));
        assert_eq!(leases.count(), 2);
    }

    #[test]
    fn leases_have_a_bound_for_each_owner_and_nobody_loses_another_ones() {
        let leases = Leases::default();
        let lend = |n: u32, owner: Owner, nanos: u64| {
            leases.lend(request(n), Lent { owner, held: None, drawn: None, reports: None }, at(0).ticks, nanos)
        };
        let theirs = lend(0, THEIRS, 1);
        let first = lend(1, OURS, 2);
        for n in 0..MAX_LEASES as u32 {
            lend(n + 2, OURS, 1_000);
        }
        assert_eq!(leases.count(), MAX_LEASES + 1);
        assert!(leases.end(first, OURS, false).is_none(), "the first of those who had too many");
        assert!(leases.end(theirs, THEIRS, false).is_some());
        assert_eq!(leases.ended_early.load(Ordering::Relaxed), 1);
    }
}
