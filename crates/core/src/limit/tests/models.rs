//! Each algorithm against a slow model that remembers every call, over schedules of calls at random.

use super::*;

/// A call that was let through: when, and what it cost.
type Log = Vec<(u64, u64)>;

/// What a model lets through, told by all calls before.
trait Model {
    /// Whether a call fits.
    fn fits(&self, log: &Log, cost: u64, now: u64) -> bool;
}

/// The definition of the sliding window counter: what of this window was let through, and of the last one the share that
/// still overlaps, as a fraction that nobody rounds.
struct SlidingWindow {
    limit: u64,
    window: u64,
}

impl Model for SlidingWindow {
    fn fits(&self, log: &Log, cost: u64, now: u64) -> bool {
        let number = now / self.window;
        let of = |wanted: Option<u64>| -> u128 {
            log.iter().filter(|(at, _)| Some(at / self.window) == wanted).map(|(_, cost)| u128::from(*cost)).sum()
        };
        let left = u128::from(self.window - now % self.window);
        let window = u128::from(self.window);
        (of(Some(number)) + u128::from(cost)) * window + of(number.checked_sub(1)) * left
            <= u128::from(self.limit) * window
    }
}

/// A bucket as it is filled and emptied: its level, in parts of `1 / window` of a call, is found by going through all calls.
struct TokenBucket {
    limit: u64,
    window: u64,
    burst: u64,
}

impl Model for TokenBucket {
    fn fits(&self, log: &Log, cost: u64, now: u64) -> bool {
        let full = u128::from(self.burst) * u128::from(self.window);
        let (mut level, mut last) = (full, None::<u64>);
        let mut fill_until = |at: u64, level: u128| {
            let went_by = last.map_or(0, |last| at - last);
            last = Some(at);
            (level + u128::from(went_by) * u128::from(self.limit)).min(full)
        };
        for (at, cost) in log {
            level = fill_until(*at, level) - u128::from(*cost) * u128::from(self.window);
        }
        fill_until(now, level) >= u128::from(cost) * u128::from(self.window)
    }
}

/// What was let through in this window of the calendar.
struct FixedWindow {
    limit: u64,
    window: u64,
}

impl Model for FixedWindow {
    fn fits(&self, log: &Log, cost: u64, now: u64) -> bool {
        let same = |at: u64| at / self.window == now / self.window;
        log.iter().filter(|(at, _)| same(*at)).map(|(_, cost)| cost).sum::<u64>() + cost <= self.limit
    }
}

fn model(rule: &LimitRule) -> Box<dyn Model> {
    let (limit, window) = (u64::from(rule.limit), rule.terms().window_nanos());
    let burst = u64::from(rule.burst.unwrap_or(rule.limit));
    match rule.algorithm {
        Algorithm::SlidingWindow => Box::new(SlidingWindow { limit, window }),
        Algorithm::TokenBucket => Box::new(TokenBucket { limit, window, burst }),
        Algorithm::FixedWindow => Box::new(FixedWindow { limit, window }),
        Algorithm::Concurrency => unreachable!("it has no windows"),
    }
}

proptest! {
    #[test]
    fn every_algorithm_lets_through_what_its_model_does(
        rule in any_rule(),
        steps in proptest::collection::vec((prop_oneof![Just(0u64), 0u64..2_000_000_000, 0u64..60_000_000_000], 1u32..7), 1..150),
    ) {
        let model = model(&rule);
        let terms = rule.terms();
        let (mut slot, mut log, mut now) = (Slot::default(), Log::new(), 1u64 << 40);
        for (wait, cost) in steps {
            // Whole microseconds, which is as fine as the wall clock is.
            now = (now + wait) / 1_000 * 1_000;
            let fits = match terms.weigh(slot, cost, at(now)) {
                Weighed::Fits { slot: next, .. } => {
                    slot = next;
                    true
                }
                Weighed::Over { .. } => false,
            };
            prop_assert_eq!(fits, model.fits(&log, cost.into(), now), "{:?} at {}", rule, now);
            if fits {
                log.push((now, cost.into()));
            }
        }
    }

    #[test]
    fn calls_in_flight_are_those_that_began_and_have_not_ended(
        limit in 1u32..9,
        steps in proptest::collection::vec((any::<bool>(), 0u32..5), 1..100),
    ) {
        let terms = rule(Algorithm::Concurrency, limit, 60, None).terms();
        let (mut slot, mut running) = (Slot::default(), 0u32);
        for (begins, cost) in steps {
            if begins {
                let wanted = cost.min(1);
                match terms.weigh(slot, cost, at(1)) {
                    Weighed::Fits { slot: next, reading } => {
                        running += wanted;
                        prop_assert!(running <= limit);
                        prop_assert_eq!(reading.remaining, limit - running);
                        slot = next;
                    }
                    Weighed::Over { retry_nanos, .. } => {
                        prop_assert!(running == limit && wanted == 1 && retry_nanos.is_some());
                    }
                }
            } else if running > 0 {
                running -= 1;
                slot = terms.released(slot);
            }
        }
    }
}
