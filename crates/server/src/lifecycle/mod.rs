//! What happens to keys by itself, in the background: warnings before they end, word of versions that have ended, reminders
//! of rotations, and what becomes of keys that nobody uses. Each is a change like every other, with its audit entry, from
//! which events are made.
//!
//! Whether a key is past its end is no work of this: the decision itself looks at the clock. [`ends`], [`rotation`] and
//! [`unused`] are the rounds, each made of questions to the catalogue and changes; a round that fails is made again later,
//! and nothing is told twice.

mod ends;
mod retention;
mod rotation;
mod unused;

pub use retention::Retention;

use std::sync::Arc;
use std::time::Duration;

use keystile_core::account::SessionLimits;
use keystile_core::id::OrganizationId;
use keystile_core::key::KeyNotice;
use keystile_core::time::Timestamp;
use keystile_store::{Actor, ApplyError, Author, Catalog, Change, Due, Ledger, StoreError, Who};
use tokio::time::MissedTickBehavior;

use crate::enforce::change::NotMade;
use crate::enforce::feed::Feed;
use crate::enforce::maker::Maker;
use crate::world::Clock;

/// Keys in one question.
const BATCH: u32 = 500;
const DAY_SECS: i64 = 86_400;

/// Sees to the life of keys.
pub struct Lifecycle {
    /// What is known.
    pub catalog: Catalog,
    /// When keys were used.
    pub ledger: Ledger,
    /// Brings changes into force.
    pub feed: Arc<Feed>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long sessions of people last.
    pub sessions: SessionLimits,
    /// For how long details are kept.
    pub retention: Retention,
}

/// Why a round came to its end too early.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// Another process makes changes now.
    #[error("another process makes changes now")]
    Elsewhere,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Lifecycle {
    /// Makes rounds, one after the other, for as long as the process lives.
    pub async fn run(self, every: Duration) {
        let mut turn = tokio::time::interval(every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            if self.feed.makers.now() != Maker::Here {
                continue;
            }
            if let Err(Unfinished::Store(error)) = self.round().await {
                tracing::warn!(
                    error = crate::problem::causes(&error),
                    "keys could not be looked after; the next round will"
                );
            }
        }
    }

    /// Makes one round.
    ///
    /// # Errors
    /// What it could not come past; the next round goes on from there.
    pub async fn round(&self) -> Result<(), Unfinished> {
        let now = self.clock.now().wall;
        self.tell_of_ends(now).await?;
        if self.feed.makers.now() == Maker::Here {
            self.catalog.wipe_hand_overs(now).await?;
            self.catalog.forget_sessions(&self.sessions, now).await?;
        }
        for api in self.catalog.feed_apis().await? {
            self.remind_of_rotation(&api, now).await?;
            self.look_for_unused(&api, now).await?;
        }
        if self.feed.makers.now() == Maker::Here {
            self.retention.keep(&self.catalog, &self.ledger, now).await?;
        }
        Ok(())
    }

    /// Tells something of each of these keys; whether there may be more of them.
    async fn note(&self, all: &[Due], notice: impl Fn(&Due) -> KeyNotice, now: Timestamp) -> Result<bool, Unfinished> {
        let mut noted = 0;
        for due in all {
            let change = Change::NoteKey { id: due.key, notice: notice(due) };
            noted += u32::from(self.change(due.organization, change, now).await?);
        }
        Ok(all.len() == BATCH as usize && noted > 0)
    }

    /// Makes a change for an organization; whether it was made. What is not there any more, what was changed meanwhile and
    /// what was told before is nobody's fault.
    async fn change(&self, organization: OrganizationId, change: Change, at: Timestamp) -> Result<bool, Unfinished> {
        let actor = Actor { organization, who: Who::System("lifecycle"), address: None, request: None };
        let author = Author { actor, at, idempotency: None };
        match self.feed.make(author, change, self.clock.ticks()).await {
            Ok(_) => Ok(true),
            Err(NotMade::Elsewhere) => Err(Unfinished::Elsewhere),
            Err(NotMade::Refused(ApplyError::Store(error))) => Err(error.into()),
            Err(NotMade::Refused(_)) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests;
