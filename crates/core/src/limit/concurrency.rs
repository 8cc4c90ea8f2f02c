//! Calls in flight: each takes a place until it ends, whatever it costs. Places are in memory, so what ends a process frees
//! them; of calls that nobody sees the end of, whoever keeps the slot takes the place back in time.
//!
//! Slot: word 0 is the number of calls in flight.

use super::{Reading, Slot, Terms, Weighed};

/// Nobody knows when a place is free again, and soon.
const RETRY_NANOS: u64 = 1_000_000_000;

pub(super) fn weigh(terms: &Terms, slot: Slot, cost: u32) -> Weighed {
    let limit = u64::from(terms.limit);
    let reading = |taken: u64| Reading {
        limit: terms.limit,
        remaining: u32::try_from(limit.saturating_sub(taken)).unwrap_or(u32::MAX),
        reset_nanos: if taken == 0 { 0 } else { RETRY_NANOS },
    };
    let taken = slot.0[0];
    // What costs nothing only looks.
    let wanted = u64::from(cost.min(1));
    match taken.checked_add(wanted) {
        Some(next) if next <= limit || wanted == 0 => Weighed::Fits { slot: Slot([next, 0]), reading: reading(next) },
        _ => Weighed::Over { reading: reading(taken), retry_nanos: Some(RETRY_NANOS) },
    }
}

pub(super) fn released(slot: Slot) -> Slot {
    Slot([slot.0[0].saturating_sub(1), 0])
}
