//! Counting anew: the kept events of a time, and what was recorded by hand, added up by themselves and compared with the rows of
//! minutes, hours and days that answers and statements are made of.

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, Rows, UsageEvent, fold};

use super::roll_up::{coarser, table};
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
    /// Rows that differ.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// A row that is not what its events come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// For which length of time the row is.
    pub bucket: Bucket,
    /// When that begins.
    pub start: Timestamp,
    /// What it counts.
    pub dimensions: Dimensions,
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
    /// If the store fails, or a row of events is damaged.
    pub async fn recount(
        &self,
        (from, until): (Timestamp, Timestamp),
        organizations: &[u32],
    ) -> Result<Recount, StoreError> {
        let kept_from = self.events_kept_from().await?.unwrap_or(until);
        let mut day = from.max(kept_from).floor_secs(Bucket::Day.secs());
        let (counts, differences) = (Counts::default(), Vec::new());
        let mut recount = Recount { kept_from, events: 0, counts, differing: 0, differences };
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
        let (mut hour, end) = (day.max(recount.kept_from), day.plus_secs(Bucket::Day.secs()));
        let mut hours = Rows::new();
        while hour < end {
            let next = hour.plus_secs(Bucket::Hour.secs());
            let minutes = recounted(&mut view, (hour, next), organizations, recount).await?;
            recount.compare(&mut view, Bucket::Minute, (hour, next), organizations, &minutes).await?;
            let of_hour = coarser(Bucket::Hour, &minutes);
            recount.compare(&mut view, Bucket::Hour, (hour, next), organizations, &of_hour).await?;
            hours.extend(of_hour);
            hour = next;
        }
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
) -> Result<Rows, StoreError> {
    let is_asked =
        |event: &UsageEvent| organizations.is_empty() || organizations.contains(&event.dimensions.organization);
    let mut minutes = Rows::new();
    let mut add = |events: Vec<UsageEvent>| {
        recount.events += events.len() as u64;
        for (row, counts) in fold(Bucket::Minute, &events) {
            recount.counts.add(&counts);
            minutes.entry(row).or_default().add(&counts);
        }
    };
    let mut after = None;
    while let Some((at, events)) = kept::next(db, span, after).await? {
        let events = events.into_iter().map(|kept| {
            let dimensions = Dimensions { version: 0, ..kept.event.dimensions };
            UsageEvent { dimensions, ..kept.event }
        });
        add(events.filter(is_asked).collect());
        after = Some(at);
    }
    let mut last = None;
    loop {
        let mut rows = recorded::page(db, span, last.as_ref(), PAGE).await?;
        add(rows.iter().map(recorded::RecordedUsage::event).filter(is_asked).collect());
        let Some(of_page) = rows.pop() else { return Ok(minutes) };
        last = Some(of_page);
    }
}

impl Recount {
    /// Compares the rows of a table that begin in this time with what was counted anew.
    async fn compare(
        &mut self,
        db: &mut Connection,
        bucket: Bucket,
        span: (Timestamp, Timestamp),
        organizations: &[u32],
        recounted: &Rows,
    ) -> Result<(), StoreError> {
        let counted = rows(db, bucket, span, organizations).await?;
        let mut of_both: Vec<_> = counted.keys().chain(recounted.keys()).copied().collect();
        of_both.sort_unstable();
        of_both.dedup();
        for (start, dimensions) in of_both {
            let said = |rows: &Rows| rows.get(&(start, dimensions)).copied().unwrap_or_default();
            let (counted, recounted) = (said(&counted), said(recounted));
            if counted != recounted {
                self.differing += 1;
                if self.differences.len() < TOLD {
                    self.differences.push(Difference { bucket, start, dimensions, counted, recounted });
                }
            }
        }
        Ok(())
    }
}

async fn rows(
    db: &mut Connection,
    bucket: Bucket,
    (from, until): (Timestamp, Timestamp),
    organizations: &[u32],
) -> Result<Rows, StoreError> {
    let mut query = sql("SELECT start, organization, project, key, api, label, code, status, calls, latency_us, \
         bytes_in, bytes_out, cost FROM ");
    query.push(table(bucket)).push(" WHERE start >= ").push_bind(from.as_micros());
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
