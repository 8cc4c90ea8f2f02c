//! Calls over time, as every page shows them: how many were let through, limited and refused, now and in the time before.

use askama::Template;
use jiff::{Timestamp, ToSpan, Unit};

use super::model::{Outcome, Usage};
use super::visit::Visit;
use crate::api::Asked;
use crate::ui::chart::{Bars, Datum};
use crate::ui::form::query;
use crate::ui::html::Html;
use crate::ui::number::{change, percent, short};
use crate::ui::time::{Zone, iso, rounded};

/// Over which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Range {
    /// 24 hours, by the hour.
    Day,
    /// Seven days, by three hours.
    #[default]
    Week,
    /// Thirty days, by the day.
    Month,
}

/// What of it is a column.
struct Columns {
    from: Timestamp,
    count: i64,
    seconds: i64,
}

impl Range {
    const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// As the address says it.
    pub(crate) fn read(text: &str) -> Self {
        Self::ALL.into_iter().find(|range| range.word() == text).unwrap_or_default()
    }

    /// Its word in addresses.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// What it is called.
    pub(crate) fn called(self) -> &'static str {
        match self {
            Self::Day => "last 24 hours",
            Self::Week => "last 7 days",
            Self::Month => "last 30 days",
        }
    }

    fn columns(self, now: Timestamp, zone: &Zone) -> Columns {
        let (count, hours, unit) = match self {
            Self::Day => (24, 1, Unit::Hour),
            Self::Week => (56, 3, Unit::Hour),
            Self::Month => (30, 24, Unit::Day),
        };
        let mut end = if unit == Unit::Day { day_end(now) } else { rounded(now, Unit::Hour) };
        if hours == 3 {
            // Columns begin at 0, 3, 6 o'clock where the visitor is.
            let past = (zone.seconds_of_day(end) / 3_600) % 3;
            end = end.checked_add(((3 - past) % 3).hours()).unwrap_or(end);
        }
        let seconds = hours * 3_600;
        let from = end.checked_sub((count * seconds).seconds()).unwrap_or(end);
        Columns { from, count, seconds }
    }

    /// What a column is, in words.
    fn step(self, zone: &Zone) -> String {
        match self {
            Self::Day => format!("1-hour buckets, {}", zone.name),
            Self::Week => format!("3-hour buckets, {}", zone.name),
            // Days are those that the server adds up.
            Self::Month => "1-day buckets, UTC".to_owned(),
        }
    }
}

fn day_end(now: Timestamp) -> Timestamp {
    let seconds = now.as_second().div_euclid(86_400) * 86_400 + 86_400;
    Timestamp::from_second(seconds).unwrap_or(now)
}

/// A figure of the strip above a chart.
pub(crate) struct Stat {
    /// What it is.
    pub(crate) name: &'static str,
    /// The colour of its series; 0 for none.
    pub(crate) series: usize,
    /// The figure.
    pub(crate) value: String,
    /// What is said beside it.
    pub(crate) aside: String,
    /// Whether that is good (`up`), bad (`down`) or neither.
    pub(crate) tone: &'static str,
}

/// The card with figures and chart.
#[derive(Template)]
#[template(path = "console/traffic.html")]
pub(crate) struct Traffic {
    /// The figures.
    pub(crate) stats: Vec<Stat>,
    called: &'static str,
    step: String,
    ranges: Vec<(&'static str, String, bool)>,
    chart: Html,
    /// Whether there was any call.
    pub(crate) is_empty: bool,
}

/// Reads calls over a range. `of` says whose: pairs of the API's query.
pub(crate) async fn traffic(visit: &Visit, range: Range, of: &[(&str, &str)]) -> Asked<Traffic> {
    let columns = range.columns(visit.now, &visit.zone);
    let bucket = if range == Range::Month { "day" } else { "hour" };
    let from = iso(columns.from);
    let until = iso(columns.from.checked_add((columns.count * columns.seconds).seconds()).unwrap_or(columns.from));
    let path = |pairs: &[(&str, &str)]| {
        let mut all = vec![("from", from.as_str()), ("until", until.as_str()), ("group_by", "code")];
        all.extend_from_slice(of);
        all.extend_from_slice(pairs);
        format!("/v1/usage?{}", query(&all))
    };
    let over_time: Usage = visit.get(&path(&[("bucket", bucket), ("limit", "10000")])).await?;
    let before: Usage = visit.get(&path(&[("compare", "previous")])).await?;
    let mut values = vec![[0_u64; 3]; usize::try_from(columns.count).unwrap_or_default()];
    let mut sums = [0_u64; 3];
    for item in &over_time.items {
        let Some(start) = item.start else { continue };
        let outcome = Outcome::of(item.code.as_deref().unwrap_or_default()) as usize;
        let at = (start.as_second() - columns.from.as_second()).div_euclid(columns.seconds);
        if let Some(column) = usize::try_from(at).ok().and_then(|at| values.get_mut(at)) {
            column[outcome] += item.calls;
            sums[outcome] += item.calls;
        }
    }
    let mut earlier = [0_u64; 3];
    for item in &before.items {
        let calls = item.before.as_ref().map_or(0, |before| before.calls);
        earlier[Outcome::of(item.code.as_deref().unwrap_or_default()) as usize] += calls;
    }
    Ok(Traffic {
        stats: stats(sums, earlier),
        called: range.called(),
        step: range.step(&visit.zone),
        ranges: ranges(visit, range),
        chart: Html::of(&Bars::new(about(range), &Outcome::NAMES, data(&columns, &values, range, &visit.zone))),
        is_empty: sums == [0; 3],
    })
}

fn about(range: Range) -> &'static str {
    match range {
        Range::Day => "Requests per hour",
        Range::Week => "Requests per 3 hours",
        Range::Month => "Requests per day",
    }
}

