use std::net::{IpAddr, Ipv4Addr};

use keystile_core::decide::{reading, settle};
use keystile_core::facts::Facts;
use keystile_core::limit::{Algorithm, LimitRule};
use proptest::prelude::*;

use super::*;

fn rules(limits: &[(Algorithm, u32)]) -> Vec<LimitRule> {
    let rule = |(i, (algorithm, limit)): (usize, &(Algorithm, u32))| {
        LimitRule::new(&format!("r{i}"), *limit, 3_600, *algorithm, None).unwrap()
    };
    limits.iter().enumerate().map(rule).collect()
}

fn of_key(limits: &[(Algorithm, u32)]) -> Limits {
    Limits::new(rules(limits), Scope::Key, 0)
}

/// Limits of an API, each counted by this.
fn by(dimension: &str, limits: &[(Algorithm, u32)]) -> Limits {
    let apart = |rule: LimitRule| rule.by(vec![dimension.parse().unwrap()]).unwrap();
    Limits::new(rules(limits).into_iter().map(apart).collect(), Scope::Api, 1)
}

const NOW: Moment = Moment { wall: Timestamp::from_secs(3_600), ticks: Ticks::from_nanos(1 << 60) };

fn charged(
    counters: &Arc<Counters>,
    key: u32,
    lists: [Option<&Limits>; 3],
    facts: &Facts<'_>,
) -> (Weights, Option<Held>) {
    let mut weights = Weights::new();
    let subject = Subject { key: None, facts };
    let held = counters
        .charge(&Charge { lists, key, subject, cost: facts.cost, reports: facts.reports, now: facts.at }, &mut weights);
    (weights, held)
}

fn allowed(counters: &Arc<Counters>, key: u32, lists: [Option<&Limits>; 3], facts: &Facts<'_>) -> bool {
    settle(&charged(counters, key, lists, facts).0).code.is_allowed()
}

fn from(address: u32) -> Facts<'static> {
    Facts { client: Some(IpAddr::V4(Ipv4Addr::from_bits(address))), ..Facts::at(NOW) }
}

fn admitted_by_100_tasks(lists: [Option<&Limits>; 3]) -> usize {
    let counters = Arc::new(Counters::default());
    std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..100)
            .map(|_| scope.spawn(|| (0..50).filter(|_| allowed(&counters, 7, lists, &from(1))).count()))
            .collect();
        tasks.into_iter().map(|task| task.join().unwrap()).sum()
    })
}

#[test]
fn l03_a_hundred_tasks_against_a_limit_admit_exactly_the_limit() {
    for algorithm in [Algorithm::SlidingWindow, Algorithm::TokenBucket, Algorithm::FixedWindow] {
        for limit in [1, 99, 1_000] {
            assert_eq!(admitted_by_100_tasks([Some(&of_key(&[(algorithm, limit)])), None, None]), limit as usize);
            let three = of_key(&[(algorithm, limit + 7), (Algorithm::TokenBucket, limit), (algorithm, 4_000)]);
            assert_eq!(admitted_by_100_tasks([Some(&three), None, None]), limit as usize, "all three or none");
            let of_api = by("client_address", &[(algorithm, 4_000), (algorithm, limit)]);
            assert_eq!(
                admitted_by_100_tasks([Some(&three), None, Some(&of_api)]),
                limit as usize,
                "in several stripes"
            );
        }
    }
}

