//! How close together entries came: bars by hour, day or longer, whichever shows something.

use jiff::{Timestamp, Unit};

use crate::ui::chart::Datum;
use crate::ui::time::{Zone, rounded};

/// Most bars.
const MAX_BARS: i64 = 62;
/// What a bar is: seconds, what they are called, and how a bar is labelled.
const STEPS: [(i64, &str, &str); 4] = [
    (3_600, "Entries per hour", "%-d %b, %H:00"),
    (86_400, "Entries per day", "%a %-d %b"),
    (7 * 86_400, "Entries per week", "%-d %b %Y"),
    (30 * 86_400, "Entries per 30 days", "%-d %b %Y"),
];

/// What the bars count, and the bars, from the first of these moments to the last.
pub(super) fn density(moments: &[Timestamp], zone: &Zone) -> (&'static str, Vec<Datum>) {
    let (Some(first), Some(last)) = (moments.iter().min(), moments.iter().max()) else {
        return (STEPS[1].1, Vec::new());
    };
    let length = last.as_second() - first.as_second();
    let step = STEPS.iter().find(|(seconds, _, _)| length / seconds + 2 <= MAX_BARS).unwrap_or(&STEPS[3]);
    let (seconds, called, format) = *step;
    // Days begin where the visitor is; what is longer begins with such a day.
    let round = if seconds == 3_600 { rounded(*first, Unit::Hour) } else { *first };
    let begin = if seconds == 3_600 {
        round.as_second() - if round > *first { 3_600 } else { 0 }
    } else {
        first.as_second() - zone.seconds_of_day(*first)
    };
    let count = (last.as_second() - begin) / seconds + 1;
    let mut counts = vec![0_u64; usize::try_from(count.clamp(1, MAX_BARS)).unwrap_or(1)];
    for at in moments {
        let place = usize::try_from((at.as_second() - begin) / seconds).ok();
        if let Some(bar) = place.and_then(|place| counts.get_mut(place)) {
            *bar += 1;
        }
    }
    let every = counts.len().div_ceil(6);
    let bars = counts.iter().enumerate().map(|(at, value)| {
        let offset = i64::try_from(at).unwrap_or_default() * seconds;
        let label = zone.label(Timestamp::from_second(begin + offset).unwrap_or(*first), format);
        Datum { axis: (at % every == 0).then(|| label.clone()), label, values: vec![*value] }
    });
    (called, bars.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> (&'static str, Vec<(String, u64)>) {
        let moments: Vec<Timestamp> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let (called, bars) = density(&moments, &Zone::named(None));
        (called, bars.into_iter().map(|bar| (bar.label, bar.values[0])).collect())
    }

    #[test]
    fn bars_are_as_long_as_shows_something() {
        let (called, bars) = of(&["2026-11-27T10:59:00Z", "2026-11-27T10:00:00Z", "2026-11-27T12:10:00Z"]);
        assert_eq!(called, "Entries per hour");
        let bars: Vec<_> = bars.iter().map(|(label, count)| (label.as_str(), *count)).collect();
        assert_eq!(bars, [("27 Nov, 10:00", 2), ("27 Nov, 11:00", 0), ("27 Nov, 12:00", 1)]);

        let (called, bars) = of(&["2026-11-01T10:00:00Z", "2026-11-27T23:59:00Z"]);
        assert_eq!((called, bars.len(), bars[0].1, bars[26].1), ("Entries per day", 27, 1, 1));
        assert_eq!((of(&["2026-01-01T00:00:00Z", "2026-11-27T00:00:00Z"])).0, "Entries per week");
        assert_eq!(of(&[]).1, []);
    }
}
