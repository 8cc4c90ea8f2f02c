//! A database with its connections: one that writes, a few that read.
//!
//! Changes wait for each other in any case: each continues the audit chain and takes the next revision. With one
//! connection for them they wait in the pool's fair queue instead of polling a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keystile_core::time::Timestamp;

use super::{Connection, Transaction, sql};
use crate::postgres::Database;
use crate::sqlite::DatabaseFile;

/// A database, opened. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub(crate) struct Base {
    engine: Engine,
    /// Whether a transaction of ours writes.
    is_writing: Arc<AtomicBool>,
    /// Whether another process writes now.
    is_paused: Arc<AtomicBool>,
    /// Whether another process has taken what was this one's.
    is_lost: Arc<AtomicBool>,
}

/// What keeps it.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite(DatabaseFile),
    Postgres(Database),
}

impl Base {
    /// Nothing is written while `is_lost` is set.
    pub(crate) fn new(engine: Engine, is_lost: Arc<AtomicBool>) -> Self {
        Self { engine, is_writing: Arc::default(), is_paused: Arc::default(), is_lost }
    }

    /// Where it is said that another process has what was this one's.
    pub(crate) fn is_lost(&self) -> &Arc<AtomicBool> {
        &self.is_lost
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A connection to read with.
    pub(crate) async fn read(&self) -> Result<Connection, sqlx::Error> {
        Ok(match &self.engine {
            Engine::Sqlite(file) => Connection::Sqlite(file.read().await?),
            Engine::Postgres(database) => Connection::Postgres { db: database.read().await?, _turn: None },
        })
    }

    /// One view of everything, whatever is changed meanwhile.
    pub(crate) async fn view(&self) -> Result<Transaction, sqlx::Error> {
        let begin = match &self.engine {
            Engine::Sqlite(_) => "BEGIN DEFERRED",
            Engine::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Transaction::begin(self.read().await?, begin, None).await
    }

    /// A transaction that writes, begun so that nothing can come between its reads and writes.
    pub(crate) async fn write(&self) -> Result<Transaction, sqlx::Error> {
        self.is_in_place()?;
        self.refuse_if_paused()?;
        let db = self.writer().await?;
        // Asked again: it may have been paused while this waited.
        self.refuse_if_paused()?;
        let begin = match &self.engine {
            Engine::Sqlite(_) => "BEGIN IMMEDIATE",
            Engine::Postgres(database) => database.begin(),
        };
        Transaction::begin(db, begin, Some(&self.is_writing)).await
    }

    async fn writer(&self) -> Result<Connection, sqlx::Error> {
        Ok(match &self.engine {
            Engine::Sqlite(file) => Connection::Sqlite(file.writer().await?),
            Engine::Postgres(database) => {
                let (db, turn) = database.writer().await?;
                Connection::Postgres { db, _turn: Some(turn) }
            }
        })
    }

    /// Refuses if what is open has lost its name since it was opened.
    pub(crate) fn is_in_place(&self) -> Result<(), sqlx::Error> {
        match &self.engine {
            Engine::Sqlite(file) => file.is_in_place(),
            Engine::Postgres(_) => Ok(()),
        }
    }

    fn refuse_if_paused(&self) -> Result<(), sqlx::Error> {
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(sqlx::Error::Io(std::io::Error::other(
                "another Keystile process uses the database; end one of the two",
            )));
        }
        match self.is_paused.load(Ordering::SeqCst) {
            true => Err(sqlx::Error::Io(std::io::Error::other("another process takes this one's place"))),
            false => Ok(()),
        }
    }

    /// Refuses to write from now on. When this returns, what was being written is finished.
    pub(crate) async fn pause(&self) -> Result<(), sqlx::Error> {
        self.is_paused.store(true, Ordering::SeqCst);
        self.writer().await.map(drop)
    }

    /// Writes again.
    pub(crate) fn resume(&self) {
        self.is_paused.store(false, Ordering::SeqCst);
    }

    /// Whether a change could be made. While one is being made, that is known without asking; and where another process
    /// makes them, it is not this one's to know.
    pub(crate) async fn try_writing(&self, writes: Option<Timestamp>) -> Result<(), sqlx::Error> {
        if self.is_paused.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.refuse_if_paused()?;
        if self.is_writing.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut writing = self.write().await?;
        if let Some(at) = writes {
            sql("INSERT INTO meta (name, value) VALUES ('tried', ?) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value")
            .bind(at.as_micros().to_be_bytes())
            .execute(&mut writing)
            .await?;
            writing.commit().await?;
        }
        Ok(())
    }

    /// Gives back what a large change took.
    pub(crate) async fn settle(&self) -> Result<(), sqlx::Error> {
        match &self.engine {
            Engine::Sqlite(file) => file.settle().await,
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Writes back what is in the log of changes, so that what was wiped is nowhere in the files. PostgreSQL does it in its own
    /// time.
    pub(crate) async fn wipe(&self) -> Result<(), sqlx::Error> {
        match &self.engine {
            Engine::Sqlite(file) => file.wipe().await,
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(file) => file.close().await,
            Engine::Postgres(database) => database.close().await,
        }
    }
}
