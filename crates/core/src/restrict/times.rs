//! Hours of the week in which a key may be used, by the clock on a wall somewhere.
//!
//! Where clocks are set forward, the hour that is left out is in no window; where they are set back, the hour that comes
//! twice is in a window twice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::zone::Zone;

/// Most windows of one key: the check is a walk over them.
const MAX_WINDOWS: usize = 32;
const MINUTES_OF_A_DAY: u16 = 24 * 60;
const SECONDS_OF_A_DAY: i64 = 86_400;
const DAYS: u8 = 7;

/// Windows of the week in one time zone; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Times {
    zone: Zone,
    windows: Vec<Window>,
}

/// The wire form.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    time_zone: Zone,
    windows: Vec<Window>,
}

/// From a time of these days until one of the same or, if that is no later, of the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WindowParts", into = "WindowParts")]
struct Window {
    days: Days,
    from: u16,
    until: u16,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowParts {
    /// Every day, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    days: Option<Vec<Day>>,
    from: String,
    until: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A bit a day, Monday the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days(u8);

/// The parts are no hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimesError {
    /// There is no window, or more than [`MAX_WINDOWS`].
    Count,
    /// This is no time of a day.
    NotATime(String),
    /// A window without days, or one that ends when it begins.
    Nothing,
}

impl fmt::Display for TimesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "times takes 1 to {MAX_WINDOWS} windows; leave it out for no restriction"),
            Self::NotATime(text) => write!(
                f,
                "`{}` is no time of a day; write it as 08:00, and the end of a day as 24:00",
                text.escape_default()
            ),
            Self::Nothing => f.write_str(
                "a window needs at least one day and may not end when it begins; for whole days write 00:00 until 24:00",
            ),
        }
    }
}

impl std::error::Error for TimesError {}

impl Times {
    /// Whether a call at this moment may pass.
    pub fn admit(&self, at: Timestamp) -> bool {
        let Some(offset) = self.zone.offset_secs(at) else { return false };
        let local = at.as_secs() + offset;
        // 1970 began on a Thursday.
        let day = (local.div_euclid(SECONDS_OF_A_DAY) + 3).rem_euclid(i64::from(DAYS));
        let minute = local.rem_euclid(SECONDS_OF_A_DAY) / 60;
        self.covers(day as u8, minute as u16)
    }

    fn covers(&self, day: u8, minute: u16) -> bool {
        self.windows.iter().any(|window| window.covers(day, minute))
    }

    /// Whether no moment is in these hours that is not in those. Of hours in two time zones that can't be told, so no.
    pub fn is_within(&self, outer: &Self) -> bool {
        let minutes = || (0..DAYS).flat_map(|day| (0..MINUTES_OF_A_DAY).map(move |minute| (day, minute)));
        self.zone == outer.zone && minutes().all(|(day, minute)| !self.covers(day, minute) || outer.covers(day, minute))
    }
}

impl Window {
    fn covers(&self, day: u8, minute: u16) -> bool {
        let begun_today = self.days.contains(day) && minute >= self.from;
        if self.from < self.until {
            begun_today && minute < self.until
        } else {
            begun_today || (self.days.contains((day + DAYS - 1) % DAYS) && minute < self.until)
        }
    }
}

impl Day {
    const ALL: [Self; DAYS as usize] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];
}

impl Days {
    const ALL: Self = Self((1 << DAYS) - 1);

    const fn contains(self, day: u8) -> bool {
        self.0 & (1 << day) != 0
    }
}

/// A time of the day in minutes.
fn minutes(text: &str) -> Result<u16, TimesError> {
    let wrong = || TimesError::NotATime(text.to_owned());
    let number = |digits: &str| {
        let sound = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        u16::from_str(digits).ok().filter(|_| sound).ok_or_else(wrong)
    };
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let all = hours * 60 + minutes;
    if minutes < 60 && all <= MINUTES_OF_A_DAY { Ok(all) } else { Err(wrong()) }
}

impl TryFrom<WindowParts> for Window {
    type Error = TimesError;

