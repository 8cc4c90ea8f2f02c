//! Which operations of an API were called, of those whose labels begin alike. Hours are not added up to days here: when an
//! operation was called last is known as well as the longest bucket that is read.

use keystile_core::code::Code;
use keystile_core::usage::Bucket;

use super::Ledger;
use super::counts::{Kind, totals_from};
use super::query::{Span, minutes_within, with_totals};
use crate::db::{Columns, Row, Sql, sql};
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
        let mut view = self.0.base.view().await?;
        let spans = with_totals(spans, totals_from(&mut view).await?);
        let rows = statement(query, &spans).fetch_all(&mut view).await?;
        rows.iter().map(read).collect()
    }
}

fn statement<'q>(query: &'q OperationsQuery, spans: &[(Span, bool)]) -> Sql<'q> {
    let mut sql = sql("SELECT text, CAST(sum(calls) AS BIGINT), CAST(sum(CASE WHEN code IN ").seldom();
    sql.push_list(Code::ALL.iter().filter(|code| code.is_refusal()).map(|code| *code as u8));
    sql.push(" THEN calls ELSE 0 END) AS BIGINT), max(start) FROM (");
    for (place, (span, totals)) in spans.iter().enumerate() {
        if place > 0 {
            sql.push(" UNION ALL ");
        }
        let kind = if *totals { Kind::Totals } else { Kind::Keys };
        let columns = "start, api, label, code, calls";
        span.push(kind, columns, &mut sql);
        sql.push(" AND api = ").push_bind(query.api);
    }
    sql.push(") AS parts JOIN (SELECT number, text FROM labels WHERE substr(text, 1, length(").push_bind(query.prefix);
    sql.push(")) = ").push_bind(query.prefix);
    if let Some(after) = &query.after {
        sql.push(" AND text > ").push_bind(after);
    }
    sql.push(") AS named ON number = label GROUP BY text ORDER BY text LIMIT ").push_bind(query.limit);
    sql
}

fn read(row: &Row) -> Result<OperationRow, StoreError> {
    let mut row = Columns::of(row);
    Ok(OperationRow { label: row.text()?, calls: row.number()?, refused: row.number()?, last: row.moment()? })
}
