//! Answering what was counted. A span in one row is put together from days in its middle and hours and minutes at its
//! ends, so that a year costs hardly more than a day.

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts};

use super::Ledger;
use super::roll_up::table;
use crate::db::{Columns, Row, Sql, damaged, sql};
use crate::{GroupBy, StoreError, UsageQuery, UsageRow};

/// The moments between which anything can have been counted: the years 1 to 9999, beyond which roundings overflow.
const EARLIEST_SECS: i64 = -62_135_596_800;
const LATEST_SECS: i64 = 253_402_300_799;

impl Ledger {
    /// Reads the roll-ups; calls [`Ledger::roll_up`] first. Rows come by time, then by what they are told apart by.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        self.roll_up().await?;
        let spans = spans(query);
        if spans.is_empty() {
            return Ok(Vec::new());
        }
        let rows = statement(query, &spans).fetch_all(&mut self.0.base.read().await?).await?;
        rows.iter().filter_map(|row| read(row, query).transpose()).collect()
    }
}

/// A part of the span and the table that it is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    from: Timestamp,
    until: Timestamp,
    bucket: Bucket,
}

impl Span {
    /// Adds the question for its rows, open for further conditions.
    pub(super) fn push(&self, sql: &mut Sql<'_>) {
        sql.push("SELECT * FROM ").push(table(self.bucket));
        sql.push(" WHERE start >= ").push_bind(self.from.as_micros());
        sql.push(" AND start < ").push_bind(self.until.as_micros());
    }
}

/// The parts that make up what was asked for: all of it, nothing twice.
fn spans(query: &UsageQuery) -> Vec<Span> {
    match query.bucket {
        Some(bucket) => {
            let (from, until) = outwards(query.from, query.until, bucket);
            Vec::from_iter((from < until).then_some(Span { from, until, bucket }))
        }
        None => minutes_within(query.from, query.until, Bucket::Day),
    }
}

/// The same to the minute, with buckets of at most this length in the middle.
pub(super) fn minutes_within(from: Timestamp, until: Timestamp, longest: Bucket) -> Vec<Span> {
    let (from, until) = outwards(from, until, Bucket::Minute);
    let mut spans = Vec::new();
    cover(from, until, longest, &mut spans);
    spans.retain(|span| span.from < span.until);
    spans
}

/// The ends of a span, moved outwards to the ends of buckets.
fn outwards(from: Timestamp, until: Timestamp, bucket: Bucket) -> (Timestamp, Timestamp) {
    let bound = |moment: Timestamp| {
        Timestamp::from_micros(moment.as_micros().clamp(EARLIEST_SECS * 1_000_000, LATEST_SECS * 1_000_000))
    };
    (bound(from).floor_secs(bucket.secs()), ceil(bound(until), bucket))
}

/// Covers a span with whole buckets of this length in the middle, and with shorter ones at its ends.
fn cover(from: Timestamp, until: Timestamp, bucket: Bucket, spans: &mut Vec<Span>) {
    let shorter = match bucket {
        Bucket::Day => Bucket::Hour,
        Bucket::Hour => Bucket::Minute,
        Bucket::Minute => return spans.push(Span { from, until, bucket }),
    };
    let (first, last) = (ceil(from, bucket), until.floor_secs(bucket.secs()));
    if first < last {
        cover(from, first, shorter, spans);
        spans.push(Span { from: first, until: last, bucket });
        cover(last, until, shorter, spans);
    } else {
        cover(from, until, shorter, spans);
    }
}

fn ceil(moment: Timestamp, bucket: Bucket) -> Timestamp {
    let floor = moment.floor_secs(bucket.secs());
    if floor == moment { floor } else { floor.plus_secs(bucket.secs()) }
}

/// The columns that rows are told apart by, in the order in which they are selected and read.
fn columns(query: &UsageQuery) -> Vec<&'static str> {
    let GroupBy { api, project, key, label, code, status } = query.by;
    [
        (query.bucket.is_some(), "start"),
        (api, "api"),
        (project, "project"),
        (key, "key"),
        (label, "text"),
        (code, "code"),
        (status, "status"),
    ]
    .into_iter()
    .filter_map(|(asked, column)| asked.then_some(column))
    .collect()
}

fn statement(query: &UsageQuery, spans: &[Span]) -> Sql<'static> {
    let columns = columns(query);
    let mut sql = sql("SELECT ").seldom();
    for column in &columns {
        sql.push(column).push(", ");
    }
    let sums =
        ["calls", "latency_us", "bytes_in", "bytes_out", "cost"].map(|count| format!("CAST(sum({count}) AS BIGINT)"));
    sql.push(&sums.join(", ")).push(" FROM (");
    for (place, span) in spans.iter().enumerate() {
        if place > 0 {
            sql.push(" UNION ALL ");
        }
        span.push(&mut sql);
        push_filters(&mut sql, query);
    }
    sql.push(") AS parts");
    if query.by.label {
        sql.push(" LEFT JOIN (SELECT number, text FROM labels) AS named ON number = label");
    }
    if !columns.is_empty() {
        let columns = columns.join(", ");
        // Where they agree in nothing else, engines differ in where what has no label comes.
        let order = columns.replace("text", "text NULLS FIRST");
        sql.push(" GROUP BY ").push(&columns).push(" ORDER BY ").push(&order);
    }
    sql.push(" LIMIT ").push_bind(query.limit);
    sql.push(" OFFSET ").push_bind(i64::try_from(query.after).unwrap_or(i64::MAX));
    sql
}

