//! What holds for plans.

use proptest::prelude::*;

use super::*;
use crate::limit::Counted;

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn span(period: Period, now: &str, zone: &str, anchor: &str) -> (String, String) {
    let span = period.at(moment(now), &zone.parse().unwrap(), moment(anchor));
    (span.start.to_string(), span.end.to_string())
}

#[test]
fn a_period_begins_and_ends_by_the_clock_of_its_zone() {
    const ANCHOR: &str = "2026-01-31T15:00:00Z";
    for (period, now, zone, start, end) in [
        (Period::Day, "2026-11-27T12:00:00Z", "UTC", "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z"),
        (Period::Day, "2026-11-27T23:30:00Z", "Europe/Vienna", "2026-11-27T23:00:00Z", "2026-11-28T23:00:00Z"),
        // A day of 23 hours, and one of 25.
        (Period::Day, "2026-03-29T05:00:00Z", "Europe/Vienna", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        (Period::Day, "2026-10-25T05:00:00Z", "Europe/Vienna", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        // Clocks go forward at midnight: the day begins at one o'clock.
        (Period::Day, "2026-03-08T12:00:00Z", "America/Havana", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        (Period::Week, "2026-11-29T23:59:59Z", "UTC", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        (Period::Week, "2026-11-30T00:00:00Z", "UTC", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"),
        (Period::Month, "2028-02-29T12:00:00Z", "UTC", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        (Period::Month, "2026-12-31T23:30:00Z", "Asia/Tokyo", "2026-12-31T15:00:00Z", "2027-01-31T15:00:00Z"),
        (Period::BillingPeriod, "2026-02-27T12:00:00Z", "UTC", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
        (Period::BillingPeriod, "2026-02-28T12:00:00Z", "UTC", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"),
        (Period::BillingPeriod, "2026-03-30T12:00:00Z", "UTC", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"),
        (Period::BillingPeriod, "2026-03-31T00:00:00Z", "UTC", "2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z"),
        // Before the anchor, if a clock was set back.
        (Period::BillingPeriod, "2026-01-01T00:00:00Z", "UTC", "2025-12-31T00:00:00Z", "2026-01-31T00:00:00Z"),
    ] {
        assert_eq!(span(period, now, zone, ANCHOR), (start.to_owned(), end.to_owned()), "{period:?} {now} {zone}");
    }
}

proptest! {
    // Every moment is in exactly one period, and one follows the other without a gap.
    #[test]
    fn periods_follow_one_another_without_a_gap(
        secs in 0_i64..4_102_444_800,
        anchor in 0_i64..4_102_444_800,
        period in prop::sample::select(Period::ALL.to_vec()),
        zone in prop::sample::select(vec!["UTC", "Europe/Vienna", "America/Havana", "Pacific/Apia", "Asia/Kathmandu"]),
    ) {
        let (zone, anchor): (Zone, _) = (zone.parse().unwrap(), Timestamp::from_secs(anchor));
        let now = Timestamp::from_secs(secs);
        let this = period.at(now, &zone, anchor);
        prop_assert!(this.holds(now), "{this:?}");
        prop_assert_eq!(period.at(this.start, &zone, anchor), this);
        let next = period.at(this.end, &zone, anchor);
        prop_assert_eq!(next.start, this.end);
        let last = period.at(Timestamp::from_micros(this.start.as_micros() - 1), &zone, anchor);
        prop_assert_eq!(last.end, this.start);
    }

    // Nodes that take ahead of use, in whatever order and sizes, and lose what they took in a crash, never use more than there is.
    #[test]
    fn l01_what_is_taken_ahead_of_use_is_never_overspent(
        limit in 1_u64..200,
        steps in prop::collection::vec((0_usize..3, 0_u8..10, 1_u64..30), 1..200),
    ) {
        let span = Span { start: Timestamp::from_secs(0), end: Timestamp::from_secs(60) };
        let mut kept = 0_u64;
        let mut nodes = [Balance::new(span, 0); 3];
        let mut used = 0;
        for (node, what, amount) in steps {
            let balance = &mut nodes[node];
            match what {
                0 => *balance = Balance::new(span, kept),
                1..=3 => {
                    let more = amount.min(limit - kept);
                    kept += more;
                    balance.granted += more;
                    balance.others = kept - balance.granted;
                }
                _ => match balance.draw(amount, limit) {
                    Drawing::Fits => {
                        balance.used += amount;
                        used += amount;
                    }
                    Drawing::Short => {}
                    Drawing::Exhausted => prop_assert!(balance.total() + amount > limit),
                },
            }
            prop_assert!(used <= limit && used <= kept && kept <= limit);
        }
    }
}

#[test]
fn a_quota_tells_of_the_largest_share_that_is_reached() {
    let quota = Quota::new("month", 1_000, Period::Month).unwrap().warning_at(vec![100, 50, 80]).unwrap();
    for (before, after, told) in [
        (0, 499, None),
        (499, 500, Some(50)),
        (500, 799, None),
        (0, 800, Some(80)),
        (799, 1_000, Some(100)),
        (1_000, 1_500, None),
        (0, 0, None),
    ] {
        assert_eq!(quota.reached(before, after), told, "{before} to {after}");
    }
    let small = Quota::new("day", 1, Period::Day).unwrap();
    assert_eq!(small.reached(0, 1), Some(100));
    assert!(small.clone().warning_at(vec![]).unwrap().reached(0, 1).is_none());
    for shares in [vec![0], vec![101], vec![5, 5], vec![1, 2, 3, 4, 5, 6]] {
        assert_eq!(small.clone().warning_at(shares), Err(QuotaError::Warnings));
    }
}

#[test]
fn the_terms_of_a_plan_are_read_as_they_are_written() {
    let text = r#"{"rate_limits":[{"name":"burst","limit":60,"window_seconds":60,"algorithm":"sliding_window","by":["end_user"]}],"quotas":[{"name":"month","limit":10000,"period":"month","counts":"calls","on_exhausted":"allow","on_outage":"refuse","warn_at":[80,100]}],"time_zone":"Europe/Vienna","operation_costs":[{"operation":"POST /images/{id}","cost":10}]}"#;
    let terms: PlanTerms = serde_json::from_str(text).unwrap();
    assert_eq!(terms.quotas[0].counts, Counted::Calls);
    assert_eq!(serde_json::to_string(&terms).unwrap(), text);
    assert_eq!(serde_json::from_str::<PlanTerms>("{}").unwrap(), PlanTerms::default());
    let zone: PlanTerms = serde_json::from_str(r#"{"time_zone":"europe/vienna"}"#).unwrap();
    assert_eq!(zone.time_zone.name(), "Europe/Vienna");
}

#[test]
fn terms_that_make_no_sense_are_refused_with_the_reason() {
    for (text, because) in [
        (r#"{"quotas":[{"name":"m","limit":0,"period":"month"}]}"#, "a quota is 1 to"),
        (r#"{"quotas":[{"name":"m","limit":1,"period":"year"}]}"#, "unknown variant `year`"),
        (r#"{"quotas":[{"name":"a b","limit":1,"period":"day"}]}"#, "a limit's name is"),
        (
            r#"{"quotas":[{"name":"m","limit":1,"period":"day"},{"name":"m","limit":2,"period":"week"}]}"#,
            "a name of its own",
        ),
        (r#"{"time_zone":"Vienna"}"#, "`Vienna` is no time zone"),
        (r#"{"cost":1}"#, "unknown field `cost`"),
        (
            r#"{"rate_limits":[{"name":"m","limit":1,"window_seconds":1,"by":["project"]}]}"#,
            "a limit of a plan is counted by",
        ),
    ] {
        let refused = serde_json::from_str::<PlanTerms>(text).unwrap_err().to_string();
        assert!(refused.contains(because), "{text}: {refused}");
    }
}

#[test]
fn the_version_in_force_is_the_last_that_has_begun() {
    let versions = [(1, 10), (2, 20), (3, 20), (4, 30)];
    let at = |now| in_force(&versions, |one| Timestamp::from_secs(one.1), Timestamp::from_secs(now)).map(|one| one.0);
    assert_eq!([at(9), at(10), at(19), at(20), at(29), at(99)], [None, Some(1), Some(1), Some(3), Some(3), Some(4)]);
}

#[test]
fn a_plans_name_is_what_people_say() {
    assert_eq!(" Growth 2027 ".parse::<PlanName>().unwrap().as_str(), "Growth 2027");
    for text in ["", "  ", "a\nb", "a\u{202e}b", "pln_free", &"x".repeat(65)] {
        assert!(text.parse::<PlanName>().is_err(), "{text:?}");
    }
}
