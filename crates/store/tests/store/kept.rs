//! Events that are kept: each once and for ever under its name, counted anew to the same, forgotten by age and size; and what is
//! recorded by hand beside them.

use std::collections::HashSet;

use keystile_core::code::Code;
use keystile_core::plan::Span;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, UsageEvent, fold};
use keystile_store::{BilledUsage, KeptEvent, NewUsage, NotRecorded, Recount};

use crate::ledger::EVERYTHING;
use crate::tampering::run_in_file;
use crate::world::{Dice, ENGINES, Engine, NOW, World, everywhere};

const DAY_SECS: i64 = 86_400;
const EVER: (Timestamp, Timestamp) = (Timestamp::from_secs(0), Timestamp::from_secs(4_000_000_000));

/// A call at a second after [`NOW`] of project 2 at API 1.
fn event(secs: i64, cost: i64) -> UsageEvent {
    let dimensions = Dimensions {
        organization: 1,
        api: 1,
        project: 2,
        key: 3,
        version: 1,
        label: 4,
        code: Code::Allowed,
        status: 200,
    };
    let client = Some([192, 0, 2, 7].into());
    let counts = Counts { calls: 1, latency_us: 9, bytes_in: 1, bytes_out: 2, cost };
    UsageEvent { at: NOW.plus_secs(secs), dimensions, client, facets: None, counts }
}

fn new(id: &str, cost: i64) -> NewUsage {
    let (id, note) = (id.to_owned(), String::new());
    NewUsage { id, api: 1, project: 2, at: None, calls: 0, cost, corrects: None, note }
}

async fn kept(world: &World) -> Vec<KeptEvent> {
    let (mut all, mut after) = (Vec::new(), None);
    while let Some((at, some)) = world.ledger.kept_events(EVER, None, after).await.unwrap() {
        all.extend(some);
        after = Some(at);
    }
    all
}

async fn recount(world: &World, from: i64, until: i64) -> Recount {
    let span = (NOW.plus_secs(from), NOW.plus_secs(until));
    world.ledger.recount(span, &[]).await.unwrap()
}

#[tokio::test]
async fn events_are_kept_once_each_without_addresses_and_counted_anew_to_the_same() {
    everywhere(async |world| {
        let mut dice = Dice(11);
        let mut all = Vec::new();
        for sequence in 1..=12_u64 {
            let events: Vec<_> = (0..dice.below(1_500))
                .map(|_| event(dice.below(2 * DAY_SECS as u64).cast_signed(), dice.below(9).cast_signed()))
                .collect();
            let node = sequence % 3;
            for _ in 0..2 {
                world.ledger.append(node, sequence, NOW.plus_secs(9), &[], &events).await.unwrap();
            }
            all.extend(events);
            if dice.below(3) == 0 {
                world.ledger.roll_up().await.unwrap();
            }
        }
        world.ledger.roll_up().await.unwrap();
        let read = kept(world).await;
        assert_eq!(read.len(), all.len());
        let names: HashSet<_> = read.iter().map(|kept| kept.name).collect();
        assert_eq!(names.len(), all.len(), "each has a name of its own");
        assert!(read.iter().all(|kept| kept.event.client.is_none() && kept.recorded_at == NOW.plus_secs(9)));
        let told = fold(Bucket::Minute, read.iter().map(|kept| &kept.event));
        assert_eq!(told, fold(Bucket::Minute, &all));

        world.ledger.record((1, "me"), NOW, &[new("by hand", 7)]).await.unwrap();
        let recounted = recount(world, 0, 3 * DAY_SECS).await;
        assert_eq!((recounted.events, recounted.differing), (all.len() as u64 + 1, 0), "{recounted:?}");
        let cost: i64 = all.iter().map(|event| event.counts.cost).sum();
        assert_eq!((recounted.counts.calls, recounted.counts.cost), (all.len() as u64, cost + 7));
        assert_eq!(recounted.kept_from, Timestamp::from_secs(0), "all that there ever was");
        let theirs = world.ledger.recount(EVER_DAYS, &[9]).await.unwrap();
        assert_eq!((theirs.events, theirs.differing), (0, 0));
    })
    .await;
}

const EVER_DAYS: (Timestamp, Timestamp) = (NOW, NOW.plus_secs(3 * DAY_SECS));