fn push_filters(sql: &mut Sql<'_>, query: &UsageQuery) {
    for (column, wanted) in [
        ("api", query.api),
        ("project", query.project),
        ("key", query.key),
        ("code", query.code.map(|code| u32::from(code as u8))),
    ] {
        if let Some(number) = wanted {
            sql.push(" AND ").push(column).push(" = ").push_bind(number);
        }
    }
    if !query.organizations.is_empty() {
        sql.push(" AND organization IN ").push_list(query.organizations.iter().copied());
    }
}

/// Reads a row; `None` for the empty sum of a span in which nothing was counted.
fn read(row: &Row, query: &UsageQuery) -> Result<Option<UsageRow>, StoreError> {
    let mut row = Columns::of(row);
    let start = query.bucket.is_some().then(|| row.moment()).transpose()?;
    let by = query.by;
    let api = by.api.then(|| row.number()).transpose()?;
    let project = by.project.then(|| row.number()).transpose()?;
    let key = by.key.then(|| row.number()).transpose()?;
    let label = if by.label { row.text_if_any()? } else { None };
    let code = by.code.then(|| row.number()).transpose()?;
    let code = code.map(|number| Code::from_number(number).ok_or_else(|| damaged(format_args!("the code {number}"))));
    let code = code.transpose()?;
    let status = by.status.then(|| row.number()).transpose()?;
    let mut counts = [0; 4];
    for count in &mut counts {
        *count = match row.number_if_any()? {
            Some(count) => count,
            None => return Ok(None),
        };
    }
    let [calls, latency_us, bytes_in, bytes_out] = counts;
    let counts = Counts { calls, latency_us, bytes_in, bytes_out, cost: row.integer()? };
    Ok(Some(UsageRow { start, api, project, key, label, code, status, counts }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: UsageQuery = UsageQuery {
        from: Timestamp::from_secs(0),
        until: Timestamp::from_secs(0),
        bucket: None,
        by: GroupBy { api: false, project: false, key: false, label: false, code: false, status: false },
        api: None,
        project: None,
        key: None,
        code: None,
        organizations: Vec::new(),
        after: 0,
        limit: 10,
    };

    fn parts(bucket: Option<Bucket>, from: &str, until: &str) -> Vec<String> {
        let (from, until) = (from.parse().unwrap(), until.parse().unwrap());
        spans(&UsageQuery { from, until, bucket, ..NOTHING })
            .iter()
            .map(|span| format!("{} {}..{}", span.bucket.as_str(), span.from, span.until))
            .collect()
    }

    #[test]
    fn a_span_is_days_in_the_middle_and_shorter_at_its_ends() {
        assert_eq!(
            parts(None, "2026-11-24T22:58:30Z", "2026-11-27T01:01:00.5Z"),
            [
                "minute 2026-11-24T22:58:00Z..2026-11-24T23:00:00Z",
                "hour 2026-11-24T23:00:00Z..2026-11-25T00:00:00Z",
                "day 2026-11-25T00:00:00Z..2026-11-27T00:00:00Z",
                "hour 2026-11-27T00:00:00Z..2026-11-27T01:00:00Z",
                "minute 2026-11-27T01:00:00Z..2026-11-27T01:02:00Z",
            ]
        );
        assert_eq!(
            parts(None, "2026-11-24T10:10:00Z", "2026-11-24T10:20:00Z"),
            ["minute 2026-11-24T10:10:00Z..2026-11-24T10:20:00Z"]
        );
    }

    #[test]
    fn the_ends_are_rounded_outwards_to_the_bucket() {
        assert_eq!(
            parts(Some(Bucket::Hour), "2026-11-24T10:59:59Z", "2026-11-24T11:00:01Z"),
            ["hour 2026-11-24T10:00:00Z..2026-11-24T12:00:00Z"]
        );
        assert_eq!(parts(Some(Bucket::Hour), "2026-11-24T11:00:00Z", "2026-11-24T11:00:00Z"), [""; 0]);
        assert_eq!(parts(None, "2026-11-24T12:00:00Z", "2026-11-24T11:00:00Z"), [""; 0]);
    }

    #[test]
    fn no_span_brings_it_down() {
        let (from, until) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        for bucket in [None, Some(Bucket::Minute), Some(Bucket::Day)] {
            let parts = spans(&UsageQuery { from, until, bucket, ..NOTHING });
            assert!(parts.windows(2).all(|pair| pair[0].until == pair[1].from), "{parts:?}");
        }
    }
}
