//! What usage can be asked about: percentiles of any sum, countries, end users and tags, whose customers called, and what there is most
//! of. Each answer is compared with what the events come to by themselves.

use std::collections::{BTreeMap, HashSet};

use keystile_core::code::Code;
use keystile_core::limit::TagName;
use keystile_core::usage::{Bucket, Counts, Dimensions, Facet, Facets, Latencies, UsageEvent};
use keystile_store::{FacetUse, GroupBy, LabelRow, Order, UsageQuery, UsageRow};

use crate::ledger::EVERYTHING;
use crate::tampering::run_in_file;
use crate::world::{Dice, ENGINES, Engine, NOW, World, everywhere};

const DAY_SECS: i64 = 86_400;

fn event(dice: &mut Dice) -> UsageEvent {
    // Each of some project.
    let key = 1 + dice.below(4) as u32;
    let dimensions = Dimensions {
        organization: 1 + dice.below(2) as u32,
        api: dice.below(3) as u32,
        // Two keys a project.
        project: key.div_ceil(2),
        key,
        version: 0,
        label: dice.below(3) as u32,
        code: [Code::Allowed, Code::RateLimited][dice.below(2) as usize],
        status: [200, 201, 404, 429, 503][dice.below(5) as usize],
    };
    let facets = Facets {
        country: ["DE", "US", "none"][dice.below(3) as usize].parse().ok(),
        end_user: (dice.below(3) > 0).then(|| format!("user {}", dice.below(4)).into()),
        tags: (0..dice.below(3)).map(|tag| (name(&format!("t{tag}")), format!("v{}", dice.below(2)).into())).collect(),
    };
    let counts = Counts {
        calls: 1 + dice.below(2),
        latency_us: 1 << dice.below(30),
        bytes_in: dice.below(10),
        bytes_out: dice.below(10),
        cost: dice.below(20).cast_signed() - 5,
    };
    UsageEvent {
        at: NOW.plus_secs(dice.below(3 * 86_400).cast_signed()),
        dimensions,
        client: None,
        facets: (facets != Facets::default()).then(|| Box::new(facets)),
        counts,
    }
}

fn name(text: &str) -> TagName {
    TagName::of(text).unwrap()
}

/// Some thousand events in some batches, added up now and then.
async fn counted(world: &World, seed: u64) -> Vec<UsageEvent> {
    let labels = [(1, "GET /pets"), (2, "GET /cats")];
    let labels = labels.map(|(number, text)| LabelRow { number, api: 1, text: text.to_owned() });
    let (mut dice, mut all) = (Dice(seed), Vec::new());
    for sequence in 1..=10 {
        let events: Vec<_> = (0..200).map(|_| event(&mut dice)).collect();
        world.ledger.append(7, sequence, NOW, &labels, &events).await.unwrap();
        if dice.below(2) == 0 {
            world.ledger.roll_up().await.unwrap();
        }
        all.extend(events);
    }
    all
}

async fn rows(world: &World, query: &UsageQuery) -> Vec<UsageRow> {
    world.ledger.usage(query).await.unwrap()
}

/// What is known of a project, whoever was told.
async fn facet_use(world: &World, project: u32) -> Vec<FacetUse> {
    let mut all = world.ledger.facet_use(project, 1).await.unwrap();
    let own = world.ledger.facet_use(project, 2).await.unwrap();
    all.extend(own.into_iter().filter(|used| used.facet != Facet::Country));
    all
}

/// What events come to, told apart by something.
fn sums<'a, K: Ord>(
    events: impl IntoIterator<Item = &'a UsageEvent>,
    by: impl Fn(&UsageEvent) -> K,
) -> BTreeMap<K, (Counts, Latencies)> {
    let mut all: BTreeMap<K, (Counts, Latencies)> = BTreeMap::new();
    for event in events {
        let (counts, latencies) = all.entry(by(event)).or_default();
        counts.add(&event.counts);
        latencies.add(event.counts.latency_us / event.counts.calls, event.counts.calls);
    }
    all
}

fn told<K: Ord>(rows: Vec<UsageRow>, by: impl Fn(&UsageRow) -> K) -> BTreeMap<K, (Counts, Latencies)> {
    let count = rows.len();
    let all: BTreeMap<_, _> =
        rows.into_iter().map(|row| (by(&row), (row.counts, row.latencies.unwrap_or_default()))).collect();
    assert_eq!(all.len(), count, "no row twice");
    all
}

