//! Simulations against a slow model that remembers every call and begins anew with each, and what is promised of them.

use proptest::prelude::*;

use super::super::{Currency, Exhausted, Period, Span};
use super::*;

const OPERATIONS: Known = Known { key: false, address: true, operation: true };

fn terms(json: &str) -> PlanTerms {
    serde_json::from_str(json).unwrap()
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn call(at: &str, who: &'static str) -> Call<'static> {
    Call { at: moment(at), who, cost: 1, key: None, address: None, operation: None }
}

/// What becomes of calls of one at these moments of a day.
fn outcomes(json: &str, times: &[&str]) -> String {
    let mut simulation = Simulation::new(terms(json), Known::default()).unwrap();
    let times = times.iter().map(|time| format!("2026-11-27T{time}Z"));
    times
        .map(|at| match simulation.call(&call(&at, "a")) {
            Outcome::LetThrough => '.',
            Outcome::Limited => 'l',
            Outcome::Exhausted => 'q',
        })
        .collect()
}

/// A call, and what became of it.
#[derive(Debug, Clone)]
struct Made {
    at: i64,
    who: &'static str,
    cost: u64,
    operation: u32,
    outcome: Outcome,
    /// At which limits it was counted.
    counted: Vec<bool>,
}

/// What of a call is counted.
fn counted(counts: Counted, cost: u64) -> u64 {
    if counts == Counted::Calls { cost.min(1) } else { cost }
}

/// Whether a call fits at a limit, told by all that were counted there, in fractions that nobody rounds. Times are in seconds.
fn fits(rule: &LimitRule, before: &[&Made], now: i64, cost: u64) -> bool {
    let (limit, window) = (i128::from(rule.limit), i128::from(rule.window_seconds));
    let (now, cost) = (i128::from(now), i128::from(counted(rule.counts, cost)));
    let costs = |made: &Made| i128::from(counted(rule.counts, made.cost));
    let in_window = |number: i128| -> i128 {
        before.iter().filter(|made| i128::from(made.at) / window == number).map(|made| costs(made)).sum()
    };
    match rule.algorithm {
        Algorithm::FixedWindow => in_window(now / window) + cost <= limit || cost == 0,
        Algorithm::SlidingWindow => {
            let last = in_window(now / window - 1) * (window - now % window);
            (in_window(now / window) + cost) * window + last <= limit * window || cost == 0
        }
        Algorithm::TokenBucket => {
            let full = i128::from(rule.burst.unwrap_or(rule.limit)) * window;
            let (mut level, mut last) = (full, None::<i128>);
            for made in before {
                let at = i128::from(made.at);
                level = (level + (at - last.unwrap_or(at)) * limit).min(full) - costs(made) * window;
                last = Some(at);
            }
            (level + (now - last.unwrap_or(now)) * limit).min(full) >= cost * window || cost == 0
        }
        Algorithm::Concurrency => unreachable!("it is left out"),
    }
}

/// What becomes of a call, told by all before.
fn outcome(
    terms: &PlanTerms,
    log: &[Made],
    (now, who, cost, operation): (i64, &str, u64, u32),
) -> (Outcome, Vec<bool>) {
    let own: Vec<&Made> = log.iter().filter(|made| made.who == who).collect();
    let since = Timestamp::from_secs(own.first().map_or(now, |made| made.at));
    let hard = |quota: &&Quota| quota.on_exhausted == Exhausted::Refuse;
    for quota in terms.quotas.iter().filter(hard) {
        let span = |at: i64| quota.period.at(Timestamp::from_secs(at), &terms.time_zone, since);
        let used = own.iter().filter(|made| made.outcome == Outcome::LetThrough && span(made.at) == span(now));
        let used: u64 = used.map(|made| counted(quota.counts, made.cost)).sum();
        if used + counted(quota.counts, cost) > quota.limit {
            return (Outcome::Exhausted, vec![]);
        }
    }
    let fitting: Vec<bool> = terms
        .rate_limits
        .iter()
        .enumerate()
        .map(|(number, rule)| {
            let same = |made: &&&Made| rule.by.is_empty() || made.operation == operation;
            let before: Vec<&Made> =
                own.iter().filter(|made| made.counted.get(number) == Some(&true)).filter(same).copied().collect();
            fits(rule, &before, now, cost)
        })
        .collect();
    if terms.rate_limits.iter().zip(&fitting).all(|(rule, fits)| *fits || rule.shadow) {
        (Outcome::LetThrough, fitting)
    } else {
        (Outcome::Limited, vec![])
    }
}

/// The parts of a statement in cents, in whole numbers: for 0.40 for 1,000 beyond 5, and a fee of 9.90.
fn cents(units: u64) -> u64 {
    let (parts, whole) = (units.saturating_sub(5) * 40, 1_000);
    let (cents, rest) = (parts / whole, parts % whole);
    990 + cents + u64::from(rest * 2 > whole || (rest * 2 == whole && cents % 2 == 1))
}

fn any_limit() -> impl Strategy<Value = LimitRule> {
    let algorithm =
        prop_oneof![Just(Algorithm::SlidingWindow), Just(Algorithm::TokenBucket), Just(Algorithm::FixedWindow),];
    (algorithm, 1_u32..9, prop::sample::select(vec![10_u32, 60, 90, 3_600]), any::<(bool, bool)>(), 0_u8..4).prop_map(
        |(algorithm, limit, window, (calls, apart), shadow)| {
            let rule = LimitRule::new("x", limit, window, algorithm, None).unwrap();
            let rule = if apart { rule.by(vec![Dimension::Operation]).unwrap() } else { rule };
            let counts = if calls { Counted::Calls } else { Counted::Cost };
            LimitRule { counts, shadow: shadow == 0, ..rule }
        },
    )
}

fn any_quota() -> impl Strategy<Value = Quota> {
    (1_u64..40, prop::sample::select(Period::ALL.to_vec()), any::<(bool, bool)>()).prop_map(
        |(limit, period, (calls, soft))| Quota {
            counts: if calls { Counted::Calls } else { Counted::Cost },
            on_exhausted: if soft { Exhausted::Allow } else { Exhausted::Refuse },
            ..Quota::new("x", limit, period).unwrap()
        },
    )
}

type Step = (i64, &'static str, u32, u32);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![Just(0_i64), 0_i64..30, 0_i64..4_000, 0_i64..400_000];
    let who = prop::sample::select(vec!["a", "b", "c"]);
    prop::collection::vec((wait, who, 0_u32..5, 0_u32..3), 1..120)
}

fn name<T>(items: Vec<T>, name: impl Fn(T, crate::limit::LimitName) -> T) -> Vec<T> {
    let named = |(n, item)| name(item, crate::limit::LimitName::new(&format!("n{n}")).unwrap());
    items.into_iter().enumerate().map(named).collect()
}

proptest! {
    #[test]
    fn a_simulation_does_what_its_model_does(
        limits in prop::collection::vec(any_limit(), 0..4),
        quotas in prop::collection::vec(any_quota(), 0..4),
        zone in prop::sample::select(vec!["UTC", "Europe/Vienna", "Asia/Kathmandu"]),
        period in prop::sample::select(vec![Period::Month, Period::BillingPeriod]),
        steps in steps(),
    ) {
        let price = Price { period, ..terms(r#"{"price":{"currency":"EUR","base_fee":"9.90","included":5,"unit_price":"0.40","per_units":1000}}"#).price.unwrap() };
        let plan = PlanTerms {
            rate_limits: name(limits, |rule, name| LimitRule { name, ..rule }),
            quotas: name(quotas, |quota, name| Quota { name, ..quota }),
            time_zone: zone.parse().unwrap(),
            price: Some(price),
            ..PlanTerms::default()
        }.checked().unwrap();
        let mut simulation = Simulation::new(plan.clone(), OPERATIONS).unwrap();
        let (mut log, mut now) = (Vec::<Made>::new(), 1_790_000_000);
        for (wait, who, cost, operation) in steps {
            now += wait;
            let (expected, counted) = outcome(&plan, &log, (now, who, cost.into(), operation));
            let call = Call { at: Timestamp::from_secs(now), who, cost, key: None, address: None, operation: Some(operation) };
            prop_assert_eq!(simulation.call(&call), expected, "at {} by {}: {:?}", now, who, plan);
            log.push(Made { at: now, who, cost: cost.into(), operation, outcome: expected, counted });
        }
        let found = simulation.finish().unwrap();
        for subject in &found.subjects {
            let own: Vec<&Made> = log.iter().filter(|made| made.who == subject.who).collect();
            let since = Timestamp::from_secs(own[0].at);
            let span = |made: &Made| period.at(Timestamp::from_secs(made.at), &plan.time_zone, since);
            let count = |outcome: Outcome| own.iter().filter(|made| made.outcome == outcome).count() as u64;
            prop_assert_eq!(subject.sums.let_through, count(Outcome::LetThrough));
            prop_assert_eq!(subject.sums.limited, count(Outcome::Limited));
            prop_assert_eq!(subject.sums.exhausted, count(Outcome::Exhausted));
            let mut spans: Vec<Span> = own.iter().map(|made| span(made)).collect();
            spans.dedup();
            let bills: Vec<(Span, u64, String)> = spans.iter().map(|one| {
                let within = own.iter().filter(|made| span(made) == *one && made.outcome == Outcome::LetThrough);
                let units: u64 = within.map(|made| made.cost).sum();
                (*one, units, format!("{}.{:02}", cents(units) / 100, cents(units) % 100))
            }).collect();
            let made: Vec<(Span, u64, String)> = subject.statements.iter().map(|one| (one.part.span, one.sums.units, one.total.to_string())).collect();
            prop_assert_eq!(made, bills);
        }
        let calls: u64 = found.subjects.iter().map(|subject| subject.sums.calls()).sum();
        prop_assert_eq!(calls, log.len() as u64);
    }
}

#[test]
fn a_quota_is_asked_before_a_limit_and_a_refusal_costs_nothing() {
    const PLAN: &str = r#"{"rate_limits":[{"name":"m","limit":2,"window_seconds":60,"algorithm":"fixed_window"}],"quotas":[{"name":"day","limit":3,"period":"day"}]}"#;
    let times = ["10:00:00", "10:00:01", "10:00:02", "10:01:00", "10:01:01", "10:01:02", "23:59:59"];
    assert_eq!(outcomes(PLAN, &times), "..l.qqq");
}

#[test]
fn a_limit_that_is_tried_out_refuses_nothing_and_is_told_of() {
    let plan = terms(
        r#"{"rate_limits":[{"name":"m","limit":1,"window_seconds":60,"algorithm":"fixed_window","shadow":true}]}"#,
    );
    let mut simulation = Simulation::new(plan, Known::default()).unwrap();
    for _ in 0..3 {
        assert_eq!(simulation.call(&call("2026-11-27T10:00:00Z", "a")), Outcome::LetThrough);
    }
    assert_eq!(simulation.finish().unwrap().limits[0].refused, 2);
}

#[test]
fn what_is_used_beyond_a_quota_is_let_through_and_told_of() {
    let plan = terms(r#"{"quotas":[{"name":"day","limit":5,"period":"day","on_exhausted":"allow"}]}"#);
    let mut simulation = Simulation::new(plan, Known::default()).unwrap();
    for cost in [3, 4, 2] {
        assert_eq!(simulation.call(&Call { cost, ..call("2026-11-27T10:00:00Z", "a") }), Outcome::LetThrough);
    }
    let found = simulation.finish().unwrap();
    assert_eq!((found.quotas[0].beyond, found.quotas[0].refused), (4, 0));
    assert_eq!(found.subjects[0].sums.units, 9);
}

#[test]
fn those_who_call_have_each_their_own() {
    let plan = terms(r#"{"quotas":[{"name":"day","limit":1,"period":"day"}]}"#);
    let mut simulation = Simulation::new(plan, Known::default()).unwrap();
    for who in ["a", "b"] {
        assert_eq!(simulation.call(&call("2026-11-27T10:00:00Z", who)), Outcome::LetThrough);
        assert_eq!(simulation.call(&call("2026-11-27T10:00:00Z", who)), Outcome::Exhausted);
    }
}

#[test]
fn the_fee_is_due_in_whole_for_each_period_with_a_call_refused_ones_too() {
    let plan = terms(
        r#"{"quotas":[{"name":"week","limit":1,"period":"week"}],"time_zone":"Europe/Vienna","price":{"currency":"EUR","base_fee":"9.90"}}"#,
    );
    let mut simulation = Simulation::new(plan, Known::default()).unwrap();
    // The first of December is a Tuesday: its week had begun, and its one call was made.
    for at in ["2026-11-30T22:59:59Z", "2026-11-30T23:00:00Z", "2027-02-05T00:00:00Z"] {
        simulation.call(&call(at, "a"));
    }
    let found = simulation.finish().unwrap();
    let subject = &found.subjects[0];
    let bills: Vec<(String, u64, u64)> = subject
        .statements
        .iter()
        .map(|one| (one.part.span.start.to_string(), one.sums.units, one.sums.calls()))
        .collect();
    let expected = [("2026-10-31T23:00:00Z", 1, 1), ("2026-11-30T23:00:00Z", 0, 1), ("2027-01-31T23:00:00Z", 1, 1)];
    assert_eq!(bills, expected.map(|(start, units, calls)| (start.to_owned(), units, calls)));
    assert_eq!(
        (subject.total.to_string().as_str(), found.price.unwrap().currency),
        ("29.70", "EUR".parse::<Currency>().unwrap())
    );
}

#[test]
fn limits_are_left_out_that_the_calls_say_too_little_for() {
    let plan = terms(
        r#"{"rate_limits":[
            {"name":"all","limit":1,"window_seconds":60},
            {"name":"flight","limit":1,"algorithm":"concurrency"},
            {"name":"user","limit":1,"window_seconds":60,"by":["end_user"]},
            {"name":"address","limit":1,"window_seconds":60,"by":["client_address"],"overrides":[{"subject":"192.0.2.0/24","limit":2}]}]}"#,
    );
    let simulation = Simulation::new(plan.clone(), Known::default()).unwrap();
    let left_out: Vec<String> =
        simulation.left_out.iter().map(|(rule, why)| format!("{}: {why}", rule.name.as_str())).collect();
    assert_eq!(
        left_out,
        [
            "flight: it counts calls in flight, and it is not known when the calls ended",
            "user: it is counted apart by end_user, which is not known of the calls",
            "address: it is counted apart by client_address, which is not known of the calls",
        ]
    );
    // Where addresses are known, each has its own limit, or that of its network.
    let mut simulation =
        Simulation::new(PlanTerms { rate_limits: plan.rate_limits[3..].to_vec(), ..plan }, OPERATIONS).unwrap();
    for (address, expected) in [
        ("192.0.2.1", Outcome::LetThrough),
        ("192.0.2.1", Outcome::LetThrough),
        ("192.0.2.1", Outcome::Limited),
        ("198.51.100.1", Outcome::LetThrough),
        ("198.51.100.1", Outcome::Limited),
    ] {
        let address = Some(address.parse().unwrap());
        assert_eq!(simulation.call(&Call { address, ..call("2026-11-27T10:00:00Z", "a") }), expected, "{address:?}");
    }
}

#[test]
fn credits_cannot_be_simulated() {
    let plan = terms(r#"{"credits":{"refill":{"amount":5,"period":"month"}}}"#);
    assert_eq!(Simulation::new(plan, Known::default()).err(), Some(PaidByCredits));
}

#[test]
fn a_call_that_is_too_early_is_taken_as_made_at_the_last_moment() {
    const PLAN: &str = r#"{"quotas":[{"name":"day","limit":1,"period":"day"}]}"#;
    let mut simulation = Simulation::new(terms(PLAN), Known::default()).unwrap();
    assert_eq!(simulation.call(&call("2026-11-28T00:00:00Z", "a")), Outcome::LetThrough);
    assert_eq!(simulation.call(&call("2026-11-27T00:00:00Z", "a")), Outcome::Exhausted);
}
