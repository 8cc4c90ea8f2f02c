//! The sliding window counter: the calls of this window plus the last window's, weighted by how much of it still
//! overlaps. Two counters instead of a list of moments; the share is rounded up, so the limit is never passed.
//!
//! Slot: word 0 is the number of the window (its start in ticks / its length), word 1 the two counts,
//! last window above, this window below.

use super::{Reading, Slot, Terms, Weighed};
use crate::time::Ticks;

#[derive(Clone, Copy)]
struct Counts {
    window: u64,
    last: u32,
    this: u32,
}

impl Counts {
    /// The counts as they stand at this moment: windows that went by without a call count nothing.
    fn at(terms: &Terms, slot: Slot, now: Ticks) -> Self {
        let window = now.as_nanos() / terms.window_nanos();
        let (last, this) = ((slot.0[1] >> 32) as u32, slot.0[1] as u32);
        match window.checked_sub(slot.0[0]) {
            // Also a slot from a later window: ticks don't go back, so it is another thread's newer reading.
            None | Some(0) => Self { window: slot.0[0], last, this },
            Some(1) => Self { window, last: this, this: 0 },
            Some(_) => Self { window, last: 0, this: 0 },
        }
    }

    /// Nanoseconds until the last of what is counted has slid out.
    fn until_empty(self, elapsed: u64, window: u64) -> u64 {
        let left = window.saturating_sub(elapsed);
        match (self.this, self.last) {
            (0, 0) => 0,
            (0, _) => left,
            (_, _) => left.saturating_add(window),
        }
    }

    fn slot(self) -> Slot {
        Slot([self.window, u64::from(self.last) << 32 | u64::from(self.this)])
    }
}

/// The part of `last` that still overlaps after `elapsed` of `window`, rounded up.
fn overlap(last: u32, elapsed: u64, window: u64) -> u64 {
    let left = window.saturating_sub(elapsed);
    (u128::from(last) * u128::from(left)).div_ceil(u128::from(window)) as u64
}

/// The first `elapsed` in 0..=window at which the overlap is at most `room`.
fn elapsed_until(last: u32, room: u64, window: u64) -> u64 {
    if u64::from(last) <= room {
        return 0;
    }
    // overlap ≤ room  ⇔  last × (window − elapsed) ≤ room × window
    let left = u128::from(room) * u128::from(window) / u128::from(last);
    window - left as u64
}

pub(super) fn weigh(terms: &Terms, slot: Slot, cost: u32, now: Ticks) -> Weighed {
    let window = terms.window_nanos();
    let counts = Counts::at(terms, slot, now);
    let elapsed = now.as_nanos().saturating_sub(counts.window.saturating_mul(window)).min(window);
    let used = overlap(counts.last, elapsed, window) + u64::from(counts.this);
    let (limit, wanted) = (u64::from(terms.limit), u64::from(cost));
    if used + wanted <= limit {
        let next = Counts { this: counts.this.saturating_add(cost), ..counts };
        let reading = Reading {
            limit: terms.limit,
            remaining: (limit - used - wanted) as u32,
            reset_nanos: next.until_empty(elapsed, window),
        };
        return Weighed::Fits { slot: next.slot(), reading };
    }
    let reading = Reading {
        limit: terms.limit,
        remaining: limit.saturating_sub(used) as u32,
        reset_nanos: counts.until_empty(elapsed, window),
    };
    let retry_nanos = (wanted <= limit).then(|| match (limit - wanted).checked_sub(u64::from(counts.this)) {
        // Still in this window, once enough of the last one has slid out.
        Some(room) => elapsed_until(counts.last, room, window) - elapsed,
        // In the next window, where this one's calls fade out.
        None => (window - elapsed) + elapsed_until(counts.this, limit - wanted, window),
    });
    Weighed::Over { reading, retry_nanos }
}

/// What is taken back is taken from this window, and what is more than that from the last one.
pub(super) fn corrected(terms: &Terms, slot: Slot, more: i64, now: Ticks) -> Slot {
    let counts = Counts::at(terms, slot, now);
    let sum = i64::from(counts.this).saturating_add(more);
    let this = u32::try_from(sum.max(0)).unwrap_or(u32::MAX);
    let last = (i64::from(counts.last) + sum.min(0)).max(0);
    Counts { this, last: u32::try_from(last).unwrap_or(u32::MAX), ..counts }.slot()
}