    fn try_from(parts: WindowParts) -> Result<Self, TimesError> {
        let (from, until) = (minutes(&parts.from)?, minutes(&parts.until)?);
        let days = match parts.days {
            None => Days::ALL,
            Some(days) => Days(days.iter().fold(0, |bits, day| bits | (1 << *day as u8))),
        };
        if days.0 == 0 || from == until {
            return Err(TimesError::Nothing);
        }
        if from == MINUTES_OF_A_DAY {
            return Err(TimesError::NotATime(parts.from));
        }
        // 00:00 as an end is the end of the day on which the window began.
        Ok(Self { days, from, until: if until == 0 { MINUTES_OF_A_DAY } else { until } })
    }
}

impl From<Window> for WindowParts {
    fn from(window: Window) -> Self {
        let text = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let days = Day::ALL.into_iter().filter(|day| window.days.contains(*day as u8)).collect();
        let days = (window.days != Days::ALL).then_some(days);
        Self { days, from: text(window.from), until: text(window.until) }
    }
}

impl TryFrom<Parts> for Times {
    type Error = TimesError;

    fn try_from(parts: Parts) -> Result<Self, TimesError> {
        if parts.windows.is_empty() || parts.windows.len() > MAX_WINDOWS {
            return Err(TimesError::Count);
        }
        Ok(Self { zone: parts.time_zone, windows: parts.windows })
    }
}

