//! What is written down of single calls: a line of the access log each, the spans of those that are sampled, and rows of the
//! request log.
//!
//! A call that is looked at (by its worker's [`Observer`]) has a [`Record`], which is left in a [`Sheet`] when the call
//! is counted. One thread (the [`Journal`]) gathers the sheets and writes lines and spans; whatever takes long (a disk) keeps that thread and no call. A sheet
//! is bounded: what comes when it is full is dropped, and counted. Where nothing is to be written there is no sheet,
//! and all that a call pays is a branch; for the request log so many calls a second have a record, and what the others pay is
//! little more.
//!
//! No secret is written (SECURITY.md E-2). A record takes none of what may be one by its place: no field but
//! `User-Agent` and `Host`, no query, no body, no method that is not one of ours. What could still hold one, path,
//! host and user agent, goes past [`Discretion`] first.

mod access;
mod discretion;
mod observer;
mod record;
mod sheet;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::metrics::Registry;
use super::request_log::{Allowance, RequestLog, row};
use super::trace::{Exporter, Tracer};
use crate::enforce::engine::Engine;
use access::AccessLog;
pub(crate) use discretion::Discretion;
pub use observer::{Called, Observed, Observer};
pub use record::{Door, Record};
pub use sheet::{Entry, Sheet};

/// How long a record waits at most before it is written.
const TURN: Duration = Duration::from_millis(50);
/// How often at most the log says that lines were dropped, in turns: every ten seconds.
const TURNS_OF_SILENCE: u32 = 200;

/// Where access lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere: none are made.
    Off,
    /// Standard output.
    Stdout,
    /// To the end of a file, which is opened anew when that is asked for.
    File(PathBuf),
}

/// The one thread that writes, and what became of what it was given.
pub struct Journal {
    sheets: Vec<Arc<Sheet>>,
    logs: bool,
    exporter: Option<Arc<Exporter>>,
    requests: Option<Logging>,
    lines: AtomicU64,
    /// Lines that were made and could not be written.
    lost: AtomicU64,
    reopens: AtomicBool,
    ends: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The request log, and how many calls go into it.
pub struct Logging {
    /// Takes their rows.
    pub log: Arc<RequestLog>,
    /// How many.
    pub allowance: Arc<Allowance>,
}

/// Why the access log can't be written.
#[derive(Debug, thiserror::Error)]
#[error("the access log {} can't be opened: {cause}", path.display())]
pub struct NoAccessLog {
    /// Its file.
    pub path: PathBuf,
    /// What the system said.
    pub cause: io::Error,
}

impl Journal {
    /// Opens what is written to and starts the thread, with a sheet for each of so many workers; `None` if nothing is
    /// to be written.
    ///
    /// # Errors
    /// If the file can't be opened.
    pub fn start(
        to: &Destination,
        exporter: Option<Arc<Exporter>>,
        requests: Option<Logging>,
        workers: usize,
        engine: &Arc<Engine>,
    ) -> Result<Option<Arc<Self>>, NoAccessLog> {
        let access = AccessLog::open(to)?;
        if access.is_none() && exporter.is_none() && requests.is_none() {
            return Ok(None);
        }
        let journal = Arc::new(Self {
            sheets: (0..workers).map(|_| Arc::default()).collect(),
            logs: access.is_some(),
            exporter,
            requests,
            lines: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            reopens: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let (of_thread, discretion) = (journal.clone(), Discretion::new(engine.clone()));
        let thread = std::thread::Builder::new().name("journal".to_owned());
        match thread.spawn(move || of_thread.run(access, &discretion)) {
            Ok(thread) => *journal.thread.lock() = Some(thread),
            Err(error) => tracing::error!(%error, "the journal has no thread; nothing is written"),
        }
        Ok(Some(journal))
    }

    /// What a worker needs, with a random number of its own.
    pub fn observer(&self, worker: usize, seed: u64) -> Option<Observer> {
        let sheet = self.sheets.get(worker)?.clone();
        let tracer = self.exporter.as_ref().map(|exporter| Tracer::new(exporter.sampling(), seed));
        let allowance = self.requests.as_ref().map(|requests| requests.allowance.clone());
        Some(Observer { sheet, logs: self.logs, tracer, allowance })
    }

    /// The file is to be opened anew: somebody has moved it away.
    pub fn reopen(&self) {
        self.reopens.store(true, Ordering::Release);
    }

    /// Writes what there is and ends the thread.
    pub fn end(&self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        if let Some(exporter) = &self.exporter {
            exporter.end();
        }
    }

    /// Declares what became of what was to be written.
    pub fn declare(self: &Arc<Self>, registry: &Registry) {
        if let Some(exporter) = &self.exporter {
            exporter.declare(registry);
        }
        if self.requests.is_some() {
            let journal = self.clone();
            registry.counter(
                "keystile_request_log_skipped_total",
                "Calls that were not written into the request log because more came than it takes.",
                move || journal.sheets.iter().map(|sheet| sheet.not_logged()).sum::<u64>(),
            );
        }
        if !self.logs {
            return;
        }
        let (written, dropped) = (self.clone(), self.clone());
        registry.counter("keystile_access_log_lines_total", "Lines of the access log that were written.", move || {
            written.lines.load(Ordering::Relaxed)
        });
        registry.counter(
            "keystile_access_log_dropped_total",
            "Lines of the access log that were dropped because they could not be written in time.",
            move || dropped.dropped(),
        );
    }

    fn dropped(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) + self.sheets.iter().map(|sheet| sheet.dropped()).sum::<u64>()
    }

    fn run(&self, mut access: Option<AccessLog>, discretion: &Discretion) {
        let (mut entries, mut said, mut silence) = (Vec::new(), 0, 0);
        loop {
            // Asked first: what comes before the end is written.
            let ends = self.ends.load(Ordering::Acquire);
            self.sheets.iter().for_each(|sheet| sheet.take(&mut entries));
            if let Some(access) = &mut access {
                self.write_lines(access, &entries, discretion);
            }
            if let Some(exporter) = &self.exporter {
                exporter.note_dropped(self.sheets.iter().map(|sheet| sheet.take_dropped_traces()).sum());
                entries.iter().for_each(|entry| exporter.take(entry, discretion));
            }
            if let Some(requests) = &self.requests {
                let rows: Vec<_> = entries.iter().filter(|entry| entry.is_logged).collect();
                requests.log.take(rows.into_iter().map(|entry| row(entry, discretion)));
            }
            entries.clear();
            let dropped = self.dropped();
            silence = u32::saturating_sub(silence, 1);
            if self.logs && dropped > said && (silence == 0 || ends) {
                let lines = dropped - said;
                tracing::warn!(lines, "lines of the access log were dropped: they could not be written in time");
                (said, silence) = (dropped, TURNS_OF_SILENCE);
            }
            if ends {
                return;
            }
            std::thread::park_timeout(TURN);
        }
    }

    fn write_lines(&self, access: &mut AccessLog, entries: &[Entry], discretion: &Discretion) {
        if self.reopens.swap(false, Ordering::AcqRel) {
            access.reopen();
        }
        if entries.is_empty() {
            return;
        }
        let counter = match access.write(entries, discretion) {
            Ok(()) => &self.lines,
            Err(_) => &self.lost,
        };
        counter.fetch_add(entries.len() as u64, Ordering::Relaxed);
    }
}
