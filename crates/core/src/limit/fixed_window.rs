//! The fixed window: the calls of this window of the calendar. Windows lie one after another from the beginning of
//! 1970 (UTC), so those of a minute, an hour and a day begin where these do; those of whole weeks begin on a Monday.
//!
//! At a window's edge twice the limit can pass within a moment: who does not want that takes the sliding window.
//!
//! It follows the wall clock, as nothing else here does. Set back by less than a window, it goes on counting in the window
//! that had begun; by more, it begins anew.
//!
//! Slot: word 0 is the number of the window, word 1 the calls in it.

use super::{Reading, Slot, Terms, Weighed};
use crate::time::Timestamp;

const WEEK_SECS: i64 = 7 * 86_400;
/// From the beginning of 1970, a Thursday, to its first Monday.
const FIRST_MONDAY_SECS: i64 = 4 * 86_400;

/// From the beginning of 1970 to where the first window begins.
const fn first(window: i64) -> i64 {
    if window % WEEK_SECS == 0 { FIRST_MONDAY_SECS } else { 0 }
}

/// The window that is counted in, and the calls in it.
fn window_at(terms: &Terms, slot: Slot, now: Timestamp) -> (i64, u64) {
    let window = i64::from(terms.window_seconds);
    let this = (now.as_secs() - first(window)).div_euclid(window);
    let kept = slot.0[0].cast_signed();
    match (slot.0[1], kept.wrapping_sub(this)) {
        (0, _) => (this, 0),
        (used, 0 | 1) => (kept, used),
        _ => (this, 0),
    }
}

pub(super) fn corrected(terms: &Terms, slot: Slot, more: i64, now: Timestamp) -> Slot {
    let (number, used) = window_at(terms, slot, now);
    Slot([number.cast_unsigned(), used.saturating_add_signed(more)])
}

pub(super) fn weigh(terms: &Terms, slot: Slot, cost: u32, now: Timestamp) -> Weighed {
    let window = i64::from(terms.window_seconds);
    let first = first(window);
    let (number, used) = window_at(terms, slot, now);
    let ends = Timestamp::from_secs((number + 1).saturating_mul(window).saturating_add(first));
    let left = u64::try_from(ends.as_micros().saturating_sub(now.as_micros())).unwrap_or(0).saturating_mul(1_000);
    let (limit, wanted) = (u64::from(terms.limit), u64::from(cost));
    let reading = |used: u64| Reading {
        limit: terms.limit,
        remaining: u32::try_from(limit.saturating_sub(used)).unwrap_or(u32::MAX),
        reset_nanos: if used == 0 { 0 } else { left },
    };
    match used.checked_add(wanted) {
        Some(next) if next <= limit => {
            Weighed::Fits { slot: Slot([number.cast_unsigned(), next]), reading: reading(next) }
        }
        _ => Weighed::Over { reading: reading(used), retry_nanos: (wanted <= limit).then_some(left) },
    }
}
