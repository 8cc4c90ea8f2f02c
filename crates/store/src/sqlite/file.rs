//! One SQLite file: one connection that writes, a few that read.
//!
//! SQLite has one writer at a time anyway; with one connection for it, writers wait in the pool's fair queue instead of
//! polling a busy file. WAL lets readers go on meanwhile, and a killed process leaves nothing to clean up: the next one
//! to open the file reads the WAL. `synchronous=FULL` makes a commit durable before it returns.

use std::fs::OpenOptions;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keystile_core::time::Timestamp;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqliteConnection};

use super::place::Place;

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
pub(super) struct Sizes {
    /// Page cache, KiB.
    pub(super) cache_kib: u32,
    /// Pages in the WAL before they are copied into the file. The more there are, the more often a page that is changed
    /// again and again is copied only once; a crash's recovery reads them all.
    pub(super) checkpoint_pages: u32,
}

/// A file, opened. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub(super) struct DatabaseFile {
    writer: SqlitePool,
    readers: SqlitePool,
    place: Arc<Place>,
    /// Whether a transaction of ours has the file.
    is_writing: Arc<AtomicBool>,
    /// Whether another process writes now.
    is_paused: Arc<AtomicBool>,
}

/// A transaction that writes, on the one connection that does. Dropped without a commit it is taken back.
///
/// Not the library's own: that counts on its `ROLLBACK`, which fails where SQLite has rolled back already, as it does when
/// the disk is full or fails; from then on the library takes the connection for one in a transaction.
pub(super) struct Writing {
    /// There until it has ended.
    open: Option<Open>,
}

struct Open {
    db: PoolConnection<Sqlite>,
    is_writing: Arc<AtomicBool>,
}

impl Writing {
    async fn begin(db: PoolConnection<Sqlite>, is_writing: Arc<AtomicBool>) -> Result<Self, sqlx::Error> {
        // Made before it has begun: whoever stops waiting for it may have begun it all the same.
        let mut writing = Self { open: Some(Open { db, is_writing: is_writing.clone() }) };
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *writing).await?;
        is_writing.store(true, Ordering::Release);
        Ok(writing)
    }

    /// Keeps what was done; durable when this returns.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(&mut *self).await?;
        if let Some(open) = self.open.take() {
            open.is_writing.store(false, Ordering::Release);
        }
        Ok(())
    }
}

impl Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.open.as_ref().expect("there until it has ended").db
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.open.as_mut().expect("there until it has ended").db
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // It fails where nothing is left to take back.
            let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *open.db).await;
            open.is_writing.store(false, Ordering::Release);
        });
    }
}

impl DatabaseFile {
    /// Opens the file, or makes it, readable for its owner only; SQLite gives its companions the same mode.
    pub(super) async fn open(path: &Path, sizes: Sizes) -> Result<Self, sqlx::Error> {
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
            .pragma("trusted_schema", "OFF");
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
        Ok(Self {
            writer,
            readers,
            place: Arc::new(Place::of(path)),
            is_writing: Arc::default(),
            is_paused: Arc::default(),
        })
    }

    /// A connection to read with.
    pub(super) async fn read(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.readers.acquire().await
    }

    /// Takes the files that are there now for the ones that are open. To be called once both have been written to.
    pub(super) fn remember_place(&self) -> std::io::Result<()> {
        self.place.remember()
    }

    /// Refuses if the file has lost its name since it was opened.
    pub(super) fn is_in_place(&self) -> Result<(), sqlx::Error> {
        Ok(self.place.check()?)
    }

    /// A transaction on the one connection that writes, begun so that nothing can come between its reads and writes.
    pub(super) async fn write(&self) -> Result<Writing, sqlx::Error> {
        self.is_in_place()?;
        self.refuse_if_paused()?;
        let db = self.writer.acquire().await?;
        // Asked again: it may have been paused while this waited.
        self.refuse_if_paused()?;
        Writing::begin(db, self.is_writing.clone()).await
    }

    fn refuse_if_paused(&self) -> Result<(), sqlx::Error> {
        match self.is_paused.load(Ordering::SeqCst) {
            true => Err(sqlx::Error::Io(std::io::Error::other("another process takes this one's place"))),
            false => Ok(()),
        }
    }

    /// Refuses to write from now on. When this returns, what was being written is finished.
    pub(super) async fn pause(&self) -> Result<(), sqlx::Error> {
        self.is_paused.store(true, Ordering::SeqCst);
        self.writer.acquire().await.map(drop)
    }

    /// Writes again.
    pub(super) fn resume(&self) {
        self.is_paused.store(false, Ordering::SeqCst);
    }

    /// Whether a change could be made. While one is being made, that is known without asking; and where another process
    /// makes them, it is not this one's to know.
    pub(super) async fn try_writing(&self, writes: Option<Timestamp>) -> Result<(), sqlx::Error> {
        if self.is_writing.load(Ordering::Acquire) || self.is_paused.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut writing = self.write().await?;
        if let Some(at) = writes {
            sqlx::query(
                "INSERT INTO meta (name, value) VALUES ('tried', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(&at.as_micros().to_be_bytes()[..])
            .execute(&mut *writing)
            .await?;
            writing.commit().await?;
        }
        Ok(())
    }

    /// Copies the WAL into the file and gives the writer's page cache back to the system.
    pub(super) async fn settle(&self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory")
            .execute(&mut *self.writer.acquire().await?)
            .await?;
        Ok(())
    }

    /// Ends all connections; the last one copies the WAL into the file.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
