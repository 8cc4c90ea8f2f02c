//! Moments. The clock itself is outside: a moment enters every rule as an argument.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp as Instant;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment of the wall clock in microseconds since 1970-01-01T00:00:00Z; as text RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A moment from microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// A moment from whole seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment and so many seconds.
    pub const fn plus_secs(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs.saturating_mul(1_000_000)))
    }

    /// The start of the period of `secs` seconds that holds this moment, counted from the epoch.
    pub const fn floor_secs(self, secs: i64) -> Self {
        Self::from_secs(self.as_secs().div_euclid(secs) * secs)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Instant::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => f.write_str("out of range"),
        }
    }
}

/// The text is no RFC 3339 moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATimestamp;

impl fmt::Display for NotATimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a moment is written as in RFC 3339, such as 2027-01-31T12:00:00Z")
    }
}

impl std::error::Error for NotATimestamp {}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        text.parse::<Instant>().map(|instant| Self(instant.as_microsecond())).map_err(|_| NotATimestamp)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Nanoseconds of a clock that never goes back; only differences mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(u64);

impl Ticks {
    /// Ticks from nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's own zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to this; 0 if `earlier` is later.
    pub const fn nanos_since(self, earlier: Ticks) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One reading of both clocks: expiry follows the wall, limits follow the ticks, so that
/// setting the wall clock back neither resets a limit nor grants one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Timestamp,
    /// The clock that never goes back.
    pub ticks: Ticks,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_rfc_3339_in_utc() {
        assert_eq!(Timestamp::from_secs(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!("2027-01-31T13:00:00+01:00".parse(), Ok(Timestamp::from_secs(1_801_396_800)));
        assert!("tomorrow".parse::<Timestamp>().is_err());
    }

    #[test]
    fn periods_begin_at_the_epoch() {
        let moment: Timestamp = "2026-11-24T15:44:31.5Z".parse().unwrap();
        assert_eq!(moment.floor_secs(60).to_string(), "2026-11-24T15:44:00Z");
        assert_eq!(moment.floor_secs(3600).to_string(), "2026-11-24T15:00:00Z");
        assert_eq!(moment.floor_secs(86_400).to_string(), "2026-11-24T00:00:00Z");
        assert_eq!(Timestamp::from_micros(-1).floor_secs(60).to_string(), "1969-12-31T23:59:00Z");
    }
}
