//! The engine of many machines: PostgreSQL, tested with 15. The catalogue is in the schema `keystile` of a database, the
//! ledger in `keystile_usage`; nothing else of that database is touched.
//!
//! Changes of all processes wait for one another by an advisory lock, which each holds until its transaction ends: so the
//! audit chain has one end, and of two revisions the smaller one is always to be seen first.
//!
//! `url` says what may stand in the URL of a database, `lock` is the right of one process to use it.

mod lock;
mod url;

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::OpenError;
use crate::db::told;

pub(crate) use lock::Lock;

/// How long a change waits for its turn. Longer than the largest import takes.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection may take: the library tries again and again while the server is away.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a statement may wait for a lock that somebody else holds, or take: one that does not end is no answer.
const LOCK_TIMEOUT: &str = "5s";
const STATEMENT_TIMEOUT: &str = "25s";
/// Readers at a time.
const READERS: u32 = 8;
/// A connection that has nothing to do is closed after this time.
const IDLE: Duration = Duration::from_secs(300);
/// Our name in the server's list of connections.
const NAME: &str = "keystile";

/// Where a database is: a URL `postgres://user:password@host:port/name`. It never shows its password.
#[derive(Clone)]
pub struct Url {
    text: String,
    options: Box<PgConnectOptions>,
}

impl PartialEq for Url {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Url {}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        url::check(text)?;
        // What the library says of it could hold the password.
        let options = PgConnectOptions::from_str(text)
            .map_err(|_| "this is no URL of a database; write postgres://user:password@host:port/name".to_owned())?;
        let is_said = url::says_mode(text) || std::env::var_os("PGSSLMODE").is_some();
        let options = if is_said || is_here(&options) { options } else { options.ssl_mode(PgSslMode::VerifyFull) };
        Ok(Self { text: text.to_owned(), options: Box::new(options.application_name(NAME)) })
    }
}

/// Whether a database is on this machine. Elsewhere nobody is taken for it who does not prove to be it, unless the URL says so (C-7).
fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let options = &self.options;
        let name = options.get_database().unwrap_or(options.get_username());
        write!(f, "postgres://{}:{}/{name}", options.get_host(), options.get_port())
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Url({self})")
    }
}

impl Url {
    /// A connection that is nobody else's.
    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let connecting = timeout(CONNECTION_TIMEOUT, self.options.connect());
        connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    pub(crate) fn unreadable(&self, error: &sqlx::Error) -> OpenError {
        OpenError::unreadable(self, told(error))
    }
}

/// What is kept in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Catalog,
    Usage,
}

impl Part {
    const fn schema(self) -> &'static str {
        match self {
            Self::Catalog => "keystile",
            Self::Usage => "keystile_usage",
        }
    }

    /// Begins a transaction that writes; nothing comes between it and its end. The locks are `KSTL` and 2, and 3.
    const fn begin(self) -> &'static str {
        match self {
            Self::Catalog => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '5s'; \
                 SELECT pg_advisory_xact_lock(5427774661305827330)"
            }
            Self::Usage => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '5s'; \
                 SELECT pg_advisory_xact_lock(5427774661305827331)"
            }
        }
    }
}

/// One schema of a database, with its connections. Cheap to clone; all clones share them.
#[derive(Clone)]
pub(crate) struct Database {
    part: Part,
    writer: PgPool,
    readers: PgPool,
    /// Whose turn it is to write. Waiting for that is not waiting for a connection.
    turn: Arc<Semaphore>,
}

impl Database {
    /// Opens it; makes the schema if it is not there.
    pub(crate) async fn open(url: &Url, part: Part) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::clone(&url.options).options([
            ("search_path", part.schema()),
            ("lock_timeout", LOCK_TIMEOUT),
            ("statement_timeout", STATEMENT_TIMEOUT),
        ]);
        let writer = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECTION_TIMEOUT)
            .connect_with(options.clone())
            .await?;
        // Asked first: who may only read can look at what is there.
        let found: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_namespace WHERE nspname = $1")
            .bind(part.schema())
            .fetch_one(&writer)
            .await?;
        if found == 0 {
            let make = match part {
                Part::Catalog => "CREATE SCHEMA IF NOT EXISTS keystile",
                Part::Usage => "CREATE SCHEMA IF NOT EXISTS keystile_usage",
            };
            sqlx::raw_sql(make).execute(&writer).await?;
        }
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .idle_timeout(IDLE)
            .acquire_timeout(CONNECTION_TIMEOUT)
            .connect_lazy_with(options.options([("default_transaction_read_only", "on")]));
        Ok(Self { part, writer, readers, turn: Arc::new(Semaphore::new(1)) })
    }

    /// Whether a database has both schemas.
    pub(crate) async fn is_there(url: &Url) -> Result<bool, sqlx::Error> {
        let mut connection = url.connect().await?;
        let found: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_namespace WHERE nspname IN ($1, $2)")
            .bind(Part::Catalog.schema())
            .bind(Part::Usage.schema())
            .fetch_one(&mut connection)
            .await?;
        Ok(found == 2)
    }

    pub(crate) async fn read(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.readers.acquire().await
    }

    /// The connection that writes, and the turn to do so.
    pub(crate) async fn writer(&self) -> Result<(PoolConnection<Postgres>, Turn), sqlx::Error> {
        let turn = timeout(QUEUE_TIMEOUT, self.turn.clone().acquire_owned());
        let turn = turn.await.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        Ok((self.writer.acquire().await?, Turn { _permit: turn }))
    }

    pub(crate) const fn begin(&self) -> &'static str {
        self.part.begin()
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The turn to write, until it is dropped.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c07_elsewhere_the_database_proves_to_be_it_unless_the_url_says_otherwise() {
        for (text, mode) in [
            ("postgres://u@db.internal/n", "VerifyFull"),
            ("postgres://u@203.0.113.9:5433/n", "VerifyFull"),
            ("postgres://u@[2001:db8::1]/n", "VerifyFull"),
            ("postgres://u@db.internal/n?sslmode=require", "Require"),
            ("postgres://u@db.internal/n?sslmode=disable", "Disable"),
            ("postgres://u@localhost/n", "Prefer"),
            ("postgres://u@127.0.0.1/n", "Prefer"),
            ("postgres://u@[::1]/n", "Prefer"),
            ("postgres:///n?host=/run/postgresql", "Prefer"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(format!("{:?}", url.options.get_ssl_mode()), mode, "{text}");
        }
    }
}
