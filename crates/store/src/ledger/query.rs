//! Answering what was counted. A span in one row is put together from days in its middle and hours and minutes at its
//! ends, so that a year costs hardly more than a day.

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts};

use super::Ledger;
use super::counts::{COUNTS, Kind, totals_from};
use crate::db::{Columns, Row, Sql, damaged, sql};
use crate::{GroupBy, Order, StoreError, UsageQuery, UsageRow};

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
        let mut view = self.0.base.view().await?;
        let spans = with_totals(spans, totals_from(&mut view).await?);
        let rows = statement(query, &spans).fetch_all(&mut view).await?;
        rows.iter().filter_map(|row| read(row, query).transpose()).collect()
    }
}

impl UsageQuery {
    /// The time that is told of: the one that is asked about, rounded to whole minutes, hours or days.
    pub fn whole(&self) -> (Timestamp, Timestamp) {
        outwards(self.from, self.until, self.bucket.unwrap_or(Bucket::Minute).max(shortest(self)))
    }
}

/// The shortest buckets that this is counted by.
fn shortest(query: &UsageQuery) -> Bucket {
    if query.facet().is_some() { Bucket::Hour } else { Bucket::Minute }
}

/// A part of the span and the table that it is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    from: Timestamp,
    until: Timestamp,
    bucket: Bucket,
}

impl Span {
    /// Adds the question for these columns of its rows of a kind of tables, open for further conditions.
    pub(super) fn push(&self, kind: Kind, columns: &str, sql: &mut Sql<'_>) {
        sql.push("SELECT ").push(columns).push(" FROM ").push(kind.table(self.bucket)).push(" WHERE ");
        self.push_times(sql);
    }

    /// Adds which rows are its own.
    fn push_times(&self, sql: &mut Sql<'_>) {
        sql.push("start >= ").push_bind(self.from.as_micros()).push(" AND start < ").push_bind(self.until.as_micros());
    }
}

/// The same parts, each with whether there are rows of all keys together of it; one of which there are some in a part of it is two.
pub(super) fn with_totals(spans: Vec<Span>, totals_from: Option<Timestamp>) -> Vec<(Span, bool)> {
    // It is the beginning of a day, so it divides no row.
    let from = totals_from.unwrap_or(Timestamp::from_micros(i64::MAX));
    let split = |span: Span| {
        let before = Span { until: span.until.min(from), ..span };
        let since = Span { from: span.from.max(from), ..span };
        [(before, false), (since, true)]
    };
    spans.into_iter().flat_map(split).filter(|(span, _)| span.from < span.until).collect()
}

/// The parts that make up what was asked for: all of it, nothing twice.
fn spans(query: &UsageQuery) -> Vec<Span> {
    let shortest = shortest(query);
    match query.bucket.map(|bucket| bucket.max(shortest)) {
        Some(bucket) => {
            let (from, until) = outwards(query.from, query.until, bucket);
            Vec::from_iter((from < until).then_some(Span { from, until, bucket }))
        }
        None => within((query.from, query.until), shortest, Bucket::Day),
    }
}

/// The same to the minute, with buckets of at most this length in the middle.
pub(super) fn minutes_within(from: Timestamp, until: Timestamp, longest: Bucket) -> Vec<Span> {
    within((from, until), Bucket::Minute, longest)
}

