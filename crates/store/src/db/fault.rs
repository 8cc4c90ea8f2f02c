//! What a failure of the store means to whoever asked: that it may work later, that the disk is full, or neither.

use std::fmt::Display;

use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::{StoreError, StoreFault};

/// The primary result codes of SQLite that pass by themselves: busy, locked, read-only, an error of the disk, a file that
/// can't be opened, a lock that could not be agreed on.
const PASSING: [i64; 6] = [5, 6, 8, 10, 14, 15];
/// The one that says that the disk is full.
const FULL: i64 = 13;

/// A failure that was found before, and still holds.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct Known {
    fault: StoreFault,
    why: String,
}

impl StoreError {
    /// A failure that was found before, and still holds.
    pub fn known(fault: StoreFault, why: impl Display) -> Self {
        Self(Box::new(Known { fault, why: why.to_string() }))
    }

    /// What failed, with what can be done about it.
    pub(crate) fn cause(&self) -> String {
        self.0.downcast_ref::<sqlx::Error>().map_or_else(|| self.0.to_string(), told)
    }

    /// What kind of failure it is.
    pub fn fault(&self) -> StoreFault {
        if let Some(known) = self.0.downcast_ref::<Known>() {
            return known.fault;
        }
        match self.0.downcast_ref::<sqlx::Error>() {
            Some(
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed,
            ) => StoreFault::Away,
            Some(sqlx::Error::Database(error)) => {
                if let Some(error) = error.try_downcast_ref::<SqliteError>() {
                    return of_sqlite(primary_code(error));
                }
                error
                    .try_downcast_ref::<PgDatabaseError>()
                    .map_or(StoreFault::Broken, |error| of_postgres(error.code()))
            }
            Some(_) | None => StoreFault::Broken,
        }
    }
}

fn of_sqlite(code: i64) -> StoreFault {
    match code {
        FULL => StoreFault::Full,
        code if PASSING.contains(&code) => StoreFault::Away,
        _ => StoreFault::Broken,
    }
}

/// By its SQLSTATE (PostgreSQL's manual, appendix A): a connection that failed, a server that ends, begins, is a standby
/// or has no more connections, a lock that was not had in time.
fn of_postgres(state: &str) -> StoreFault {
    match state {
        "53100" => StoreFault::Full,
        "25006" | "53300" | "55P03" | "40001" | "40P01" => StoreFault::Away,
        state if state.starts_with("08") || state.starts_with("57P") || state.starts_with("58") => StoreFault::Away,
        _ => StoreFault::Broken,
    }
}

/// A failure to open a database, with what can be done about it.
pub(crate) fn told(error: &sqlx::Error) -> String {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return "no connection was had in time: the database is down, too slow, or has no more of them (max_connections; one \
                process takes up to 19)"
            .to_owned();
    }
    if let sqlx::Error::Database(error) = error
        && let Some(error) = error.try_downcast_ref::<PgDatabaseError>()
    {
        return told_of_postgres(error);
    }
    let code = match error {
        sqlx::Error::Database(error) => error.try_downcast_ref::<SqliteError>().map(primary_code),
        _ => None,
    };
    let advice = match code {
        Some(5 | 6) => "; another program holds the file: end it",
        Some(8) => "; the file or its folder can't be written",
        Some(10 | 14) => "; the disk failed or is full",
        Some(FULL) => "; make room on it",
        Some(11 | 26) => "; the file is damaged: restore it from your backup",
        Some(_) | None => "",
    };
    format!("{error}{advice}")
}

fn told_of_postgres(error: &PgDatabaseError) -> String {
    let advice = match error.code() {
        "28P01" | "28000" => "; check user and password, and what pg_hba.conf lets in",
        "3D000" => "; make it first: CREATE DATABASE",
        "42501" => "; the user must own the database, or be allowed to make schemas in it: GRANT CREATE ON DATABASE",
        "53300" => "; raise max_connections: one process takes up to 19",
        _ => "",
    };
    format!("{}{advice}", error.message())
}

/// The lowest byte of what SQLite says, which is the same for all variants of a failure.
fn primary_code(error: &SqliteError) -> i64 {
    use sqlx::error::DatabaseError;
    let code = error.code().and_then(|code| code.parse::<i64>().ok());
    code.unwrap_or_default() & 0xff
}
