//! How latencies are distributed, so that percentiles can be told of any sum of them: a DDSketch (Masson, Rim and Lee, "DDSketch: A
//! Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", PVLDB 12, 2019).
//!
//! Latencies are counted in buckets whose bounds grow by a constant factor, so that any percentile is told with an error of at most
//! 2 % of itself, however many calls there are and however they were added up.
//!
//! As text a sketch is a list of buckets with their counts, and two texts one after the other are the text of their sum: whoever
//! keeps them can add them up without knowing what they are.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// By how much of itself a percentile may be wrong.
const ERROR: f64 = 0.02;
/// By what the bounds of the buckets grow.
const GROWTH: f64 = (1.0 + ERROR) / (1.0 - ERROR);
/// Buckets in all: that of 0, and those up to what a `u64` holds.
const BUCKETS: usize = 1_120;
/// The digits of the text: a bucket has two of them, a count as many as it needs, the lowest first, those that are followed by
/// another one in the upper half.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// Latencies of calls, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Buckets that are not empty, in order, each with its calls.
    buckets: Vec<(u16, u64)>,
}

/// The text is no sketch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotLatencies;

impl fmt::Display for NotLatencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these are no latencies")
    }
}

impl std::error::Error for NotLatencies {}

impl Latencies {
    /// Adds so many calls of one latency.
    pub fn add(&mut self, latency_us: u64, calls: u64) {
        if calls > 0 {
            self.add_to(bucket(latency_us), calls);
        }
    }

    /// Adds others to these.
    pub fn merge(&mut self, others: &Self) {
        for (bucket, calls) in &others.buckets {
            self.add_to(*bucket, *calls);
        }
    }

    fn add_to(&mut self, bucket: u16, calls: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => self.buckets[place].1 = self.buckets[place].1.saturating_add(calls),
            Err(place) => self.buckets.insert(place, (bucket, calls)),
        }
    }

    /// Calls in all.
    pub fn calls(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, calls)| sum.saturating_add(*calls))
    }

    /// The latency that this share of the calls did not exceed, in microseconds: that of the call at the nearest rank, with an error
    /// of at most 2 % of itself. `None` if there are no calls.
    pub fn at(&self, share: Percentile) -> Option<u64> {
        let all = self.calls();
        let rank = (u128::from(all) * u128::from(share.0)).div_ceil(u128::from(Percentile::ALL.0)).max(1);
        let mut below = 0_u128;
        let reached = self.buckets.iter().find(|(_, calls)| {
            below += u128::from(*calls);
            below >= rank
        });
        reached.map(|(bucket, _)| middle(*bucket))
    }
}

/// In which bucket a latency is.
fn bucket(latency_us: u64) -> u16 {
    match latency_us {
        0 => 0,
        micros => 1 + ((micros as f64).ln() / GROWTH.ln()).ceil() as u16,
    }
}

/// What is told of a bucket: as far from its bounds as can be, relative to itself.
fn middle(bucket: u16) -> u64 {
    match bucket.checked_sub(1) {
        None => 0,
        Some(power) => (2.0 * GROWTH.powi(power.into()) / (GROWTH + 1.0)).round() as u64,
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(self.buckets.len() * 4);
        for (bucket, calls) in &self.buckets {
            let digit = |number: usize| char::from(DIGITS[number % 64]);
            text.extend([digit(usize::from(*bucket) / 64), digit(usize::from(*bucket))]);
            let mut rest = *calls;
            while rest >= 32 {
                text.push(digit(32 + rest as usize % 32));
                rest /= 32;
            }
            text.push(digit(rest as usize));
        }
        f.write_str(&text)
    }
}

impl FromStr for Latencies {
    type Err = NotLatencies;

    /// Reads the text of a sketch, or of several one after the other, as their sum.
    fn from_str(text: &str) -> Result<Self, NotLatencies> {
        let mut digits = text.bytes().map(value);
        let mut sums = vec![0_u64; if text.is_empty() { 0 } else { BUCKETS }];
        while let Some(first) = digits.next() {
            let mut next = || digits.next().ok_or(NotLatencies)?;
            let bucket = usize::from(first?) * 64 + usize::from(next()?);
            let (mut calls, mut shift) = (0_u64, 0);
            loop {
                let digit = next()?;
                let part = u64::from(digit % 32);
                if shift >= 64 || part << shift >> shift != part {
                    return Err(NotLatencies);
                }
                calls |= part << shift;
                shift += 5;
                if digit < 32 {
                    break;
                }
            }
            let sum = sums.get_mut(bucket).ok_or(NotLatencies)?;
            *sum = sum.saturating_add(calls);
        }
        let filled = (0_u16..).zip(sums).filter(|(_, calls)| *calls > 0);
        Ok(Self { buckets: filled.collect() })
    }
}

