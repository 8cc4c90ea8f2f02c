//! Carries queued events to the ledger, a batch at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_core::usage::UsageEvent;
use keystile_store::{Ledger, StoreError};
use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use super::queue::Queue;
use crate::enforce::operations::Labels;

/// How often batches are added up by minute, hour and day when nobody asks for usage.
const ROLL_UP_EVERY: Duration = Duration::from_secs(60);

/// The writer of the ledger.
pub struct Writer {
    queue: Arc<Queue>,
    ledger: Ledger,
    labels: Arc<Labels>,
    /// Which process wrote a batch; random, so that a restart never reuses it.
    node: u64,
    acknowledged: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sequence: u64,
    /// The batch that is being written; kept until the ledger has acknowledged it.
    waiting: Vec<UsageEvent>,
    /// The first label that the ledger does not have yet.
    next_label: u32,
}

impl Writer {
    /// A writer under a random node number.
    pub fn new(queue: Arc<Queue>, ledger: Ledger, labels: Arc<Labels>, node: u64) -> Self {
        Self { queue, ledger, labels, node, acknowledged: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Writes what is queued; durable when this returns.
    ///
    /// # Errors
    /// If the ledger fails. Nothing is lost: the next call writes it.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        // A batch that failed keeps its number and its events, so that it is counted once even if it did arrive.
        if !state.waiting.is_empty() {
            self.append(&mut state).await?;
        }
        let state = &mut *state;
        self.queue.take(&mut state.waiting);
        if state.waiting.is_empty() { Ok(()) } else { self.append(state).await }
    }

    async fn append(&self, state: &mut State) -> Result<(), StoreError> {
        let (labels, next_label) = self.labels.rows_from(state.next_label);
        self.ledger.append(self.node, state.sequence + 1, &labels, &state.waiting).await?;
        state.sequence += 1;
        self.acknowledged.store(state.sequence, Ordering::Relaxed);
        state.next_label = next_label;
        state.waiting.clear();
        Ok(())
    }

    /// Batches that the ledger has acknowledged, ever since the start.
    pub fn batches(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Writes every `interval` until the task is dropped; that bounds what a crash can lose.
    pub async fn run(self: Arc<Self>, interval: Duration) {
        let mut flush = tokio::time::interval(interval);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut roll_up = tokio::time::interval(ROLL_UP_EVERY);
        roll_up.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            let done = tokio::select! {
                _ = flush.tick() => self.flush().await,
                _ = roll_up.tick() => self.ledger.roll_up().await.map(|_| ()),
            };
            match done {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(cause = ?error, "the usage ledger can't be written; counts wait in memory");
                }
                Err(_) => {}
            }
        }
    }
}