#[test]
fn a_refusal_costs_nothing() {
    let counters = Arc::new(Counters::default());
    let own = of_key(&[(Algorithm::SlidingWindow, 100), (Algorithm::TokenBucket, 1)]);
    for _ in 0..50 {
        charged(&counters, 1, [Some(&own), None, None], &from(1));
    }
    let (weights, _) = charged(&counters, 1, [Some(&own), None, None], &from(1));
    assert_eq!(reading(&weights[0]).remaining, 99, "only the admitted call was counted");
    // Nor does one by a limit of the API, to the key or to whom else it would have been counted for.
    let (own, of_api) =
        (of_key(&[(Algorithm::SlidingWindow, 100)]), by("client_address", &[(Algorithm::FixedWindow, 1)]));
    for _ in 0..50 {
        charged(&counters, 2, [Some(&own), None, Some(&of_api)], &from(2));
    }
    let (weights, _) = charged(&counters, 2, [Some(&own), None, Some(&of_api)], &from(2));
    assert_eq!(reading(&weights[0]).remaining, 99);
}

#[test]
fn other_rules_begin_anew_and_other_keys_are_left_alone() {
    let counters = Arc::new(Counters::default());
    let (one, two) = (of_key(&[(Algorithm::SlidingWindow, 1)]), of_key(&[(Algorithm::SlidingWindow, 1); 2]));
    let allowed = |key, limits| allowed(&counters, key, [Some(limits), None, None], &from(1));
    assert!(allowed(1, &one));
    assert!(!allowed(1, &one));
    assert!(allowed(2, &one));
    assert!(allowed(1, &two));
    assert!(!allowed(1, &two));
    assert!(!allowed(2, &one));
}

#[test]
fn each_subject_has_its_own_limit_and_a_network_of_ipv6_is_one() {
    let counters = Arc::new(Counters::default());
    let limits = by("client_address", &[(Algorithm::SlidingWindow, 2)]);
    let allowed = |address: &str| {
        let facts = Facts { client: Some(address.parse().unwrap()), ..Facts::at(NOW) };
        allowed(&counters, 0, [None, None, Some(&limits)], &facts)
    };
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        assert!(allowed(address) && allowed(address), "{address}");
        assert!(!allowed(address), "{address}");
    }
    assert!(!allowed("2001:db8::ffff"), "the same network");
    assert!(allowed("2001:db8:0:1::1"), "another one");
    assert!(!allowed("::ffff:192.0.2.1"), "the same address");
}

#[test]
fn what_is_not_known_of_calls_is_one_subject_for_all_of_them() {
    let counters = Arc::new(Counters::default());
    for dimension in ["key", "project", "organization", "end_user", "operation", "client_address", "tag:region"] {
        let limits = by(dimension, &[(Algorithm::SlidingWindow, 2)]);
        let passed = (0..9).filter(|_| allowed(&counters, 0, [None, None, Some(&limits)], &Facts::at(NOW))).count();
        assert_eq!(passed, 2, "{dimension}");
    }
}

#[test]
fn k24_each_dimension_tells_its_subjects_apart_and_nothing_else() {
    use keystile_core::id::{KeyId, OrganizationId, ProjectId};
    let counters = Arc::new(Counters::default());
    // What distinguishes one call from another: its number in each dimension.
    let call = |limits: &Limits, [key, project, organization, user, operation, address, region]: [u8; 7]| {
        let ids = (
            KeyId::from_entropy([key; 16]),
            ProjectId::from_entropy([project; 16]),
            OrganizationId::from_entropy([organization; 16]),
        );
        let (user, region) = (format!("user {user}"), format!("region {region}"));
        let tags = [("region".into(), region.as_str().into())];
        let facts =
            Facts { end_user: Some(&user), operation: Some(operation.into()), tags: &tags, ..from(address.into()) };
        let mut weights = Weights::new();
        let subject = Subject { key: Some(ids), facts: &facts };
        let charge =
            Charge { lists: [None, None, Some(limits)], key: key.into(), subject, cost: 1, reports: false, now: NOW };
        counters.charge(&charge, &mut weights);
        settle(&weights).code.is_allowed()
    };
    let all = ["key", "project", "organization", "end_user", "operation", "client_address", "tag:region"];
    for (number, dimension) in all.into_iter().enumerate() {
        let limits = by(dimension, &[(Algorithm::FixedWindow, 1)]);
        assert!(call(&limits, [0; 7]) && !call(&limits, [0; 7]), "{dimension}");
        for other in 0..7 {
            let mut told = [0; 7];
            told[other] = 1;
            assert_eq!(call(&limits, told), other == number, "{dimension} by {}", all[other]);
        }
    }
}

