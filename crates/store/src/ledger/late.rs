//! What was recorded long after it happened: the statement of that time may be closed, and a later one adds it as an adjustment.

use std::collections::BTreeMap;

use keystile_core::plan::may_be_late;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, UsageEvent};

use super::Ledger;
use crate::StoreError;
use crate::db::{Columns, Connection, sql};

/// Rows in one statement.
const ROWS: usize = 500;

/// What was used in a minute and recorded in a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateUsage {
    /// The minute in which it was used.
    pub start: Timestamp,
    /// The minute in which it was recorded.
    pub recorded_at: Timestamp,
    /// Calls.
    pub calls: u64,
    /// What they cost; what is corrected may be negative.
    pub cost: i64,
}

/// Notes those of these events, each with the moment at which it was recorded, that a closed statement may lack.
pub(super) async fn add<'a>(
    db: &mut Connection,
    events: impl Iterator<Item = (Timestamp, &'a UsageEvent)>,
) -> Result<(), StoreError> {
    let mut late: BTreeMap<_, Counts> = BTreeMap::new();
    for (recorded_at, event) in events {
        let of = event.dimensions;
        if of.project == 0 || of.api == 0 || !may_be_late(event.at, recorded_at) {
            continue;
        }
        let minute = |moment: Timestamp| moment.floor_secs(Bucket::Minute.secs());
        let row = (of.project, of.api, minute(recorded_at), minute(event.at));
        // A refused call is none that a statement tells of.
        let calls = if of.code.is_refusal() { 0 } else { event.counts.calls };
        late.entry(row).or_default().add(&Counts { calls, cost: event.counts.cost, ..Counts::default() });
    }
    let late: Vec<_> = late.into_iter().filter(|(_, counts)| counts.calls > 0 || counts.cost != 0).collect();
    for chunk in late.chunks(ROWS) {
        let values = vec!["(?, ?, ?, ?, ?, ?)"; chunk.len()].join(", ");
        let mut query = sql(format!(
            "INSERT INTO late_usage (project, api, recorded_at, start, calls, cost) VALUES {values} \
             ON CONFLICT (project, api, recorded_at, start) DO UPDATE SET calls = late_usage.calls + excluded.calls, \
             cost = late_usage.cost + excluded.cost"
        ))
        .seldom();
        for ((project, api, recorded_at, start), counts) in chunk {
            query = query.bind(*project).bind(*api).bind(recorded_at.as_micros()).bind(start.as_micros());
            query = query.bind(i64::try_from(counts.calls).unwrap_or(i64::MAX)).bind(counts.cost);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

impl Ledger {
    /// What a project used at an API before `until` and was recorded from `since` on, more than an hour later: by the moment at
    /// which it was recorded. What was not added up yet is not among it: [`Ledger::roll_up`] does that.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn late_usage(
        &self,
        (project, api): (u32, u32),
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<LateUsage>, StoreError> {
        let rows = sql("SELECT start, recorded_at, calls, cost FROM late_usage WHERE project = ? AND api = ? \
             AND recorded_at >= ? AND start < ? ORDER BY recorded_at, start")
        .bind(project)
        .bind(api)
        .bind(since.as_micros())
        .bind(until.as_micros())
        .fetch_all(&mut self.0.base.read().await?)
        .await?;
        let each = rows.iter().map(|row| {
            let mut row = Columns::of(row);
            Ok(LateUsage {
                start: row.moment()?,
                recorded_at: row.moment()?,
                calls: row.number()?,
                cost: row.integer()?,
            })
        });
        each.collect()
    }
}
