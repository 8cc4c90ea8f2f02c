//! What was recorded in an hour, added up: by the hour in which it happened and by everything that it is counted under, in a
//! certain order, so that the same hour is always told in the same parts.

use std::collections::BTreeMap;

use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};

use crate::usage::hours::HOUR_SECS;

/// Rows of one part: some hundred kilobytes as text.
pub(super) const MAX_ROWS: usize = 1_000;

/// What is added up. There are as many rows as combinations of a key, an operation and an answer in the hour: all of them are in
/// memory while it is told, some hundred bytes each.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<(Timestamp, Dimensions), Counts>);

/// A sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The hour in which it happened.
    pub(super) at: Timestamp,
    /// What it is counted under.
    pub(super) of: Dimensions,
    /// How much it is.
    pub(super) counts: Counts,
}

impl Sums {
    /// Adds an event.
    pub(super) fn add(&mut self, event: &UsageEvent) {
        // Usage is the key's, whichever version of it was presented.
        let of = Dimensions { version: 0, ..event.dimensions };
        self.0.entry((event.at.floor_secs(HOUR_SECS), of)).or_default().add(&event.counts);
    }

    /// The sums in parts that are told one after the other; none if there was nothing.
    pub(super) fn parts(self) -> Vec<Vec<Row>> {
        let rows: Vec<Row> = self.0.into_iter().map(|((at, of), counts)| Row { at, of, counts }).collect();
        rows.chunks(MAX_ROWS).map(<[Row]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::code::Code;

    use super::*;

    fn event(secs: i64, key: u32, version: u16, cost: i64) -> UsageEvent {
        let dimensions = Dimensions {
            organization: 1,
            api: 2,
            project: 3,
            key,
            version,
            label: 4,
            code: Code::Allowed,
            status: 200,
        };
        let counts = Counts { calls: 1, latency_us: 10, bytes_in: 1, bytes_out: 2, cost };
        UsageEvent { at: Timestamp::from_secs(secs), dimensions, client: None, facets: None, counts }
    }

    #[test]
    fn what_is_counted_under_the_same_in_the_same_hour_is_one_sum() {
        let mut sums = Sums::default();
        for event in [event(3_600, 1, 1, 5), event(7_199, 1, 2, -7), event(7_200, 1, 1, 1), event(3_599, 2, 1, 1)] {
            sums.add(&event);
        }
        let [part] = &sums.parts()[..] else { panic!("one part") };
        let told: Vec<_> =
            part.iter().map(|row| (row.at.as_secs(), row.of.key, row.counts.calls, row.counts.cost)).collect();
        assert_eq!(told, [(0, 2, 1, 1), (3_600, 1, 2, -2), (7_200, 1, 1, 1)]);
        assert_eq!((part[1].counts.bytes_in, part[1].counts.bytes_out, part[1].counts.latency_us), (2, 4, 20));
    }

    #[test]
    fn parts_are_the_same_in_whatever_order_events_come() {
        let events: Vec<_> = (0..2_500).map(|n| event(i64::from(n % 7) * 3_600, n / 7, 0, 1)).collect();
        let parts = |events: &mut dyn Iterator<Item = &UsageEvent>| {
            let mut sums = Sums::default();
            events.for_each(|event| sums.add(event));
            sums.parts()
        };
        let (one, other) = (parts(&mut events.iter()), parts(&mut events.iter().rev()));
        assert_eq!(one, other);
        assert_eq!(one.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_ROWS, MAX_ROWS, 500]);
        assert_eq!(one.iter().flatten().map(|row| row.counts.calls).sum::<u64>(), 2_500);
        assert!(Sums::default().parts().is_empty(), "of nothing nothing is told");
    }
}