#[tokio::test]
async fn what_was_recorded_is_recorded_once_and_never_altered() {
    everywhere(async |world| {
        let ledger = &world.ledger;
        let first = NewUsage { calls: 2, note: "by phone".to_owned(), ..new("a", 5) };
        let both = [first.clone(), new("b", 1)];
        let told = ledger.record((1, "me"), NOW, &both).await.unwrap();
        assert_eq!(told.iter().map(|(_, is_new)| *is_new).collect::<Vec<_>>(), [true, true]);
        // Again, with one more, later and by somebody else: what was recorded stays as it is.
        let again = [first.clone(), new("c", -2)];
        let again = ledger.record((1, "another"), NOW.plus_secs(60), &again).await.unwrap();
        assert_eq!((again[0].1, again[1].1), (false, true));
        assert_eq!(again[0].0, told[0].0);
        // The same id for something else, or a correction of nothing: nothing of it is recorded.
        for (wrong, place) in [
            (NewUsage { cost: 6, ..first.clone() }, 1),
            (NewUsage { project: 3, ..first.clone() }, 1),
            (NewUsage { at: Some(NOW.plus_secs(-1)), ..first.clone() }, 1),
        ] {
            let refused = ledger.record((1, "me"), NOW, &[new("d", 1), wrong]).await;
            assert!(matches!(refused, Err(NotRecorded::Other(at)) if at == place), "{refused:?}");
        }
        for corrects in ["z", "d"] {
            let wrong = NewUsage { corrects: Some(corrects.to_owned()), ..new("e", -1) };
            let refused = ledger.record((1, "me"), NOW, &[wrong]).await;
            assert!(matches!(refused, Err(NotRecorded::Unknown(0))), "{refused:?}");
        }
        let elsewhere = NewUsage { project: 3, corrects: Some("a".to_owned()), ..new("e", -1) };
        assert!(matches!(ledger.record((1, "me"), NOW, &[elsewhere]).await, Err(NotRecorded::Unknown(0))));
        // Of another organization the same id is another one.
        assert!(ledger.record((2, "they"), NOW, &[new("a", 1)]).await.unwrap()[0].1);
        let back = NewUsage { corrects: Some("a".to_owned()), ..new("back", -5) };
        ledger.record((1, "me"), NOW, &[back]).await.unwrap();

        let rows = ledger.recorded_usage(EVER, None, None, 3).await.unwrap();
        let more = ledger.recorded_usage(EVER, None, rows.last(), 10).await.unwrap();
        let ids: Vec<_> = rows.iter().chain(&more).map(|row| (row.organization, row.id.as_str())).collect();
        assert_eq!(ids, [(1, "a"), (1, "b"), (1, "back"), (2, "a"), (1, "c")]);
        let usage = ledger.usage(&EVERYTHING).await.unwrap();
        assert_eq!((usage[0].counts.calls, usage[0].counts.cost), (2, 5 + 1 - 2 + 1 - 5));
        assert_eq!(recount(world, 0, 1).await.differing, 0);
        ledger.forget_notes_of(2).await.unwrap();
        assert!(ledger.recorded_usage(EVER, None, None, 10).await.unwrap().iter().all(|row| row.note.is_none()));
    })
    .await;
}

#[tokio::test]
async fn what_is_recorded_more_than_an_hour_later_is_late() {
    everywhere(async |world| {
        let ledger = &world.ledger;
        let late = |secs: i64| NOW.floor_secs(60).plus_secs(secs);
        let refused =
            UsageEvent { dimensions: Dimensions { code: Code::RateLimited, ..event(0, 0).dimensions }, ..event(0, 0) };
        // Within the hour none is, not even where minutes are only begun.
        ledger.append(1, 1, late(3_600 + 59), &[], &[event(0, 5)]).await.unwrap();
        let gone =
            UsageEvent { dimensions: Dimensions { code: Code::ClientGone, ..event(0, 0).dimensions }, ..event(0, 0) };
        let events = [event(0, 3), event(1, 4), refused, gone, event(120, 9)];
        ledger.append(1, 2, late(3_660), &[], &events).await.unwrap();
        ledger.roll_up().await.unwrap();
        let back = NewUsage { at: Some(NOW), ..new("back", -2) };
        ledger.record((1, "me"), late(7_200), &[back]).await.unwrap();
        let span = |from: i64, until: i64| Span {
            start: NOW.floor_secs(60).plus_secs(from),
            end: NOW.floor_secs(60).plus_secs(until),
        };
        let told = |calls, cost| BilledUsage { calls, cost };
        let mut billed = ledger.billed(2, 1).await.unwrap();
        assert_eq!(billed.used(span(0, 3_600)).await.unwrap(), told(4, 5 + 3 + 4 + 9 - 2));
        assert_eq!(billed.late(span(0, 3_600), (late(0), None)).await.unwrap(), told(2, 7 - 2));
        assert_eq!(billed.late(span(0, 3_600), (late(0), Some(late(7_200)))).await.unwrap(), told(2, 7));
        assert_eq!(billed.late(span(0, 60), (late(3_720), None)).await.unwrap(), told(0, -2));
        assert_eq!(billed.late(span(60, 3_600), (late(0), None)).await.unwrap(), told(0, 0));
        let minutes = billed.late_minutes(late(3_600), (late(0), late(7_200))).await.unwrap();
        assert_eq!(minutes, [late(0)]);
        // A view stays as it is.
        let more = NewUsage { at: Some(NOW), ..new("more", 50) };
        ledger.record((1, "me"), late(9_000), &[more]).await.unwrap();
        assert_eq!(billed.late(span(0, 60), (late(7_300), None)).await.unwrap(), told(0, 0));
        assert_eq!(ledger.billed(2, 2).await.unwrap().used(span(0, 3_600)).await.unwrap(), told(0, 0));
        assert_eq!(recount(world, 0, 1).await.differing, 0);
    })
    .await;
}