fn stats(sums: [u64; 3], earlier: [u64; 3]) -> Vec<Stat> {
    let all: u64 = sums.iter().sum();
    let said = |at: usize| {
        let changed = change(sums[at], earlier[at]).unwrap_or_default();
        let grew = sums[at] > earlier[at];
        // More refusals are worse news than more calls.
        let tone = match (at, changed.is_empty()) {
            (_, true) => "",
            (0, _) => "",
            (_, _) if grew => "down",
            _ => "up",
        };
        (changed, tone)
    };
    let names = Outcome::NAMES.into_iter().enumerate();
    names
        .map(|(at, name)| {
            let (changed, tone) = said(at);
            let aside = if at == 1 { percent(sums[1], all) } else { changed };
            Stat { name, series: at + 1, value: short(sums[at]), aside, tone: if at == 1 { "" } else { tone } }
        })
        .collect()
}

fn ranges(visit: &Visit, chosen: Range) -> Vec<(&'static str, String, bool)> {
    let rest = visit.query.query_without(&["range", "cursor"]);
    let link = |range: Range| {
        let query = if rest.is_empty() {
            format!("?range={}", range.word())
        } else {
            format!("?{rest}&range={}", range.word())
        };
        (range.word(), query, range == chosen)
    };
    Range::ALL.into_iter().map(link).collect()
}

fn data(columns: &Columns, values: &[[u64; 3]], range: Range, zone: &Zone) -> Vec<Datum> {
    let utc = Zone::named(None);
    let zone = if range == Range::Month { &utc } else { zone };
    let every = if range == Range::Month { 5 } else { 1 };
    let mut last_day = String::new();
    let mut data = Vec::with_capacity(values.len());
    for (at, values) in values.iter().enumerate() {
        let begins = at_second(columns, at);
        let day = zone.label(begins, if range == Range::Day { "%H:00" } else { "%a %-d" });
        let axis = match range {
            Range::Day => (at % 4 == 0).then(|| day.clone()),
            Range::Week | Range::Month => (day != last_day && at % every == 0).then(|| day.clone()),
        };
        last_day = day;
        let label = match range {
            Range::Month => zone.label(begins, "%a %-d %b"),
            Range::Day | Range::Week => {
                format!(
                    "{}–{}",
                    zone.label(begins, "%a %-d %b, %H:%M"),
                    zone.label(at_second(columns, at + 1), "%H:%M")
                )
            }
        };
        data.push(Datum { label, axis, values: values.to_vec() });
    }
    data
}

fn at_second(columns: &Columns, at: usize) -> Timestamp {
    let seconds = columns.from.as_second() + columns.seconds * i64::try_from(at).unwrap_or_default();
    Timestamp::from_second(seconds).unwrap_or(columns.from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_end_with_the_one_that_is_running_and_begin_at_round_hours_of_the_visitor() {
        let now: Timestamp = "2026-11-27T23:10:00Z".parse().unwrap();
        let vienna = Zone::named(Some("Europe/Vienna"));
        let week = Range::Week.columns(now, &vienna);
        assert_eq!(iso(week.from), "2026-11-21T02:00:00Z", "0:10 in Vienna: the column from 0 to 3 is running");
        assert_eq!(iso(Range::Day.columns(now, &vienna).from), "2026-11-27T00:00:00Z");
        assert_eq!(iso(Range::Month.columns(now, &vienna).from), "2026-10-29T00:00:00Z");
    }

    #[test]
    fn more_refusals_are_bad_news_and_more_calls_are_none() {
        let told = stats([200, 5, 30], [100, 1, 10]);
        assert_eq!((told[0].aside.as_str(), told[0].tone), ("+100%", ""));
        assert_eq!((told[1].aside.as_str(), told[1].tone), ("2.1%", ""));
        assert_eq!((told[2].aside.as_str(), told[2].tone), ("+200%", "down"));
    }
}