#[test]
fn a_keys_own_limit_can_be_counted_apart_within_the_key() {
    let counters = Arc::new(Counters::default());
    let rule = LimitRule::new("each", 1, 60, Algorithm::SlidingWindow, None).unwrap();
    let limits = Limits::new(vec![rule.by(vec!["end_user".parse().unwrap()]).unwrap()], Scope::Key, 0);
    let allowed = |key, user| {
        allowed(&counters, key, [Some(&limits), None, None], &Facts { end_user: Some(user), ..Facts::at(NOW) })
    };
    assert!(allowed(1, "a") && !allowed(1, "a"));
    assert!(allowed(1, "b"), "another user");
    assert!(allowed(2, "a"), "another key");
}

#[test]
fn raising_a_limit_of_an_api_gives_nobody_a_window_anew() {
    let counters = Arc::new(Counters::default());
    let [few, more] = [3, 5].map(|limit| by("client_address", &[(Algorithm::SlidingWindow, limit)]));
    let passed = |limits| (0..9).filter(|_| allowed(&counters, 0, [None, None, Some(limits)], &from(1))).count();
    assert_eq!((passed(&few), passed(&more)), (3, 2));
}

#[test]
fn a_limit_that_is_tried_out_counts_and_refuses_nothing() {
    let counters = Arc::new(Counters::default());
    let tried_out = |algorithm| {
        let rule = LimitRule::new("tried-out", 2, 60, algorithm, None).unwrap();
        vec![LimitRule { shadow: true, ..rule }]
    };
    for (lists, key) in [
        ([Some(&Limits::new(tried_out(Algorithm::SlidingWindow), Scope::Key, 0)), None, None], 1),
        ([None, None, Some(&Limits::new(tried_out(Algorithm::FixedWindow), Scope::Api, 1))], 2),
    ] {
        let told: Vec<_> = (0..4).map(|_| settle(&charged(&counters, key, lists, &from(1)).0)).collect();
        assert!(told.iter().all(|decision| decision.code.is_allowed()));
        assert_eq!(told.iter().map(|decision| decision.shadow).collect::<Vec<_>>(), [false, false, true, true]);
    }
}

#[test]
fn calls_in_flight_count_until_they_end_whichever_way_they_are_counted() {
    let counters = Arc::new(Counters::default());
    let (own, of_api) = (of_key(&[(Algorithm::Concurrency, 3)]), by("client_address", &[(Algorithm::Concurrency, 2)]));
    for (lists, most) in
        [([Some(&own), None, None], 3), ([None, None, Some(&of_api)], 2), ([Some(&own), None, Some(&of_api)], 2)]
    {
        for _ in 0..3 {
            let mut held: Vec<_> = (0..9).filter_map(|_| charged(&counters, 1, lists, &from(1)).1).collect();
            assert_eq!(held.len(), most);
            assert!(!allowed(&counters, 1, lists, &from(1)));
            held.pop();
            let (weights, again) = charged(&counters, 1, lists, &from(1));
            assert!(settle(&weights).code.is_allowed() && again.is_some(), "one has ended");
        }
    }
    let looks = Facts { cost: 0, ..from(1) };
    assert!(charged(&counters, 1, [Some(&own), None, Some(&of_api)], &looks).1.is_none(), "what looks holds nothing");
}

