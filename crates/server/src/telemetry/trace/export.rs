//! Posts spans to a collector: OTLP over HTTP, as JSON, from a thread of its own. A collector that is slow or gone keeps
//! that thread; what it does not take is dropped, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use ureq::Agent;

use super::super::journal::{Discretion, Entry};
use super::super::metrics::Registry;
use super::spans::{message, spans};
use super::tracer::Sampling;

/// Calls whose spans wait: some seconds of many calls, about 20 MB.
const MAX_WAITING: usize = 8_192;
/// Calls of one message: less than a megabyte, where collectors take four.
const MAX_BATCH: usize = 512;
/// How long spans wait for others.
const TURN: Duration = Duration::from_secs(1);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a message is sent, each time after twice as long a pause.
const TRIES: u32 = 3;
/// How long the end of the process waits for the last message.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// Where spans go, and which.
#[derive(Debug, Clone)]
pub struct Exports {
    /// The collector's address, with its path.
    pub endpoint: String,
    /// What the process is called there.
    pub service: String,
    /// Which calls.
    pub sampling: Sampling,
}

/// The thread that posts, and what became of what it was given. It counts calls, which have one or two spans each.
pub struct Exporter {
    exports: Exports,
    waiting: Mutex<Vec<Vec<Value>>>,
    exported: AtomicU64,
    dropped: AtomicU64,
    ends: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Exporter {
    /// Starts the thread.
    pub fn start(exports: Exports) -> Arc<Self> {
        let exporter = Arc::new(Self {
            exports,
            waiting: Mutex::default(),
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            ends: AtomicBool::new(false),
            thread: Mutex::default(),
        });
        let of_thread = exporter.clone();
        match std::thread::Builder::new().name("traces".to_owned()).spawn(move || of_thread.run()) {
            Ok(thread) => *exporter.thread.lock() = Some(thread),
            Err(error) => tracing::error!(%error, "traces have no thread; none are exported"),
        }
        exporter
    }

    /// Which calls are wanted.
    pub fn sampling(&self) -> Sampling {
        self.exports.sampling
    }

    /// Takes the spans of a call if it is sampled, or drops them if there is no room.
    pub(crate) fn take(&self, entry: &Entry, discretion: &Discretion) {
        let Some(trace) = &entry.trace else { return };
        let spans = spans(entry, trace, discretion);
        let mut waiting = self.waiting.lock();
        if waiting.len() < MAX_WAITING {
            waiting.push(spans);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans of so many calls never came here.
    pub fn note_dropped(&self, calls: u64) {
        self.dropped.fetch_add(calls, Ordering::Relaxed);
    }

    /// Posts what there is, once, and ends the thread; a collector that does not answer is not waited for.
    pub fn end(&self) {
        self.ends.store(true, Ordering::Release);
        let Some(thread) = self.thread.lock().take() else { return };
        thread.thread().unpark();
        let mut left = LAST_PATIENCE * 2;
        while !thread.is_finished() && !left.is_zero() {
            let pause = Duration::from_millis(5);
            std::thread::sleep(pause);
            left = left.saturating_sub(pause);
        }
    }

    /// Declares what became of traces.
    pub fn declare(self: &Arc<Self>, registry: &Registry) {
        let figure = |of: fn(&Self) -> &AtomicU64| {
            let exporter = self.clone();
            move || of(&exporter).load(Ordering::Relaxed)
        };
        registry.counter(
            "keystile_traces_exported_total",
            "Calls of which a collector took the spans.",
            figure(|of| &of.exported),
        );
        registry.counter(
            "keystile_traces_dropped_total",
            "Calls of which the spans were dropped because no collector took them in time.",
            figure(|of| &of.dropped),
        );
    }

    fn run(&self) {
        // No proxy of the environment: a collector is near.
        let agent: Agent = Agent::config_builder().max_redirects(0).proxy(None).build().into();
        let (mut batch, mut tries): (Vec<Vec<Value>>, u32) = (Vec::new(), 0);
        let mut failing = false;
        loop {
            let ends = self.ends.load(Ordering::Acquire);
            let mut is_more = false;
            if batch.is_empty() {
                let mut waiting = self.waiting.lock();
                let count = waiting.len().min(MAX_BATCH);
                batch.extend(waiting.drain(..count));
                is_more = !waiting.is_empty();
            }
            if !batch.is_empty() {
                let calls = batch.len() as u64;
                match self.post(&agent, &batch, if ends { LAST_PATIENCE } else { PATIENCE }) {
                    Ok(()) => {
                        self.exported.fetch_add(calls, Ordering::Relaxed);
                        (tries, failing) = (0, false);
                        batch.clear();
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut failing, true) {
                            tracing::warn!(%error, "the collector does not take traces; they are tried again, then dropped");
                        }
                        (tries, is_more) = (tries + 1, false);
                        if tries == TRIES || ends {
                            self.dropped.fetch_add(calls, Ordering::Relaxed);
                            (tries, batch) = (0, Vec::new());
                        }
                    }
                }
            }
            if ends && !is_more {
                return;
            }
            if !is_more {
                std::thread::park_timeout(TURN * (1 << tries));
            }
        }
    }

    fn post(&self, agent: &Agent, calls: &[Vec<Value>], patience: Duration) -> Result<(), ureq::Error> {
        let spans: Vec<Value> = calls.iter().flatten().cloned().collect();
        let body = message(&self.exports.service, &spans).to_string();
        let request = agent.post(&self.exports.endpoint).header("content-type", "application/json");
        request.config().timeout_global(Some(patience)).build().send(body.as_bytes()).map(drop)
    }
}
