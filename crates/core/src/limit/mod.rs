//! Limits: how many calls fit into a time. Pure arithmetic over a slot that somebody else keeps.
//!
//! Every algorithm is exact in its own terms: with one keeper of the slot, `n` calls at once against a limit of
//! `L` admit exactly `L`. Times are [`Ticks`], so the wall clock can jump without granting or resetting anything.

mod sliding_window;
mod token_bucket;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::time::Ticks;

/// Most rate limits of one key: people use two or three windows.
pub const MAX_RULES: usize = 8;
/// Longest name of a limit; it stands in response headers.
pub const MAX_NAME_LEN: usize = 32;
/// Longest window: beyond 31 days a quota is meant, which survives restarts.
pub const MAX_WINDOW_SECS: u32 = 31 * 86_400;
/// Most calls of one window; keeps every product of the arithmetic inside 128 bits and every count inside 32.
pub const MAX_LIMIT: u32 = 1_000_000_000;

/// How calls are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// The calls of this window plus the share of the last one that still overlaps: no burst at a window's edge.
    #[default]
    SlidingWindow,
    /// A bucket that refills evenly (GCRA): `burst` calls at once, `limit` per window in the long run.
    TokenBucket,
}

/// One rate limit of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct LimitRule {
    /// Its name in headers and answers.
    pub name: LimitName,
    /// Calls per window.
    pub limit: u32,
    /// The window in seconds.
    pub window_seconds: u32,
    /// How calls are counted.
    pub algorithm: Algorithm,
    /// For a token bucket: calls at once; the limit itself unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// A limit's name: 1 to 32 of `a-z A-Z 0-9 - _ .`, so that it can stand in a header field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct LimitName(String);

impl LimitName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The values are no rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitError {
    /// The name can't stand in a header.
    Name,
    /// The limit is 0 or too large.
    Limit,
    /// The window is 0 or too long.
    Window,
    /// A burst without a token bucket, or 0, or too large.
    Burst,
    /// Two limits of one key share a name, or there are too many.
    Rules,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "a limit's name is 1 to {MAX_NAME_LEN} of a-z, A-Z, 0-9, `-`, `_` and `.`"),
            Self::Limit => write!(f, "a limit is 1 to {MAX_LIMIT} calls; to allow none, disable the key"),
            Self::Window => write!(f, "window_seconds is 1 to {MAX_WINDOW_SECS}"),
            Self::Burst => write!(f, "burst belongs to the algorithm token_bucket and is 1 to {MAX_LIMIT}"),
            Self::Rules => write!(f, "a key has at most {MAX_RULES} rate limits, each with a name of its own"),
        }
    }
}

impl std::error::Error for LimitError {}

impl LimitRule {
    /// A checked rule.
    ///
    /// # Errors
    /// [`LimitError`] names the value that is out of bounds.
    pub fn new(
        name: &str,
        limit: u32,
        window_seconds: u32,
        algorithm: Algorithm,
        burst: Option<u32>,
    ) -> Result<Self, LimitError> {
        let sound_name = (1..=MAX_NAME_LEN).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !sound_name {
            return Err(LimitError::Name);
        }
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(LimitError::Limit);
        }
        if !(1..=MAX_WINDOW_SECS).contains(&window_seconds) {
            return Err(LimitError::Window);
        }
        let burst_fits = burst.is_none_or(|burst| (1..=MAX_LIMIT).contains(&burst));
        if !burst_fits || (burst.is_some() && algorithm != Algorithm::TokenBucket) {
            return Err(LimitError::Burst);
        }
        Ok(Self { name: LimitName(name.to_owned()), limit, window_seconds, algorithm, burst })
    }

    /// Checks what no single rule can know: distinct names, and not too many.
    ///
    /// # Errors
    /// [`LimitError::Rules`].
    pub fn check_together(rules: &[Self]) -> Result<(), LimitError> {
        let shared = rules.iter().enumerate().any(|(i, rule)| rules[..i].iter().any(|other| other.name == rule.name));
        if shared || rules.len() > MAX_RULES { Err(LimitError::Rules) } else { Ok(()) }
    }

    /// What one call of this cost would find, without counting it.
    pub fn weigh(&self, slot: Slot, cost: u32, now: Ticks) -> Weighed {
        match self.algorithm {
            Algorithm::SlidingWindow => sliding_window::weigh(self, slot, cost, now),
            Algorithm::TokenBucket => token_bucket::weigh(self, slot, cost, now),
        }
    }

    /// What is left right now, without asking for anything.
    pub fn peek(&self, slot: Slot, now: Ticks) -> Reading {
        match self.algorithm {
            Algorithm::SlidingWindow => sliding_window::peek(self, slot, now),
            Algorithm::TokenBucket => token_bucket::peek(self, slot, now),
        }
    }

    const fn window_nanos(&self) -> u64 {
        self.window_seconds as u64 * 1_000_000_000
    }
}

impl<'de> Deserialize<'de> for LimitRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            name: String,
            limit: u32,
            window_seconds: u32,
            #[serde(default)]
            algorithm: Algorithm,
            #[serde(default)]
            burst: Option<u32>,
        }
        let wire = Wire::deserialize(deserializer)?;
        Self::new(&wire.name, wire.limit, wire.window_seconds, wire.algorithm, wire.burst)
            .map_err(serde::de::Error::custom)
    }
}

/// The state of one rule for one key: two words, zero when nothing was counted yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slot(pub [u64; 2]);