#[tokio::test]
async fn latencies_add_up_over_any_time_and_whatever_they_are_told_apart_by() {
    everywhere(async |world| {
        let all = counted(world, 21).await;
        let with = |by, bucket| UsageQuery { latencies: true, by, bucket, ..EVERYTHING.clone() };
        let none = GroupBy::default;
        let answer = rows(world, &with(none(), None)).await;
        assert_eq!(told(answer, |_| ()), sums(&all, |_| ()));
        for bucket in Bucket::ALL {
            let answer = rows(world, &with(GroupBy { key: true, ..none() }, Some(bucket))).await;
            let expected = sums(&all, |event| (Some(event.at.floor_secs(bucket.secs())), Some(event.dimensions.key)));
            assert_eq!(told(answer, |row| (row.start, row.key)), expected, "{bucket:?}");
            let answer = rows(world, &with(GroupBy { class: true, api: true, ..none() }, Some(bucket))).await;
            let expected = sums(&all, |event| {
                let of = event.dimensions;
                (Some(event.at.floor_secs(bucket.secs())), Some(of.api), Some(of.status / 100))
            });
            assert_eq!(told(answer, |row| (row.start, row.api, row.class)), expected, "{bucket:?}");
        }
        // Put together from days, hours and minutes.
        let (from, until) = (NOW.plus_secs(777).floor_secs(60), NOW.plus_secs(2 * DAY_SECS + 4_321).floor_secs(60));
        let query = UsageQuery { from, until, ..with(GroupBy { project: true, ..none() }, None) };
        let within = all.iter().filter(|event| event.at >= from && event.at < until);
        assert_eq!(
            told(rows(world, &query).await, |row| row.project),
            sums(within, |event| Some(event.dimensions.project))
        );
        let plain = UsageQuery { latencies: false, ..query };
        assert!(rows(world, &plain).await.iter().all(|row| row.latencies.is_none()));
    })
    .await;
}

#[tokio::test]
async fn calls_are_told_apart_by_country_end_user_and_tag_and_those_without_are_the_rest() {
    everywhere(async |world| {
        let all = counted(world, 22).await;
        let value = |event: &UsageEvent, facet: &Facet| {
            let facets = event.facets.as_ref()?;
            facets.each().find(|(of, _)| of == facet).map(|(_, value)| value.to_owned())
        };
        for facet in [Facet::Country, Facet::EndUser, Facet::Tag(name("t1")), Facet::Tag(name("t0"))] {
            let by =
                |by: GroupBy| UsageQuery { by: GroupBy { facet: Some(facet.clone()), ..by }, ..EVERYTHING.clone() };
            let counts = |sums: BTreeMap<_, (Counts, Latencies)>| -> BTreeMap<_, Counts> {
                sums.into_iter().map(|(row, (counts, _))| (row, counts)).collect()
            };
            let answer = told(rows(world, &by(GroupBy::default())).await, |row| (row.value.clone().unwrap(), 0));
            assert_eq!(counts(answer), counts(sums(&all, |event| (value(event, &facet), 0))), "{facet}");
            let keys = by(GroupBy { key: true, ..GroupBy::default() });
            let answer = told(rows(world, &keys).await, |row| (row.value.clone().unwrap(), row.key.unwrap()));
            assert_eq!(counts(answer), counts(sums(&all, |event| (value(event, &facet), event.dimensions.key))));
            // By the day, with latencies; of what is left over there are none.
            let query = UsageQuery { bucket: Some(Bucket::Day), latencies: true, ..by(GroupBy::default()) };
            let answer: Vec<_> = rows(world, &query).await;
            assert!(answer.iter().all(|row| (row.value == Some(None)) == row.latencies.is_none()), "{answer:?}");
            let known = all.iter().filter(|event| value(event, &facet).is_some());
            let day = |event: &UsageEvent| (Some(event.at.floor_secs(DAY_SECS)), value(event, &facet));
            let answer = answer.into_iter().filter(|row| row.value != Some(None)).collect();
            assert_eq!(told(answer, |row| (row.start, row.value.clone().flatten())), sums(known, day));
            // One value alone.
            for (wanted, expected) in sums(&all, |event| value(event, &facet)) {
                let Some(wanted) = wanted else { continue };
                let only = Some((facet.clone(), wanted));
                let query = UsageQuery { only, latencies: true, ..EVERYTHING.clone() };
                assert_eq!(told(rows(world, &query).await, |_| ()), BTreeMap::from([((), expected)]));
            }
        }
        // Whose they are goes for these rows, too.
        let facet = Some(Facet::Country);
        let by = GroupBy { facet, ..GroupBy::default() };
        let query = UsageQuery { by, organizations: vec![2], statuses: Some((400, 500)), ..EVERYTHING.clone() };
        let calls: u64 = rows(world, &query).await.iter().map(|row| row.counts.calls).sum();
        let of = |event: &&UsageEvent| event.dimensions.organization == 2 && event.dimensions.status / 100 == 4;
        assert_eq!(calls, all.iter().filter(of).map(|event| event.counts.calls).sum::<u64>());
    })
    .await;
}

