//! When keys and pairs of a project and an API were last used, and how often.

use std::collections::HashMap;

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, UsageEvent};
use keystile_store::Use;

use crate::world::{Dice, NOW, everywhere};

#[tokio::test]
async fn the_last_use_of_a_pair_and_of_a_key_is_what_its_events_say() {
    everywhere(async |world| {
        let mut dice = Dice(9);
        let (mut all, mut sequence) = (Vec::new(), 0);
        for _ in 0..8 {
            let events: Vec<UsageEvent> = (0..40)
                .map(|_| UsageEvent {
                    // Not in their order: a node may send late what it counted.
                    at: Timestamp::from_micros(NOW.as_micros() + dice.below(6 * 86_400_000_000) as i64),
                    dimensions: Dimensions {
                        organization: 1,
                        api: dice.below(3) as u32,
                        project: dice.below(3) as u32,
                        key: dice.below(4) as u32,
                        version: 0,
                        label: 0,
                        code: [Code::Allowed, Code::RateLimited][dice.below(2) as usize],
                        status: 200,
                    },
                    client: None,
                    facets: None,
                    counts: Counts { calls: 1 + dice.below(3), ..Counts::default() },
                })
                .collect();
            sequence += 1;
            world.ledger.append(7, sequence, NOW, &[], &events).await.unwrap();
            all.extend(events);
            if dice.below(2) == 0 {
                world.ledger.roll_up().await.unwrap();
            }
        }
        let since = NOW.plus_secs(2 * 86_400);
        let first_day = since.floor_secs(Bucket::Day.secs());
        let (mut pairs, mut keys) = (HashMap::<_, Use>::new(), HashMap::<u32, Timestamp>::new());
        for event in all.iter().filter(|event| event.dimensions.api != 0) {
            let (of, second) = (event.dimensions, event.at.floor_secs(1));
            if of.project != 0 {
                let one = pairs.entry((of.project, of.api)).or_insert(Use { last: second, calls: 0 });
                one.last = one.last.max(second);
                one.calls += if event.at >= first_day { event.counts.calls } else { 0 };
            }
            if of.key != 0 {
                let last = keys.entry(of.key).or_insert(second);
                *last = (*last).max(second);
            }
        }
        assert_eq!(world.ledger.uses(&[1, 2, 77], &[1, 2, 77], since).await.unwrap(), pairs);
        assert_eq!(pairs.len(), 4);
        let one = world.ledger.uses(&[1], &[2], since).await.unwrap();
        assert_eq!(one, HashMap::from([((1, 2), pairs[&(1, 2)])]));
        assert_eq!(world.ledger.last_used(&[1, 2, 3, 77]).await.unwrap(), keys);
        assert_eq!(world.ledger.last_used(&[]).await.unwrap(), HashMap::new());
        assert_eq!(world.ledger.uses(&[], &[], since).await.unwrap(), HashMap::new());
    })
    .await;
}