/// What a call would find at one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighed {
    /// It fits; this is the slot with the call counted.
    Fits {
        /// The slot to keep if every other rule fits too.
        slot: Slot,
        /// What the client may be told.
        reading: Reading,
    },
    /// It does not fit; nothing changes.
    Over {
        /// What the client may be told.
        reading: Reading,
        /// Nanoseconds after which the same call fits, if nobody else calls; `None` if it never does, because its
        /// cost is above the whole limit.
        retry_nanos: Option<u64>,
    },
}

/// What is left of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Calls of cost 1 that would still fit.
    pub remaining: u32,
    /// Nanoseconds until all of the limit is there again, if nobody calls meanwhile. Never earlier than the moment at
    /// which a refused call fits.
    pub reset_nanos: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(algorithm: Algorithm, limit: u32, window: u32, burst: Option<u32>) -> LimitRule {
        LimitRule::new("r", limit, window, algorithm, burst).unwrap()
    }

    fn any_rule() -> impl Strategy<Value = LimitRule> {
        (1u32..50, 1u32..100, proptest::option::of(1u32..60)).prop_flat_map(|(limit, window, burst)| {
            prop_oneof![
                Just(rule(Algorithm::SlidingWindow, limit, window, None)),
                Just(rule(Algorithm::TokenBucket, limit, window, burst)),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_refused_call_fits_exactly_when_retry_says(
            rule in any_rule(),
            steps in proptest::collection::vec((0u64..20_000_000_000, 1u32..5), 1..200),
        ) {
            let (mut slot, mut now) = (Slot::default(), 1u64 << 40);
            for (wait, cost) in steps {
                now += wait;
                match rule.weigh(slot, cost, Ticks::from_nanos(now)) {
                    Weighed::Fits { slot: next, .. } => slot = next,
                    Weighed::Over { retry_nanos: Some(retry), .. } => {
                        prop_assert!(retry > 0);
                        let early = rule.weigh(slot, cost, Ticks::from_nanos(now + retry - 1));
                        let there = rule.weigh(slot, cost, Ticks::from_nanos(now + retry));
                        prop_assert!(matches!(early, Weighed::Over { .. }), "{retry} ns is too late");
                        let full = rule.peek(slot, Ticks::from_nanos(now)).reset_nanos;
                        prop_assert!(full >= retry, "all is there after {full} ns, one call only after {retry}");
                        let left = rule.peek(slot, Ticks::from_nanos(now + full)).remaining;
                        prop_assert_eq!(left, rule.burst.unwrap_or(rule.limit), "not all is there");
                        prop_assert!(matches!(there, Weighed::Fits { .. }), "{retry} ns is too early");
                    }
                    Weighed::Over { retry_nanos: None, .. } => {
                        prop_assert!(cost > rule.burst.unwrap_or(rule.limit));
                    }
                }
            }
        }

        #[test]
        fn what_remains_is_what_fits(rule in any_rule(), steps in proptest::collection::vec(0u64..5_000_000_000, 1..100)) {
            let (mut slot, mut now) = (Slot::default(), 1u64 << 40);
            for wait in steps {
                now += wait;
                let at = Ticks::from_nanos(now);
                let left = rule.peek(slot, at).remaining;
                let mut probe = slot;
                for _ in 0..left {
                    let Weighed::Fits { slot: next, .. } = rule.weigh(probe, 1, at) else {
                        return Err(TestCaseError::fail("said to fit"));
                    };
                    probe = next;
                }
                let refused = matches!(rule.weigh(probe, 1, at), Weighed::Over { .. });
                prop_assert!(refused);
                if let Weighed::Fits { slot: next, .. } = rule.weigh(slot, 1, at) {
                    slot = next;
                }
            }
        }

        #[test]
        fn no_value_overflows(
            limit in 1u32..=MAX_LIMIT, window in 1u32..=MAX_WINDOW_SECS, cost: u32, now: u64, slot: [u64; 2], token: bool,
        ) {
            let algorithm = if token { Algorithm::TokenBucket } else { Algorithm::SlidingWindow };
            let rule = rule(algorithm, limit, window, None);
            let _ = rule.weigh(Slot(slot), cost, Ticks::from_nanos(now));
            let _ = rule.peek(Slot(slot), Ticks::from_nanos(now));
        }
    }

    #[test]
    fn in_any_window_at_most_the_limit_and_one_windows_share() {
        // A client that always calls as early as it may gets `limit` per window in the long run, not double.
        let rule = rule(Algorithm::SlidingWindow, 10, 10, None);
        let (mut slot, mut admitted) = (Slot::default(), 0);
        for tick in 0..10_000u64 {
            if let Weighed::Fits { slot: next, .. } =
                rule.weigh(slot, 1, Ticks::from_nanos((1 << 40) + tick * 10_000_000))
            {
                slot = next;
                admitted += 1;
            }
        }
        assert!((100..=110).contains(&admitted), "{admitted} in ten windows of ten");
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        let new = |name, limit, window, burst| LimitRule::new(name, limit, window, Algorithm::SlidingWindow, burst);
        assert_eq!(new("", 1, 1, None), Err(LimitError::Name));
        assert_eq!(new("a b", 1, 1, None), Err(LimitError::Name));
        assert_eq!(new("a", 0, 1, None), Err(LimitError::Limit));
        assert_eq!(new("a", 1, 0, None), Err(LimitError::Window));
        assert_eq!(new("a", 1, 1, Some(1)), Err(LimitError::Burst));
        let twin = new("a", 1, 1, None).unwrap();
        assert_eq!(LimitRule::check_together(&[twin.clone(), twin]), Err(LimitError::Rules));
    }
}
