//! The tables, column by column, for what is done to rows whatever they mean: copying and sealing them. A test holds this
//! against the schema.

mod catalog;
mod usage;

use crate::StoreError;
use crate::db::{Columns, Connection, Row, Value, damaged, sql};

pub(crate) use catalog::CATALOG;
pub(crate) use usage::USAGE;

/// Rows in one read and one write.
pub(crate) const ROWS: usize = 500;

/// A table: its columns and how many of the first of them tell its rows apart.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) keys: usize,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// Whether the database gives out numbers for new rows, in its first column.
    pub(crate) numbered: bool,
}

/// A row of a table, as it is.
pub(crate) type Values = Vec<Value<'static>>;

impl Table {
    /// Its columns, as a SELECT has them.
    pub(crate) fn names(&self) -> String {
        names(self.columns)
    }

    /// The columns that tell its rows apart.
    pub(crate) fn key_names(&self) -> String {
        names(&self.columns[..self.keys])
    }

    /// The next rows after this one, by their keys.
    pub(crate) async fn read(
        &self,
        db: &mut Connection,
        after: Option<&[Value<'static>]>,
    ) -> Result<Vec<Values>, StoreError> {
        let keys = self.key_names();
        let mut query = sql(format!("SELECT {} FROM {}", self.names(), self.name));
        if let Some(after) = after {
            query.push(&format!(" WHERE ({keys}) > ")).push_list(after.iter().cloned());
        }
        query.push(&format!(" ORDER BY {keys} LIMIT {ROWS}"));
        let rows: Vec<Values> =
            query.fetch_all(db).await?.iter().map(|row| self.values(row)).collect::<Result<_, StoreError>>()?;
        // In a file that is damaged they may come in another order, and whoever asks for the next ones would never end.
        let mut last = after;
        for row in &rows {
            let key = &row[..self.keys];
            if last.is_some_and(|last| key <= last) {
                return Err(damaged(format_args!("rows of {} in another order", self.name)));
            }
            last = Some(key);
        }
        Ok(rows)
    }

    /// Reads a row of [`Self::names`].
    pub(crate) fn values(&self, row: &Row) -> Result<Values, StoreError> {
        let mut row = Columns::of(row);
        let value = |(_, kind): &(_, Kind)| match kind {
            Kind::Number => Ok(Value::Number(row.number_if_any()?)),
            Kind::Text => Ok(Value::Text(row.text_if_any()?.map(Into::into))),
            Kind::Bytes => Ok(Value::Bytes(row.blob()?.to_vec().into())),
        };
        self.columns.iter().map(value).collect()
    }
}

fn names(columns: &[(&'static str, Kind)]) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// What a column holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Number,
    Text,
    Bytes,
}

use Kind::{Bytes, Text};

const META: Table = Table { name: "meta", keys: 1, numbered: false, columns: &[("name", Text), ("value", Bytes)] };
