//! Usage in files, an hour in each, for whoever bills or looks at it elsewhere (PRODUCT.md K28): every event, of all organizations,
//! in exactly one of them, by the hour in which it was *recorded*. So a file never changes once it is there, and what comes late is in
//! a later one. Files appear whole, under their names, some minutes after their hour; for an hour in which nothing was recorded
//! there is none.
//!
//! Up to which hour they are written stands in the ledger: whoever takes files away gets no new ones of the same hours. After a
//! crash the hour is written again, to the same.

mod ndjson;
mod parquet;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_core::time::Timestamp;
use keystile_store::Catalog;
use tokio::sync::mpsc;

use crate::gateway::ending::Ending;
use crate::manage::{Pages, UsageLine, UsageLines};
use crate::telemetry::metrics::Registry;
use crate::usage::Hours;
use crate::usage::hours::HOUR_SECS;

/// How often it is looked whether an hour is over.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// The pause after something failed.
const PAUSE: Duration = Duration::from_secs(60);
/// For the owner and the group, which whoever takes files away belongs to.
const MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;
/// Pages that wait for the disk.
const WAITING: usize = 4;

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line, as of `GET /v1/usage/export`, compressed (`.ndjson.gz`).
    Ndjson,
    /// Apache Parquet (`.parquet`), with the same fields as columns.
    Parquet,
}

impl Format {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson.gz",
            Self::Parquet => "parquet",
        }
    }
}

/// What writes them.
pub struct UsageFiles {
    catalog: Catalog,
    hours: Hours,
    folder: PathBuf,
    format: Format,
    done: Arc<Done>,
}

/// What became of it since the start.
#[derive(Default)]
struct Done {
    files: AtomicU64,
    failures: AtomicU64,
}

/// Takes rows, one page after the other.
trait Sink: Send {
    fn put(&mut self, rows: &[UsageLine]) -> io::Result<()>;
    /// Writes what is left, and gives the file back.
    fn finish(self: Box<Self>) -> io::Result<File>;
}

impl UsageFiles {
    /// Into this folder. Nothing is written until [`UsageFiles::run`].
    pub fn new(catalog: Catalog, hours: Hours, (folder, format): (PathBuf, Format)) -> Self {
        Self { catalog, hours, folder, format, done: Arc::default() }
    }

    /// Declares its figures.
    pub fn declare(&self, registry: &Registry) {
        let (files, failures) = (self.done.clone(), self.done.clone());
        let written = "Files of usage that were written.";
        registry.counter("keystile_usage_files_total", written, move || files.files.load(Ordering::Relaxed));
        let failed = "Times that a file of usage could not be written; each is tried again.";
        registry
            .counter("keystile_usage_files_failures_total", failed, move || failures.failures.load(Ordering::Relaxed));
    }

    /// Writes hours as they end, until the end of the process.
    pub async fn run(self, ending: Ending) {
        // Said at once, and not when the first hour is over.
        if let Err(error) = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "usage can't be written to files here; it is tried again");
        }
        loop {
            let pause = tokio::select! {
                () = ending.wait() => return,
                round = self.round() => match round {
                    Ok(true) => continue,
                    Ok(false) => LOOK_EVERY,
                    Err(error) => {
                        self.done.failures.fetch_add(1, Ordering::Relaxed);
                        let folder = self.folder.display();
                        tracing::warn!(%folder, error, "usage could not be written to files; it is tried again");
                        PAUSE
                    }
                },
            };
            tokio::select! {
                () = ending.wait() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Writes the next hour; whether there was one.
    async fn round(&self) -> Result<bool, String> {
        if !self.hours.are_told_here() {
            return Ok(false);
        }
        let failed = |error| crate::problem::causes(&error).to_string();
        let Some(hour) = self.hours.ledger.in_files_until().await.map_err(failed)? else { return Ok(false) };
        let hour = hour.floor_secs(HOUR_SECS);
        if self.hours.over(hour).await.map_err(failed)?.is_none() {
            return Ok(false);
        }
        let end = hour.plus_secs(HOUR_SECS);
        self.write((hour, end)).await?;
        self.hours.ledger.note_in_files(end).await.map_err(failed)?;
        Ok(true)
    }

    /// Writes what was recorded in an hour.
    async fn write(&self, (hour, end): (Timestamp, Timestamp)) -> Result<(), String> {
        let failed = |error| crate::problem::causes(&error).to_string();
        let mut lines =
            UsageLines::recorded_within((&self.catalog, &self.hours.ledger), (hour, end)).await.map_err(failed)?;
        let mut page = lines.next().await.map_err(failed)?;
        if page.is_empty() {
            return Ok(());
        }
        let (pages, heard) = mpsc::channel(WAITING);
        let (path, format) = (path(&self.folder, hour, self.format), self.format);
        let written = tokio::task::spawn_blocking(move || write_file(&path, format, heard));
        while !page.is_empty() {
            // What can't be written any more says itself why.
            if pages.send(Some(page)).await.is_err() {
                break;
            }
            page = lines.next().await.map_err(failed)?;
        }
        let _ = pages.send(None).await;
        drop(pages);
        let written = written.await.map_err(|error| error.to_string())?;
        written.map_err(|error| error.to_string())?;
        self.done.files.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Where the file of an hour is: a folder a day.
fn path(folder: &Path, hour: Timestamp, format: Format) -> PathBuf {
    let text = hour.to_string();
    let (day, of_day) = (text.get(..10).unwrap_or(&text), text.get(11..13).unwrap_or_default());
    folder.join(day).join(format!("usage-{day}T{of_day}Z.{}", format.suffix()))
}

/// Writes pages to a file that appears under its name once it is whole and on the disk: after the last page, which is none.
fn write_file(path: &Path, format: Format, mut pages: mpsc::Receiver<Option<Vec<UsageLine>>>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    let unfinished = path.with_extension("unfinished");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&unfinished)?;
    let mut sink: Box<dyn Sink> = match format {
        Format::Ndjson => Box::new(ndjson::Lines::new(file)),
        Format::Parquet => Box::new(parquet::Columns::new(file)?),
    };
    while let Some(page) = pages.blocking_recv() {
        let Some(rows) = page else {
            sink.finish()?.sync_all()?;
            fs::rename(&unfinished, path)?;
            return File::open(folder)?.sync_all();
        };
        sink.put(&rows)?;
    }
    fs::remove_file(&unfinished)?;
    Err(io::Error::other("the store could not be read to the end"))
}

#[cfg(test)]
mod names {
    use super::*;

    #[test]
    fn files_are_named_by_their_hour_in_a_folder_a_day() {
        let hour = "2026-11-27T14:00:00Z".parse().unwrap();
        let at = |format| path(Path::new("/u"), hour, format).display().to_string();
        assert_eq!(at(Format::Ndjson), "/u/2026-11-27/usage-2026-11-27T14Z.ndjson.gz");
        assert_eq!(at(Format::Parquet), "/u/2026-11-27/usage-2026-11-27T14Z.parquet");
    }
}
