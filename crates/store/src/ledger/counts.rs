//! The tables of counts and latencies by minute, hour and day, and how rows are added to them: by key (`usage_`), with all keys
//! together (`total_`), and by facets (`facet_`).

use std::collections::HashMap;
use std::hash::Hash;

use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, Latencies, LatencyRows, Rows, UsageEvent, fold};

use super::meta::{moment, note_moment};
use crate::StoreError;
use crate::db::{Columns, Connection, Value, sql};

/// Rows in one statement: up to 15 arguments each of the 32,766 that SQLite takes.
const ROWS: usize = 500;
/// What is added up, in the order in which rows hold it.
pub(super) const COUNTS: [&str; 5] = ["calls", "latency_us", "bytes_in", "bytes_out", "cost"];

/// From when on there are rows of all keys together, in `meta`: the day after the last one that was counted without them.
const TOTALS_FROM: &str = "totals_from";

/// From when on there are rows of all keys together; `None` if that is not known, and then none are read.
pub(super) async fn totals_from(db: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    moment(db, TOTALS_FROM).await
}

/// Notes from when on there are rows of all keys together, once, before the first of them.
async fn begin_totals(db: &mut Connection) -> Result<(), StoreError> {
    if totals_from(db).await?.is_some() {
        return Ok(());
    }
    let row = sql("SELECT max(start) FROM usage_day").fetch_one(&mut *db).await?;
    let last = Columns::of(&row).moment_if_any()?;
    let from = last.map_or(Timestamp::from_secs(0), |day| day.plus_secs(Bucket::Day.secs()));
    note_moment(db, TOTALS_FROM, from).await
}

/// What the rows of a table are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By everything.
    Keys,
    /// By everything but projects and keys.
    Totals,
    /// By the value of a facet, and by everything but operations.
    Facets,
}

impl Kind {
    /// Its table of a bucket; there is none of facets by the minute.
    pub(super) const fn table(self, bucket: Bucket) -> &'static str {
        match (self, bucket) {
            (Self::Keys, Bucket::Minute) => "usage_minute",
            (Self::Keys, Bucket::Hour) => "usage_hour",
            (Self::Keys, Bucket::Day) => "usage_day",
            (Self::Totals, Bucket::Minute) => "total_minute",
            (Self::Totals, Bucket::Hour) => "total_hour",
            (Self::Totals, Bucket::Day) => "total_day",
            (Self::Facets, Bucket::Minute | Bucket::Hour) => "facet_hour",
            (Self::Facets, Bucket::Day) => "facet_day",
        }
    }

    /// The columns that its rows are told apart by, in the order of the key.
    const fn key(self) -> &'static [&'static str] {
        match self {
            Self::Keys => &["start", "organization", "project", "key", "api", "label", "code", "status"],
            Self::Totals => &["start", "organization", "api", "label", "code", "status"],
            Self::Facets => &["facet", "start", "organization", "project", "key", "api", "code", "status", "value"],
        }
    }

    /// Of a row, what stands in those columns.
    fn values(self, start: Timestamp, of: &Dimensions) -> Vec<Value<'static>> {
        let keys = [of.project, of.key];
        let keys = if self == Self::Totals { &[] } else { &keys[..] };
        let numbers = std::iter::once(&of.organization).chain(keys).chain([&of.api, &of.label]).copied();
        let rest = [u32::from(of.code as u8), of.status.into()];
        [start.as_micros().into()].into_iter().chain(numbers.chain(rest).map(Value::from)).collect()
    }
}

/// A row that is added to a table.
pub(super) struct Added {
    /// What it is told apart by.
    pub(super) key: Vec<Value<'static>>,
    pub(super) counts: Counts,
    pub(super) latencies: Latencies,
}

/// Adds rows of minutes, and latencies of some of them, to the tables of minutes, hours and days.
pub(super) async fn add_up(db: &mut Connection, minutes: Rows, latencies: LatencyRows) -> Result<(), StoreError> {
    begin_totals(db).await?;
    let hours = (coarser(Bucket::Hour, &minutes), sums_by(Bucket::Hour, &latencies));
    let days = (coarser(Bucket::Day, &hours.0), sums_by(Bucket::Day, &hours.1));
    for (bucket, (rows, latencies)) in
        [(Bucket::Minute, (minutes, latencies)), (Bucket::Hour, hours), (Bucket::Day, days)]
    {
        let all = (totals(&rows), sums(&latencies, |start, of| (start, total(of))));
        for (kind, (rows, mut latencies)) in [(Kind::Keys, (rows, latencies)), (Kind::Totals, all)] {
            let added = rows.into_iter().map(|(row, counts)| Added {
                key: kind.values(row.0, &row.1),
                counts,
                latencies: latencies.remove(&row).unwrap_or_default(),
            });
            add(db, kind, bucket, added.collect()).await?;
        }
    }
    Ok(())
}

/// Rows of a longer time, added up from rows of a shorter one: there are far fewer of these than of events.
pub(super) fn coarser(bucket: Bucket, rows: &Rows) -> Rows {
    let rows: Vec<UsageEvent> = rows
        .iter()
        .map(|((at, dimensions), counts)| UsageEvent {
            at: *at,
            dimensions: *dimensions,
            client: None,
            facets: None,
            counts: *counts,
        })
        .collect();
    fold(bucket, &rows)
}

