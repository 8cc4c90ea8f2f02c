//! Counting anew: the kept events of a time, and what was recorded by hand, added up by themselves and compared with the rows of
//! minutes, hours and days that answers and statements are made of, and with what was noted as late for statements.

use std::collections::BTreeSet;

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, Rows, UsageEvent, fold};

use super::counts::{Kind, coarser, totals, totals_from};
use super::late::{self, LateRows};
use super::{Ledger, kept, recorded};
use crate::StoreError;
use crate::db::{Columns, Connection, damaged, sql};

/// Differences that are told one by one.
const TOLD: usize = 100;
/// Rows of recorded usage that are read at a time.
const PAGE: u32 = 1_000;

/// What counting anew came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount {
    /// From when on there are events to count: what was counted before can't be compared with anything.
    pub kept_from: Timestamp,
    /// Events that were counted anew; those that were folded while the ledger was away are one each.
    pub events: u64,
    /// What they come to.
    pub counts: Counts,
    /// Rows of events that can't be read: their bytes were altered.
    pub damaged: u64,
    /// Rows that differ.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// A row that is not what its events come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// For which length of time the row is; `None`: it is of what was recorded late, in the minute in which it happened.
    pub bucket: Option<Bucket>,
    /// When that begins.
    pub start: Timestamp,
    /// What it counts.
    pub dimensions: Dimensions,
    /// Whether it counts all projects and keys together, whichever they are.
    pub is_total: bool,
    /// What it says.
    pub counted: Counts,
    /// What the events come to.
    pub recounted: Counts,
}

impl Ledger {
    /// Counts the hours of the days (UTC) anew that this time touches, as far as their events are kept: what is counted for one of
    /// these organizations; all if there is none. What was not added up yet is in neither: [`Ledger::roll_up`] does that.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn recount(
        &self,
        (from, until): (Timestamp, Timestamp),
        organizations: &[u32],
    ) -> Result<Recount, StoreError> {
        let kept_from = self.events_kept_from().await?.unwrap_or(until);
        let mut day = from.max(kept_from).floor_secs(Bucket::Day.secs());
        let (counts, differences) = (Counts::default(), Vec::new());
        let mut recount = Recount { kept_from, events: 0, counts, damaged: 0, differing: 0, differences };
        while day < until {
            // A view a day: whoever writes does not wait for a month to be read.
            self.recount_day(day, organizations, &mut recount).await?;
            day = day.plus_secs(Bucket::Day.secs());
        }
        Ok(recount)
    }

    async fn recount_day(
        &self,
        day: Timestamp,
        organizations: &[u32],
        recount: &mut Recount,
    ) -> Result<(), StoreError> {
        let mut view = self.0.base.view().await?;
        // Of this view: some may have been forgotten since the day before was counted.
        recount.kept_from = kept::kept_from(&mut view).await?.unwrap_or(recount.kept_from).max(recount.kept_from);
        let mut late = LateRows::new();
        let (mut hour, end) = (day.max(recount.kept_from), day.plus_secs(Bucket::Day.secs()));
        let (mut hours, first) = (Rows::new(), hour);
        while hour < end {
            let next = hour.plus_secs(Bucket::Hour.secs());
            let minutes = recounted(&mut view, (hour, next), organizations, recount, &mut late).await?;
            recount.compare(&mut view, Bucket::Minute, (hour, next), organizations, &minutes).await?;
            let of_hour = coarser(Bucket::Hour, &minutes);
            recount.compare(&mut view, Bucket::Hour, (hour, next), organizations, &of_hour).await?;
            hours.extend(of_hour);
            hour = next;
        }
        recount.compare_late(&late::happened(&mut view, (first, end), organizations).await?, &late);
        if day < recount.kept_from {
            return Ok(());
        }
        let days = coarser(Bucket::Day, &hours);
        recount.compare(&mut view, Bucket::Day, (day, end), organizations, &days).await
    }
}

/// The events of an hour, by the minute.
async fn recounted(
    db: &mut Connection,
    span: (Timestamp, Timestamp),
    organizations: &[u32],
    recount: &mut Recount,
    late: &mut LateRows,
) -> Result<Rows, StoreError> {
    let is_asked =
        |event: &UsageEvent| organizations.is_empty() || organizations.contains(&event.dimensions.organization);
    let mut minutes = Rows::new();
    let mut after = None;
    while let Some((at, events)) = kept::next(db, span, None, after).await? {
        after = Some(at);
        let Ok(mut events) = events else {
            recount.damaged += 1;
            continue;
        };
        events.retain(|kept| is_asked(&kept.event));
        late::gather(late, events.iter().map(|kept| (kept.recorded_at, &kept.event)));
        recount.add(&mut minutes, events.iter().map(|kept| &kept.event));
    }
    let mut last = None;
    loop {
        let mut rows = recorded::page(db, span, None, last.as_ref(), PAGE).await?;
        let events = rows.iter().map(|row| (row.recorded_at, row.event())).filter(|(_, event)| is_asked(event));
        let events: Vec<_> = events.collect();
        late::gather(late, events.iter().map(|(recorded_at, event)| (*recorded_at, event)));
        recount.add(&mut minutes, events.iter().map(|(_, event)| event));
        let Some(of_page) = rows.pop() else { return Ok(minutes) };
        last = Some(of_page);
    }
}

