//! The audit, told to other systems as it grows: each entry as a line of JSON at the end of a file, or as a message of syslog
//! (PRODUCT.md K33). Every entry arrives at least once, over restarts and crashes too; up to which place one arrived is in a
//! file of the data folder. It begins with the first entry that there is. Entries of all organizations are in it: it is for
//! whoever runs the server.
//!
//! It never holds anything up: a change is answered when it is in the audit, wherever else that is told.

mod file;
mod place;
mod syslog;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_store::records::History;
use keystile_store::{Catalog, StoreError};

use crate::enforce::feed::Feed;
use crate::enforce::maker::Maker;
use crate::gateway::ending::Ending;
use crate::manage::AuditLine;
use crate::telemetry::metrics::{Kind, Registry};
use place::{BEGINNING, Place};

pub use syslog::{NotASyslog, SyslogTarget};

/// Entries that are read and told at a time.
const BATCH: u32 = 500;
/// How often it is looked whether there are more.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause after something failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Where entries are told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// To the end of this file.
    File(PathBuf),
    /// To this receiver of syslog messages.
    Syslog(SyslogTarget),
}

impl Sink {
    const fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Syslog(_) => "syslog",
        }
    }

    /// Tells all of them, or says why it can't be known that all of them arrived.
    async fn tell(&self, lines: &[AuditLine]) -> std::io::Result<()> {
        match self {
            Self::File(path) => file::append(path, lines).await,
            Self::Syslog(target) => target.send(lines).await,
        }
    }
}

/// What tells them to one place.
pub struct AuditStream {
    catalog: Catalog,
    feed: Arc<Feed>,
    sink: Sink,
    place: Place,
    told: Arc<Told>,
}

/// What became of it since the start.
#[derive(Default)]
struct Told {
    entries: AtomicU64,
    failures: AtomicU64,
    /// The place of the last entry that arrived.
    last: AtomicU64,
}

impl AuditStream {
    /// To this place. Nothing is told until [`AuditStream::run`].
    pub fn new(catalog: Catalog, feed: Arc<Feed>, sink: Sink, data: &Path) -> Self {
        let place = Place::new(data.join(format!("audit-{}.place", sink.name())));
        Self { catalog, feed, sink, place, told: Arc::default() }
    }

    /// Declares the figures of all of them.
    pub fn declare(all: &[Self], registry: &Registry) {
        for (family, kind, help, figure) in [
            ("keystile_audit_told_total", Kind::Counter, "Entries of the audit that were told elsewhere.", 0),
            ("keystile_audit_failures_total", Kind::Counter, "Times that telling them failed.", 1),
            ("keystile_audit_told_up_to", Kind::Gauge, "The place in the audit up to which they were told.", 2),
        ] {
            let streams: Vec<_> = all.iter().map(|stream| (stream.sink.name(), stream.told.clone())).collect();
            if streams.is_empty() {
                continue;
            }
            registry.family(kind, family, help, move |samples| {
                for (name, told) in &streams {
                    let figures = [&told.entries, &told.failures, &told.last];
                    samples.put(&[("to", name)], figures[figure].load(Ordering::Relaxed));
                }
            });
        }
    }

    /// Tells entries as they come, until the end.
    pub async fn run(self, ending: Ending) {
        let mut after = self.place.read();
        self.told.last.store(after.sequence, Ordering::Relaxed);
        loop {
            let pause = match self.round(&mut after).await {
                Ok(true) => continue,
                Ok(false) => LOOK_EVERY,
                Err(error) => {
                    self.told.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(to = self.sink.name(), error, "the audit could not be told; it is tried again");
                    PAUSE
                }
            };
            tokio::select! {
                () = ending.wait() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tells the next entries; whether there may be more.
    async fn round(&self, after: &mut History) -> Result<bool, String> {
        // While another process takes this one's place, that one tells.
        if self.feed.makers.now() != Maker::Here {
            return Ok(false);
        }
        let failed = |error: StoreError| crate::problem::causes(&error).to_string();
        if !self.catalog.has(after).await.map_err(failed)? {
            // Entries that took the places of others would never arrive.
            let name = self.sink.name();
            tracing::error!(
                to = name,
                entry = after.sequence,
                "the audit no longer holds what was told; it is told anew"
            );
            *after = BEGINNING;
        }
        let (entries, last) = self.catalog.audit_after(after, BATCH).await.map_err(failed)?;
        if entries.is_empty() {
            return Ok(false);
        }
        let installation = self.catalog.installation();
        let count = entries.len();
        let lines: Vec<AuditLine> = entries.into_iter().map(|entry| AuditLine::of(&installation, entry)).collect();
        self.sink.tell(&lines).await.map_err(|error| error.to_string())?;
        *after = last;
        self.place.write(&last).map_err(|error| error.to_string())?;
        self.told.entries.fetch_add(count as u64, Ordering::Relaxed);
        self.told.last.store(last.sequence, Ordering::Relaxed);
        Ok(count == BATCH as usize)
    }
}