#[test]
fn l06_millions_of_subjects_take_no_more_room_than_there_is_and_who_is_near_a_limit_stays_known() {
    let counters = Arc::new(Counters::new(100_000));
    let limits = by("client_address", &[(Algorithm::SlidingWindow, 100)]);
    let heavy = 0..50u32;
    for address in heavy.clone() {
        for _ in 0..100 {
            assert!(allowed(&counters, 0, [None, None, Some(&limits)], &from(address)));
        }
    }
    for address in 0..3_000_000u32 {
        charged(&counters, 0, [None, None, Some(&limits)], &from(1_000 + address));
    }
    let room: usize = counters.stripes.iter().map(|stripe| stripe.0.lock().places()).sum();
    assert!(room <= 100_000, "{room} places");
    assert!(counters.forgotten() >= 2_900_000, "{}", counters.forgotten());
    let escaped = heavy.filter(|address| allowed(&counters, 0, [None, None, Some(&limits)], &from(*address))).count();
    assert_eq!(escaped, 0, "somebody who was at the limit was forgotten");
}

#[test]
fn a_place_whose_window_is_over_is_taken_before_anybody_is_forgotten() {
    let counters = Arc::new(Counters::new(STRIPES * 8));
    let limits = by("client_address", &[(Algorithm::FixedWindow, 9)]);
    for address in 0..1_000_000u32 {
        // An hour later each: the windows of those before are over.
        let later = u64::from(address) * 3_600;
        let at = Moment {
            wall: NOW.wall.plus_secs(later.cast_signed()),
            ticks: Ticks::from_nanos(NOW.ticks.as_nanos() + later * 1_000_000_000),
        };
        charged(&counters, 0, [None, None, Some(&limits)], &Facts { at, ..from(address) });
    }
    assert_eq!(counters.forgotten(), 0);
}

#[test]
fn who_looks_at_another_moment_changes_nothing() {
    let counters = Arc::new(Counters::default());
    let (own, of_api) = (of_key(&[(Algorithm::FixedWindow, 1)]), by("client_address", &[(Algorithm::FixedWindow, 1)]));
    for (key, lists) in [(1, [Some(&own), None, None]), (2, [None, None, Some(&of_api)])] {
        assert!(allowed(&counters, key, lists, &from(1)));
        let later = Moment { wall: NOW.wall.plus_secs(1_000_000_000), ..NOW };
        charged(&counters, key, lists, &Facts { cost: 0, at: later, ..from(1) });
        assert!(!allowed(&counters, key, lists, &from(1)));
    }
}

#[test]
fn k27_what_has_slid_out_of_its_window_is_not_taken_back_from_others() {
    let counters = Arc::new(Counters::default());
    let own = of_key(&[(Algorithm::SlidingWindow, 100)]);
    let at = |seconds: u64| Moment { ticks: Ticks::from_nanos(NOW.ticks.as_nanos() + seconds * 1_000_000_000), ..NOW };
    let call = |seconds, cost| {
        let facts = Facts { cost, reports: true, at: at(seconds), ..from(1) };
        charged(&counters, 1, [Some(&own), None, None], &facts)
    };
    let mut first = call(0, 100).1.unwrap();
    assert!(call(8_000, 100).1.is_some());
    first.costs(0, at(8_001));
    assert!(!settle(&call(8_002, 1).0).code.is_allowed());
}

#[test]
fn of_a_bucket_its_burst_is_the_whole() {
    let terms = LimitRule::new("b", 1, 60, Algorithm::TokenBucket, Some(100)).unwrap().terms();
    assert_eq!((terms.whole(), terms.peek(Slot::default(), NOW).remaining), (100, 100));
}

#[test]
fn calls_in_flight_go_on_counting_when_the_limits_of_their_key_are_changed() {
    let counters = Arc::new(Counters::default());
    let one = of_key(&[(Algorithm::Concurrency, 2), (Algorithm::SlidingWindow, 100)]);
    let other = of_key(&[(Algorithm::Concurrency, 2), (Algorithm::SlidingWindow, 200)]);
    let call = |limits: &Limits| charged(&counters, 1, [Some(limits), None, None], &from(1)).1;
    let (first, second) = (call(&one), call(&other));
    assert!(first.is_some() && second.is_some() && call(&one).is_none() && call(&other).is_none());
    drop(first);
    let third = call(&other);
    assert!(third.is_some() && call(&one).is_none(), "one place was free");
}

