//! What statements are made of: sums of what a project used at an API, and of what was recorded late, all of one view of the store, so
//! that nothing that comes meanwhile is in one of them and not in another.

use keystile_core::code::Code;
use keystile_core::plan::Span;
use keystile_core::time::Timestamp;
use keystile_core::usage::Bucket;

use super::Ledger;
use super::counts::Kind;
use super::query::minutes_within;
use crate::StoreError;
use crate::db::{Columns, Transaction, sql};

/// One view of what a project used at an API.
pub struct Billed {
    view: Transaction,
    project: u32,
    api: u32,
}

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BilledUsage {
    /// Calls that were let through and answered.
    pub calls: u64,
    /// What was used costs; less than nothing if more was taken back.
    pub cost: i64,
}

impl Ledger {
    /// A view of what a project used at an API, by their numbers, until now. Calls [`Ledger::roll_up`] first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn billed(&self, project: u32, api: u32) -> Result<Billed, StoreError> {
        self.roll_up().await?;
        Ok(Billed { view: self.0.base.view().await?, project, api })
    }
}

impl Billed {
    /// What was used in a time of whole minutes.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn used(&mut self, span: Span) -> Result<BilledUsage, StoreError> {
        let mut query = sql("SELECT CAST(coalesce(sum(CASE WHEN code = ").seldom();
        query.push_bind(u32::from(Code::Allowed as u8));
        query.push(" THEN calls ELSE 0 END), 0) AS BIGINT), CAST(coalesce(sum(cost), 0) AS BIGINT) FROM (");
        for (place, part) in minutes_within(span.start, span.end, Bucket::Day).iter().enumerate() {
            query.push(if place == 0 { "" } else { " UNION ALL " });
            part.push(Kind::Keys, "code, calls, cost", &mut query);
            query.push(" AND project = ").push_bind(self.project).push(" AND api = ").push_bind(self.api);
        }
        query.push(") AS parts");
        let row = query.fetch_one(&mut self.view).await?;
        let mut row = Columns::of(&row);
        Ok(BilledUsage { calls: row.number()?, cost: row.integer()? })
    }

    /// What of a time was recorded from a moment on, until before another one if that is said, and more than an hour late.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn late(
        &mut self,
        span: Span,
        (from, until): (Timestamp, Option<Timestamp>),
    ) -> Result<BilledUsage, StoreError> {
        let mut query = sql("SELECT CAST(coalesce(sum(calls), 0) AS BIGINT), CAST(coalesce(sum(cost), 0) AS BIGINT) \
             FROM late_usage WHERE project = ");
        query.push_bind(self.project).push(" AND api = ").push_bind(self.api);
        query.push(" AND recorded_at >= ").push_bind(from.as_micros());
        query.push(" AND recorded_at < ").push_bind(until.map_or(i64::MAX, Timestamp::as_micros));
        query.push(" AND start >= ").push_bind(span.start.as_micros());
        query.push(" AND start < ").push_bind(span.end.as_micros());
        let row = query.fetch_one(&mut self.view).await?;
        let mut row = Columns::of(&row);
        Ok(BilledUsage { calls: row.number()?, cost: row.integer()? })
    }

    /// The minutes before `before` of which something was recorded late in this time, in order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn late_minutes(
        &mut self,
        before: Timestamp,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Vec<Timestamp>, StoreError> {
        let rows = sql("SELECT DISTINCT start FROM late_usage WHERE project = ? AND api = ? \
             AND recorded_at >= ? AND recorded_at < ? AND start < ? ORDER BY start")
        .bind(self.project)
        .bind(self.api)
        .bind(from.as_micros())
        .bind(until.as_micros())
        .bind(before.as_micros())
        .fetch_all(&mut self.view)
        .await?;
        rows.iter().map(|row| Columns::of(row).moment()).collect()
    }
}
