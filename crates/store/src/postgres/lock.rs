//! The right of one process to use a database: limits are counted in the memory of one, and what one changes the others
//! would learn late.
//!
//! It is a lock of the database's own, which lasts as long as the connection that took it. That breaks when the database
//! is started again, so it is looked at every second and taken anew. If another process was quicker, this one makes no
//! changes any more, and says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::Url;
use crate::OpenError;

/// The lock: `KSTL` and 1.
const IN_USE: i64 = 0x4B53_544C_0000_0001;
/// How often, and how long apart, it is asked for if another process has it: one that just ended may still have it.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection that has the lock; nothing while it is looked at, or was lost.
type Held = Arc<Mutex<Option<PgConnection>>>;

/// The right to use a database, until it is dropped.
pub(crate) struct Lock {
    held: Held,
    keeping: JoinHandle<()>,
}

impl Lock {
    /// Takes it. `is_lost` is set while another process has it.
    pub(crate) async fn take(url: &Url, is_lost: &Arc<AtomicBool>) -> Result<Self, OpenError> {
        let unreadable = |error: sqlx::Error| url.unreadable(&error);
        let mut connection = url.connect().await.map_err(unreadable)?;
        for _ in 0..TRIES {
            if try_to_take(&mut connection).await.map_err(unreadable)? {
                is_lost.store(false, Ordering::SeqCst);
                let held = Arc::new(Mutex::new(Some(connection)));
                let keeping = tokio::spawn(keep(url.clone(), held.clone(), is_lost.clone()));
                return Ok(Self { held, keeping });
            }
            sleep(BETWEEN_TRIES).await;
        }
        Err(OpenError::DatabaseInUse { database: url.to_string() })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // With its connection the lock goes, at once unless it is being looked at.
        self.keeping.abort();
        drop(take(&self.held));
    }
}

fn take(held: &Held) -> Option<PgConnection> {
    held.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn put(held: &Held, connection: PgConnection) {
    *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
}

async fn keep(url: Url, held: Held, is_lost: Arc<AtomicBool>) {
    loop {
        sleep(LOOK_EVERY).await;
        if let Some(mut connection) = take(&held) {
            if matches!(timeout(PATIENCE, connection.ping()).await, Ok(Ok(()))) {
                put(&held, connection);
                continue;
            }
            tracing::warn!(database = %url, "the lock of the database went with its connection");
        }
        let Ok(mut connection) = url.connect().await else { continue };
        match timeout(PATIENCE, try_to_take(&mut connection)).await {
            Ok(Ok(true)) => {
                tracing::info!(database = %url, "the lock of the database is taken again");
                is_lost.store(false, Ordering::SeqCst);
                put(&held, connection);
            }
            Ok(Ok(false)) => {
                if !is_lost.swap(true, Ordering::SeqCst) {
                    tracing::error!(database = %url, "another Keystile process uses the database; this one makes no changes");
                }
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

async fn try_to_take(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(IN_USE).fetch_one(connection).await
}
