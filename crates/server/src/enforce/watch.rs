//! Asks the catalogue every second whether it is there, off the way of any call.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::time::Timestamp;
use keystile_store::StoreError;
use tokio::time::MissedTickBehavior;

use super::feed::Feed;
use super::news::Trouble;
use crate::problem::causes;
use crate::usage::Writer;
use crate::world::Clock;

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Watches until the task is dropped. After `max_staleness` without an answer nothing of the snapshot is used any more.
pub async fn watch(feed: Arc<Feed>, writer: Arc<Writer>, clock: Arc<dyn Clock>, max_staleness: Duration) {
    let news = &feed.engine().news;
    news.confirm(clock.ticks(), max_staleness);
    let mut ask = tokio::time::interval(ASK_EVERY);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_away = false;
    loop {
        ask.tick().await;
        let asked = clock.now();
        // Reading works on a full disk: whether writing does is found out by writing, once something has failed.
        let writes = is_away || writer.is_failing() || feed.has_failed();
        match answer(&feed, writes.then_some(asked.wall)).await {
            Ok(()) => {
                if is_away {
                    tracing::info!("the store answers again; the snapshot is current");
                }
                is_away = false;
                news.confirm(asked.ticks, max_staleness);
            }
            Err(error) => {
                let why = causes(&error);
                if !is_away {
                    tracing::error!(cause = why, "the store can't be asked; known keys go on from memory");
                }
                is_away = true;
                news.doubt(Trouble { fault: error.fault(), why }, max_staleness.is_zero());
            }
        }
    }
}

/// Waits until the catalogue has answered and the snapshot holds what it said.
async fn answer(feed: &Feed, writes: Option<Timestamp>) -> Result<(), StoreError> {
    let newest = feed.probe(writes).await?;
    feed.catch_up(newest).await
}