fn within((from, until): (Timestamp, Timestamp), shortest: Bucket, longest: Bucket) -> Vec<Span> {
    let (from, until) = outwards(from, until, shortest);
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

/// What rows of the answer are told apart by, in the order in which they are selected and read: the name of each, and how it is said
/// of a row of a table.
fn columns(query: &UsageQuery) -> Vec<(&'static str, &'static str)> {
    let GroupBy { api, consumer, project, key, label, code, class, status, facet } = &query.by;
    [
        (query.bucket.is_some(), ("start", "start")),
        (*api, ("api", "api")),
        (*consumer, (CONSUMER, "project")),
        (*project, ("project", "project")),
        (*key, ("key", "key")),
        (*label, ("text", "label")),
        (*code, ("code", "code")),
        (*class, ("class", "status / 100 AS class")),
        (*status, ("status", "status")),
        (facet.is_some(), ("value", "value")),
    ]
    .into_iter()
    .filter_map(|(asked, column)| asked.then_some(column))
    .collect()
}

/// A project's organization; 0 for calls without a project.
const CONSUMER: &str = "CAST(coalesce(consumer, 0) AS BIGINT)";

fn statement(query: &UsageQuery, spans: &[(Span, bool)]) -> Sql<'static> {
    let columns = columns(query);
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut sql = sql("").seldom();
    if query.by.consumer {
        // There may be any number of projects, so they are no arguments; they are numbers.
        let pairs =
            query.consumers.iter().chain([&(0, 0)]).map(|(project, consumer)| format!("({project}, {consumer})"));
        sql.push("WITH consumers (of_project, consumer) AS (VALUES ");
        sql.push(&pairs.collect::<Vec<_>>().join(", ")).push(") ");
    }
    sql.push("SELECT ");
    for name in &names {
        sql.push(name).push(", ");
    }
    let sums = COUNTS.map(|count| format!("CAST(sum({count}) AS BIGINT)"));
    sql.push(&sums.join(", "));
    if query.latencies {
        sql.push(", string_agg(latencies, '')");
    }
    sql.push(" FROM (");
    let mut parts =
        spans.iter().flat_map(|(span, totals)| sources(query, *totals).iter().map(move |source| (span, *source)));
    if let Some((span, source)) = parts.next() {
        push_part(&mut sql, query, (span, source));
    }
    for part in parts {
        sql.push(" UNION ALL ");
        push_part(&mut sql, query, part);
    }
    sql.push(") AS parts");
    if query.by.label {
        sql.push(" LEFT JOIN (SELECT number, text FROM labels) AS named ON number = label");
    }
    if query.by.consumer {
        sql.push(" LEFT JOIN consumers ON of_project = project");
    }
    if !names.is_empty() {
        sql.push(" GROUP BY ").push(&names.join(", "));
    }
    if query.facet().is_some() {
        // What is left of all once those of which something is known are taken off: often nothing.
        sql.push(" HAVING sum(calls) <> 0 OR sum(cost) <> 0");
    }
    let greatest = query.order.map(|order| format!("sum({}) DESC", count(order)));
    // Where they agree in nothing else, engines differ in where what has no label comes.
    let order = names
        .iter()
        .map(|name| if matches!(*name, "text" | "value") { format!("{name} NULLS FIRST") } else { (*name).to_owned() });
    let order: Vec<String> = greatest.into_iter().chain(order).collect();
    if !names.is_empty() {
        sql.push(" ORDER BY ").push(&order.join(", "));
    }
    sql.push(" LIMIT ").push_bind(query.limit);
    sql.push(" OFFSET ").push_bind(i64::try_from(query.after).unwrap_or(i64::MAX));
    sql
}

const fn count(order: Order) -> &'static str {
    match order {
        Order::Calls => "calls",
        Order::Latency => "latency_us",
        Order::BytesIn => "bytes_in",
        Order::BytesOut => "bytes_out",
        Order::Cost => "cost",
    }
}

/// Where a part of an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// All calls.
    All(Kind),
    /// Those with a value of the facet.
    Known,
    /// Those taken off from all, so that what is left is those without a value.
    TakenOff,
}

/// What an answer is put together from.
fn sources(query: &UsageQuery, has_totals: bool) -> &'static [Source] {
    let is_about_some = query.project.or(query.key).is_some() || !query.keys.is_empty();
    let is_about_keys = !has_totals || query.by.project || query.by.key || query.by.consumer || is_about_some;
    match (&query.only, &query.by.facet, is_about_keys) {
        (Some(_), ..) => &[Source::Known],
        (None, Some(_), true) => &[Source::Known, Source::All(Kind::Keys), Source::TakenOff],
        (None, Some(_), false) => &[Source::Known, Source::All(Kind::Totals), Source::TakenOff],
        (None, None, true) => &[Source::All(Kind::Keys)],
        (None, None, false) => &[Source::All(Kind::Totals)],
    }
}

