//! A statement with its values, for whichever engine there is.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Postgres, Sqlite};
use tokio::time::timeout;

use super::{Columns, Connection, Row};
use crate::StoreError;

/// How long an answer of PostgreSQL may take: longer than it lets a statement run, for a server that says nothing at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A statement. Its text has `?` where its values stand, in their order.
pub(crate) struct Sql<'v> {
    text: Cow<'static, str>,
    values: Vec<Value<'v>>,
    /// Whether the engine keeps it prepared.
    is_kept: bool,
}

/// A value of a statement. Absent ones have a type too: PostgreSQL wants to know it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value<'v> {
    Number(Option<i64>),
    Text(Option<Cow<'v, str>>),
    Bytes(Cow<'v, [u8]>),
}

/// Begins a statement.
pub(crate) fn sql<'v>(text: impl Into<Cow<'static, str>>) -> Sql<'v> {
    Sql { text: text.into(), values: Vec::new(), is_kept: true }
}

impl<'v> Sql<'v> {
    /// Gives the next `?` its value.
    pub(crate) fn bind(mut self, value: impl Into<Value<'v>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Adds text.
    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// Adds a `?` and its value.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value<'v>>) -> &mut Self {
        self.text.to_mut().push('?');
        self.values.push(value.into());
        self
    }

    /// Adds a list in parentheses.
    pub(crate) fn push_list(&mut self, values: impl IntoIterator<Item = impl Into<Value<'v>>>) -> &mut Self {
        self.push("(");
        for (place, value) in values.into_iter().enumerate() {
            if place > 0 {
                self.push(", ");
            }
            self.push_bind(value);
        }
        self.push(")")
    }

    /// Its text seldom comes again, so it is not worth keeping prepared.
    pub(crate) fn seldom(mut self) -> Self {
        self.is_kept = false;
        self
    }

    /// Carries it out; says how many rows it changed.
    pub(crate) async fn execute(self, db: &mut Connection) -> Result<u64, sqlx::Error> {
        match db {
            Connection::Sqlite(db) => Ok(self.for_sqlite().execute(&mut **db).await?.rows_affected()),
            Connection::Postgres { db, .. } => {
                Ok(in_time(self.for_postgres().execute(&mut **db)).await?.rows_affected())
            }
        }
    }

    /// Its rows.
    pub(crate) async fn fetch_all(self, db: &mut Connection) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match db {
            Connection::Sqlite(db) => all(self.for_sqlite().fetch_all(&mut **db).await?),
            Connection::Postgres { db, .. } => all(in_time(self.for_postgres().fetch_all(&mut **db)).await?),
        })
    }

    /// Its first row, if there is one.
    pub(crate) async fn fetch_optional(self, db: &mut Connection) -> Result<Option<Row>, sqlx::Error> {
        Ok(match db {
            Connection::Sqlite(db) => self.for_sqlite().fetch_optional(&mut **db).await?.map(Row::Sqlite),
            Connection::Postgres { db, .. } => {
                in_time(self.for_postgres().fetch_optional(&mut **db)).await?.map(Row::Postgres)
            }
        })
    }

    /// Its only row.
    pub(crate) async fn fetch_one(self, db: &mut Connection) -> Result<Row, sqlx::Error> {
        self.fetch_optional(db).await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// The number in the first column of its only row.
    pub(crate) async fn fetch_number<N: TryFrom<i64>>(self, db: &mut Connection) -> Result<N, StoreError> {
        Columns::of(&self.fetch_one(db).await?).number()
    }

    /// The number in the first column of its first row, if there is a row and it has one.
    pub(crate) async fn fetch_number_if_any<N: TryFrom<i64>>(
        self,
        db: &mut Connection,
    ) -> Result<Option<N>, StoreError> {
        match self.fetch_optional(db).await? {
            Some(row) => Columns::of(&row).number_if_any(),
            None => Ok(None),
        }
    }

    /// The numbers in the first column of its rows.
    pub(crate) async fn fetch_numbers<N: TryFrom<i64>>(self, db: &mut Connection) -> Result<Vec<N>, StoreError> {
        self.fetch_all(db).await?.iter().map(|row| Columns::of(row).number()).collect()
    }

    fn for_sqlite(self) -> Query<'v, Sqlite, SqliteArguments> {
        let query = match self.text {
            Cow::Borrowed(text) => sqlx::query(text),
            Cow::Owned(text) => sqlx::query(AssertSqlSafe(text)),
        };
        self.values.into_iter().fold(query.persistent(self.is_kept), |query, value| match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text.map(Cow::into_owned)),
            Value::Bytes(bytes) => query.bind(bytes.into_owned()),
        })
    }

    fn for_postgres(self) -> Query<'v, Postgres, PgArguments> {
        let query = sqlx::query(AssertSqlSafe(numbered(&self.text)));
        self.values.into_iter().fold(query.persistent(self.is_kept), |query, value| match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text.map(Cow::into_owned)),
            Value::Bytes(bytes) => query.bind(bytes.into_owned()),
        })
    }
}

/// An answer from a server elsewhere, unless it says nothing at all.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(PATIENCE, answer).await.unwrap_or_else(|_| {
        Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time")))
    })
}

fn all<R: Into<Row>>(rows: Vec<R>) -> Vec<Row> {
    rows.into_iter().map(R::into).collect()
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self::Sqlite(row)
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self::Postgres(row)
    }
}

/// The text with `$1`, `$2`, … in place of each `?`, as PostgreSQL has it. No text of ours has a `?` otherwise.
fn numbered(text: &str) -> String {
    let mut numbered = String::with_capacity(text.len() + 16);
    for (place, part) in text.split('?').enumerate() {
        if place > 0 {
            let _ = write!(numbered, "${place}");
        }
        numbered.push_str(part);
    }
    numbered
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for Value<'_> {
            fn from(number: $number) -> Self {
                Self::Number(Some(number.into()))
            }
        }
    )*};
}

numbers!(bool, u8, u16, u32, i64);

impl From<Option<u32>> for Value<'_> {
    fn from(number: Option<u32>) -> Self {
        Self::Number(number.map(i64::from))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(Cow::Owned))
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(text: Option<&'v str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(bytes: &'v [u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<const N: usize> From<[u8; N]> for Value<'_> {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.to_vec().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_they_were_put() {
        let mut statement = sql("SELECT a FROM b WHERE c = ?").bind(1_u32);
        statement.push(" AND d IN ").push_list([2_u32, 3]).push(" AND e = ").push_bind("f");
        assert_eq!(statement.text, "SELECT a FROM b WHERE c = ? AND d IN (?, ?) AND e = ?");
        assert_eq!(numbered(&statement.text), "SELECT a FROM b WHERE c = $1 AND d IN ($2, $3) AND e = $4");
        assert_eq!(statement.values.len(), 4);
    }
}
