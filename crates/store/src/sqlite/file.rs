//! One SQLite file: one connection that writes, a few that read.
//!
//! SQLite has one writer at a time anyway; with one connection for it, writers wait in the pool's fair queue instead of
//! polling a busy file. WAL lets readers go on meanwhile, and a killed process leaves nothing to clean up: the next one
//! to open the file reads the WAL. `synchronous=FULL` makes a commit durable before it returns.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::place::Place;

/// How often, and after which pause, it is tried to write the log of changes back while somebody reads.
const WIPE_TRIES: u32 = 10;
const WIPE_PAUSE: Duration = Duration::from_millis(100);

/// How long a statement waits for another process (a backup, somebody with a shell) to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller waits for its turn. Longer than the largest import takes.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);
/// Readers at a time. Lists and feeds are short; more would only take memory.
const READERS: u32 = 4;
/// A reader that has nothing to do gives its page cache back after this time.
const READER_IDLE: Duration = Duration::from_secs(30);
/// Page cache of a reader, KiB.
const READER_CACHE_KIB: u32 = 2 << 10;
/// What is left of the WAL's file after it was copied: 8 MiB.
const KEPT_WAL_BYTES: u32 = 8 << 20;

/// What a file's writer may take.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Page cache, KiB.
    pub(crate) cache_kib: u32,
    /// Pages in the WAL before they are copied into the file. The more there are, the more often a page that is changed
    /// again and again is copied only once; a crash's recovery reads them all.
    pub(crate) checkpoint_pages: u32,
}

/// A file, opened. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub(crate) struct DatabaseFile {
    writer: SqlitePool,
    readers: SqlitePool,
    place: Arc<Place>,
}

impl DatabaseFile {
    /// Opens the file, or makes it, readable for its owner only; SQLite gives its companions the same mode.
    pub(crate) async fn open(path: &Path, sizes: Sizes) -> Result<Self, sqlx::Error> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("journal_size_limit", KEPT_WAL_BYTES.to_string())
            .pragma("wal_autocheckpoint", sizes.checkpoint_pages.to_string())
            // Else every statement that adds several rows copies each page it touches into a file first, to be able to
            // take the statement back: a third of an import's time.
            .pragma("temp_store", "MEMORY")
            .pragma("trusted_schema", "OFF")
            // What is deleted or replaced is overwritten: texts of whoever is erased are not to be left in what the file frees.
            .pragma("secure_delete", "ON");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(QUEUE_TIMEOUT)
            .connect_with(
                options
                    .clone()
                    .pragma("cache_size", format!("-{}", sizes.cache_kib))
                    // A large import keeps its pages until it commits instead of writing them several times.
                    .pragma("cache_spill", "OFF"),
            )
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .idle_timeout(READER_IDLE)
            .acquire_timeout(QUEUE_TIMEOUT)
            .connect_lazy_with(options.pragma("cache_size", format!("-{READER_CACHE_KIB}")).pragma("query_only", "ON"));
        Ok(Self { writer, readers, place: Arc::new(Place::of(path)) })
    }

    /// A connection to read with.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.readers.acquire().await
    }

    /// Takes the files that are there now for the ones that are open. To be called once both have been written to.
    pub(crate) fn remember_place(&self) -> std::io::Result<()> {
        self.place.remember()
    }

    /// Refuses if the file has lost its name since it was opened.
    pub(crate) fn is_in_place(&self) -> Result<(), sqlx::Error> {
        Ok(self.place.check()?)
    }

    /// The one connection that writes.
    pub(crate) async fn writer(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.writer.acquire().await
    }

    /// Copies the WAL into the file and gives the writer's page cache back to the system.
    pub(crate) async fn settle(&self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory")
            .execute(&mut *self.writer.acquire().await?)
            .await?;
        Ok(())
    }

    /// The same, and sees to it that all of it was copied: somebody who reads holds it up for a while.
    pub(crate) async fn wipe(&self) -> Result<(), sqlx::Error> {
        for _ in 0..WIPE_TRIES {
            let mut writer = self.writer.acquire().await?;
            let done: (i64, i64, i64) =
                sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *writer).await?;
            if done.0 == 0 {
                return Ok(());
            }
            drop(writer);
            tokio::time::sleep(WIPE_PAUSE).await;
        }
        Err(sqlx::Error::Protocol("somebody reads for a long time, a backup or a check".to_owned()))
    }

    /// Ends all connections; the last one copies the WAL into the file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
