//! When things were last used: a key, and a project at an API, with how often it called. Kept as batches are added up, so
//! that an overview of many pairs reads a few rows of each and not all that was ever counted.

use std::collections::{BTreeMap, HashMap};

use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, UsageEvent};

use super::Ledger;
use crate::StoreError;
use crate::db::{Columns, Connection, sql};

/// Rows in one statement.
const ROWS: usize = 500;

/// How a project used an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// When last, to the second.
    pub last: Timestamp,
    /// Calls in the days that were asked about.
    pub calls: u64,
}

impl Ledger {
    /// How each of these projects used each of these APIs, by their numbers: when last, and how often since the start of
    /// the day of `since`. Refused calls are calls. Pairs that never met are not in it. Calls [`Ledger::roll_up`] first.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub async fn uses(
        &self,
        projects: &[u32],
        apis: &[u32],
        since: Timestamp,
    ) -> Result<HashMap<(u32, u32), Use>, StoreError> {
        self.roll_up().await?;
        if projects.is_empty() || apis.is_empty() {
            return Ok(HashMap::new());
        }
        let mut query = sql("SELECT project, api, max(last), CAST(sum(CASE WHEN start >= ").seldom();
        query.push_bind(since.floor_secs(Bucket::Day.secs()).as_micros());
        query.push(" THEN calls ELSE 0 END) AS BIGINT) FROM use_by_day WHERE project IN ");
        query.push_list(projects.iter().copied()).push(" AND api IN ").push_list(apis.iter().copied());
        query.push(" GROUP BY project, api");
        let rows = query.fetch_all(&mut self.0.base.read().await?).await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                let pair = (row.number()?, row.number()?);
                Ok((pair, Use { last: row.moment()?, calls: row.number()? }))
            })
            .collect()
    }

    /// When each of these keys, by their numbers, was last used at an API, to the second. Refused calls are
    /// uses. Those that never were are not in it. What was not added up yet is not told: [`Ledger::roll_up`] does that.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn last_used(&self, keys: &[u32]) -> Result<HashMap<u32, Timestamp>, StoreError> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let mut query = sql("SELECT key, max(last) FROM last_use WHERE key IN ").seldom();
        query.push_list(keys.iter().copied()).push(" GROUP BY key");
        let rows = query.fetch_all(&mut self.0.base.read().await?).await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                Ok((row.number()?, row.moment()?))
            })
            .collect()
    }
}

/// Notes what events tell. Calls that found no project, no key or no API are nobody's use.
pub(super) async fn add<'a>(
    db: &mut Connection,
    events: impl IntoIterator<Item = &'a UsageEvent>,
) -> Result<(), StoreError> {
    let (mut days, mut keys) = (BTreeMap::new(), BTreeMap::new());
    for UsageEvent { at, dimensions: of, counts, .. } in events {
        let at = at.floor_secs(1);
        if of.api == 0 {
            continue;
        }
        if of.project != 0 {
            let day = (of.project, of.api, at.floor_secs(Bucket::Day.secs()));
            let (calls, last) = days.entry(day).or_insert((0_u64, at));
            *calls = calls.saturating_add(counts.calls);
            *last = (*last).max(at);
        }
        if of.key != 0 {
            let last = keys.entry((of.key, of.api)).or_insert(at);
            *last = (*last).max(at);
        }
    }
    let days: Vec<_> = days.into_iter().collect();
    for chunk in days.chunks(ROWS) {
        // A sum that can't be held stays at the greatest, as in the rows that it is the sum of.
        let most = i64::MAX;
        let mut query = sql(format!(
            "INSERT INTO use_by_day (project, api, start, calls, last) VALUES {} ON CONFLICT (project, api, start) \
             DO UPDATE SET calls = CASE WHEN use_by_day.calls > {most} - excluded.calls THEN {most} \
             ELSE use_by_day.calls + excluded.calls END, \
             last = CASE WHEN use_by_day.last > excluded.last THEN use_by_day.last ELSE excluded.last END",
            vec!["(?, ?, ?, ?, ?)"; chunk.len()].join(", ")
        ))
        .seldom();
        for ((project, api, start), (calls, last)) in chunk {
            query = query.bind(*project).bind(*api).bind(start.as_micros());
            query = query.bind(i64::try_from(*calls).unwrap_or(i64::MAX)).bind(last.as_micros());
        }
        query.execute(&mut *db).await?;
    }
    let keys: Vec<_> = keys.into_iter().collect();
    for chunk in keys.chunks(ROWS) {
        let mut query = sql(format!(
            "INSERT INTO last_use (key, api, last) VALUES {} ON CONFLICT (key, api) \
             DO UPDATE SET last = CASE WHEN last_use.last > excluded.last THEN last_use.last ELSE excluded.last END",
            vec!["(?, ?, ?)"; chunk.len()].join(", ")
        ))
        .seldom();
        for ((key, api), last) in chunk {
            query = query.bind(*key).bind(*api).bind(last.as_micros());
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}
