//! Calls that are being answered, at most so many at once: of an API, because what an upstream can bear is its owner's to
//! know, and of all of them together, because memory has an end. What comes above that is refused at once, before it
//! counts against anybody's limits; a queue would only be slow.
//!
//! The places for all are lent to workers by the dozen: what two cores change with every call goes to and fro between
//! them, and costs each of them more than the rest of the decision.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrayvec::ArrayVec;

use super::counters::Held;
use super::draws::Drawn;

/// Of so many places all workers together may keep one that nobody uses.
const KEPT_OF: u32 = 100;

/// How many calls of an API are being answered. That outlives changes of the API's settings.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<AtomicU32>);

/// The places for all calls, which workers share.
#[derive(Debug, Clone)]
pub struct Bound {
    most: u32,
    /// So many are lent at a time.
    step: u32,
    lent: Arc<AtomicU32>,
}

/// Those that one worker has. It stays on its core.
#[derive(Debug)]
pub struct Share {
    bound: Bound,
    has: Cell<u32>,
    used: Cell<u32>,
}

/// What one call takes up: a place among all, one among those of its API, and what limits and quotas count of it.
pub type Places = ArrayVec<Place, 4>;

/// One of them, until it is dropped.
#[derive(Debug)]
pub enum Place {
    /// Among the calls of an API.
    OfApi(InFlight),
    /// Among all calls.
    OfAll(Rc<Share>),
    /// Among those that limits count until they end.
    OfLimits(Held),
    /// What it has drawn by its project's plan.
    OfPlan(Drawn),
}

impl InFlight {
    /// How many places are taken.
    pub fn taken(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// A place, if fewer than `most` are taken.
    pub fn enter(&self, most: u32) -> Option<Place> {
        // Taken first and given back if it was one too many: of those that come at once no two get the same place.
        let place = Place::OfApi(self.clone());
        (self.0.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Bound {
    /// So many places for so many workers. Few are lent one by one; of many, one in a hundred may lie idle.
    pub fn new(most: u32, workers: usize) -> Self {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        Self { most, step: (most / KEPT_OF / workers / 2).max(1), lent: Arc::default() }
    }

    /// What one worker has of them; at first none.
    pub fn share(&self) -> Rc<Share> {
        Rc::new(Share { bound: self.clone(), has: Cell::new(0), used: Cell::new(0) })
    }
}

impl Share {
    /// A place, if there is one.
    pub fn enter(self: &Rc<Self>) -> Option<Place> {
        let used = self.used.get();
        if used == self.has.get() && !self.borrow() {
            return None;
        }
        self.used.set(used + 1);
        Some(Place::OfAll(self.clone()))
    }

    fn borrow(&self) -> bool {
        let more = |lent: u32| self.bound.step.min(self.bound.most - lent);
        let lend = |lent| (more(lent) > 0).then(|| lent + more(lent));
        match self.bound.lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lend) {
            Ok(lent) => self.has.set(self.has.get() + more(lent)),
            Err(_) => return false,
        }
        true
    }

    fn leave(&self) {
        let used = self.used.get() - 1;
        self.used.set(used);
        let (has, step) = (self.has.get(), self.bound.step);
        // One step stays, so that calls that come and go at its edge do not ask each time.
        if has - used >= 2 * step - 1 {
            self.has.set(has - step);
            self.bound.lent.fetch_sub(step, Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bound.lent.fetch_sub(self.has.get(), Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self {
            Self::OfApi(calls) => {
                calls.0.fetch_sub(1, Ordering::Relaxed);
            }
            Self::OfAll(share) => share.leave(),
            // What it holds gives itself back.
            Self::OfLimits(_) | Self::OfPlan(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_and_given_back() {
        let calls = InFlight::default();
        let (first, second) = (calls.enter(2), calls.enter(2));
        assert!(first.is_some() && second.is_some() && calls.enter(2).is_none() && calls.enter(2).is_none());
        drop(first);
        assert!(calls.enter(2).is_some() && calls.enter(1).is_none());
    }

    #[test]
    fn a_hundred_threads_never_have_more_places_than_there_are() {
        let (calls, most) = (InFlight::default(), AtomicU32::new(0));
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        if let Some(place) = calls.enter(7) {
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(place);
                        }
                    }
                });
            }
        });
        assert!((1..=7).contains(&most.into_inner()));
        assert_eq!(calls.0.load(Ordering::SeqCst), 0, "all are given back");
    }

    #[test]
    fn workers_share_the_places_and_none_is_lost() {
        for (most, workers, idle) in [(1, 2, 0), (7, 2, 0), (399, 2, 0), (10_000, 2, 100), (10_000, 32, 1_000)] {
            let bound = Bound::new(most, workers);
            let shares: Vec<_> = (0..workers).map(|_| bound.share()).collect();
            let all =
                |share: &Rc<Share>| std::iter::from_fn(|| share.enter()).take(most as usize + 1).collect::<Vec<_>>();
            assert_eq!(all(&shares[0]).len(), most as usize, "one worker may use them all");
            let first: Vec<_> = shares.iter().filter_map(Share::enter).collect();
            let rest: usize = shares.iter().take(1).map(|share| all(share).len()).sum();
            let used = first.len() + rest;
            assert!(used <= most as usize && used + idle >= most as usize, "{used} of {most}");
            drop(first);
            drop(shares);
            assert_eq!(bound.lent.load(Ordering::Relaxed), 0, "all are given back");
        }
    }

    #[test]
    fn threads_never_have_more_places_than_there_are() {
        for most in [3, 1_000] {
            let (bound, inside) = (Bound::new(most, 4), AtomicU32::new(0));
            std::thread::scope(|scope| {
                for number in 0..4_u32 {
                    let (bound, inside) = (&bound, &inside);
                    scope.spawn(move || {
                        let share = bound.share();
                        let mut places = Vec::new();
                        for turn in 0..20_000_u32 {
                            if (turn * 7 + number) % 5 < 3
                                && let Some(place) = share.enter()
                            {
                                assert!(inside.fetch_add(1, Ordering::SeqCst) < most);
                                places.push(place);
                            } else if !places.is_empty() {
                                inside.fetch_sub(1, Ordering::SeqCst);
                                places.swap_remove(turn as usize % places.len());
                            }
                        }
                        inside.fetch_sub(places.len() as u32, Ordering::SeqCst);
                    });
                }
            });
            assert_eq!((bound.lent.load(Ordering::SeqCst), inside.into_inner()), (0, 0));
        }
    }
}
