//! What was recorded long after it happened: the statement of that time may be closed, and a later one adds it as an adjustment.

use std::collections::BTreeMap;

use keystile_core::code::Code;
use keystile_core::plan::may_be_late;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, UsageEvent};

use super::counts::{sum, sum_of_costs};
use crate::StoreError;
use crate::db::{Columns, Connection, sql};

/// Rows in one statement.
const ROWS: usize = 500;

/// By project, API, the minute in which it was recorded, and the minute in which it happened: whose API it is, and what it comes to.
pub(super) type LateRows = BTreeMap<(u32, u32, Timestamp, Timestamp), (u32, Counts)>;

/// Adds those of these events, each with the moment at which it was recorded, that a closed statement may lack.
pub(super) fn gather<'a>(rows: &mut LateRows, events: impl Iterator<Item = (Timestamp, &'a UsageEvent)>) {
    for (recorded_at, event) in events {
        let of = event.dimensions;
        if of.project == 0 || of.api == 0 || !may_be_late(event.at, recorded_at) {
            continue;
        }
        // What was not let through, or came to nothing, is no call that a statement tells of.
        let calls = if of.code == Code::Allowed { event.counts.calls } else { 0 };
        let counts = Counts { calls, cost: event.counts.cost, ..Counts::default() };
        if counts == Counts::default() {
            continue;
        }
        let minute = |moment: Timestamp| moment.floor_secs(Bucket::Minute.secs());
        let row = (of.project, of.api, minute(recorded_at), minute(event.at));
        rows.entry(row).or_insert((of.organization, Counts::default())).1.add(&counts);
    }
}

/// Notes those of these events that a closed statement may lack.
pub(super) async fn add<'a>(
    db: &mut Connection,
    events: impl Iterator<Item = (Timestamp, &'a UsageEvent)>,
) -> Result<(), StoreError> {
    let mut late = LateRows::new();
    gather(&mut late, events);
    let late: Vec<_> = late.into_iter().collect();
    let sums = [sum("late_usage", "calls"), sum_of_costs("late_usage")].join(", ");
    for chunk in late.chunks(ROWS) {
        let values = vec!["(?, ?, ?, ?, ?, ?, ?)"; chunk.len()].join(", ");
        let mut query = sql(format!(
            "INSERT INTO late_usage (project, api, recorded_at, start, organization, calls, cost) VALUES {values} \
             ON CONFLICT (project, api, recorded_at, start) DO UPDATE SET {sums}"
        ))
        .seldom();
        for ((project, api, recorded_at, start), (organization, counts)) in chunk {
            query = query.bind(*project).bind(*api).bind(recorded_at.as_micros()).bind(start.as_micros());
            query = query.bind(*organization).bind(i64::try_from(counts.calls).unwrap_or(i64::MAX)).bind(counts.cost);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// Those that happened in a time, of APIs of these organizations; of all if there is none.
pub(super) async fn happened(
    db: &mut Connection,
    (from, until): (Timestamp, Timestamp),
    organizations: &[u32],
) -> Result<LateRows, StoreError> {
    let mut query =
        sql("SELECT project, api, recorded_at, start, organization, calls, cost FROM late_usage WHERE start >= ");
    query.push_bind(from.as_micros()).push(" AND start < ").push_bind(until.as_micros());
    if !organizations.is_empty() {
        query.push(" AND organization IN ").push_list(organizations.iter().copied());
    }
    let rows = query.fetch_all(db).await?;
    let each = rows.iter().map(|row| {
        let mut row = Columns::of(row);
        let late = (row.number()?, row.number()?, row.moment()?, row.moment()?);
        let (organization, calls, cost) = (row.number()?, row.number()?, row.integer()?);
        Ok((late, (organization, Counts { calls, cost, ..Counts::default() })))
    });
    each.collect()
}
