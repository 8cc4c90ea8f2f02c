//! Gives keys whose text was presented the digest of it, in the catalogue, on a task of the control plane: no call waits
//! for the store, and one that comes before this is done is answered from memory. Keys get one that were known by a slow hash
//! until then, and keys whose digest was under an older pepper.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keystile_core::id::{KeyId, OrganizationId};
use keystile_core::key::KeyDigest;
use keystile_store::records::Rehashed;
use keystile_store::{Actor, Applied, ApplyError, Author, Catalog, Change, Who};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::feed::Feed;
use crate::world::Clock;

/// Texts that may wait to be written down. One that finds no room is asked for anew when it comes again.
const MAX_WAITING: usize = 4_096;
/// Texts that are written down together: a change for each would be a write of the disk for each.
const BATCH: usize = 512;
/// How old what was verified grows before it counts as old; twice as long it is remembered at most.
const GENERATION: Duration = Duration::from_secs(300);

/// A text that fits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rehash {
    pub(super) version: u16,
    /// What stands for its digest until now.
    pub(super) was: KeyDigest,
    pub(super) digest: KeyDigest,
    pub(super) pepper_version: u32,
    /// Whether it was known by a slow hash.
    pub(super) slow: bool,
}

/// Texts on their way to the catalogue.
pub(super) struct Rehashes {
    asked: mpsc::Sender<Rehash>,
    waiting: Mutex<Option<mpsc::Receiver<Rehash>>>,
}

impl Default for Rehashes {
    fn default() -> Self {
        let (asked, waiting) = mpsc::channel(MAX_WAITING);
        Self { asked, waiting: Mutex::new(Some(waiting)) }
    }
}

impl Rehashes {
    pub(super) fn ask(&self, rehash: Rehash) {
        let _ = self.asked.try_send(rehash);
    }

    /// What waits, in a test.
    #[cfg(test)]
    pub(super) fn take(&self) -> mpsc::Receiver<Rehash> {
        self.waiting.lock().take().unwrap()
    }
}

/// Writes down what is asked for, until the task is dropped. Of two such tasks the second has nothing to do.
pub async fn write_down(feed: Arc<Feed>, catalog: Catalog, clock: Arc<dyn Clock>) {
    let engine = feed.engine().clone();
    let Some(mut asked) = engine.slow.rehashes().waiting.lock().take() else { return };
    let mut older = tokio::time::interval(GENERATION);
    older.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let writer = Writer { feed, catalog, clock };
    let mut texts = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            count = asked.recv_many(&mut texts, BATCH) => match count {
                0 => return,
                _ => writer.write(texts.drain(..)).await,
            },
            _ = older.tick() => engine.slow.grow_older(),
        }
    }
}

struct Writer {
    feed: Arc<Feed>,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
}

impl Writer {
    async fn write(&self, texts: impl Iterator<Item = Rehash>) {
        // What another process changes from now on, it writes down too.
        if !self.feed.makers.are_here().await {
            return;
        }
        // Of one pepper and one organization together.
        let mut together: HashMap<(OrganizationId, u32), Vec<Rehashed>> = HashMap::new();
        for text in texts {
            let Some((organization, key)) = self.owner(&text) else { continue };
            let Rehash { version, was, digest, pepper_version, slow } = text;
            if slow {
                self.forget_slow_hash(organization, (key, version), digest, pepper_version).await;
            } else if self.feed.engine().snapshot.keys.find(&digest).is_none() {
                together.entry((organization, pepper_version)).or_default().push(Rehashed {
                    key,
                    version,
                    was,
                    digest,
                });
            }
        }
        for ((organization, pepper_version), keys) in together {
            match self.apply(organization, Change::RehashKeys { keys, pepper_version }).await {
                // All of them were written down before, or changed meanwhile.
                Ok(_) | Err(ApplyError::NotFound(_)) => {}
                Err(error) => {
                    tracing::error!(%error, "keys could not be hashed with the newest pepper; they are when they are presented again");
                }
            }
        }
    }

    /// Whose key a text is, by what stands for its digest.
    fn owner(&self, text: &Rehash) -> Option<(OrganizationId, KeyId)> {
        let snapshot = &self.feed.engine().snapshot;
        let key = snapshot.keys.open(snapshot.keys.find(&text.was)?)?;
        let project = snapshot.projects.get(key.entry.project);
        Some((project.as_ref()?.organization, key.entry.id))
    }

    async fn apply(&self, organization: OrganizationId, change: Change) -> Result<Applied, ApplyError> {
        let actor = Actor { organization, who: Who::System("gateway"), address: None, request: None };
        let author = Author { actor, at: self.clock.now().wall, idempotency: None };
        let applied = async {
            let applied = self.catalog.apply(&author, change).await?;
            self.feed.catch_up(applied.revision).await?;
            self.feed.lead(applied.revision).await;
            Ok(applied)
        };
        let applied = applied.await;
        if let Err(ApplyError::Store(_)) = applied {
            self.feed.failed();
        }
        applied
    }

    async fn forget_slow_hash(
        &self,
        organization: OrganizationId,
        (id, version): (KeyId, u16),
        digest: KeyDigest,
        pepper_version: u32,
    ) {
        match self.apply(organization, Change::RehashKey { id, version, digest, pepper_version }).await {
            Ok(_) => {
                tracing::info!(key = %id, "a key that was taken over with a slow hash was used for the first time")
            }
            // Written down before, or deleted meanwhile; or its text belongs to another key, which goes before.
            Err(ApplyError::Exists(_) | ApplyError::NotFound(_)) => {}
            Err(error) => {
                tracing::error!(key = %id, %error, "that a key was used could not be written down; its slow hash stays for now");
            }
        }
    }
}
