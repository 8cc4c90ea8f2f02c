//! Telling webhooks of usage: how far each was told is kept and moved by one at a time, and an hour that is over stays as it is.

use keystile_core::code::Code;
use keystile_core::id::WebhookId;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_core::webhook::USAGE_HOUR;
use keystile_store::records::WebhookState;
use keystile_store::{Change, NewUsage, Store, UsagePlace};

use crate::world::{ENGINES, NOW, World, bytes, create_webhook, everywhere, told};

const HOUR: i64 = 3_600;

fn hour(number: i64) -> Timestamp {
    NOW.floor_secs(HOUR).plus_secs(number * HOUR)
}

/// A call in an hour.
fn event(number: i64) -> UsageEvent {
    let dimensions = Dimensions {
        organization: 1,
        api: 1,
        project: 2,
        key: 3,
        version: 0,
        label: 4,
        code: Code::Allowed,
        status: 200,
    };
    let counts = Counts { calls: 1, cost: 1, ..Counts::default() };
    UsageEvent { at: hour(number).plus_secs(7), dimensions, client: None, facets: None, counts }
}

fn by_hand(id: &str) -> NewUsage {
    let (id, note) = (id.to_owned(), String::new());
    NewUsage { id, api: 1, project: 2, at: Some(hour(-100)), calls: 0, cost: -1, corrects: None, note }
}

/// The hours in which calls happened that were recorded within these.
async fn calls(world: &World, from: i64, until: i64) -> Vec<i64> {
    let within = (hour(from), hour(until));
    let mut all = Vec::new();
    for row in world.ledger.events_recorded(within).await.unwrap() {
        let events = world.ledger.events_at(row).await.unwrap();
        let recorded = events.into_iter().filter(|kept| (within.0..within.1).contains(&kept.recorded_at));
        all.extend(recorded.map(|kept| (kept.event.at.as_secs() - hour(0).as_secs()) / HOUR));
    }
    all
}

#[tokio::test]
async fn how_far_usage_was_told_is_kept_and_moved_from_where_it_was_read() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        let ledger = &world.ledger;
        let first = UsagePlace::beginning(7, NOW.plus_secs(5));
        assert_eq!(first.hour, hour(0));
        ledger.begin_usage_place(&first).await.unwrap();
        ledger.begin_usage_place(&UsagePlace::beginning(7, NOW.plus_secs(9_000))).await.unwrap();
        assert_eq!(ledger.usage_place(7).await.unwrap().as_ref(), Some(&first), "it has one place");
        let failed = UsagePlace {
            attempts: 1,
            next_at: NOW.plus_secs(30),
            status: Some(500),
            error: "it answered 500".to_owned(),
            last_at: Some(NOW.plus_secs(6)),
            missed_from: Some(hour(-3)),
            ..first.clone()
        };
        assert!(ledger.move_usage_place(&first, &failed).await.unwrap());
        assert!(!ledger.move_usage_place(&first, &failed).await.unwrap(), "it is there no more");
        let next = UsagePlace { part: 2, attempts: 0, delivered_at: Some(NOW.plus_secs(8)), ..failed.clone() };
        assert!(ledger.move_usage_place(&failed, &next).await.unwrap());
        // Back to an hour before, never on.
        assert_eq!(ledger.put_usage_place_back(7, hour(4), NOW.plus_secs(9)).await.unwrap(), hour(0));
        assert_eq!(ledger.usage_place(7).await.unwrap().unwrap().part, 2);
        assert_eq!(ledger.put_usage_place_back(7, NOW, NOW.plus_secs(9)).await.unwrap(), hour(0));
        let back = UsagePlace { part: 1, next_at: NOW.plus_secs(9), ..next.clone() };
        assert_eq!(ledger.usage_place(7).await.unwrap().as_ref(), Some(&back), "the whole hour");
        assert_eq!(ledger.put_usage_place_back(7, hour(-2).plus_secs(60), NOW).await.unwrap(), hour(-2));
        assert!(!ledger.move_usage_place(&next, &next).await.unwrap(), "what is under way does not move it on");
        assert_eq!(ledger.put_usage_place_back(8, hour(1), NOW).await.unwrap(), hour(1), "one that had none yet");
        ledger.end_usage_place(8).await.unwrap();
        // Over a restart.
        let kept = ledger.usage_places().await.unwrap();
        assert_eq!((kept.len(), kept[0].hour, kept[0].error.as_str()), (1, hour(-2), "it answered 500"), "{engine:?}");
        let folder = world.close().await;
        let Store { ledger, .. } = engine.open(folder.path()).await.unwrap();
        assert_eq!(ledger.usage_places().await.unwrap(), kept);
    }
}

