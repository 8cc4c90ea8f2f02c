//! What is counted once is counted once, however often it is sent and whenever it is added up.

use std::collections::HashMap;
use std::slice;
use std::sync::LazyLock;

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, UsageEvent, fold};
use keystile_store::{GroupBy, LabelRow, OperationRow, OperationsQuery, UsageQuery, UsageRow};

use crate::world::{Dice, NOW, World, everywhere};

pub static EVERYTHING: LazyLock<UsageQuery> = LazyLock::new(|| UsageQuery {
    limit: 100_000,
    ..UsageQuery::of((Timestamp::from_secs(0), Timestamp::from_secs(4_000_000_000)))
});

fn event(dice: &mut Dice) -> UsageEvent {
    let dimensions = Dimensions {
        organization: dice.below(3) as u32,
        api: dice.below(3) as u32,
        project: dice.below(3) as u32,
        key: dice.below(4) as u32,
        version: 0,
        label: dice.below(4) as u32,
        code: [Code::Allowed, Code::KeyUnknown, Code::RateLimited][dice.below(3) as usize],
        status: [200, 404, 429][dice.below(3) as usize],
    };
    // Three days, so that minutes, hours and days all have several rows.
    let at = Timestamp::from_micros(NOW.as_micros() + dice.below(3 * 86_400 * 1_000_000) as i64);
    let counts = Counts {
        calls: 1 + dice.below(3),
        latency_us: dice.below(1_000),
        bytes_in: dice.below(10),
        bytes_out: dice.below(10),
        cost: dice.below(20).cast_signed() - 5,
    };
    UsageEvent { at, dimensions, client: None, facets: None, counts }
}

fn labels() -> Vec<LabelRow> {
    let label = |number, api, text: &str| LabelRow { number, api, text: text.to_owned() };
    // Two APIs have an operation of the same text.
    vec![label(1, 1, "GET /pets"), label(2, 2, "GET /pets"), label(3, 1, "GET /cats")]
}

async fn append(world: &World, sequence: u64, events: &[UsageEvent]) {
    world.ledger.append(7, sequence, NOW, &labels(), events).await.unwrap();
}

