//! Gives keys whose text was presented the digest of it, in the catalogue, on a task of the control plane: no call waits
//! for the store, and one that comes before this is done is answered from memory.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::key::KeyDigest;
use keystile_store::{Actor, ApplyError, Author, Catalog, Change, Who};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::enforce::feed::Feed;
use crate::world::Clock;

/// Texts that may wait to be written down. One that finds no room is verified anew when it comes again.
const MAX_WAITING: usize = 4_096;
/// How old what was verified grows before it counts as old; twice as long it is remembered at most.
const GENERATION: Duration = Duration::from_secs(300);

/// A text that fits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rehash {
    pub(super) version: u16,
    /// What stands for its digest.
    pub(super) placeholder: KeyDigest,
    pub(super) digest: KeyDigest,
    pub(super) pepper_version: u32,
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
    let Some(mut asked) = engine.slow.prover.rehashes.waiting.lock().take() else { return };
    let mut older = tokio::time::interval(GENERATION);
    older.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            rehash = asked.recv() => match rehash {
                Some(rehash) => write(&feed, &catalog, &*clock, rehash).await,
                None => return,
            },
            _ = older.tick() => engine.slow.prover.memory.write().grow_older(),
        }
    }
}

async fn write(feed: &Feed, catalog: &Catalog, clock: &dyn Clock, rehash: Rehash) {
    let Rehash { version, placeholder, digest, pepper_version } = rehash;
    // What another process changes from now on, it writes down too.
    if !feed.makers.are_here().await {
        return;
    }
    let snapshot = &feed.engine().snapshot;
    let Some(key) = snapshot.keys.find(&placeholder).and_then(|place| snapshot.keys.open(place)) else { return };
    let Some(organization) = snapshot.projects.get(key.entry.project).as_ref().map(|project| project.organization)
    else {
        return;
    };
    let actor = Actor { organization, who: Who::System("gateway"), address: None, request: None };
    let author = Author { actor, at: clock.now().wall, idempotency: None };
    let id = key.entry.id;
    let written = async {
        let applied = catalog.apply(&author, Change::RehashKey { id, version, digest, pepper_version }).await?;
        feed.catch_up(applied.revision).await?;
        feed.lead(applied.revision).await;
        Ok(())
    };
    match written.await {
        Ok(()) => tracing::info!(key = %id, "a key that was taken over with a slow hash was used for the first time"),
        // Written down before, or deleted meanwhile; or its text belongs to another key, which goes before.
        Err(ApplyError::Exists(_) | ApplyError::NotFound(_)) => {}
        Err(error) => {
            if let ApplyError::Store(_) = error {
                feed.failed();
            }
            tracing::error!(key = %id, %error, "that a key was used could not be written down; its slow hash stays for now");
        }
    }
}