#[tokio::test]
async fn so_many_values_of_a_key_are_told_apart_on_a_day_and_the_rest_is_counted() {
    everywhere(async |world| {
        let mut dice = Dice(23);
        let one = event(&mut dice);
        let with = |facets: Facets| {
            let counts = Counts { calls: 1, ..Counts::default() };
            UsageEvent { at: NOW, facets: Some(Box::new(facets)), counts, ..one.clone() }
        };
        let of = |user: usize| with(Facets { end_user: Some(format!("user {user}").into()), ..Facets::default() });
        // Many at once, a few at a time once there is no room, and some of the first ones again.
        let few = (1_200..1_260).collect::<Vec<_>>();
        let turns = [(0..700).collect(), (600..1_200).collect(), (0..100).collect::<Vec<_>>()].into_iter();
        for (sequence, users) in (1..).zip(turns.chain(few.chunks(3).map(<[usize]>::to_vec))) {
            let events: Vec<_> = users.into_iter().map(of).collect();
            world.ledger.append(7, sequence, NOW, &[], &events).await.unwrap();
            world.ledger.roll_up().await.unwrap();
        }
        let by = GroupBy { facet: Some(Facet::EndUser), ..GroupBy::default() };
        let answer = rows(world, &UsageQuery { by, ..EVERYTHING.clone() }).await;
        assert_eq!(answer.len(), 1_001);
        assert_eq!(answer.iter().map(|row| row.counts.calls).sum::<u64>(), 700 + 600 + 100 + 60);
        let rest = answer.iter().find(|row| row.value == Some(None)).unwrap();
        assert_eq!(rest.counts.calls, 200 + 60);
        // Those that were told apart go on to be.
        assert_eq!(answer.iter().filter(|row| row.counts.calls == 2).count(), 200);
        // Another key has its own; and so many tags, whatever they are called.
        let dimensions = Dimensions { key: 77, project: 77, ..one.dimensions };
        let tags =
            |tag: u32| with(Facets { tags: [(name(&format!("t{tag}")), "v".into())].into(), ..Facets::default() });
        let events = (0..40).map(tags).chain([of(5_000)]).map(|event| UsageEvent { dimensions, ..event });
        world.ledger.append(8, 1, NOW, &[], &events.collect::<Vec<_>>()).await.unwrap();
        let known = world.ledger.facet_use(77, dimensions.organization).await.unwrap();
        assert_eq!(known.len(), 1 + 32, "{known:?}");
    })
    .await;
}

