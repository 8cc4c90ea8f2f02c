//! Times as people read them: in the zone of whoever looks, named, with the exact moment behind each.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Unit};

/// The zone of whoever looks.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    zone: TimeZone,
    /// What it is called, such as `Europe/Vienna`.
    pub(crate) name: String,
}

/// A moment, written for somebody: HTML that script makes relative ("4 s ago") where it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    iso: String,
    text: String,
    exact: String,
    is_relative: bool,
}

impl Zone {
    /// The zone of this name, else UTC.
    pub(crate) fn named(name: Option<&str>) -> Self {
        let found = name.and_then(|name| TimeZone::get(name).ok().map(|zone| (zone, name.to_owned())));
        let (zone, name) = found.unwrap_or((TimeZone::UTC, "UTC".into()));
        Self { zone, name }
    }

    fn text(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime(format).to_string()
    }

    /// A day: `12 Feb 2027`.
    pub(crate) fn day(&self, at: Timestamp) -> Moment {
        self.moment(at, "%-d %b %Y", false)
    }

    /// A minute: `12 Feb 2027, 14:05`.
    pub(crate) fn minute(&self, at: Timestamp) -> Moment {
        self.moment(at, "%-d %b %Y, %H:%M", false)
    }

    /// A moment of today: `14:05:09.123`.
    pub(crate) fn clock(&self, at: Timestamp) -> Moment {
        self.moment(at, "%H:%M:%S%.3f", false)
    }

    /// A moment that is relative once there is script: `4 s ago`.
    pub(crate) fn ago(&self, at: Timestamp) -> Moment {
        self.moment(at, "%-d %b %Y, %H:%M", true)
    }

    fn moment(&self, at: Timestamp, format: &str, is_relative: bool) -> Moment {
        Moment {
            iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            text: self.text(at, format),
            exact: format!("{} UTC", at.strftime("%Y-%m-%d %H:%M:%S")),
            is_relative,
        }
    }

    /// A short label of an hour or a day, for axes.
    pub(crate) fn label(&self, at: Timestamp, format: &str) -> String {
        self.text(at, format)
    }

    /// When the day of this date (`2027-01-31`) begins, so many days later.
    pub(crate) fn day_start(&self, date: &str, later: i64) -> Option<Timestamp> {
        let date: jiff::civil::Date = date.parse().ok()?;
        let day = date.checked_add(later.days()).ok()?;
        self.zone.to_timestamp(day.to_datetime(jiff::civil::Time::midnight())).ok()
    }

    /// The zone with how far it is from UTC at this moment: `Europe/Vienna (UTC+1)`.
    pub(crate) fn described(&self, at: Timestamp) -> String {
        let minutes = self.zone.to_offset(at).seconds() / 60;
        let (hours, rest) = (minutes / 60, minutes.abs() % 60);
        match (minutes, rest) {
            (0, _) => self.name.clone(),
            (_, 0) => format!("{} (UTC{hours:+})", self.name),
            _ => format!("{} (UTC{hours:+}:{rest:02})", self.name),
        }
    }

    /// Seconds from the start of the day until this moment.
    pub(crate) fn seconds_of_day(&self, at: Timestamp) -> i64 {
        let here = at.to_zoned_datetime(self.zone.clone());
        i64::from(here.hour()) * 3_600 + i64::from(here.minute()) * 60 + i64::from(here.second())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { iso, text, exact, is_relative } = self;
        let relative = if *is_relative { " data-ago" } else { "" };
        write!(formatter, "<time class=\"num\" datetime=\"{iso}\" title=\"{exact}\"{relative}>{text}</time>")
    }
}

// All of it is digits, names of months and the marks above.
impl HtmlSafe for Moment {}

/// How long it is until then, roughly, in the largest unit that is at least two or the only one: `3 days`, `19 h`, `5 min`.
pub(crate) fn until(now: Timestamp, then: Timestamp) -> String {
    length(then.duration_since(now).as_secs())
}

/// So many seconds in words.
pub(crate) fn length(seconds: i64) -> String {
    match seconds.max(0) {
        0..60 => format!("{} s", seconds.max(0)),
        60..5_400 => format!("{} min", (seconds + 30) / 60),
        5_400..129_600 => format!("{} h", (seconds + 1_800) / 3_600),
        129_600..63_072_000 => format!("{} days", (seconds + 43_200) / 86_400),
        _ => format!("{} years", (seconds + 15_768_000) / 31_536_000),
    }
}

/// This much earlier; the beginning of time if it would be before that.
pub(crate) fn before(now: Timestamp, span: Span) -> Timestamp {
    now.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// The end of the running minute: what is asked until then can be answered again from what was added up.
pub(crate) fn rounded(at: Timestamp, unit: Unit) -> Timestamp {
    at.round(jiff::TimestampRound::new().smallest(unit).mode(jiff::RoundMode::Ceil)).unwrap_or(at)
}

/// As the API takes it.
pub(crate) fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Thirty days earlier.
pub(crate) fn thirty_days_before(now: Timestamp) -> Timestamp {
    before(now, (30 * 24).hours())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn moments_are_shown_in_the_zone_of_whoever_looks_and_told_exactly() {
        let zone = Zone::named(Some("Europe/Vienna"));
        let summer = at("2026-07-01T22:30:05Z");
        assert_eq!(
            zone.minute(summer).to_string(),
            "<time class=\"num\" datetime=\"2026-07-01T22:30:05Z\" title=\"2026-07-01 22:30:05 UTC\">2 Jul 2026, 00:30</time>"
        );
        assert_eq!(zone.described(summer), "Europe/Vienna (UTC+2)");
        assert_eq!(Zone::named(Some("Asia/Kolkata")).described(summer), "Asia/Kolkata (UTC+5:30)");
        assert_eq!(Zone::named(Some("<b>")).name, "UTC");
        assert_eq!(Zone::named(None).described(summer), "UTC");
        assert!(zone.ago(summer).to_string().contains(" data-ago>"));
    }

    #[test]
    fn a_date_is_a_day_where_the_visitor_is() {
        let zone = Zone::named(Some("Europe/Vienna"));
        assert_eq!(zone.day_start("2026-07-01", 0), Some(at("2026-06-30T22:00:00Z")));
        assert_eq!(zone.day_start("2026-12-31", 1), Some(at("2026-12-31T23:00:00Z")));
        assert_eq!(zone.day_start("31.12.2026", 0), None);
    }

    #[test]
    fn how_long_it_is_is_told_in_one_unit() {
        for (seconds, text) in
            [(-5, "0 s"), (4, "4 s"), (300, "5 min"), (68_400, "19 h"), (259_200, "3 days"), (86_400 * 900, "2 years")]
        {
            assert_eq!(length(seconds), text);
        }
    }
}