impl From<Times> for Parts {
    fn from(times: Times) -> Self {
        Self { time_zone: times.zone, windows: times.windows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(zone: &str, windows: &[(Option<&[Day]>, &str, &str)]) -> Result<Times, TimesError> {
        let window = |(days, from, until): &(Option<&[Day]>, &str, &str)| {
            let parts =
                WindowParts { days: days.map(<[Day]>::to_vec), from: (*from).to_owned(), until: (*until).to_owned() };
            Window::try_from(parts)
        };
        let windows = windows.iter().map(window).collect::<Result<_, _>>()?;
        Times::try_from(Parts { time_zone: zone.parse().unwrap(), windows })
    }

    #[track_caller]
    fn check(times: &Times, moments: &[(&str, bool)]) {
        for (moment, admitted) in moments {
            assert_eq!(times.admit(moment.parse().unwrap()), *admitted, "{moment} in {times:?}");
        }
    }

    // The second of March 2026 is a Monday.
    #[test]
    fn a_window_is_of_its_days_and_ends_before_its_end() {
        let office = times("UTC", &[(Some(&[Day::Mon, Day::Tue]), "08:00", "18:00")]).unwrap();
        check(
            &office,
            &[
                ("2026-03-02T07:59:59Z", false),
                ("2026-03-02T08:00:00Z", true),
                ("2026-03-02T17:59:59.999Z", true),
                ("2026-03-02T18:00:00Z", false),
                ("2026-03-03T12:00:00Z", true),
                ("2026-03-04T12:00:00Z", false),
                ("2026-03-01T12:00:00Z", false),
            ],
        );
        let always = times("UTC", &[(None, "00:00", "24:00")]).unwrap();
        check(
            &always,
            &[("2026-03-01T00:00:00Z", true), ("2026-03-01T23:59:59Z", true), ("1969-12-31T23:59:59Z", true)],
        );
        let evening = times("UTC", &[(Some(&[Day::Sun]), "20:00", "00:00")]).unwrap();
        check(&evening, &[("2026-03-01T23:59:59Z", true), ("2026-03-02T00:00:00Z", false)]);
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = times("UTC", &[(Some(&[Day::Sun]), "22:00", "06:00")]).unwrap();
        check(
            &night,
            &[
                ("2026-03-01T05:00:00Z", false),
                ("2026-03-01T21:59:59Z", false),
                ("2026-03-01T22:00:00Z", true),
                ("2026-03-02T05:59:59Z", true),
                ("2026-03-02T06:00:00Z", false),
                ("2026-03-02T23:00:00Z", false),
            ],
        );
    }

    #[test]
    fn the_hours_are_those_of_the_wall_in_summer_and_in_winter() {
        let office = times("Europe/Berlin", &[(None, "08:00", "18:00")]).unwrap();
        check(
            &office,
            &[
                ("2026-01-15T07:00:00Z", true),
                ("2026-01-15T06:59:59Z", false),
                ("2026-07-15T06:00:00Z", true),
                ("2026-07-15T16:00:00Z", false),
                // No rule of today's is forgotten in the far future.
                ("2126-07-15T06:00:00Z", true),
                ("2126-07-15T16:00:00Z", false),
            ],
        );
        // On 29 March 2026 Berlin goes from 02:00 to 03:00 at 01:00Z; on 25 October from 03:00 to 02:00 at 01:00Z.
        let gap = times("Europe/Berlin", &[(None, "02:00", "03:00")]).unwrap();
        check(
            &gap,
            &[
                ("2026-03-29T00:59:59Z", false),
                ("2026-03-29T01:00:00Z", false),
                ("2026-10-25T00:00:00Z", true),
                ("2026-10-25T00:59:59Z", true),
                ("2026-10-25T01:00:00Z", true),
                ("2026-10-25T01:59:59Z", true),
                ("2026-10-25T02:00:00Z", false),
            ],
        );
        let day = times("Asia/Kolkata", &[(Some(&[Day::Mon]), "00:00", "24:00")]).unwrap();
        check(
            &day,
            &[("2026-03-01T18:29:59Z", false), ("2026-03-01T18:30:00Z", true), ("2026-03-02T18:30:00Z", false)],
        );
        let west = times("America/New_York", &[(Some(&[Day::Fri]), "16:00", "17:00")]).unwrap();
        check(
            &west,
            &[("2026-03-06T21:30:00Z", true), ("2026-03-13T21:30:00Z", false), ("2026-03-13T20:30:00Z", true)],
        );
    }

    #[test]
    fn hours_are_within_more_hours_of_the_same_zone() {
        let of = |zone, windows: &[(Option<&[Day]>, &str, &str)]| times(zone, windows).unwrap();
        let office = of("Europe/Berlin", &[(None, "08:00", "18:00")]);
        for (own, outer, within) in [
            (of("Europe/Berlin", &[(Some(&[Day::Mon]), "09:00", "17:00")]), &office, true),
            (of("europe/berlin", &[(None, "08:00", "12:00"), (None, "12:00", "18:00")]), &office, true),
            (of("Europe/Berlin", &[(None, "07:59", "12:00")]), &office, false),
            (of("Europe/Paris", &[(None, "09:00", "17:00")]), &office, false),
            (office.clone(), &of("Europe/Berlin", &[(None, "06:00", "13:00"), (None, "13:00", "19:00")]), true),
            (of("UTC", &[(Some(&[Day::Sun]), "22:00", "06:00")]), &of("UTC", &[(None, "00:00", "24:00")]), true),
            (
                of("UTC", &[(Some(&[Day::Sun]), "22:00", "06:00")]),
                &of("UTC", &[(Some(&[Day::Sun]), "00:00", "24:00")]),
                false,
            ),
        ] {
            assert_eq!(own.is_within(outer), within, "{own:?} in {outer:?}");
        }
    }

    #[test]
    fn what_means_no_hours_is_refused_and_the_rest_is_kept_in_one_form() {
        for (window, error) in [
            ((None, "8:00", "18:00"), TimesError::NotATime("8:00".to_owned())),
            ((None, "08:00", "24:01"), TimesError::NotATime("24:01".to_owned())),
            ((None, "08:60", "18:00"), TimesError::NotATime("08:60".to_owned())),
            ((None, "+8:00", "18:00"), TimesError::NotATime("+8:00".to_owned())),
            ((None, "24:00", "18:00"), TimesError::NotATime("24:00".to_owned())),
            ((None, "08:00", "08:00"), TimesError::Nothing),
            ((Some(&[][..]), "08:00", "18:00"), TimesError::Nothing),
        ] {
            assert_eq!(times("UTC", &[window]), Err(error), "{window:?}");
        }
        assert_eq!(times("UTC", &[]), Err(TimesError::Count));
        assert_eq!(times("UTC", &[(None, "08:00", "09:00"); 33]), Err(TimesError::Count));
        for zone in ["", "Europe/Berln", "../etc/passwd", "CEST-1"] {
            let text = format!(r#"{{"time_zone":"{zone}","windows":[{{"from":"08:00","until":"09:00"}}]}}"#);
            let refused = serde_json::from_str::<Times>(&text).unwrap_err().to_string();
            assert!(refused.contains("is no time zone"), "{refused}");
        }
        let kept = Parts::from(times("europe/BERLIN", &[(Some(&Day::ALL), "08:00", "00:00")]).unwrap());
        assert_eq!(kept.time_zone.name(), "Europe/Berlin");
        assert!(kept.windows[0].days == Days::ALL && kept.windows[0].until == MINUTES_OF_A_DAY);
    }
}
