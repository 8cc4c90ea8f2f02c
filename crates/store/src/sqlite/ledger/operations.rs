//! Which operations of an API were called, of those whose labels begin alike. Hours are not added up to days here: when an
//! operation was called last is known as well as the longest bucket that is read.

use keystile_core::code::Code;
use keystile_core::usage::Bucket;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};

use super::super::row::Columns;
use super::Ledger;
use super::query::{Span, minutes_within};
use crate::{OperationRow, OperationsQuery, StoreError};

impl Ledger {
    /// Reads the roll-ups; calls [`Ledger::roll_up`] first. Rows come by their text.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub async fn operations(&self, query: &OperationsQuery) -> Result<Vec<OperationRow>, StoreError> {
        self.roll_up().await?;
        let spans = minutes_within(query.from, query.until, Bucket::Hour);
        if spans.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = sql(query, &spans);
        let rows = sql.build().persistent(false).fetch_all(&mut *self.0.file.read().await?).await?;
        rows.iter().map(read).collect()
    }
}

fn sql(query: &OperationsQuery, spans: &[Span]) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT text, sum(calls), sum(CASE WHEN code IN (");
    let mut codes = sql.separated(", ");
    for code in Code::ALL.iter().filter(|code| code.is_refusal()) {
        codes.push_bind(*code as u8);
    }
    sql.push(") THEN calls ELSE 0 END), max(start) FROM (");
    for (place, span) in spans.iter().enumerate() {
        if place > 0 {
            sql.push(" UNION ALL ");
        }
        span.push(&mut sql);
        sql.push(" AND api = ").push_bind(query.api);
    }
    sql.push(") JOIN (SELECT number, text FROM labels WHERE substr(text, 1, length(").push_bind(query.prefix);
    sql.push(")) = ").push_bind(query.prefix);
    if let Some(after) = &query.after {
        sql.push(" AND text > ").push_bind(after);
    }
    sql.push(") ON number = label GROUP BY text ORDER BY text LIMIT ").push_bind(query.limit);
    sql
}

fn read(row: &SqliteRow) -> Result<OperationRow, StoreError> {
    let mut row = Columns::of(row);
    Ok(OperationRow { label: row.text()?, calls: row.number()?, refused: row.number()?, last: row.moment()? })
}