#[tokio::test]
async fn events_are_forgotten_by_age_and_by_size_and_counts_stay() {
    everywhere(async |world| {
        let ledger = &world.ledger;
        for day in 0..4 {
            let events: Vec<_> = (0..100).map(|n| event(day * DAY_SECS + n, 1)).collect();
            ledger.append(1, day.cast_unsigned() + 1, NOW, &[], &events).await.unwrap();
        }
        ledger.roll_up().await.unwrap();
        let old = NewUsage { at: Some(NOW), ..new("old", 1) };
        ledger.record((1, "me"), NOW, &[old]).await.unwrap();
        assert_eq!(ledger.forget_events(None, None).await.unwrap(), 0);
        let of_long_ago = NewUsage { at: Some(NOW), ..new("recorded lately", 1) };
        ledger.record((1, "me"), NOW.plus_secs(2 * DAY_SECS), &[of_long_ago]).await.unwrap();
        assert_eq!(ledger.forget_events(Some(NOW.plus_secs(DAY_SECS)), None).await.unwrap(), 1);
        assert_eq!(kept(world).await.len(), 300);
        // Its id can be used anew.
        let left = ledger.recorded_usage(EVER, None, None, 10).await.unwrap();
        assert_eq!(left.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["recorded lately"]);
        // Of what is left some is altered: that is found, and nothing else is.
        assert_eq!(recount(world, 0, 5 * DAY_SECS).await.differing, 0, "what was forgotten is not missed");
        assert_eq!(ledger.forget_events(None, Some(4_800)).await.unwrap(), 1);
        let recounted = recount(world, 0, 5 * DAY_SECS).await;
        assert_eq!((kept(world).await.len(), recounted.events, recounted.differing), (200, 200, 0));
        assert!(recounted.kept_from > NOW.plus_secs(DAY_SECS));
        assert_eq!(ledger.forget_events(None, Some(0)).await.unwrap(), 1);
        assert_eq!(kept(world).await.len(), 100, "the newest hour stays");
        assert_eq!(ledger.forget_events(Some(NOW.plus_secs(9 * DAY_SECS)), None).await.unwrap(), 1);
        assert_eq!(kept(world).await, []);
        assert_eq!(ledger.usage(&EVERYTHING).await.unwrap()[0].counts.calls, 400, "counts stay");
    })
    .await;
}

#[tokio::test]
async fn a_count_that_was_altered_is_found() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        let ledger = &world.ledger;
        ledger.append(1, 1, NOW, &[], &[event(0, 5), event(70, 2)]).await.unwrap();
        ledger.roll_up().await.unwrap();
        let tables = ["usage_minute", "usage_hour", "usage_day", "total_minute", "total_hour", "total_day"];
        for (table, rows) in tables.into_iter().zip([2, 3, 4, 6, 7, 8]) {
            let text = format!("UPDATE {table} SET cost = cost + 1 WHERE api = 1");
            run_in_file(&world, *engine, "usage.db", &text).await;
            let recounted = recount(&world, 0, 1).await;
            assert_eq!(recounted.differing, rows, "{engine:?}, {table}");
            let first = &recounted.differences[0];
            assert_eq!((first.counted.cost, first.recounted.cost), (6, 5));
            assert_eq!(recounted.differences.iter().filter(|row| row.is_total).count() as u64, rows.saturating_sub(4));
        }
        let late = NewUsage { at: Some(NOW.plus_secs(-DAY_SECS)), ..new("late", 3) };
        ledger.record((1, "me"), NOW, &[late]).await.unwrap();
        assert_eq!(recount(&world, -DAY_SECS, -DAY_SECS + 1).await.differing, 0);
        run_in_file(&world, *engine, "usage.db", "DELETE FROM late_usage").await;
        let recounted = recount(&world, -DAY_SECS, -DAY_SECS + 1).await;
        assert_eq!((recounted.differing, recounted.differences[0].bucket), (1, None), "statements are made of it");
        // What can't be read is said, and the rest is counted.
        let no_bytes = if *engine == Engine::Sqlite { "x'00'" } else { "'\\x00'" };
        run_in_file(&world, *engine, "usage.db", &format!("UPDATE kept_events SET events = {no_bytes}")).await;
        let recounted = recount(&world, -DAY_SECS, 1).await;
        assert_eq!((recounted.damaged, recounted.events), (1, 1), "{engine:?}");
        assert!(world.ledger.kept_events(EVER, None, None).await.is_err(), "an export breaks off");
    }
}
