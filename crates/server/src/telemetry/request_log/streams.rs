//! Who follows the log: so many at once, and so many of one organization.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Streams at once. Each asks the store a question a second.
const MAX_STREAMS: usize = 128;
/// Of one organization: nobody takes all of them.
const MAX_OF_ORGANIZATION: usize = 16;

/// The streams that run, by organization.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<u32, usize>>>);

/// A stream's place, until it is dropped.
pub struct Place {
    streams: Streams,
    organization: u32,
}

impl Streams {
    /// A place for one more, if there is room.
    pub(super) fn enter(&self, organization: u32) -> Option<Place> {
        let mut open = self.0.lock();
        let (all, own) = (open.values().sum::<usize>(), open.get(&organization).copied().unwrap_or(0));
        if all >= MAX_STREAMS || own >= MAX_OF_ORGANIZATION {
            return None;
        }
        open.insert(organization, own + 1);
        drop(open);
        Some(Place { streams: self.clone(), organization })
    }

    /// How many run.
    pub(super) fn count(&self) -> usize {
        self.0.lock().values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock();
        if let Some(own) = open.get_mut(&self.organization) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.organization);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_and_nobody_takes_it_all() {
        let streams = Streams::default();
        let mut own: Vec<Place> = (0..MAX_OF_ORGANIZATION).map(|_| streams.enter(1).unwrap()).collect();
        assert!(streams.enter(1).is_none() && streams.enter(2).is_some());
        own.pop();
        assert!(streams.enter(1).is_some(), "a place that was left is free");
        let others: Vec<Place> = (2..100).map_while(|organization| streams.enter(organization)).collect();
        assert_eq!((own.len() + others.len(), streams.count()), (15 + 98, 15 + 98));
        let more: Vec<Place> = (100..200).map_while(|organization| streams.enter(organization)).collect();
        assert_eq!((more.len(), streams.count()), (MAX_STREAMS - 113, MAX_STREAMS));
        drop((own, others, more));
        assert!(streams.0.lock().is_empty());
    }
}
