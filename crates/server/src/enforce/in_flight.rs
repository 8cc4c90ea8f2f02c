//! Calls that are being answered, at most so many at once: of an API, because what an upstream can bear is its owner's to
//! know, and of all of them together, because memory has an end. What comes above that is refused at once, before it
//! counts against anybody's limits; a queue would only be slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrayvec::ArrayVec;

/// How many calls are being answered. That of an API outlives changes of the API's settings.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<AtomicU32>);

/// How many there are, and how many there may be; `None` for as many as come.
#[derive(Debug, Clone, Default)]
pub struct Bound {
    /// How many there are.
    pub calls: InFlight,
    /// How many there may be.
    pub most: Option<u32>,
}

/// What one call takes up: a place among all, and one among those of its API.
pub type Places = ArrayVec<Place, 2>;

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicU32>);

impl InFlight {
    /// How many places are taken.
    pub fn taken(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// A place, if fewer than `most` are taken.
    pub fn enter(&self, most: u32) -> Option<Place> {
        // Taken first and given back if it was one too many: of those that come at once no two get the same place.
        let place = Place(self.0.clone());
        (self.0.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
}
