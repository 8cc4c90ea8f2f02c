//! One SQLite file: one connection that writes, a few that read.
//!
//! SQLite has one writer at a time anyway; with one connection for it, writers wait in the pool's fair queue instead of
//! polling a busy file. WAL lets readers go on meanwhile, and a killed process leaves nothing to clean up: the next one
//! to open the file reads the WAL. `synchronous=FULL` makes a commit durable before it returns.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, Transaction};

/// How long a statement waits for another process (a backup, somebody with a shell) to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller waits for its turn. Longer than the largest import takes.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);
/// Readers at a time. Lists and feeds are short; more would only take memory.
const READERS: u32 = 4;
/// A reader that has nothing to do gives its page cache back after this time.
const READER_IDLE: Duration = Duration::from_secs(30);
/// Page cache of the writer, KiB. An import touches pages of the digests' index at random, and a larger cache spares it
/// reading them again.
const WRITER_CACHE_KIB: u32 = 32 << 10;
/// Page cache of a reader, KiB.
const READER_CACHE_KIB: u32 = 2 << 10;
/// Pages in the WAL before it is copied into the file: 32 MiB. A larger WAL makes imports faster, a crash's recovery
/// reads it once.
const CHECKPOINT_PAGES: u32 = 8_192;
/// What is left of the WAL's file after it was copied: 8 MiB.
const KEPT_WAL_BYTES: u32 = 8 << 20;

/// A file, opened. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub(super) struct DatabaseFile {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl DatabaseFile {
    /// Opens the file, or makes it, readable for its owner only; SQLite gives its companions the same mode.
    pub(super) async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("journal_size_limit", KEPT_WAL_BYTES.to_string())
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
            .pragma("trusted_schema", "OFF");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(QUEUE_TIMEOUT)
            .connect_with(options.clone().pragma("cache_size", format!("-{WRITER_CACHE_KIB}")))
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .idle_timeout(READER_IDLE)
            .acquire_timeout(QUEUE_TIMEOUT)
            .connect_lazy_with(options.pragma("cache_size", format!("-{READER_CACHE_KIB}")).pragma("query_only", "ON"));
        Ok(Self { writer, readers })
    }

    /// A connection to read with.
    pub(super) async fn read(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.readers.acquire().await
    }

    /// A transaction on the one connection that writes, begun so that nothing can come between its reads and writes.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Ends all connections; the last one copies the WAL into the file.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
