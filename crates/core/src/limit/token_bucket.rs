//! The token bucket as the generic cell rate algorithm (ITU-T I.371): one moment says it all.
//!
//! Slot: the moment at which the bucket is full again, in units of 1/limit nanoseconds, split into whole
//! nanoseconds (word 0) and the remainder (word 1), so that a limit of 7 per second never drifts.

use super::{Reading, Slot, Terms, Weighed};
use crate::time::Ticks;

/// Time in units of 1/limit nanoseconds; 2^64 ns × 10^9 fits in 128 bits.
fn fine(terms: &Terms, nanos: u64) -> u128 {
    u128::from(nanos) * u128::from(terms.limit)
}

fn full_again(terms: &Terms, slot: Slot) -> u128 {
    fine(terms, slot.0[0]) + u128::from(slot.0[1])
}

fn to_slot(terms: &Terms, full_again: u128) -> Slot {
    let limit = u128::from(terms.limit);
    Slot([u64::try_from(full_again / limit).unwrap_or(u64::MAX), (full_again % limit) as u64])
}

pub(super) fn weigh(terms: &Terms, slot: Slot, cost: u32, now: Ticks) -> Weighed {
    let limit = u128::from(terms.limit);
    let burst = u128::from(terms.burst);
    // One call takes `window` fine units: window ns / limit, times limit.
    let per_call = u128::from(terms.window_nanos());
    let now = fine(terms, now.as_nanos());
    let depth = per_call * burst;
    let base = full_again(terms, slot).max(now);
    let wanted = per_call * u128::from(cost);
    let nanos = |fine: u128| u64::try_from(fine.div_ceil(limit)).unwrap_or(u64::MAX);
    let used = base - now;
    let next = base + wanted;
    if next - now <= depth {
        let reading = Reading {
            limit: terms.limit,
            remaining: ((depth - (next - now)) / per_call) as u32,
            reset_nanos: nanos(next - now),
        };
        return Weighed::Fits { slot: to_slot(terms, next), reading };
    }
    let reading = Reading {
        limit: terms.limit,
        remaining: (depth.saturating_sub(used) / per_call) as u32,
        reset_nanos: nanos(used),
    };
    let retry_nanos = (wanted <= depth).then(|| nanos(next - now - depth));
    Weighed::Over { reading, retry_nanos }
}

pub(super) fn corrected(terms: &Terms, slot: Slot, more: i64, now: Ticks) -> Slot {
    let now = fine(terms, now.as_nanos());
    let base = full_again(terms, slot).max(now);
    let change = u128::from(terms.window_nanos()) * u128::from(more.unsigned_abs());
    let next = if more < 0 { base.saturating_sub(change) } else { base + change };
    to_slot(terms, next.max(now))
}
