//! Which time a statement is about. A project's time at an API is cut where it got another plan, where its plan began to say
//! something else, and where periods end: each part is billed by what was in force in it, with the share of the fee and of the
//! included units that it is of its period. So every minute is on one statement, whatever changes.

use super::period::{Period, Span};
use crate::time::Timestamp;
use crate::zone::Zone;

const MINUTE_SECS: i64 = 60;
/// For so long after its end a statement waits for what was used in its time: calls that take long, nodes that were cut off.
const OPEN_SECS: i64 = 3_600;

/// Whether what was used at a moment and recorded at another may come too late for the statement of its time. That statement stays
/// as it is; a later one adds what it lacks ([`Price::more`](super::Price::more)).
pub fn may_be_late(at: Timestamp, recorded_at: Timestamp) -> bool {
    let waited = recorded_at.floor_secs(MINUTE_SECS).as_secs().saturating_sub(at.floor_secs(MINUTE_SECS).as_secs());
    waited > OPEN_SECS
}

/// A part of a period in which one thing was in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The part, in whole minutes: usage is kept by the minute.
    pub span: Span,
    /// The period that it is of.
    pub period: Span,
}

impl Part {
    /// The part that holds `at`, of what was in force `from` a moment `until` another one; `None` if that was not in force
    /// then. What begins within a minute is in force for all of it.
    pub fn of(
        at: Timestamp,
        (from, until): (Timestamp, Option<Timestamp>),
        (period, zone, anchor): (Period, &Zone, Timestamp),
    ) -> Option<Self> {
        let at = at.floor_secs(MINUTE_SECS);
        let (from, until) = (from.floor_secs(MINUTE_SECS), until.map(|until| until.floor_secs(MINUTE_SECS)));
        let period = period.at(at, zone, anchor);
        let end = until.map_or(period.end, |until| until.min(period.end));
        let span = Span { start: from.max(period.start), end };
        span.holds(at).then_some(Self { span, period })
    }

    /// When its statement closes: what is recorded from then on is an adjustment of a later one.
    pub fn closes_at(&self) -> Timestamp {
        self.span.end.plus_secs(OPEN_SECS)
    }

    /// Its minutes, and those of the period.
    pub fn minutes(&self) -> (u64, u64) {
        let minutes = |span: Span| {
            let secs = span.end.as_secs().saturating_sub(span.start.as_secs());
            u64::try_from(secs / MINUTE_SECS).unwrap_or(0)
        };
        (minutes(self.span), minutes(self.period).max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_790_000_000 + secs)
    }

    proptest! {
        // Whatever changes when, every minute of a year is on exactly one statement, and the parts of a period make up all of it.
        #[test]
        fn every_minute_is_on_one_statement(
            mut cuts in prop::collection::vec(0_i64..31_536_000, 1..12),
            at in 0_i64..31_536_000,
            zone in prop::sample::select(vec!["UTC", "Europe/Vienna", "Asia/Kathmandu"]),
            period in prop::sample::select(vec![Period::Month, Period::BillingPeriod]),
        ) {
            cuts.sort_unstable();
            let (zone, anchor) = (zone.parse::<Zone>().unwrap(), moment(cuts[0]));
            let pieces: Vec<_> = cuts
                .iter()
                .enumerate()
                .map(|(n, from)| (moment(*from), cuts.get(n + 1).map(|until| moment(*until))))
                .collect();
            let parts = |at: Timestamp| -> Vec<Part> {
                pieces.iter().filter_map(|piece| Part::of(at, *piece, (period, &zone, anchor))).collect()
            };
            let at = moment(at);
            let found = parts(at);
            let begun = at.floor_secs(60) >= moment(cuts[0]).floor_secs(60);
            prop_assert_eq!(found.len(), usize::from(begun), "{:?}", found);
            let Some(part) = found.first() else { return Ok(()) };
            prop_assert!(part.span.holds(at.floor_secs(60)));
            // The next part begins where this one ends.
            let next = parts(part.span.end);
            prop_assert_eq!(next[0].span.start, part.span.end);
            let (own, whole) = part.minutes();
            prop_assert!(own > 0 && own <= whole);
        }
    }
}
