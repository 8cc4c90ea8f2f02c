//! Periods of the calendar, by the clock of a time zone: a day, a week from Monday, a month, and the month of whoever
//! began on another day than the first.
//!
//! A day has 23 or 25 hours where clocks are set forward or back, and a period begins with the first moment of its first
//! day there. The zones of IANA are data inside the program.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span as Length, Timestamp as Instant};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Timestamp;

/// What an amount is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month, from its first.
    Month,
    /// A month from the day on which the project got its plan. Where a month is too short for that day, from its last.
    BillingPeriod,
}

impl Period {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::BillingPeriod];

    /// The word on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::BillingPeriod => "billing_period",
        }
    }

    /// The one that holds this moment. `anchor` is when the project got its plan.
    pub fn at(self, now: Timestamp, zone: &Zone, anchor: Timestamp) -> Span {
        self.dates(now, zone, anchor)
            .and_then(|(first, after)| Some(Span { start: zone.begin(first)?, end: zone.begin(after)? }))
            .filter(|span| span.holds(now))
            // Beyond the years that a calendar has: all of time is one period.
            .unwrap_or(Span { start: Timestamp::from_micros(i64::MIN), end: Timestamp::from_micros(i64::MAX) })
    }

    /// Its first day, and that of the next.
    fn dates(self, now: Timestamp, zone: &Zone, anchor: Timestamp) -> Option<(Date, Date)> {
        let today = zone.day_of(now)?;
        match self {
            Self::Day => Some((today, today.tomorrow().ok()?)),
            Self::Week => {
                let since = i64::from(today.weekday().to_monday_zero_offset());
                let monday = today.checked_sub(Length::new().days(since)).ok()?;
                Some((monday, monday.checked_add(Length::new().days(7)).ok()?))
            }
            Self::Month => {
                let first = today.first_of_month();
                Some((first, first.checked_add(Length::new().months(1)).ok()?))
            }
            Self::BillingPeriod => {
                let anchor = zone.day_of(anchor)?;
                // Always from the anchor: after a February the 31st is the 31st again.
                let begin = |months: i64| anchor.checked_add(Length::new().months(months)).ok();
                let months = (i64::from(today.year()) - i64::from(anchor.year())) * 12 + i64::from(today.month())
                    - i64::from(anchor.month());
                let months = if begin(months)? <= today { months } else { months - 1 };
                Some((begin(months)?, begin(months + 1)?))
            }
        }
    }
}

impl FromStr for Period {
    type Err = crate::key::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = "day, week, month, billing_period";
        Self::ALL.into_iter().find(|period| period.as_str() == text).ok_or(crate::key::UnknownWord { allowed })
    }
}

/// From a moment up to another one, which is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Its first moment.
    pub start: Timestamp,
    /// The first after it.
    pub end: Timestamp,
}

impl Span {
    /// Whether a moment is in it.
    pub fn holds(self, moment: Timestamp) -> bool {
        self.start <= moment && moment < self.end
    }
}

/// A time zone by its name in the database of IANA, such as `Europe/Vienna`; UTC unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    zone: TimeZone,
    name: String,
}

/// There is no time zone of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchZone;

impl fmt::Display for NoSuchZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such time zone; say one of the IANA names, such as Europe/Vienna or UTC")
    }
}

impl std::error::Error for NoSuchZone {}

impl Zone {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The day there.
    fn day_of(&self, moment: Timestamp) -> Option<Date> {
        Some(self.zone.to_datetime(Instant::from_microsecond(moment.as_micros()).ok()?).date())
    }

    /// The first moment of a day there.
    fn begin(&self, day: Date) -> Option<Timestamp> {
        // Where midnight is left out, the moment at which clocks are set forward.
        let first = self.zone.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
        Some(Timestamp::from_micros(first.as_microsecond()))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }
}

impl FromStr for Zone {
    type Err = NoSuchZone;

    fn from_str(text: &str) -> Result<Self, NoSuchZone> {
        let zone = TimeZoneDatabase::bundled().get(text).map_err(|_| NoSuchZone)?;
        // As the database writes it, however it was typed.
        let name = zone.iana_name().ok_or(NoSuchZone)?.to_owned();
        Ok(Self { zone, name })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