/// What a digit is worth.
fn value(digit: u8) -> Result<u8, NotLatencies> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'A'..=b'Z' => Ok(digit - b'A' + 10),
        b'a'..=b'z' => Ok(digit - b'a' + 36),
        b'-' => Ok(62),
        b'_' => Ok(63),
        _ => Err(NotLatencies),
    }
}

/// A share of calls: more than none of them, at most all; to the thousandth of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentile(u32);

/// The text is no percentile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAPercentile(String);

impl fmt::Display for NotAPercentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no percentile; write a number above 0 and at most 100, with up to three digits after the point, such as 99.9",
            self.0.escape_default()
        )
    }
}

impl std::error::Error for NotAPercentile {}

impl Percentile {
    const ALL: Self = Self(100_000);
}

impl FromStr for Percentile {
    type Err = NotAPercentile;

    fn from_str(text: &str) -> Result<Self, NotAPercentile> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let read = (digits(whole, 3) && digits(part, 3)).then(|| {
            let thousandths: u32 = format!("{part:0<3}").parse().ok()?;
            whole.parse::<u32>().ok().map(|whole| whole * 1_000 + thousandths)
        });
        match read.flatten() {
            Some(share) if (1..=Self::ALL.0).contains(&share) => Ok(Self(share)),
            _ => Err(NotAPercentile(text.to_owned())),
        }
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000, self.0 % 1_000);
        if part == 0 { write!(f, "{whole}") } else { f.write_str(format!("{whole}.{part:03}").trim_end_matches('0')) }
    }
}

impl Serialize for Percentile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(latencies: &[u64]) -> Latencies {
        let mut all = Latencies::default();
        latencies.iter().for_each(|latency| all.add(*latency, 1));
        all
    }

    fn latencies() -> impl Strategy<Value = Vec<u64>> {
        // As many of each length, up to those that no call takes.
        let latency = (0..64_u32, any::<u64>()).prop_map(|(bits, any)| any >> bits);
        proptest::collection::vec(latency, 1..200)
    }

    proptest! {
        #[test]
        fn a_percentile_is_that_of_the_sorted_latencies_within_the_error(mut all in latencies(), share in 1..=100_000_u32) {
            let told = of(&all).at(Percentile(share)).unwrap() as f64;
            all.sort_unstable();
            let rank = (all.len() as u64 * u64::from(share)).div_ceil(100_000).max(1);
            let exact = all[rank as usize - 1] as f64;
            // What is told is a whole number.
            prop_assert!((told - exact).abs() <= exact * (ERROR + 1e-9) + 0.5, "{told} for {exact}");
        }

        #[test]
        fn texts_one_after_the_other_are_their_sum(one in latencies(), other in latencies()) {
            let (one, other) = (of(&one), of(&other));
            let mut sum = one.clone();
            sum.merge(&other);
            prop_assert_eq!(format!("{one}{other}").parse(), Ok(sum.clone()));
            prop_assert_eq!(sum.calls(), one.calls() + other.calls());
        }

        #[test]
        fn no_text_brings_it_down(text in ".*") {
            let _ = text.parse::<Latencies>();
        }

        #[test]
        fn a_percentile_is_read_as_it_is_written(share in 1..=100_000_u32) {
            prop_assert_eq!(Percentile(share).to_string().parse(), Ok(Percentile(share)));
        }
    }

    #[test]
    fn large_counts_survive_and_stay_at_the_greatest() {
        let mut all = Latencies::default();
        all.add(u64::MAX, u64::MAX);
        all.add(0, 31);
        all.add(1, 32);
        assert_eq!(all.to_string().parse(), Ok(all.clone()));
        assert_eq!(all.calls(), u64::MAX);
        assert_eq!(Latencies::default().to_string(), "");
        assert_eq!("".parse(), Ok(Latencies::default()));
        assert_eq!(Latencies::default().at(Percentile::ALL), None);
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["0", "00", "00V", "00_", "HW1", "__1", "00 ", "00_____________1", "00v_________________"] {
            assert_eq!(
                text.parse::<Latencies>(),
                Err(NotLatencies).or_else(|wrong| match text {
                    // The 31st digit is one: 0 µs, 31 calls.
                    "00V" => Ok(of(&[0; 31])),
                    _ => Err(wrong),
                }),
                "{text}"
            );
        }
        for text in ["0", "0.0004", "100.001", "101", "", ".5", "5.", "-1", "1e1", "p99", "99,9", "0000.1"] {
            assert!(text.parse::<Percentile>().is_err(), "{text}");
        }
        for (text, share) in [("50", 50_000), ("99.9", 99_900), ("0.001", 1), ("100", 100_000), ("99.90", 99_900)] {
            assert_eq!(text.parse(), Ok(Percentile(share)), "{text}");
        }
    }
}
