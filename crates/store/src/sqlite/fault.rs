//! What a failure of the store means to whoever asked: that it may work later, that the disk is full, or neither.

use std::fmt::Display;

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

    /// What kind of failure it is.
    pub fn fault(&self) -> StoreFault {
        if let Some(known) = self.0.downcast_ref::<Known>() {
            return known.fault;
        }
        match self.0.downcast_ref::<sqlx::Error>() {
            Some(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => StoreFault::Away,
            Some(sqlx::Error::Database(error)) => match error.try_downcast_ref::<SqliteError>().map(primary_code) {
                Some(FULL) => StoreFault::Full,
                Some(code) if PASSING.contains(&code) => StoreFault::Away,
                Some(_) | None => StoreFault::Broken,
            },
            Some(_) | None => StoreFault::Broken,
        }
    }
}

/// A failure to open a file, with what can be done about it.
pub(super) fn told(error: &sqlx::Error) -> String {
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

/// The lowest byte of what SQLite says, which is the same for all variants of a failure.
fn primary_code(error: &SqliteError) -> i64 {
    use sqlx::error::DatabaseError;
    let code = error.code().and_then(|code| code.parse::<i64>().ok());
    code.unwrap_or_default() & 0xff
}