#[tokio::test]
async fn what_was_recorded_in_an_hour_is_found_and_nothing_is_added_once_it_is_over() {
    everywhere(async |world| {
        let ledger = &world.ledger;
        assert_eq!(ledger.first_recorded(hour(0)).await.unwrap(), None);
        // Two batches that are added up together; calls of the first hour that were recorded in the second; by hand in the third.
        ledger.append(1, 1, hour(0).plus_secs(60), &[], &[event(0), event(0)]).await.unwrap();
        ledger.append(1, 2, hour(1).plus_secs(60), &[], &[event(0), event(1)]).await.unwrap();
        ledger.roll_up().await.unwrap();
        ledger.record((1, "me"), hour(2), &[by_hand("a")]).await.unwrap();
        ledger.record((1, "me"), hour(2).plus_secs(5), &[by_hand("b"), by_hand("c")]).await.unwrap();
        ledger.append(1, 3, hour(9).plus_secs(60), &[], &[event(9)]).await.unwrap();
        ledger.roll_up().await.unwrap();
        assert_eq!((calls(world, 0, 1).await, calls(world, 1, 2).await), (vec![0, 0], vec![0, 1]));
        assert_eq!((calls(world, 2, 9).await, calls(world, 9, 10).await), (vec![], vec![9]));
        let within = (hour(2), hour(3));
        let rows = ledger.usage_recorded(within, None, 2).await.unwrap();
        let more = ledger.usage_recorded(within, rows.last(), 2).await.unwrap();
        let ids: Vec<_> = rows.iter().chain(&more).map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert!(ledger.usage_recorded((hour(3), hour(9)), None, 9).await.unwrap().is_empty());
        // Hours in which nothing was recorded need not be looked at.
        for (from, first) in [(-5, 0), (0, 0), (1, 1), (2, 2), (3, 9), (9, 9)] {
            let found = ledger.first_recorded(hour(from)).await.unwrap().unwrap();
            assert_eq!(found.floor_secs(HOUR), hour(first), "{from}");
        }
        assert_eq!(ledger.first_recorded(hour(10)).await.unwrap(), None);

        ledger.end_recording(hour(10)).await.unwrap();
        ledger.end_recording(hour(5)).await.unwrap();
        // By a clock that was set back.
        ledger.append(1, 4, hour(1), &[], &[event(1)]).await.unwrap();
        ledger.roll_up().await.unwrap();
        ledger.record((1, "me"), hour(1), &[by_hand("d")]).await.unwrap();
        assert_eq!((calls(world, 1, 2).await, calls(world, 10, 11).await), (vec![0, 1], vec![1]));
        assert_eq!(ledger.usage_recorded((hour(10), hour(11)), None, 9).await.unwrap()[0].id, "d");
    })
    .await;
}

#[tokio::test]
async fn webhooks_that_name_usage_are_found_and_what_is_sent_to_them_says_since_when_nothing_arrives() {
    everywhere(async |world| {
        let mut made = Vec::new();
        for events in [&[][..], &["key.*"], &["usage.hour"], &["usage.record"], &["usage.*", "key.revoke"]] {
            let id = WebhookId::from_entropy(bytes());
            world.apply(create_webhook(&world.catalog, world.mine.id, id, events)).await.unwrap();
            made.push(id);
        }
        let naming = async || {
            let found = world.catalog.webhooks_naming(USAGE_HOUR).await.unwrap();
            found.into_iter().map(|webhook| webhook.id).collect::<Vec<_>>()
        };
        assert_eq!(naming().await, [made[2]]);
        let webhook = async || world.catalog.webhook(world.mine.id, made[2]).await.unwrap().unwrap();
        let number = webhook().await.number;
        world.catalog.note_arrival(number, false, NOW).await.unwrap();
        world.catalog.note_arrival(number, false, NOW.plus_secs(60)).await.unwrap();
        assert_eq!(webhook().await.failing_since, Some(NOW));
        world.catalog.note_arrival(number, true, NOW.plus_secs(90)).await.unwrap();
        assert_eq!(webhook().await.failing_since, None);
        // One that is off is found, one that names it no more or is gone is not.
        let was = webhook().await;
        let update = |events: &[&str], was: u64| Change::UpdateWebhook {
            id: made[2],
            was,
            url: "https://elsewhere.test/".parse().unwrap(),
            description: String::new(),
            events: told(events),
            state: WebhookState::Disabled { reason: String::new() },
        };
        let off = world.apply(update(&["usage.hour"], was.revision)).await.unwrap();
        world.apply(Change::DeleteWebhook { id: made[4] }).await.unwrap();
        assert_eq!(naming().await, [made[2]]);
        world.apply(update(&[], off.revision)).await.unwrap();
        assert_eq!(naming().await, [] as [WebhookId; 0]);
    })
    .await;
}