#[tokio::test]
async fn calls_of_nobody_are_told_apart_by_country_alone_and_nothing_that_they_say_holds_up_counting() {
    everywhere(async |world| {
        let mut dice = Dice(27);
        let one = event(&mut dice);
        let said = Facets {
            country: "DE".parse().ok(),
            end_user: Some("a\0b".into()),
            tags: [(name("t"), "x".into())].into(),
        };
        let nobody = Dimensions { project: 0, key: 0, ..one.dimensions };
        let counts = Counts { calls: 1, ..Counts::default() };
        let of = |dimensions| UsageEvent { dimensions, facets: Some(Box::new(said.clone())), counts, ..one.clone() };
        world.ledger.append(7, 1, NOW, &[], &[of(nobody), of(one.dimensions)]).await.unwrap();
        for (facet, values) in [
            (Facet::Country, vec![(Some("DE".to_owned()), 2)]),
            (Facet::EndUser, vec![(None, 2)]),
            (Facet::Tag(name("t")), vec![(None, 1), (Some("x".to_owned()), 1)]),
        ] {
            let by = GroupBy { facet: Some(facet), ..GroupBy::default() };
            let answer = rows(world, &UsageQuery { by, ..EVERYTHING.clone() }).await;
            assert_eq!(
                answer.iter().map(|row| (row.value.clone().flatten(), row.counts.calls)).collect::<Vec<_>>(),
                values
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_counted_before_there_were_totals_is_told_and_what_came_since_with_it() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        let all = counted(&world, 28).await;
        // As it is where the tables of totals were made in the middle: on the second of three days.
        let since = NOW.floor_secs(DAY_SECS).plus_secs(DAY_SECS);
        for table in ["total_minute", "total_hour", "total_day"] {
            let text = format!("DELETE FROM {table} WHERE start < {}", since.as_micros());
            run_in_file(&world, *engine, "usage.db", &text).await;
        }
        let bytes: String = since.as_micros().to_be_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let bytes = if *engine == Engine::Sqlite { format!("x'{bytes}'") } else { format!("'\\x{bytes}'") };
        let text = format!("UPDATE meta SET value = {bytes} WHERE name = 'totals_from'");
        run_in_file(&world, *engine, "usage.db", &text).await;
        let by = GroupBy { api: true, ..GroupBy::default() };
        for bucket in [None, Some(Bucket::Minute), Some(Bucket::Hour), Some(Bucket::Day)] {
            let query = UsageQuery { by: by.clone(), bucket, latencies: true, ..EVERYTHING.clone() };
            let expected = sums(&all, |event| {
                (bucket.map(|bucket| event.at.floor_secs(bucket.secs())), Some(event.dimensions.api))
            });
            assert_eq!(told(rows(&world, &query).await, |row| (row.start, row.api)), expected, "{bucket:?}");
        }
        let ever = (NOW.plus_secs(-DAY_SECS), NOW.plus_secs(4 * DAY_SECS));
        assert_eq!(world.ledger.recount(ever, &[]).await.unwrap().differing, 0);
    }
}

#[tokio::test]
async fn latencies_that_were_altered_hold_up_nothing() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        let all = counted(&world, 29).await;
        world.ledger.roll_up().await.unwrap();
        run_in_file(&world, *engine, "usage.db", "UPDATE total_day SET latencies = 'what?'").await;
        let query = UsageQuery { latencies: true, bucket: Some(Bucket::Day), ..EVERYTHING.clone() };
        assert!(rows(&world, &query).await.iter().all(|row| row.latencies.is_none()));
        world.ledger.append(7, 99, NOW, &[], &all).await.unwrap();
        world.ledger.roll_up().await.unwrap();
        let told: u64 = rows(&world, &query).await.iter().filter_map(|row| Some(row.latencies.as_ref()?.calls())).sum();
        assert_eq!(told, all.iter().map(|event| event.counts.calls).sum::<u64>());
    }
}

#[tokio::test]
async fn calls_are_told_apart_by_the_organizations_of_projects() {
    everywhere(async |world| {
        let all = counted(world, 24).await;
        let consumers = vec![(1, 5), (2, 6), (77, 5)];
        let by = GroupBy { consumer: true, ..GroupBy::default() };
        let query = UsageQuery { by, consumers, latencies: true, ..EVERYTHING.clone() };
        let consumer = |project| [0, 5, 6][project as usize];
        let expected = sums(&all, |event| Some(consumer(event.dimensions.project)));
        assert_eq!(told(rows(world, &query).await, |row| row.consumer), expected);
        let both = UsageQuery { by: GroupBy { project: true, ..query.by.clone() }, ..query.clone() };
        let expected = sums(&all, |event| {
            let project = event.dimensions.project;
            (Some(consumer(project)), Some(project))
        });
        assert_eq!(told(rows(world, &both).await, |row| (row.consumer, row.project)), expected);
        // Of those that are not said nothing is known.
        let none = UsageQuery { consumers: Vec::new(), ..query };
        assert_eq!(rows(world, &none).await.iter().map(|row| row.consumer).collect::<Vec<_>>(), [Some(0)]);
    })
    .await;
}

#[tokio::test]
async fn the_most_comes_first_and_only_what_was_asked_for() {
    everywhere(async |world| {
        let all = counted(world, 25).await;
        let by = || GroupBy { key: true, api: true, ..GroupBy::default() };
        let count = |counts: &Counts, order| match order {
            Order::Calls => counts.calls.cast_signed(),
            Order::Latency => counts.latency_us.cast_signed(),
            Order::BytesIn => counts.bytes_in.cast_signed(),
            Order::BytesOut => counts.bytes_out.cast_signed(),
            Order::Cost => counts.cost,
        };
        for order in [Order::Calls, Order::Latency, Order::BytesIn, Order::BytesOut, Order::Cost] {
            let query = UsageQuery { by: by(), order: Some(order), limit: 7, ..EVERYTHING.clone() };
            let first: Vec<_> = rows(world, &query).await.iter().map(|row| count(&row.counts, order)).collect();
            let sums = sums(&all, |event| (event.dimensions.key, event.dimensions.api));
            let mut expected: Vec<_> = sums.values().map(|(counts, _)| count(counts, order)).collect();
            expected.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
            assert_eq!(first, expected[..7], "{order:?}");
            let next = rows(world, &UsageQuery { after: 7, ..query.clone() }).await;
            assert_eq!(count(&next[0].counts, order), expected[7]);
        }
        let calls = |which: &dyn Fn(&Dimensions) -> bool| -> u64 {
            all.iter().filter(|event| which(&event.dimensions)).map(|event| event.counts.calls).sum()
        };
        let everything = || EVERYTHING.clone();
        for (query, expected) in [
            (UsageQuery { statuses: Some((400, 500)), ..everything() }, calls(&|of| of.status / 100 == 4)),
            (
                UsageQuery { statuses: Some((201, 202)), key: Some(2), ..everything() },
                calls(&|of| of.status == 201 && of.key == 2),
            ),
            (UsageQuery { label: Some("GET /cats".to_owned()), ..everything() }, calls(&|of| of.label == 2)),
            (UsageQuery { label: Some("GET /dogs".to_owned()), ..everything() }, 0),
        ] {
            assert_eq!(
                rows(world, &query).await.iter().map(|row| row.counts.calls).sum::<u64>(),
                expected,
                "{query:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn who_called_is_forgotten_and_how_often_is_not() {
    everywhere(async |world| {
        let all = counted(world, 26).await;
        let mine: HashSet<_> = all
            .iter()
            .filter(|event| event.dimensions.project == 1)
            .filter_map(|event| event.facets.as_ref()?.end_user.clone())
            .collect();
        let end_users = |used: Vec<FacetUse>| -> HashSet<Box<str>> {
            used.into_iter().filter(|used| used.facet == Facet::EndUser).map(|used| used.value.into()).collect()
        };
        assert_eq!(end_users(facet_use(world, 1).await), mine);
        // One of them alone, of one organization.
        let one = mine.iter().min().unwrap();
        let is_one = |event: &&UsageEvent| {
            event.dimensions.organization == 1
                && event.dimensions.project != 0
                && event.facets.as_ref().is_some_and(|facets| facets.end_user.as_ref() == Some(one))
        };
        let (mut used, mut after) = (Vec::new(), None);
        loop {
            let some = world.ledger.end_user_use(1, one, after.as_ref(), 2).await.unwrap();
            let Some(last) = some.last() else { break };
            after = Some(*last);
            used.extend(some);
        }
        let (calls, cost) = (used.iter().map(|used| used.calls).sum(), used.iter().map(|used| used.cost).sum());
        let expected = all
            .iter()
            .filter(is_one)
            .fold((0, 0), |(calls, cost), event| (calls + event.counts.calls, cost + event.counts.cost));
        assert_eq!((calls, cost), expected);
        assert!(calls > 0 && used.is_sorted_by_key(|used| (used.project, used.key, used.api)), "{used:?}");
        world.ledger.forget_end_user(2, one).await.unwrap();
        assert_eq!(world.ledger.end_user_use(1, one, None, 10).await.unwrap().len(), used.len().min(10));
        assert_ne!(world.ledger.forget_end_user(1, one).await.unwrap(), 0);
        assert_eq!(world.ledger.forget_end_user(1, one).await.unwrap(), 0);
        assert_eq!(world.ledger.end_user_use(1, one, None, 10).await.unwrap(), []);
        assert_eq!(end_users(facet_use(world, 1).await).len(), mine.len() - 1);
        world.ledger.forget_facets_of(&[1]).await.unwrap();
        assert_eq!(facet_use(world, 1).await, []);
        let total: u64 = all.iter().map(|event| event.counts.calls).sum();
        let by = GroupBy { facet: Some(Facet::EndUser), project: true, ..GroupBy::default() };
        let query = UsageQuery { by, ..EVERYTHING.clone() };
        let answer = rows(world, &query).await;
        assert_eq!(answer.iter().map(|row| row.counts.calls).sum::<u64>(), total);
        assert!(answer.iter().all(|row| row.project != Some(1) || row.value == Some(None)));
        assert_ne!(facet_use(world, 2).await, []);
        // The first day alone.
        let second = NOW.floor_secs(DAY_SECS).plus_secs(DAY_SECS);
        world.ledger.forget_facets_before(second.plus_secs(60)).await.unwrap();
        assert!(facet_use(world, 2).await.iter().all(|used| used.first_day >= second));
        assert_eq!(rows(world, &query).await.iter().map(|row| row.counts.calls).sum::<u64>(), total);
    })
    .await;
}
