use super::*;
use crate::time::{Ticks, Timestamp};
use proptest::prelude::*;

mod models;

/// The moment at which both clocks show so many nanoseconds, the wall one of them rounded down to microseconds.
fn at(nanos: u64) -> Moment {
    Moment { wall: Timestamp::from_micros((nanos / 1_000).cast_signed()), ticks: Ticks::from_nanos(nanos) }
}

fn rule(algorithm: Algorithm, limit: u32, window: u32, burst: Option<u32>) -> LimitRule {
    LimitRule::new("r", limit, window, algorithm, burst).unwrap()
}

const EACH: [Algorithm; 4] =
    [Algorithm::SlidingWindow, Algorithm::TokenBucket, Algorithm::FixedWindow, Algorithm::Concurrency];

fn any_rule() -> impl Strategy<Value = LimitRule> {
    (1u32..50, 1u32..100, proptest::option::of(1u32..60)).prop_flat_map(|(limit, window, burst)| {
        prop_oneof![
            Just(rule(Algorithm::SlidingWindow, limit, window, None)),
            Just(rule(Algorithm::FixedWindow, limit, window, None)),
            Just(rule(Algorithm::TokenBucket, limit, window, burst)),
        ]
    })
}

proptest! {
    #[test]
    fn a_refused_call_fits_exactly_when_retry_says(
        rule in any_rule(),
        steps in proptest::collection::vec((0u64..20_000_000_000, 1u32..5), 1..200),
    ) {
        let (mut slot, mut now) = (Slot::default(), 1u64 << 40);
        for (wait, cost) in steps {
            now += wait;
            match rule.terms().weigh(slot, cost, at(now)) {
                Weighed::Fits { slot: next, .. } => slot = next,
                Weighed::Over { retry_nanos: Some(retry), .. } => {
                    prop_assert!(retry > 0);
                    let early = rule.terms().weigh(slot, cost, at(now + retry - if rule.algorithm == Algorithm::FixedWindow { 1_000 } else { 1 }));
                    let there = rule.terms().weigh(slot, cost, at(now + retry));
                    prop_assert!(matches!(early, Weighed::Over { .. }), "{retry} ns is too late");
                    let full = rule.terms().peek(slot, at(now)).reset_nanos;
                    prop_assert!(full >= retry, "all is there after {full} ns, one call only after {retry}");
                    let left = rule.terms().peek(slot, at(now + full)).remaining;
                    prop_assert_eq!(left, rule.burst.unwrap_or(rule.limit), "not all is there");
                    prop_assert!(matches!(there, Weighed::Fits { .. }), "{retry} ns is too early");
                }
                Weighed::Over { retry_nanos: None, .. } => {
                    prop_assert!(cost > rule.burst.unwrap_or(rule.limit));
                }
            }
        }
    }

    #[test]
    fn what_remains_is_what_fits(rule in any_rule(), steps in proptest::collection::vec(0u64..5_000_000_000, 1..100)) {
        let (mut slot, mut now) = (Slot::default(), 1u64 << 40);
        for wait in steps {
            now += wait;
            let here = at(now);
            let left = rule.terms().peek(slot, here).remaining;
            let mut probe = slot;
            for _ in 0..left {
                let Weighed::Fits { slot: next, .. } = rule.terms().weigh(probe, 1, here) else {
                    return Err(TestCaseError::fail("said to fit"));
                };
                probe = next;
            }
            let refused = matches!(rule.terms().weigh(probe, 1, here), Weighed::Over { .. });
            prop_assert!(refused);
            if let Weighed::Fits { slot: next, .. } = rule.terms().weigh(slot, 1, here) {
                slot = next;
            }
        }
    }

    /// What is told later has counted as if it had been told at once, whichever way it was wrong.
    #[test]
    fn a_cost_that_turns_out_otherwise_counts_as_if_it_had_been_known(
        rule in any_rule(),
        steps in proptest::collection::vec((0u64..5_000_000_000, 1u32..5, 1u32..5), 1..60),
    ) {
        let terms = rule.terms();
        let (mut told_late, mut told_at_once, mut now) = (Slot::default(), Slot::default(), 1u64 << 40);
        for (wait, thought, real) in steps {
            now += wait;
            let both = thought.max(real);
            // Where either would be refused they are different calls.
            if matches!(terms.weigh(told_at_once, both, at(now)), Weighed::Over { .. }) {
                continue;
            }
            let (Weighed::Fits { slot: late, .. }, Weighed::Fits { slot: once, .. }) =
                (terms.weigh(told_late, thought, at(now)), terms.weigh(told_at_once, real, at(now)))
            else {
                return Err(TestCaseError::fail("it fits"));
            };
            told_late = terms.corrected(late, i64::from(real) - i64::from(thought), at(now));
            told_at_once = once;
            prop_assert_eq!(terms.peek(told_late, at(now)), terms.peek(told_at_once, at(now)));
        }
    }

    #[test]
    fn no_value_overflows(
        limit in 1u32..=MAX_LIMIT, window in 1u32..=MAX_WINDOW_SECS, cost: u32, now: u64, wall: i64, slot: [u64; 2], which in 0..4usize,
    ) {
        let rule = rule(EACH[which], limit, window, None);
        let now = Moment { wall: Timestamp::from_micros(wall), ticks: Ticks::from_nanos(now) };
        let _ = rule.terms().weigh(Slot(slot), cost, now);
        let _ = rule.terms().peek(Slot(slot), now);
        for more in [i64::MIN, -1, 0, 1, i64::MAX] {
            let _ = rule.terms().corrected(Slot(slot), more, now);
        }
    }
}

