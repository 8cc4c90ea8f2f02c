//! The request log: single calls as they were answered, kept for a while to be searched and followed (PRODUCT.md K29, K30).
//!
//! The journal's thread makes rows (`row`) of those calls that were given a record for it (`allowance`: so many a second); here
//! they wait in memory for the next transaction, which writes all of them. If the store is away they wait, up to a bound, and what
//! comes beyond is dropped and counted: no call is ever held up, and what was counted (`usage`) is exact either way. Whoever
//! follows the log (`streams`) is woken when rows were written.
//!
//! Not here: searching it and the stream itself (`manage/requests`), its rows (the store's `ledger/requests.rs`), how long they are
//! kept (`lifecycle/retention.rs`).

mod allowance;
mod row;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_store::{Ledger, LoggedRequest, StoreError, StoreFault};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::metrics::Registry;
use crate::usage::Writer;
use crate::world::Clock;
pub use allowance::Allowance;
pub(super) use row::row;
pub use streams::Place;
use streams::Streams;

/// How often rows are written.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// Rows that wait for a store that is away: some minutes of the usual load, some ten megabytes. A row has at most 4 KiB.
const MAX_WAITING: usize = 20_000;
/// After so long the journal's thread, which looks twenty times a second, has made rows of what was answered.
const ON_THE_WAY: Duration = Duration::from_millis(150);
/// Rows of one transaction.
const MAX_BATCH: usize = 1_000;

/// The way of rows to the log, and of whoever follows it.
pub struct RequestLog {
    ledger: Ledger,
    writer: Arc<Writer>,
    clock: Arc<dyn Clock>,
    waiting: Mutex<Vec<LoggedRequest>>,
    /// What is being written; kept until the store has acknowledged it.
    batch: tokio::sync::Mutex<Vec<LoggedRequest>>,
    tally: Tally,
    /// The last sequence that was written here; closed with the process.
    written: Mutex<Option<watch::Sender<u64>>>,
    follows: watch::Receiver<u64>,
    streams: Streams,
}

/// What became of rows, ever since the start.
#[derive(Default)]
struct Tally {
    written: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

impl RequestLog {
    /// A log in this ledger, which `writer` tells the labels of operations.
    pub fn new(ledger: Ledger, writer: Arc<Writer>, clock: Arc<dyn Clock>) -> Self {
        let (sender, follows) = watch::channel(0);
        Self {
            ledger,
            writer,
            clock,
            waiting: Mutex::default(),
            batch: tokio::sync::Mutex::default(),
            tally: Tally::default(),
            written: Mutex::new(Some(sender)),
            follows,
            streams: Streams::default(),
        }
    }

    /// Takes rows to be written, as far as there is room.
    pub fn take(&self, rows: impl ExactSizeIterator<Item = LoggedRequest>) {
        let mut waiting = self.waiting.lock();
        let (room, all) = (MAX_WAITING.saturating_sub(waiting.len()), rows.len());
        waiting.extend(rows.take(room));
        drop(waiting);
        self.tally.dropped.fetch_add(all.saturating_sub(room) as u64, Ordering::Relaxed);
    }

    /// Writes what waits; durable when this returns.
    ///
    /// # Errors
    /// If the store fails. What was not written waits for the next time, unless the store is there and does not take it.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let mut batch = self.batch.lock().await;
        loop {
            if batch.is_empty() {
                let mut waiting = self.waiting.lock();
                let some = waiting.len().min(MAX_BATCH);
                batch.extend(waiting.drain(..some));
            }
            if batch.is_empty() {
                return Ok(());
            }
            // First the labels that rows refer to.
            self.writer.flush().await?;
            match self.ledger.log_requests(self.clock.now().wall, &batch).await {
                Ok(last) => {
                    self.tally.written.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    batch.clear();
                    if let Some(written) = &*self.written.lock() {
                        written.send_replace(last);
                    }
                }
                Err(error) => {
                    self.tally.failures.fetch_add(1, Ordering::Relaxed);
                    if matches!(error.fault(), StoreFault::Broken) {
                        // It would fail for ever, and hold up all others.
                        self.tally.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                        batch.clear();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Writes all calls that were answered until now; durable when this returns.
    ///
    /// # Errors
    /// As [`RequestLog::flush`].
    pub async fn settle(&self) -> Result<(), StoreError> {
        tokio::time::sleep(ON_THE_WAY).await;
        self.flush().await
    }

    /// Writes twice a second until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut flush = tokio::time::interval(FLUSH_EVERY);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            flush.tick().await;
            match self.flush().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(cause = ?error, "the request log can't be written; its rows wait in memory, as far as there is room");
                }
                Err(_) => {}
            }
        }
    }

    /// Rows that are not on disk.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Tells when rows were written here, and by an error that the process ends.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.follows.clone()
    }

    /// A place for a stream of this organization, if there is room.
    pub fn enter(&self, organization: u32) -> Option<Place> {
        self.streams.enter(organization)
    }

    /// Ends all streams.
    pub fn close(&self) {
        self.written.lock().take();
    }

    /// Declares the families of the request log.
    pub fn declare(self: &Arc<Self>, registry: &Registry) {
        let tally = |of: fn(&Tally) -> &AtomicU64| {
            let log = self.clone();
            move || of(&log.tally).load(Ordering::Relaxed)
        };
        registry.counter(
            "keystile_request_log_rows_total",
            "Calls that were written into the request log.",
            tally(|of| &of.written),
        );
        registry.counter(
            "keystile_request_log_dropped_total",
            "Calls that were to be written into the request log and were dropped because the store did not take them in time.",
            tally(|of| &of.dropped),
        );
        registry.counter(
            "keystile_request_log_failures_total",
            "Transactions of the request log that failed; most are tried again.",
            tally(|of| &of.failures),
        );
        let (waiting, streams) = (self.clone(), self.clone());
        registry.gauge(
            "keystile_request_log_waiting",
            "Calls that wait to be written into the request log.",
            move || waiting.waiting() as u64,
        );
        registry.gauge("keystile_request_log_streams", "Streams that follow the request log.", move || {
            streams.streams.count() as u64
        });
    }
}
