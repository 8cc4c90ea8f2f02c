//! Periods of the calendar, by the clock of a time zone: a day, a week from Monday, a month, and the month of whoever
//! began on another day than the first.
//!
//! A day has 23 or 25 hours where clocks are set forward or back, and a period begins with the first moment of its first
//! day there.

use std::str::FromStr;

use jiff::Span as Length;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::zone::Zone;

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