/// Adds the question for a part of a span, added up within itself: what the parts are put together from is little.
fn push_part(sql: &mut Sql<'static>, query: &UsageQuery, (span, source): (&Span, Source)) {
    let (kind, sign) = match source {
        Source::All(kind) => (kind, ""),
        Source::Known => (Kind::Facets, ""),
        Source::TakenOff => (Kind::Facets, "-"),
    };
    let mut columns: Vec<&str> = columns(query).iter().map(|(_, column)| *column).collect();
    columns.dedup();
    sql.push("SELECT ");
    for column in &columns {
        let column = if *column == "value" && source != Source::Known { "CAST(NULL AS TEXT) AS value" } else { column };
        sql.push(column).push(", ");
    }
    let sums = COUNTS.map(|count| format!("{sign}sum({count}) AS {count}"));
    sql.push(&sums.join(", "));
    if query.latencies {
        // What is left when some are taken off is not known.
        let is_of_rest = query.facet().is_some() && source != Source::Known;
        sql.push(if is_of_rest { ", '' AS latencies" } else { ", string_agg(latencies, '') AS latencies" });
    }
    sql.push(" FROM ").push(kind.table(span.bucket)).push(" WHERE ");
    if let (Kind::Facets, Some(facet)) = (kind, query.facet()) {
        sql.push("facet = ").push_bind(facet.to_string()).push(" AND ");
    }
    span.push_times(sql);
    push_filters(sql, query);
    let grouped: Vec<&str> = columns
        .iter()
        .filter(|column| **column != "value" || source == Source::Known)
        .map(|column| column.split(" AS ").next().unwrap_or(column))
        .collect();
    if !grouped.is_empty() {
        sql.push(" GROUP BY ").push(&grouped.join(", "));
    }
}

fn push_filters(sql: &mut Sql<'static>, query: &UsageQuery) {
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
    if !query.keys.is_empty() {
        sql.push(" AND key IN ").push_list(query.keys.iter().copied());
    }
    if let Some((first, end)) = query.statuses {
        sql.push(" AND status >= ").push_bind(first).push(" AND status < ").push_bind(end);
    }
    if let Some(text) = &query.label {
        sql.push(" AND label IN (SELECT number FROM labels WHERE text = ").push_bind(text.clone()).push(")");
    }
    if let Some((_, value)) = &query.only {
        sql.push(" AND value = ").push_bind(value.clone());
    }
    if !query.organizations.is_empty() {
        sql.push(" AND organization IN ").push_list(query.organizations.iter().copied());
    }
}

/// Reads a row; `None` for the empty sum of a span in which nothing was counted.
fn read(row: &Row, query: &UsageQuery) -> Result<Option<UsageRow>, StoreError> {
    let mut row = Columns::of(row);
    let start = query.bucket.is_some().then(|| row.moment()).transpose()?;
    let by = &query.by;
    let api = by.api.then(|| row.number()).transpose()?;
    let consumer = by.consumer.then(|| row.number()).transpose()?;
    let project = by.project.then(|| row.number()).transpose()?;
    let key = by.key.then(|| row.number()).transpose()?;
    let label = if by.label { row.text_if_any()? } else { None };
    let code = by.code.then(|| row.number()).transpose()?;
    let code = code.map(|number| Code::from_number(number).ok_or_else(|| damaged(format_args!("the code {number}"))));
    let code = code.transpose()?;
    let class = by.class.then(|| row.number()).transpose()?;
    let status = by.status.then(|| row.number()).transpose()?;
    let value = by.facet.is_some().then(|| row.text_if_any()).transpose()?;
    let mut counts = [0; 4];
    for count in &mut counts {
        *count = match row.number_if_any()? {
            Some(count) => count,
            None => return Ok(None),
        };
    }
    let [calls, latency_us, bytes_in, bytes_out] = counts;
    let counts = Counts { calls, latency_us, bytes_in, bytes_out, cost: row.integer()? };
    let latencies = if query.latencies { row.text_if_any()?.filter(|text| !text.is_empty()) } else { None };
    let latencies = latencies.and_then(|text| {
        let read = text.parse();
        read.inspect_err(|error| tracing::error!(%error, "latencies were altered; they are not told")).ok()
    });
    Ok(Some(UsageRow { start, api, consumer, project, key, label, code, class, status, value, counts, latencies }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(bucket: Option<Bucket>, from: &str, until: &str) -> Vec<String> {
        let (from, until) = (from.parse().unwrap(), until.parse().unwrap());
        spans(&UsageQuery { bucket, ..UsageQuery::of((from, until)) })
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
            let parts = spans(&UsageQuery { bucket, ..UsageQuery::of((from, until)) });
            assert!(parts.windows(2).all(|pair| pair[0].until == pair[1].from), "{parts:?}");
        }
    }
}
