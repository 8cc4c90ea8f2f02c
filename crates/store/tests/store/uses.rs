//! With which versions keys were used, and from where.

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_store::{AddressUse, GroupBy, Ledger, UsageQuery, VersionUse};

use crate::world::{NOW, everywhere};

fn event(version: u16, client: Option<&str>, code: Code, at: i64) -> UsageEvent {
    let dimensions = Dimensions { organization: 1, api: 1, project: 1, key: 7, version, label: 1, code, status: 200 };
    let counts = Counts { calls: 1, ..Counts::default() };
    UsageEvent {
        at: NOW.plus_secs(at),
        dimensions,
        client: client.map(|text| text.parse().unwrap()),
        facets: None,
        counts,
    }
}

async fn append(ledger: &Ledger, sequence: u64, events: &[UsageEvent]) {
    ledger.append(1, sequence, NOW, &[], events).await.unwrap();
}

fn at(secs: i64) -> Timestamp {
    NOW.plus_secs(secs)
}

#[tokio::test]
async fn calls_are_told_by_version_and_counted_once_as_the_keys() {
    everywhere(async |world| {
        let ledger = &world.ledger;
        let (allowed, refused) = (Code::Allowed, Code::KeyExpired);
        append(ledger, 1, &[event(0, None, allowed, 0), event(1, None, allowed, 1), event(2, None, allowed, 2)]).await;
        assert_eq!(ledger.version_use(7).await.unwrap().len(), 2, "of a key that was never rotated nothing is told");
        append(ledger, 2, &[event(1, None, refused, 9), event(1, None, allowed, 3)]).await;
        let used = ledger.version_use(7).await.unwrap();
        let first = VersionUse { version: 1, calls: 3, refused: 1, last_at: at(9) };
        assert_eq!(used, [first, VersionUse { version: 2, calls: 1, refused: 0, last_at: at(2) }]);
        assert_eq!(ledger.version_use(8).await.unwrap(), []);
        let query = UsageQuery {
            by: GroupBy { key: true, ..GroupBy::default() },
            key: Some(7),
            limit: 10,
            ..UsageQuery::of((NOW, at(60)))
        };
        let rows = ledger.usage(&query).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.counts.calls).collect::<Vec<_>>(), [5], "usage is the key's");
    })
    .await;
}

#[tokio::test]
async fn calls_are_told_by_address_since_a_day() {
    everywhere(async |world| {
        let ledger = &world.ledger;
        let day = 86_400;
        let (one, two) = (Some("192.0.2.1"), Some("2001:db8::1"));
        append(ledger, 1, &[event(0, one, Code::Allowed, 0), event(0, two, Code::RateLimited, 5)]).await;
        append(ledger, 2, &[event(0, one, Code::KeyRevoked, day + 7), event(0, None, Code::Allowed, day)]).await;
        let seen = |address: Option<&str>, calls, refused, first, last| AddressUse {
            address: address.map(|text| text.parse().unwrap()),
            calls,
            refused,
            first_at: at(first),
            last_at: at(last),
        };
        let all = ledger.address_use(7, NOW, 10).await.unwrap();
        assert_eq!(all, [seen(one, 2, 1, 0, day + 7), seen(two, 1, 1, 5, 5)]);
        assert_eq!(ledger.address_use(7, at(day), 10).await.unwrap(), [seen(one, 1, 1, day + 7, day + 7)]);
        assert_eq!(ledger.address_use(7, NOW, 1).await.unwrap().len(), 1);
        assert_eq!(ledger.address_use(8, NOW, 10).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn no_key_fills_the_ledger_with_addresses() {
    everywhere(async |world| {
        let ledger = &world.ledger;
        for round in 0..3_u32 {
            let calls: Vec<UsageEvent> = (0..900)
                .map(|n| {
                    let n = round * 500 + n;
                    event(0, Some(&format!("10.{}.{}.1", n / 256, n % 256)), Code::Allowed, n.into())
                })
                .collect();
            append(ledger, u64::from(round) + 1, &calls).await;
        }
        let all = ledger.address_use(7, NOW, 10_000).await.unwrap();
        assert_eq!(all.iter().map(|seen| seen.calls).sum::<u64>(), 2_700, "every call is counted");
        assert_eq!(all.iter().filter(|seen| seen.address.is_some()).count(), 1_000);
        assert!(all.iter().any(|seen| seen.address.is_none() && seen.calls > 500), "the rest is one row");
    })
    .await;
}