impl Recount {
    /// Adds events up by the minute, whichever version of a key was presented.
    fn add<'a>(&mut self, minutes: &mut Rows, events: impl Iterator<Item = &'a UsageEvent>) {
        let plain = |event: &UsageEvent| UsageEvent {
            dimensions: Dimensions { version: 0, ..event.dimensions },
            ..event.clone()
        };
        let events: Vec<_> = events.map(plain).collect();
        self.events += events.len() as u64;
        for (row, counts) in fold(Bucket::Minute, &events) {
            self.counts.add(&counts);
            minutes.entry(row).or_default().add(&counts);
        }
    }

    fn differs(&mut self, difference: Difference) {
        self.differing += 1;
        if self.differences.len() < TOLD {
            self.differences.push(difference);
        }
    }

    /// Compares what was noted as late with what the events say.
    fn compare_late(&mut self, counted: &LateRows, recounted: &LateRows) {
        let of_both: BTreeSet<_> = counted.keys().chain(recounted.keys()).copied().collect();
        for row in of_both {
            let (project, api, _, start) = row;
            let said = |rows: &LateRows| rows.get(&row).copied().unwrap_or_default();
            let ((organization, counted), (_, recounted)) = (said(counted), said(recounted));
            if counted != recounted {
                let dimensions = Dimensions {
                    organization,
                    api,
                    project,
                    key: 0,
                    version: 0,
                    label: 0,
                    code: Code::Allowed,
                    status: 0,
                };
                self.differs(Difference { bucket: None, start, dimensions, is_total: false, counted, recounted });
            }
        }
    }

    /// Compares the rows of a bucket that begin in this time with what was counted anew, by key and all keys together.
    async fn compare(
        &mut self,
        db: &mut Connection,
        bucket: Bucket,
        span: (Timestamp, Timestamp),
        organizations: &[u32],
        recounted: &Rows,
    ) -> Result<(), StoreError> {
        let has_totals = totals_from(db).await?.is_some_and(|from| span.0 >= from);
        let all = has_totals.then(|| totals(recounted));
        let all = all.as_ref().map(|all| (Kind::Totals, all));
        for (kind, recounted) in [(Kind::Keys, recounted)].into_iter().chain(all) {
            let counted = rows(db, (kind, bucket), span, organizations).await?;
            self.compare_with(&counted, (kind, bucket), recounted);
        }
        Ok(())
    }

    fn compare_with(&mut self, counted: &Rows, (kind, bucket): (Kind, Bucket), recounted: &Rows) {
        let mut of_both: Vec<_> = counted.keys().chain(recounted.keys()).copied().collect();
        of_both.sort_unstable();
        of_both.dedup();
        for (start, dimensions) in of_both {
            let said = |rows: &Rows| rows.get(&(start, dimensions)).copied().unwrap_or_default();
            let (counted, recounted) = (said(counted), said(recounted));
            if counted != recounted {
                let is_total = kind == Kind::Totals;
                self.differs(Difference { bucket: Some(bucket), start, dimensions, is_total, counted, recounted });
            }
        }
    }
}

async fn rows(
    db: &mut Connection,
    (kind, bucket): (Kind, Bucket),
    (from, until): (Timestamp, Timestamp),
    organizations: &[u32],
) -> Result<Rows, StoreError> {
    let keys = if kind == Kind::Keys { "project, key" } else { "CAST(0 AS BIGINT), CAST(0 AS BIGINT)" };
    let mut query = sql(format!(
        "SELECT start, organization, {keys}, api, label, code, status, calls, latency_us, bytes_in, bytes_out, cost FROM "
    ));
    query.push(kind.table(bucket)).push(" WHERE start >= ").push_bind(from.as_micros());
    query.push(" AND start < ").push_bind(until.as_micros());
    if !organizations.is_empty() {
        query.push(" AND organization IN ").push_list(organizations.iter().copied());
    }
    let rows = query.fetch_all(db).await?;
    let each = rows.iter().map(|row| {
        let mut row = Columns::of(row);
        let start = row.moment()?;
        let (organization, project, key) = (row.number()?, row.number()?, row.number()?);
        let (api, label, code) = (row.number()?, row.number()?, row.number()?);
        let code = Code::from_number(code).ok_or_else(|| damaged(format_args!("the code {code}")))?;
        let status = row.number()?;
        let dimensions = Dimensions { organization, api, project, key, version: 0, label, code, status };
        let counts = Counts {
            calls: row.number()?,
            latency_us: row.number()?,
            bytes_in: row.number()?,
            bytes_out: row.number()?,
            cost: row.integer()?,
        };
        Ok(((start, dimensions), counts))
    });
    each.collect()
}