#[test]
fn in_any_window_at_most_the_limit_and_one_windows_share() {
    // A client that always calls as early as it may gets `limit` per window in the long run, not double.
    let rule = rule(Algorithm::SlidingWindow, 10, 10, None);
    let (mut slot, mut admitted) = (Slot::default(), 0);
    for tick in 0..10_000u64 {
        if let Weighed::Fits { slot: next, .. } = rule.terms().weigh(slot, 1, at((1 << 40) + tick * 10_000_000)) {
            slot = next;
            admitted += 1;
        }
    }
    assert!((100..=110).contains(&admitted), "{admitted} in ten windows of ten");
}

#[test]
fn what_is_no_limit_is_refused() {
    let new = |name, limit, window, burst| LimitRule::new(name, limit, window, Algorithm::SlidingWindow, burst);
    assert_eq!(new("", 1, 1, None), Err(LimitError::Name));
    assert_eq!(new("a b", 1, 1, None), Err(LimitError::Name));
    assert_eq!(new("a", 0, 1, None), Err(LimitError::Limit));
    assert_eq!(new("a", 1, 0, None), Err(LimitError::Window));
    assert_eq!(new("a", 1, 1, Some(1)), Err(LimitError::Burst));
    let twin = new("a", 1, 1, None).unwrap();
    assert_eq!(LimitRule::check_together(&[twin.clone(), twin], Scope::Key), Err(LimitError::Rules));
}

