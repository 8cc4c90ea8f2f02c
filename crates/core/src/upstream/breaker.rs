//! A target that fails again and again gets rest: calls go elsewhere, or are refused at once instead of waiting for
//! what will not come. Then one call tries it; the others follow when that one is answered.

use crate::time::Ticks;

/// The longest rest: 30 s.
pub const MAX_REST_SECS: u64 = 30;
/// The first one: a second. Each further one is twice as long.
const FIRST_REST_SECS: u64 = 1;
const NANOS: u64 = 1_000_000_000;

/// What is known of a target's failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// Calls go to it.
    Closed {
        /// In a row.
        failures: u32,
    },
    /// None do.
    Resting {
        /// Until then.
        until: Ticks,
        /// In a row, this one among them.
        rests: u32,
    },
    /// One call does, and decides how it goes on; if nothing is heard of it, the next one does.
    Trying {
        /// How long the others wait.
        until: Ticks,
        /// Before it.
        rests: u32,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Nanoseconds until a call may go to it; `None` if one may now.
    pub fn rests_for(&self, now: Ticks) -> Option<u64> {
        match self {
            Self::Closed { .. } => None,
            Self::Resting { until, .. } | Self::Trying { until, .. } => {
                Some(until.nanos_since(now)).filter(|left| *left > 0)
            }
        }
    }

    /// Whether a call may go to it. One that ends a rest is its trial.
    pub fn try_pass(&mut self, now: Ticks) -> bool {
        if self.rests_for(now).is_some() {
            return false;
        }
        if let Self::Resting { rests, .. } | Self::Trying { rests, .. } = *self {
            *self = Self::Trying { until: rest(now, rests), rests };
        }
        true
    }

    /// A call failed: after `most` in a row it rests, or again if this was its trial. Returns whether it was in use
    /// until now. With `most` = 0 it never rests.
    pub fn fail(&mut self, now: Ticks, most: u32) -> bool {
        match *self {
            _ if most == 0 => {
                *self = Self::default();
                false
            }
            Self::Closed { failures } if failures + 1 < most => {
                *self = Self::Closed { failures: failures + 1 };
                false
            }
            Self::Closed { .. } => {
                *self = Self::Resting { until: rest(now, 1), rests: 1 };
                true
            }
            // A call that began before the rest says nothing new.
            Self::Resting { .. } => false,
            Self::Trying { rests, .. } => {
                let rests = rests.saturating_add(1);
                *self = Self::Resting { until: rest(now, rests), rests };
                false
            }
        }
    }

    /// A call was answered. Returns whether it was out of use until now.
    pub fn succeed(&mut self) -> bool {
        !matches!(std::mem::take(self), Self::Closed { .. })
    }
}

/// The end of the `rests`th rest in a row, which begins now.
fn rest(now: Ticks, rests: u32) -> Ticks {
    let doublings = rests.saturating_sub(1).min(MAX_REST_SECS.ilog2() + 1);
    let secs = (FIRST_REST_SECS << doublings).min(MAX_REST_SECS);
    Ticks::from_nanos(now.as_nanos().saturating_add(secs * NANOS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Ticks {
        Ticks::from_nanos(secs * NANOS)
    }

    #[test]
    fn failures_in_a_row_bring_rest_and_an_answer_between_them_does_not() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            assert!(!breaker.fail(at(0), 3) && !breaker.fail(at(0), 3) && !breaker.succeed());
        }
        assert!(!breaker.fail(at(0), 3) && !breaker.fail(at(0), 3) && breaker.fail(at(0), 3));
        assert_eq!(breaker.rests_for(at(0)), Some(NANOS));
        assert!(!breaker.try_pass(at(0)));
    }

    #[test]
    fn one_call_tries_it_and_decides_for_the_others() {
        let mut breaker = Breaker::default();
        breaker.fail(at(0), 1);
        assert!(!breaker.fail(at(0), 1), "what began before the rest does not make it longer");
        assert!(breaker.try_pass(at(1)) && !breaker.try_pass(at(1)));
        assert!(breaker.succeed() && breaker.try_pass(at(1)) && breaker.try_pass(at(1)));
    }

    #[test]
    fn each_rest_is_twice_as_long_up_to_the_longest() {
        let (mut breaker, mut now) = (Breaker::default(), 0);
        breaker.fail(at(now), 1);
        for secs in [1, 2, 4, 8, 16, 30, 30, 30] {
            assert_eq!(breaker.rests_for(at(now)), Some(secs * NANOS));
            now += secs;
            assert!(breaker.try_pass(at(now)));
            breaker.fail(at(now), 1);
        }
        for _ in 0..100 {
            now += MAX_REST_SECS;
            assert!(breaker.try_pass(at(now)) && !breaker.fail(at(now), 1));
        }
    }

    #[test]
    fn a_trial_that_is_not_heard_of_is_followed_by_another() {
        let mut breaker = Breaker::default();
        breaker.fail(at(0), 1);
        assert!(breaker.try_pass(at(5)) && !breaker.try_pass(at(5)) && breaker.try_pass(at(6)));
    }

    #[test]
    fn who_switches_it_off_never_rests() {
        let mut breaker = Breaker::default();
        for _ in 0..1_000 {
            assert!(!breaker.fail(at(0), 0) && breaker.try_pass(at(0)));
        }
        breaker.fail(at(0), 1);
        breaker.fail(at(0), 0);
        assert!(breaker.try_pass(at(0)), "also where it rests already");
    }
}
