//! When in the last thirty days calls came: a heat map of days and hours, where the visitor is.

use jiff::Timestamp;

use super::table::Page;
use crate::api::Asked;
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::heat::Heat;
use crate::ui::html::Html;
use crate::ui::time::{Zone, iso, thirty_days_before};

const HOUR_SECS: i64 = 3_600;

/// The heat map of calls with these filters.
pub(super) async fn month(visit: &Visit, of: &[(&str, &str)]) -> Asked<Html> {
    let from = hour(thirty_days_before(visit.now));
    let start = iso(from);
    let mut pairs = vec![("from", start.as_str()), ("bucket", "hour"), ("limit", "10000")];
    pairs.extend_from_slice(of);
    let usage: Page = visit.get(&format!("/v1/usage?{}", query(&pairs))).await?;
    let calls = usage.items.iter().filter_map(|row| Some((row.item.start?, row.item.calls)));
    Ok(Html::of(&Heat::new("Requests per hour", days(from, visit.now, calls, &visit.zone))))
}

fn hour(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(HOUR_SECS) * HOUR_SECS).unwrap_or(at)
}

/// Every day from a moment until another, with its hours. An hour that a day has twice is one with the calls of both.
fn days(
    from: Timestamp,
    until: Timestamp,
    calls: impl Iterator<Item = (Timestamp, u64)>,
    zone: &Zone,
) -> Vec<(String, [u64; 24])> {
    let mut days: Vec<(String, [u64; 24])> = Vec::new();
    let mut dates: Vec<String> = Vec::new();
    for second in (from.as_second()..=until.as_second()).step_by(HOUR_SECS as usize) {
        let Ok(at) = Timestamp::from_second(second) else { continue };
        let date = zone.label(at, "%Y-%m-%d");
        if dates.last() != Some(&date) {
            dates.push(date);
            days.push((zone.label(at, "%a %-d %b"), [0; 24]));
        }
    }
    for (start, calls) in calls {
        let date = zone.label(start, "%Y-%m-%d");
        let hour: usize = zone.label(start, "%H").parse().unwrap_or_default();
        let day = dates.iter().position(|other| *other == date).and_then(|at| days.get_mut(at));
        if let Some(cell) = day.and_then(|(_, hours)| hours.get_mut(hour)) {
            *cell += calls;
        }
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_those_of_the_visitor_and_one_that_comes_twice_is_one() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let zone = Zone::named(Some("Europe/Vienna"));
        // Clocks go back on the 25th at 3:00.
        let calls = [("2026-10-24T22:00:00Z", 1), ("2026-10-25T00:00:00Z", 10), ("2026-10-25T01:00:00Z", 100)];
        let calls = calls.map(|(text, calls)| (at(text), calls)).into_iter();
        let days = days(at("2026-10-24T12:00:00Z"), at("2026-10-25T23:30:00Z"), calls, &zone);
        let labels: Vec<&str> = days.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["Sat 24 Oct", "Sun 25 Oct", "Mon 26 Oct"]);
        assert_eq!((days[1].1[0], days[1].1[2], days[1].1.iter().sum::<u64>()), (1, 110, 111));
    }
}