#[test]
fn what_costs_nothing_passes_where_more_was_used_than_there_is() {
    let counters = Arc::new(Counters::default());
    let own = of_key(&[(Algorithm::SlidingWindow, 10)]);
    let call = |cost, reports| charged(&counters, 1, [Some(&own), None, None], &Facts { cost, reports, ..from(1) });
    call(1, true).1.unwrap().costs(500, NOW);
    assert!(!settle(&call(1, false).0).code.is_allowed() && settle(&call(0, false).0).code.is_allowed());
}

#[test]
fn k27_what_a_call_cost_is_put_right_where_costs_are_counted() {
    let counters = Arc::new(Counters::default());
    let calls = LimitRule::new("calls", 100, 60, Algorithm::FixedWindow, None).unwrap();
    let calls = LimitRule { counts: Counted::Calls, ..calls };
    let tokens = LimitRule::new("tokens", 1_000, 60, Algorithm::FixedWindow, None).unwrap();
    let own = Limits::new(vec![calls.clone(), tokens.clone()], Scope::Key, 0);
    let apart = |rule: LimitRule| rule.by(vec!["end_user".parse().unwrap()]).unwrap();
    let of_api = Limits::new(vec![apart(calls), apart(tokens)], Scope::Api, 1);
    let left = |lists: [Option<&Limits>; 3], cost, reports| {
        let facts = Facts { end_user: Some("ada"), cost, reports, ..Facts::at(NOW) };
        let (weights, held) = charged(&counters, 1, lists, &facts);
        (weights.iter().map(|weight| reading(weight).remaining).collect::<Vec<_>>(), held)
    };
    for lists in [[Some(&own), None, None], [None, None, Some(&of_api)]] {
        let (told, held) = left(lists, 300, true);
        assert_eq!(told, [99, 700]);
        let mut held = held.unwrap();
        assert_eq!((held.cost(), held.lease_nanos()), (300, None));
        held.costs(50, NOW);
        assert_eq!(left(lists, 0, false).0, [99, 950], "less");
        held.costs(1_200, NOW);
        drop(held);
        assert_eq!(left(lists, 0, false).0, [99, 0], "more than there was");
        assert!(left(lists, 1, true).1.is_none(), "what is refused has no cost to tell");
    }
}

proptest! {
    /// Whatever is asked of whichever lists, in two stripes or ten: each rule has counted exactly the calls that all let
    /// through.
    #[test]
    fn all_rules_count_a_call_or_none_does(calls in proptest::collection::vec((0u32..3, 0u32..3, 1u32..4), 1..80)) {
        let counters = Arc::new(Counters::default());
        let own = of_key(&[(Algorithm::FixedWindow, 12), (Algorithm::TokenBucket, 9)]);
        let of_api = by("client_address", &[(Algorithm::FixedWindow, 10), (Algorithm::FixedWindow, 14)]);
        let (mut by_key, mut by_address) = ([0; 3], [0; 3]);
        for (key, address, cost) in calls {
            let facts = Facts { cost, ..from(address) };
            let fits = by_key[key as usize] + cost <= 9 && by_address[address as usize] + cost <= 10;
            let (weights, _) = charged(&counters, key, [Some(&own), None, Some(&of_api)], &facts);
            prop_assert_eq!(settle(&weights).code.is_allowed(), fits);
            if fits {
                by_key[key as usize] += cost;
                by_address[address as usize] += cost;
            }
            let left: Vec<u32> = weights.iter().map(|weight| reading(weight).remaining).collect();
            let (of_key, of_address) = (by_key[key as usize], by_address[address as usize]);
            prop_assert_eq!(left, vec![12 - of_key, 9 - of_key, 10 - of_address, 14 - of_address]);
        }
    }
}
