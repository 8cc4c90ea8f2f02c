//! The seam between what is kept and what keeps it. Statements are written once, in the SQL that both engines take
//! ([decision 11](../../../docs/decisions/0011-one-set-of-statements.md)); here they get their values, a connection and
//! their rows back. What only one engine can do is in its own folder.
//!
//! `statement` is a statement with its values, `row` the way from columns to types, `base` a database with its
//! connections, `transaction` what is done together or not at all, `fault` what a failure means.

mod base;
mod fault;
mod row;
mod statement;
mod transaction;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Postgres, Sqlite};

use crate::postgres::Turn;

pub(crate) use base::{Base, Engine};
pub(crate) use fault::told;
pub(crate) use row::{Columns, damaged, signed, standing, standing_word, state_columns, to_json, word};
pub(crate) use statement::{Sql, Value, sql};
pub(crate) use transaction::Transaction;

/// A connection, of whichever engine.
pub(crate) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres {
        db: PoolConnection<Postgres>,
        /// If it is for writing.
        _turn: Option<Turn>,
    },
}

/// A row, of whichever engine.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}
