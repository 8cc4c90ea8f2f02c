//! Carries queued events to the ledger, a batch at a time, and past the metrics on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use keystile_core::usage::{Facets, UsageEvent};
use keystile_store::{Ledger, StoreError};
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::queue::{Event, MAX_EVENTS, MAX_WITH_FACETS, Queue, folded};
use crate::countries::Countries;
use crate::enforce::operations::Labels;
use crate::telemetry::metrics::{Calls, Registry};
use crate::world::Clock;

/// How often batches are added up by minute, hour and day when nobody asks for usage.
const ROLL_UP_EVERY: Duration = Duration::from_secs(60);

/// The writer of the ledger.
pub struct Writer {
    queue: Arc<Queue>,
    ledger: Ledger,
    labels: Arc<Labels>,
    calls: Arc<Calls>,
    countries: Arc<Countries>,
    clock: Arc<dyn Clock>,
    /// Which process wrote a batch; random, so that a restart never reuses it.
    node: u64,
    tally: Tally,
    taken: Mutex<Taken>,
    state: tokio::sync::Mutex<State>,
}

/// What became of events, ever since the start.
#[derive(Default)]
struct Tally {
    batches: AtomicU64,
    events: AtomicU64,
    folded: AtomicU64,
    failures: AtomicU64,
    /// Events of the batch that is being written.
    writing: AtomicU64,
    /// Microseconds since 1970; 0 before the first batch.
    last_written: AtomicI64,
    /// Failures since the last success.
    failing: AtomicU64,
}

/// What was taken out of the queue and is in no batch yet.
#[derive(Default)]
struct Taken {
    fresh: Vec<Event>,
    waiting: Vec<UsageEvent>,
}

#[derive(Default)]
struct State {
    sequence: u64,
    /// The batch that is being written; kept until the ledger has acknowledged it.
    batch: Vec<UsageEvent>,
    /// The first label that the ledger does not have yet.
    next_label: u32,
}

impl Writer {
    /// A writer under a random node number.
    pub fn new(
        queue: Arc<Queue>,
        ledger: Ledger,
        labels: Arc<Labels>,
        (calls, countries): (Arc<Calls>, Arc<Countries>),
        clock: Arc<dyn Clock>,
        node: u64,
    ) -> Self {
        let (tally, taken, state) = (Tally::default(), Mutex::default(), tokio::sync::Mutex::default());
        Self { queue, ledger, labels, calls, countries, clock, node, tally, taken, state }
    }

    /// Takes what is queued and adds it to the metrics. It waits for no disk, so the metrics of calls are current even
    /// if the ledger is away.
    pub fn take(&self) {
        let Taken { fresh, waiting } = &mut *self.taken.lock();
        self.queue.take(fresh);
        self.calls.add(fresh);
        for event in fresh.drain(..) {
            let is_late = waiting.len() >= MAX_WITH_FACETS;
            let plain = |event| UsageEvent { facets: None, ..event };
            waiting.push(if is_late { plain(event.kept) } else { self.with_country(event.kept) });
        }
        if waiting.len() >= MAX_EVENTS {
            let before = waiting.len();
            *waiting = folded(&*waiting);
            self.tally.folded.fetch_add((before - waiting.len()) as u64, Ordering::Relaxed);
        }
    }

    /// Says from which country a call came, unless that was said. It is looked up here and not while a call waits.
    fn with_country(&self, mut event: UsageEvent) -> UsageEvent {
        let is_said = event.facets.as_ref().is_some_and(|facets| facets.country.is_some());
        if !is_said && let Some(country) = event.client.and_then(|client| self.countries.of(client)) {
            let facets = event.facets.take().map_or_else(Facets::default, |facets| *facets);
            event.facets = Some(Box::new(Facets { country: Some(country), ..facets }));
        }
        event
    }

    /// Writes what is queued; durable when this returns.
    ///
    /// # Errors
    /// If the ledger fails. Nothing is lost: the next call writes it.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        self.take();
        // A batch that failed keeps its number and its events, so that it is counted once even if it did arrive.
        if !state.batch.is_empty() {
            self.append(&mut state).await?;
        }
        std::mem::swap(&mut state.batch, &mut self.taken.lock().waiting);
        if state.batch.is_empty() { Ok(()) } else { self.append(&mut state).await }
    }

    async fn append(&self, state: &mut State) -> Result<(), StoreError> {
        let tally = &self.tally;
        tally.writing.store(state.batch.len() as u64, Ordering::Relaxed);
        let (labels, next_label) = self.labels.rows_from(state.next_label);
        let now = self.clock.now().wall;
        if let Err(error) = self.ledger.append(self.node, state.sequence + 1, now, &labels, &state.batch).await {
            tally.failures.fetch_add(1, Ordering::Relaxed);
            tally.failing.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
        state.sequence += 1;
        state.next_label = next_label;
        tally.batches.store(state.sequence, Ordering::Relaxed);
        tally.events.fetch_add(state.batch.len() as u64, Ordering::Relaxed);
        tally.last_written.store(self.clock.now().wall.as_micros(), Ordering::Relaxed);
        tally.failing.store(0, Ordering::Relaxed);
        tally.writing.store(0, Ordering::Relaxed);
        state.batch.clear();
        Ok(())
    }

    /// Events that are not on disk.
    pub fn waiting(&self) -> u64 {
        self.taken.lock().waiting.len() as u64 + self.tally.writing.load(Ordering::Relaxed)
    }

    /// Whether the last attempt to write failed.
    pub fn is_failing(&self) -> bool {
        self.tally.failing.load(Ordering::Relaxed) > 0
    }

    /// Declares the families of counting.
    pub fn declare(self: &Arc<Self>, registry: &Registry) {
        let figure = |of: fn(&Self) -> u64| {
            let writer = self.clone();
            move || of(&writer)
        };
        let tally = |of: fn(&Tally) -> &AtomicU64| {
            let writer = self.clone();
            move || of(&writer.tally).load(Ordering::Relaxed)
        };
        registry.gauge("keystile_calls_in_flight", "Calls that are being answered.", figure(|of| of.queue.in_flight()));
        registry.gauge(
            "keystile_usage_events_waiting",
            "Counted calls that are not on disk yet.",
            figure(Self::waiting),
        );
        registry.counter("keystile_usage_events_total", "Counted calls that are on disk.", tally(|of| &of.events));
        registry.counter(
            "keystile_usage_events_folded_total",
            "Counted calls that were added to others of their minute because the disk was away; their totals are kept.",
            tally(|of| &of.folded),
        );
        registry.counter(
            "keystile_usage_batches_total",
            "Usage batches acknowledged by the ledger.",
            tally(|of| &of.batches),
        );
        registry.counter(
            "keystile_usage_failures_total",
            "Batches that could not be written; each is tried again.",
            tally(|of| &of.failures),
        );
        let writer = self.clone();
        registry.gauge(
            "keystile_usage_last_batch_timestamp_seconds",
            "When the last batch was written, since 1970; 0 for never.",
            move || writer.tally.last_written.load(Ordering::Relaxed) as f64 / 1e6,
        );
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
