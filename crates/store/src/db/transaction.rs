//! What is done together or not at all.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Connection;
use super::statement::in_time;

/// A transaction. Dropped without a commit it is taken back.
///
/// Not the library's own: that counts on its `ROLLBACK`, which fails where SQLite has rolled back already, as it does when
/// the disk is full or fails; from then on the library takes the connection for one in a transaction.
pub(crate) struct Transaction {
    /// There until it has ended.
    open: Option<Connection>,
    /// Told when it ends.
    is_writing: Option<Arc<AtomicBool>>,
}

impl Transaction {
    /// Begins one with this statement. One that writes says so as long as it lasts.
    pub(super) async fn begin(
        db: Connection,
        begin: &'static str,
        is_writing: Option<&Arc<AtomicBool>>,
    ) -> Result<Self, sqlx::Error> {
        // Made before it has begun: whoever stops waiting for it may have begun it all the same.
        let mut transaction = Self { open: Some(db), is_writing: is_writing.cloned() };
        transaction.raw(begin).await?;
        if let Some(is_writing) = is_writing {
            is_writing.store(true, Ordering::Release);
        }
        Ok(transaction)
    }

    /// Keeps what was done; durable when this returns.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.raw("COMMIT").await?;
        self.open = None;
        self.ended();
        Ok(())
    }

    fn ended(&self) {
        if let Some(is_writing) = &self.is_writing {
            is_writing.store(false, Ordering::Release);
        }
    }
}

impl Connection {
    /// Carries out statements without values.
    pub(crate) async fn raw(&mut self, statements: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(db) => sqlx::raw_sql(statements).execute(&mut **db).await.map(drop),
            Self::Postgres { db, .. } => in_time(sqlx::raw_sql(statements).execute(&mut **db)).await.map(drop),
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.open.as_ref().expect("there until it has ended")
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        self.open.as_mut().expect("there until it has ended")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(mut db) = self.open.take() else { return };
        let is_writing = self.is_writing.take();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // It fails where nothing is left to take back.
            let _ = db.raw("ROLLBACK").await;
            if let Some(is_writing) = is_writing {
                is_writing.store(false, Ordering::Release);
            }
        });
    }
}