/// The same rows with all projects and keys together.
pub(super) fn totals(rows: &Rows) -> Rows {
    let mut all = Rows::new();
    for ((start, of), counts) in rows {
        all.entry((*start, total(*of))).or_default().add(counts);
    }
    all
}

const fn total(of: Dimensions) -> Dimensions {
    Dimensions { project: 0, key: 0, ..of }
}

fn sums_by(bucket: Bucket, rows: &LatencyRows) -> LatencyRows {
    sums(rows, |start, of| (start.floor_secs(bucket.secs()), of))
}

fn sums<K: Hash + Eq>(rows: &LatencyRows, row: impl Fn(Timestamp, Dimensions) -> K) -> HashMap<K, Latencies> {
    let mut all: HashMap<K, Latencies> = HashMap::new();
    for ((start, of), latencies) in rows {
        all.entry(row(*start, *of)).or_default().merge(latencies);
    }
    all
}

/// Adds rows to a table, in the order of its key.
pub(super) async fn add(
    db: &mut Connection,
    kind: Kind,
    bucket: Bucket,
    mut rows: Vec<Added>,
) -> Result<(), StoreError> {
    rows.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    let table = kind.table(bucket);
    for chunk in rows.chunks_mut(ROWS) {
        add_known_latencies(db, kind, table, chunk).await?;
        let query = sql(upsert(kind, table, chunk.len()));
        let mut query = if chunk.len() == ROWS { query } else { query.seldom() };
        for Added { key, counts, latencies } in chunk {
            query = key.drain(..).fold(query, |query, value| query.bind(value));
            for count in [counts.calls, counts.latency_us, counts.bytes_in, counts.bytes_out] {
                query = query.bind(i64::try_from(count).unwrap_or(i64::MAX));
            }
            query = query.bind(counts.cost).bind(latencies.to_string());
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// Adds the latencies that a table has already, so that what it gets is their sum and not a longer text at every turn.
async fn add_known_latencies(
    db: &mut Connection,
    kind: Kind,
    table: &str,
    rows: &mut [Added],
) -> Result<(), StoreError> {
    let columns = kind.key();
    let values = format!("(?{})", ", ?".repeat(columns.len()));
    let same = (2..).zip(columns).map(|(place, column)| format!("known.{column} = wanted.column{place}"));
    let same = same.collect::<Vec<_>>().join(" AND ");
    // Crossed in this order: a few wanted rows, each of which is looked up.
    let mut query = sql(format!(
        "SELECT wanted.column1, known.latencies FROM (VALUES {}) AS wanted CROSS JOIN {table} AS known \
         WHERE {same} AND known.latencies <> ''",
        vec![values; rows.len()].join(", ")
    ));
    if rows.len() < ROWS {
        query = query.seldom();
    }
    for (place, row) in (0_i64..).zip(&*rows) {
        query = row.key.iter().fold(query.bind(place), |query, value| query.bind(value.clone()));
    }
    for row in &query.fetch_all(db).await? {
        let mut row = Columns::of(row);
        let (place, known) = (row.number::<usize>()?, row.text()?);
        match (known.parse(), rows.get_mut(place)) {
            (Ok(known), Some(added)) => added.latencies.merge(&known),
            // Counting goes on: of this row only what comes from now on is known.
            (Err(error), _) => tracing::error!(table, %error, "latencies were altered; they are forgotten"),
            (Ok(_), None) => {}
        }
    }
    Ok(())
}

/// What becomes of a count that is added to: a sum that can't be held would fail, or become a floating-point number; it stays at the
/// greatest instead.
pub(super) fn sum(table: &str, count: &str) -> String {
    let most = i64::MAX;
    format!(
        "{count} = CASE WHEN {table}.{count} > {most} - excluded.{count} THEN {most} \
         ELSE {table}.{count} + excluded.{count} END"
    )
}

/// The same of costs, which can be taken back: their sum stays at the least as well.
pub(super) fn sum_of_costs(table: &str) -> String {
    let (most, least) = (i64::MAX, i64::MIN + 1);
    format!(
        "cost = CASE WHEN excluded.cost > 0 AND {table}.cost > {most} - excluded.cost THEN {most} \
         WHEN excluded.cost < 0 AND {table}.cost < {least} - excluded.cost THEN {least} \
         ELSE {table}.cost + excluded.cost END"
    )
}

fn upsert(kind: Kind, table: &str, rows: usize) -> String {
    let key = kind.key();
    let sums = ["calls", "latency_us", "bytes_in", "bytes_out"].map(|count| sum(table, count)).join(", ");
    let (cost, counts, columns) = (sum_of_costs(table), COUNTS.join(", "), key.join(", "));
    // One for each count, and the latencies.
    let row = format!("(?{})", ", ?".repeat(key.len() + COUNTS.len()));
    let values = vec![row; rows].join(", ");
    format!(
        "INSERT INTO {table} ({columns}, {counts}, latencies) VALUES {values} \
         ON CONFLICT ({columns}) DO UPDATE SET {sums}, {cost}, latencies = CASE WHEN excluded.latencies = '' \
         THEN {table}.latencies ELSE excluded.latencies END"
    )
}