async fn calls(world: &World, query: &UsageQuery) -> u64 {
    world.ledger.usage(query).await.unwrap().iter().map(|row| row.counts.calls).sum()
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_not_counted_again() {
    everywhere(async |world| {
        let mut dice = Dice(1);
        let one = UsageEvent { counts: Counts { calls: 1, ..Counts::default() }, ..event(&mut dice) };
        append(world, 1, slice::from_ref(&one)).await;
        append(world, 1, slice::from_ref(&one)).await;
        assert_eq!(world.ledger.roll_up().await.unwrap(), 1);
        append(world, 1, slice::from_ref(&one)).await;
        assert_eq!(world.ledger.roll_up().await.unwrap(), 0);
        append(world, 2, &[one.clone(), one.clone()]).await;
        assert_eq!(calls(world, &EVERYTHING).await, 3);
        // Another node counts for itself.
        world.ledger.append(u64::MAX, 1, NOW, &[], &[one]).await.unwrap();
        assert_eq!(calls(world, &EVERYTHING).await, 4);
        assert_eq!(world.ledger.last_sequence(7).await.unwrap(), 2);
        assert_eq!(world.ledger.last_sequence(8).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_empty_batch_is_a_batch() {
    everywhere(async |world| {
        append(world, 1, &[]).await;
        assert_eq!(world.ledger.roll_up().await.unwrap(), 0);
        assert_eq!(world.ledger.last_sequence(7).await.unwrap(), 1);
        assert_eq!(world.ledger.usage(&EVERYTHING).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn roll_ups_are_what_folding_the_events_gives() {
    everywhere(async |world| {
        let mut dice = Dice(2);
        let mut all = Vec::new();
        let mut sequence = 0;
        for _ in 0..25 {
            let events: Vec<_> = (0..dice.below(200)).map(|_| event(&mut dice)).collect();
            sequence += 1;
            for _ in 0..1 + dice.below(3) {
                append(world, sequence, &events).await;
            }
            all.extend(events);
            if dice.below(4) == 0 {
                world.ledger.roll_up().await.unwrap();
            }
        }
        let by = GroupBy { api: true, project: true, key: true, code: true, status: true, ..GroupBy::default() };
        for bucket in Bucket::ALL {
            let rows = world
                .ledger
                .usage(&UsageQuery { bucket: Some(bucket), by: by.clone(), ..EVERYTHING.clone() })
                .await
                .unwrap();
            let told: HashMap<_, _> = rows.iter().map(|row| (key_of(row), row.counts)).collect();
            assert_eq!(told.len(), rows.len(), "no row twice");
            let mut expected: HashMap<_, Counts> = HashMap::new();
            for ((at, of), counts) in fold(bucket, &all) {
                let key = (Some(at), Some(of.api), Some(of.project), Some(of.key), Some(of.code), Some(of.status));
                expected.entry(key).or_default().add(&counts);
            }
            assert_eq!(told, expected, "{bucket:?}");
        }
        // A span in one row is put together from all three tables.
        for _ in 0..20 {
            let (from, length) = (dice.below(3 * 86_400), dice.below(3 * 86_400));
            let (from, until) = (NOW.plus_secs(from as i64), NOW.plus_secs((from + length) as i64));
            let (from, until) = (from.floor_secs(60), until.floor_secs(60));
            let expected: u64 =
                all.iter().filter(|event| event.at >= from && event.at < until).map(|event| event.counts.calls).sum();
            assert_eq!(calls(world, &UsageQuery { from, until, ..EVERYTHING.clone() }).await, expected);
        }
    })
    .await;
}

type RowKey = (Option<Timestamp>, Option<u32>, Option<u32>, Option<u32>, Option<Code>, Option<u16>);

fn key_of(row: &UsageRow) -> RowKey {
    (row.start, row.api, row.project, row.key, row.code, row.status)
}

#[tokio::test]
async fn answers_are_told_apart_by_what_was_asked_for() {
    everywhere(async |world| {
        let mut dice = Dice(3);
        let events: Vec<_> = (0..2_000).map(|_| event(&mut dice)).collect();
        append(world, 1, &events).await;
        let total: u64 = events.iter().map(|event| event.counts.calls).sum();
        let none = GroupBy::default;
        for (by, rows) in [
            (none(), 1),
            (GroupBy { api: true, ..none() }, 3),
            (GroupBy { project: true, ..none() }, 3),
            (GroupBy { key: true, ..none() }, 4),
            (GroupBy { code: true, ..none() }, 3),
            (GroupBy { status: true, ..none() }, 3),
            // Nothing, `GET /cats` and `GET /pets`, whichever API's.
            (GroupBy { label: true, ..none() }, 3),
            (GroupBy { code: true, status: true, ..none() }, 9),
        ] {
            let query = UsageQuery { by: by.clone(), ..EVERYTHING.clone() };
            let answer = world.ledger.usage(&query).await.unwrap();
            assert_eq!(answer.len(), rows, "{by:?}");
            assert_eq!(answer.iter().map(|row| row.counts.calls).sum::<u64>(), total, "{by:?}");
            assert_eq!(answer, world.ledger.usage(&query).await.unwrap(), "in the same order");
            let one = &answer[0];
            assert_eq!(
                (one.api.is_some(), one.project.is_some(), one.key.is_some(), one.code.is_some(), one.status.is_some()),
                (by.api, by.project, by.key, by.code, by.status)
            );
        }
        let by = GroupBy { label: true, ..none() };
        let answer = world.ledger.usage(&UsageQuery { by, ..EVERYTHING.clone() }).await.unwrap();
        let texts: Vec<_> = answer.iter().map(|row| row.label.as_deref()).collect();
        assert_eq!(texts, [None, Some("GET /cats"), Some("GET /pets")]);
        assert_eq!(world.ledger.labels().await.unwrap(), labels());
    })
    .await;
}

#[tokio::test]
async fn z05_filters_leave_out_what_is_anothers() {
    everywhere(async |world| {
        let mut dice = Dice(4);
        let events: Vec<_> = (0..500).map(|_| event(&mut dice)).collect();
        append(world, 1, &events).await;
        let sum = |which: &dyn Fn(&Dimensions) -> bool| -> u64 {
            events.iter().filter(|event| which(&event.dimensions)).map(|event| event.counts.calls).sum()
        };
        let all = || EVERYTHING.clone();
        for (query, expected) in [
            (UsageQuery { organizations: vec![1], ..all() }, sum(&|of| of.organization == 1)),
            (UsageQuery { organizations: vec![0, 2], ..all() }, sum(&|of| of.organization != 1)),
            (UsageQuery { organizations: vec![9], ..all() }, 0),
            (UsageQuery { api: Some(1), ..all() }, sum(&|of| of.api == 1)),
            (UsageQuery { project: Some(2), key: Some(3), ..all() }, sum(&|of| of.project == 2 && of.key == 3)),
            (UsageQuery { code: Some(Code::KeyUnknown), ..all() }, sum(&|of| of.code == Code::KeyUnknown)),
        ] {
            assert_eq!(calls(world, &query).await, expected, "{query:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn answers_come_page_by_page() {
    everywhere(async |world| {
        let mut dice = Dice(5);
        append(world, 1, &(0..300).map(|_| event(&mut dice)).collect::<Vec<_>>()).await;
        let by = GroupBy { key: true, status: true, ..GroupBy::default() };
        let query = UsageQuery { by, bucket: Some(Bucket::Day), ..EVERYTHING.clone() };
        let all = world.ledger.usage(&query).await.unwrap();
        let mut pages = Vec::new();
        loop {
            let page = UsageQuery { after: pages.len() as u64, limit: 5, ..query.clone() };
            let rows = world.ledger.usage(&page).await.unwrap();
            if rows.is_empty() {
                break;
            }
            pages.extend(rows);
        }
        assert_eq!(pages, all);
    })
    .await;
}

#[tokio::test]
async fn sums_that_are_too_large_stay_at_the_greatest() {
    everywhere(async |world| {
        let mut dice = Dice(6);
        let counts = Counts { calls: 1, latency_us: u64::MAX, bytes_in: i64::MAX as u64, bytes_out: 0, cost: i64::MAX };
        let huge = UsageEvent { counts, ..event(&mut dice) };
        append(world, 1, slice::from_ref(&huge)).await;
        world.ledger.roll_up().await.unwrap();
        append(world, 2, slice::from_ref(&huge)).await;
        let rows = world.ledger.usage(&EVERYTHING).await.unwrap();
        let greatest = i64::MAX as u64;
        let counts = Counts { calls: 2, latency_us: greatest, bytes_in: greatest, bytes_out: 0, cost: i64::MAX };
        assert_eq!(rows[0].counts, counts);
        // Costs that are taken back come down from there, and no further than to the least.
        let back = |cost| UsageEvent { counts: Counts { calls: 0, cost, ..Counts::default() }, ..huge.clone() };
        for (sequence, cost, left) in [(3, -1, i64::MAX - 1), (4, i64::MIN, -1), (5, i64::MIN, i64::MIN + 1)] {
            append(world, sequence, &[back(cost.max(i64::MIN + 1))]).await;
            let rows = world.ledger.usage(&EVERYTHING).await.unwrap();
            assert_eq!(rows[0].counts.cost, left.max(i64::MIN + 1), "{sequence}");
        }
    })
    .await;
}

#[tokio::test]
async fn adding_up_and_taking_in_at_the_same_time_loses_nothing() {
    everywhere(async |world| {
        let mut dice = Dice(7);
        let events: Vec<_> = (0..50).map(|_| event(&mut dice)).collect();
        let expected: u64 = events.iter().map(|event| event.counts.calls).sum::<u64>() * 40;
        let rolling = {
            let ledger = world.ledger.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    ledger.roll_up().await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        };
        for sequence in 1..=40 {
            append(world, sequence, &events).await;
        }
        rolling.await.unwrap();
        assert_eq!(calls(world, &EVERYTHING).await, expected);
    })
    .await;
}

#[tokio::test]
async fn operations_are_added_up_over_minutes_and_hours_and_say_when_they_were_called_last() {
    everywhere(async |world| {
        let mut dice = Dice(8);
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let mut called = |label: u32, api: u32, moment: &str, code: Code| {
            let event = event(&mut dice);
            let dimensions = Dimensions { label, api, code, ..event.dimensions };
            UsageEvent {
                at: at(moment),
                dimensions,
                client: None,
                facets: None,
                counts: Counts { calls: 1, ..event.counts },
            }
        };
        let events = [
            called(1, 1, "2026-11-24T10:20:30Z", Code::Allowed),
            called(1, 1, "2026-11-24T12:20:30Z", Code::KeyUnknown),
            called(1, 1, "2026-11-26T12:40:30Z", Code::UpstreamTimeout),
            called(1, 2, "2026-11-26T12:41:30Z", Code::Allowed),
            called(3, 1, "2026-11-24T09:59:59Z", Code::Allowed),
            called(3, 1, "2026-11-24T10:59:59Z", Code::RateLimited),
        ];
        append(world, 1, &events).await;
        let row = |label: &str, calls: u64, refused: u64, last: &str| OperationRow {
            label: label.to_owned(),
            calls,
            refused,
            last: at(last),
        };
        let ask = OperationsQuery {
            api: 1,
            prefix: "GET ",
            from: at("2026-11-24T10:10:00Z"),
            until: at("2026-11-26T12:40:31Z"),
            after: None,
            limit: 10,
        };
        let (cats, pets) =
            (row("GET /cats", 1, 1, "2026-11-24T10:59:00Z"), row("GET /pets", 3, 1, "2026-11-26T12:40:00Z"));
        assert_eq!(world.ledger.operations(&ask).await.unwrap(), [cats.clone(), pets.clone()]);
        assert_eq!(world.ledger.operations(&OperationsQuery { limit: 1, ..ask.clone() }).await.unwrap(), [cats]);
        let after = Some("GET /cats".to_owned());
        assert_eq!(world.ledger.operations(&OperationsQuery { after, ..ask.clone() }).await.unwrap(), [pets]);
        // An hour that lies within the span is known as an hour.
        let until = at("2026-11-25T00:00:00Z");
        assert_eq!(
            world.ledger.operations(&OperationsQuery { prefix: "GET /p", until, ..ask.clone() }).await.unwrap(),
            [row("GET /pets", 2, 1, "2026-11-24T12:00:00Z")]
        );
        for nothing in [
            OperationsQuery { prefix: "(", ..ask.clone() },
            OperationsQuery { api: 3, ..ask.clone() },
            OperationsQuery { until: ask.from, ..ask.clone() },
        ] {
            assert_eq!(world.ledger.operations(&nothing).await.unwrap(), []);
        }
    })
    .await;
}