fn read(json: &str) -> Result<LimitRule, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn a_limit_is_read_as_it_is_written_and_what_is_not_said_is_not_written() {
    for json in [
        r#"{"name":"a","limit":1,"window_seconds":60,"algorithm":"sliding_window"}"#,
        r#"{"name":"a","limit":1,"window_seconds":60,"algorithm":"token_bucket","burst":5}"#,
        r#"{"name":"a","limit":1,"window_seconds":86400,"algorithm":"fixed_window","by":["project","tag:region"]}"#,
        r#"{"name":"a","limit":9,"window_seconds":60,"algorithm":"concurrency","by":["end_user"],"overrides":[{"subject":"u-*","limit":0}],"shadow":true}"#,
        r#"{"name":"a","limit":9,"window_seconds":60,"algorithm":"fixed_window","counts":"calls"}"#,
    ] {
        assert_eq!(serde_json::to_string(&read(json).unwrap()).unwrap(), json);
    }
    assert_eq!(read(r#"{"name":"a","limit":9,"algorithm":"concurrency"}"#).unwrap().window_seconds, DEFAULT_LEASE_SECS);
    for (json, says) in [
        (r#"{"name":"a","limit":9}"#, "window_seconds"),
        (r#"{"name":"a","limit":9,"window_seconds":1,"by":["key","key"]}"#, "none of them twice"),
        (r#"{"name":"a","limit":9,"window_seconds":1,"by":["keys"]}"#, "`by` takes key, project"),
        (r#"{"name":"a","limit":9,"window_seconds":1,"by":["tag:A"]}"#, "`by` takes key, project"),
        (
            r#"{"name":"a","limit":9,"window_seconds":1,"by":["key"],"overrides":[{"subject":"","limit":1}]}"#,
            "override",
        ),
        (r#"{"name":"a","limit":9,"window_seconds":1,"by":["key"],"overrides":[{"subject":"a","limit":-1}]}"#, "u32"),
        (r#"{"name":"a","limit":9,"window_seconds":1,"else":1}"#, "unknown field"),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.contains(says), "{json}: {error}");
    }
}

#[test]
fn a_limit_stands_where_what_it_is_counted_by_is_known() {
    let by = |text: &str| {
        vec![LimitRule::new("a", 1, 1, Algorithm::FixedWindow, None).unwrap().by(vec![text.parse().unwrap()]).unwrap()]
    };
    for (dimension, in_key) in [
        ("key", false),
        ("project", false),
        ("organization", false),
        ("end_user", true),
        ("operation", true),
        ("client_address", true),
        ("tag:region", true),
    ] {
        assert_eq!(LimitRule::check_together(&by(dimension), Scope::Key).is_ok(), in_key, "{dimension}");
        assert_eq!(LimitRule::check_together(&by(dimension), Scope::Api), Ok(()), "{dimension}");
        let anonymous = LimitRule::check_together(&by(dimension), Scope::Anonymous);
        assert_eq!(anonymous, Err(LimitError::Dimension(Scope::Anonymous)), "{dimension}");
    }
    let with = |by: &str, scope| {
        let text = format!(
            r#"{{"name":"a","limit":9,"window_seconds":1,"by":{by},"overrides":[{{"subject":"1*","limit":1}}]}}"#
        );
        LimitRule::check_together(&[read(&text).unwrap()], scope)
    };
    assert_eq!(with(r#"["project"]"#, Scope::Api), Ok(()));
    assert_eq!(with("[]", Scope::Anonymous), Ok(()), "by address, as they are counted");
    for by in ["[]", r#"["operation"]"#, r#"["project","end_user"]"#] {
        assert_eq!(with(by, Scope::Api), Err(LimitError::Overrides), "{by}");
    }
}

#[test]
fn the_first_override_that_names_a_subject_is_its_limit() {
    let json = r#"{"name":"a","limit":9,"window_seconds":60,"algorithm":"token_bucket","burst":5,"by":["end_user"],
        "overrides":[{"subject":"banned","limit":0},{"subject":"big-*","limit":100},{"subject":"big-one","limit":1},{"subject":"small","limit":3}]}"#;
    let rule = read(json).unwrap();
    let limit = |end_user| {
        let facts = crate::facts::Facts { end_user, ..crate::facts::Facts::at(at(1)) };
        Subject { key: None, facts: &facts }.limit_of(&rule, Scope::Api)
    };
    assert_eq!([None, Some("a"), Some("banned"), Some("big-one"), Some("small")].map(limit), [9, 9, 0, 100, 3]);
    let remaining = |limit| rule.terms_of(limit).peek(Slot::default(), at(1)).remaining;
    assert_eq!([9, 100, 3, 0].map(remaining), [5, 5, 3, 0], "a smaller limit has no larger burst");
    let banned = rule.terms_of(0).weigh(Slot::default(), 1, at(1));
    assert!(matches!(banned, Weighed::Over { retry_nanos: None, .. }), "and to wait does not help: {banned:?}");
}

#[test]
fn windows_of_weeks_begin_on_monday_and_those_of_days_at_midnight() {
    let ends_in = |window: u32, moment: &str| {
        let wall: Timestamp = moment.parse().unwrap();
        let rule = rule(Algorithm::FixedWindow, 1, window, None);
        let now = Moment { wall, ticks: Ticks::from_nanos(1) };
        let Weighed::Fits { reading, .. } = rule.terms().weigh(Slot::default(), 1, now) else { panic!("it is empty") };
        reading.reset_nanos / 1_000_000_000
    };
    // A Friday.
    assert_eq!(ends_in(604_800, "2026-11-27T00:00:00Z"), 3 * 86_400);
    assert_eq!(ends_in(86_400, "2026-11-27T23:59:00Z"), 60);
    assert_eq!(ends_in(3_600, "2026-11-27T23:59:59Z"), 1);
}

#[test]
fn a_wall_clock_that_is_set_back_a_little_gives_no_window_anew() {
    let terms = rule(Algorithm::FixedWindow, 1, 60, None).terms();
    let moment = |secs| Moment { wall: Timestamp::from_secs(secs), ticks: Ticks::from_nanos(1) };
    let Weighed::Fits { slot, .. } = terms.weigh(Slot::default(), 1, moment(6_000)) else { panic!("it is empty") };
    for (secs, fits) in [(5_999, false), (6_059, false), (6_060, true), (5_940, false), (5_939, true)] {
        assert_eq!(matches!(terms.weigh(slot, 1, moment(secs)), Weighed::Fits { .. }), fits, "{secs}");
    }
}

#[test]
fn an_override_that_can_mean_nobody_is_refused() {
    let project = crate::id::ProjectId::from_entropy([7; 16]).to_string();
    for (by, subject, sound) in [
        ("project", &*project, true),
        ("project", "prj_*", true),
        ("project", "Weather app", false),
        ("organization", &*project, false),
        ("key", "server-1", false),
        ("client_address", "192.0.2.0/24", true),
        ("client_address", "192.0.2.0/33", false),
        ("client_address", "192.0.2.*", true),
        ("end_user", "Weather app", true),
        ("tag:a", "x", true),
    ] {
        let rule = LimitRule::new("a", 9, 60, Algorithm::SlidingWindow, None).unwrap();
        let rule = rule.by(vec![by.parse().unwrap()]).unwrap();
        let rule = LimitRule { overrides: vec![Override::new(subject, 1).unwrap()], ..rule };
        let expected = if sound { Ok(()) } else { Err(LimitError::Subject) };
        assert_eq!(LimitRule::check_together(&[rule], Scope::Api), expected, "{by} {subject}");
    }
}

#[test]
fn a_bucket_that_never_fills_is_refused() {
    let bucket =
        |limit, window, burst| LimitRule::new("b", limit, window, Algorithm::TokenBucket, Some(burst)).map(|_| ());
    assert_eq!(bucket(1, MAX_WINDOW_SECS, 1_000_000), Err(LimitError::Bucket));
    assert_eq!((bucket(1, 86_400, 30_000), bucket(1, 86_400, 40_000)), (Ok(()), Err(LimitError::Bucket)));
}
