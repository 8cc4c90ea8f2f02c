//! How many calls are written down: so many a second, and some refused ones beyond. All workers share it, and as long as nothing is
//! left of it a call pays for one look at a number that nobody changes.

use std::sync::atomic::{AtomicU64, Ordering};

use keystile_core::time::Ticks;

const SECOND: u64 = 1_000_000_000;
/// What was not used of so many seconds may be used at once.
const BURST_SECS: u64 = 2;
/// For refused calls there is this part of it besides.
const RESERVE: u64 = 4;

/// How many calls are written down.
pub struct Allowance {
    calls: Bucket,
    refused: Bucket,
}

impl Allowance {
    /// So many calls a second, of all workers together.
    pub fn new(per_second: u32) -> Self {
        let interval = SECOND / u64::from(per_second.max(1));
        Self { calls: Bucket::new(interval), refused: Bucket::new(interval * RESERVE) }
    }

    /// Whether a call that begins is written down.
    pub fn take(&self, now: Ticks) -> bool {
        self.calls.take(now)
    }

    /// Whether a refused call is written down all the same.
    pub fn take_for_refused(&self, now: Ticks) -> bool {
        self.refused.take(now)
    }
}

/// One after the other, at this interval on average.
struct Bucket {
    interval: u64,
    burst: u64,
    /// When all that was taken would have been taken, had it been one after the other.
    next: AtomicU64,
}

impl Bucket {
    fn new(interval: u64) -> Self {
        Self { interval, burst: interval.max(BURST_SECS * SECOND), next: AtomicU64::new(0) }
    }

    fn take(&self, now: Ticks) -> bool {
        let now = now.as_nanos();
        let after = |next: u64| {
            let after = next.max(now) + self.interval;
            (after <= now + self.burst).then_some(after)
        };
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(allowance: &Allowance, at_ms: u64, tries: u32, take: fn(&Allowance, Ticks) -> bool) -> u32 {
        let now = Ticks::from_nanos(at_ms * 1_000_000);
        (0..tries).map(|_| u32::from(take(allowance, now))).sum()
    }

    #[test]
    fn so_many_a_second_are_written_and_some_refused_ones_beyond() {
        let allowance = Allowance::new(200);
        for (at_ms, take, wanted) in [
            (10_000, Allowance::take as fn(&_, _) -> _, 400),
            (10_000, Allowance::take, 0),
            (10_100, Allowance::take, 20),
            (10_100, Allowance::take_for_refused, 100),
            (11_100, Allowance::take_for_refused, 50),
            (11_100, Allowance::take, 200),
            (60_000, Allowance::take, 400),
        ] {
            assert_eq!(taken(&allowance, at_ms, 10_000, take), wanted, "at {at_ms} ms");
        }
        let least = Allowance::new(1);
        assert_eq!(taken(&least, 9_000, 9, Allowance::take), 2);
        assert_eq!(taken(&least, 9_000, 9, Allowance::take_for_refused), 1);
    }
}
