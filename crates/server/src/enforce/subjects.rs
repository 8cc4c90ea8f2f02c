//! What was counted apart for end users, addresses, projects and whatever else limits are counted by: a table of a fixed
//! size, however many of them come (SECURITY.md L-6).
//!
//! Where a subject's count can be are eight places. If all of them are taken by others whose windows are not over, the one
//! is forgotten that has used the least of its limit. So who floods the table makes those forgotten who have hardly
//! called; who is near a limit stays there.

use keystile_core::limit::{Reading, Slot, Terms};
use keystile_core::time::Ticks;

/// Places of one subject.
const WAYS: usize = 8;
/// Bits of the last word that say how much of the limit is used.
const SHARE_BITS: u32 = 16;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// The subjects of one stripe. Nothing is allocated until one is counted.
#[derive(Default)]
pub(super) struct Subjects {
    entries: Vec<Entry>,
}

/// A mark, a slot of two words, and the milliseconds until which it counts with the share that is used.
type Entry = [u64; 4];

/// Whose count it is: a keyed hash, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Mark {
    pub(super) const fn of(hash: u64) -> Self {
        Self(hash | 1 << 63)
    }

    /// The stripe that it belongs to, of so many.
    pub(super) const fn stripe(self, stripes: usize) -> usize {
        self.0 as usize % stripes
    }
}

impl Subjects {
    /// What was counted for a subject so far.
    pub(super) fn get(&self, mark: Mark) -> Slot {
        let found = self.set(mark).and_then(|set| set.iter().find(|entry| entry[0] == mark.0));
        found.map_or_else(Slot::default, |entry| Slot([entry[1], entry[2]]))
    }

    /// Keeps what was counted for a subject, in a table of `room` places; says whether another one's count was forgotten
    /// for that.
    pub(super) fn put(&mut self, mark: Mark, slot: Slot, state: State, room: usize) -> bool {
        if self.entries.is_empty() {
            self.entries = vec![[0; 4]; (room / WAYS).max(1) * WAYS];
        }
        let first = self.first(mark);
        let set = &mut self.entries[first..first + WAYS];
        let is_over = |entry: &Entry| entry[0] == 0 || entry[3] >> SHARE_BITS <= state.now;
        let share = |entry: &Entry| entry[3] & ((1 << SHARE_BITS) - 1);
        let place = set.iter().position(|entry| entry[0] == mark.0).or_else(|| set.iter().position(is_over));
        let least = || (0..WAYS).min_by_key(|way| share(&set[*way])).unwrap_or_default();
        let way = place.unwrap_or_else(least);
        set[way] = [mark.0, slot.0[0], slot.0[1], state.until << SHARE_BITS | u64::from(state.share)];
        place.is_none()
    }

    /// How many places there are by now.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.entries.len()
    }

    fn set(&self, mark: Mark) -> Option<&[Entry]> {
        let first = self.first(mark);
        self.entries.get(first..first + WAYS)
    }

    /// The first of a subject's places.
    fn first(&self, mark: Mark) -> usize {
        let sets = (self.entries.len() / WAYS) as u64;
        // The low bits have chosen the stripe, and the highest is always set.
        (((mark.0 >> 16 & u64::from(u32::MAX)) * sets) >> 32) as usize * WAYS
    }
}

/// How long a count matters, and how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    /// Milliseconds of the clock that never goes back.
    now: u64,
    /// When nothing of it is left.
    until: u64,
    /// How much of the limit it has used, in 65,535ths.
    share: u16,
}

impl State {
    pub(super) fn of(terms: &Terms, reading: Reading, now: Ticks) -> Self {
        let whole = terms.whole();
        let (limit, used) = (u64::from(whole), u64::from(whole.saturating_sub(reading.remaining)));
        let now = now.as_nanos();
        let ends = now.saturating_add(reading.reset_nanos) / NANOS_PER_MILLI + 1;
        let (until, share) = match terms.counts_in_flight() {
            false => (ends, (used * u64::from(u16::MAX)).checked_div(limit).unwrap_or(0)),
            // Until they have ended, whenever that is.
            true if used > 0 => (u64::MAX >> SHARE_BITS, u16::MAX.into()),
            true => (0, 0),
        };
        let share = u16::try_from(share).unwrap_or(u16::MAX);
        Self { now: now / NANOS_PER_MILLI, until: until.min(u64::MAX >> SHARE_BITS), share }
    }
}
