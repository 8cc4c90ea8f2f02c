//! Usage that is recorded by hand, or by a program: what was used and is no call that was answered here, and corrections of what
//! was counted. Each has an id of whoever records it: told again, it is recorded once. Nothing is ever altered: what was wrong gets
//! a counter-entry.

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, LatencyRows, UsageEvent, fold};

use super::{Ledger, counts, kept, last_use, late};
use crate::StoreError;
use crate::db::{Columns, Connection, Row, sql};

/// The status that calls are counted under which were answered elsewhere.
const STATUS: u16 = 200;

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUsage {
    /// Its id, of whoever records it.
    pub id: String,
    /// The number of the API.
    pub api: u32,
    /// The number of the project.
    pub project: u32,
    /// When it happened; now if that is not said.
    pub at: Option<Timestamp>,
    /// Calls.
    pub calls: u64,
    /// What that costs; a correction may be negative.
    pub cost: i64,
    /// The id of what it corrects.
    pub corrects: Option<String>,
    /// What people read.
    pub note: String,
}

/// Usage that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedUsage {
    /// The number of the organization whose API it is.
    pub organization: u32,
    /// Its id.
    pub id: String,
    /// The number of the API.
    pub api: u32,
    /// The number of the project.
    pub project: u32,
    /// When it happened.
    pub at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Calls.
    pub calls: u64,
    /// What that costs.
    pub cost: i64,
    /// The id of what it corrects.
    pub corrects: Option<String>,
    /// What people read; `None` if it was erased.
    pub note: Option<String>,
    /// Who recorded it.
    pub recorded_by: String,
}

impl RecordedUsage {
    /// The label that it is counted under.
    pub const LABEL: (u32, &str) = (5, "(recorded)");

    /// What it adds to what was counted.
    pub fn event(&self) -> UsageEvent {
        UsageEvent {
            at: self.at,
            dimensions: Dimensions {
                organization: self.organization,
                api: self.api,
                project: self.project,
                key: 0,
                version: 0,
                label: Self::LABEL.0,
                code: Code::Allowed,
                status: STATUS,
            },
            client: None,
            facets: None,
            counts: Counts { calls: self.calls, cost: self.cost, ..Counts::default() },
        }
    }

    fn is(&self, other: &NewUsage) -> bool {
        let own = (self.api, self.project, self.calls, self.cost, &self.corrects);
        own == (other.api, other.project, other.calls, other.cost, &other.corrects)
            && self.note.as_ref().is_none_or(|note| *note == other.note)
            && other.at.is_none_or(|at| at == self.at)
    }
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// What stands at this place has the id of something else that was recorded.
    #[error("the id is that of something else")]
    Other(usize),
    /// What stands at this place corrects nothing that was recorded of its project at its API.
    #[error("there is nothing that it corrects")]
    Unknown(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for NotRecorded {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Ledger {
    /// Records all of these, of APIs of this organization, or none; durable when this returns. What was recorded before under its
    /// id is left as it is, and comes back as it was recorded; with each stands whether it is new.
    ///
    /// # Errors
    /// [`NotRecorded`] says what does not fit; then nothing was recorded.
    pub async fn record(
        &self,
        by: (u32, &str),
        now: Timestamp,
        all: &[NewUsage],
    ) -> Result<Vec<(RecordedUsage, bool)>, NotRecorded> {
        self.record_or_try(by, now, all, false).await
    }

    /// What [`Ledger::record`] would say. Nothing is recorded.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub async fn try_recording(
        &self,
        by: (u32, &str),
        now: Timestamp,
        all: &[NewUsage],
    ) -> Result<Vec<(RecordedUsage, bool)>, NotRecorded> {
        self.record_or_try(by, now, all, true).await
    }

    async fn record_or_try(
        &self,
        (organization, recorded_by): (u32, &str),
        now: Timestamp,
        all: &[NewUsage],
        is_trial: bool,
    ) -> Result<Vec<(RecordedUsage, bool)>, NotRecorded> {
        let mut transaction = self.0.base.write().await?;
        let db = &mut *transaction;
        kept::begin(db, Some(now)).await?;
        let recorded_at = kept::recorded_now(db, now).await?;
        let mut recorded = Vec::with_capacity(all.len());
        for (place, new) in all.iter().enumerate() {
            if let Some(before) = find(db, organization, &new.id).await? {
                if !before.is(new) {
                    return Err(NotRecorded::Other(place));
                }
                recorded.push((before, false));
                continue;
            }
            if let Some(id) = &new.corrects {
                let corrected = find(db, organization, id).await?;
                if corrected.is_none_or(|it| (it.api, it.project) != (new.api, new.project)) {
                    return Err(NotRecorded::Unknown(place));
                }
            }
            let new = RecordedUsage {
                organization,
                id: new.id.clone(),
                api: new.api,
                project: new.project,
                at: new.at.unwrap_or(now),
                recorded_at,
                calls: new.calls,
                cost: new.cost,
                corrects: new.corrects.clone(),
                note: Some(new.note.clone()),
                recorded_by: recorded_by.to_owned(),
            };
            insert(db, &new).await?;
            recorded.push((new, true));
        }
        if is_trial {
            return Ok(recorded);
        }
        sql("INSERT INTO labels (number, api, text) VALUES (?, 0, ?) ON CONFLICT DO NOTHING")
            .bind(RecordedUsage::LABEL.0)
            .bind(RecordedUsage::LABEL.1)
            .execute(&mut *db)
            .await?;
        let fresh: Vec<UsageEvent> = recorded.iter().filter(|(_, is_new)| *is_new).map(|(it, _)| it.event()).collect();
        late::add(db, fresh.iter().map(|event| (recorded_at, event))).await?;
        // A correction is no use.
        last_use::add(db, fresh.iter().filter(|event| event.counts.calls > 0)).await?;
        counts::add_up(db, fold(Bucket::Minute, &fresh), LatencyRows::new()).await?;
        transaction.commit().await?;
        Ok(recorded)
    }

    /// Usage that happened from `from` until before `until` and was recorded from `recorded_from` on, after what was read before, at
    /// most so many: the oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn recorded_usage(
        &self,
        (from, until): (Timestamp, Timestamp),
        recorded_from: Option<Timestamp>,
        after: Option<&RecordedUsage>,
        limit: u32,
    ) -> Result<Vec<RecordedUsage>, StoreError> {
        page(&mut self.0.base.read().await?, (from, until), recorded_from, after, limit).await
    }

    /// Usage that was recorded from `from` until before `until`, whenever it happened, after what was read before, at most so many: what
    /// was recorded first comes first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn usage_recorded(
        &self,
        (from, until): (Timestamp, Timestamp),
        after: Option<&RecordedUsage>,
        limit: u32,
    ) -> Result<Vec<RecordedUsage>, StoreError> {
        let mut query = sql(SELECT);
        query.push("recorded_at < ").push_bind(until.as_micros());
        match after {
            None => query.push(" AND recorded_at >= ").push_bind(from.as_micros()),
            Some(after) => {
                query.push(" AND (recorded_at, organization, id) > (").push_bind(after.recorded_at.as_micros());
                query.push(", ").push_bind(after.organization).push(", ").push_bind(&after.id).push(")")
            }
        };
        query.push(" ORDER BY recorded_at, organization, id LIMIT ").push_bind(limit);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// Usage that was recorded of this project, the oldest first, after what was read before; at most so many.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn recorded_usage_of(
        &self,
        project: u32,
        after: Option<&RecordedUsage>,
        limit: u32,
    ) -> Result<Vec<RecordedUsage>, StoreError> {
        let mut query = sql(SELECT);
        query.push("project = ").push_bind(project);
        if let Some(after) = after {
            query.push(" AND (at, organization, id) > (").push_bind(after.at.as_micros());
            query.push(", ").push_bind(after.organization).push(", ").push_bind(&after.id).push(")");
        }
        query.push(" ORDER BY at, organization, id LIMIT ").push_bind(limit);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// Takes out what people wrote on usage that was recorded of this project, and sees to it that it is nowhere in the file.
    ///
    /// # Errors
    /// If the store fails, or somebody reads for a long time.
    pub async fn forget_notes_of(&self, project: u32) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        sql("UPDATE recorded_usage SET note = NULL WHERE project = ?").bind(project).execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(self.0.base.wipe().await?)
    }
}

const SELECT: &str = "SELECT organization, id, api, project, at, recorded_at, calls, cost, corrects, note, recorded_by \
     FROM recorded_usage WHERE ";

async fn find(db: &mut Connection, organization: u32, id: &str) -> Result<Option<RecordedUsage>, StoreError> {
    let mut query = sql(SELECT);
    query.push("organization = ").push_bind(organization).push(" AND id = ").push_bind(id);
    query.fetch_optional(db).await?.map(|row| read(&row)).transpose()
}

pub(super) async fn page(
    db: &mut Connection,
    (from, until): (Timestamp, Timestamp),
    recorded_from: Option<Timestamp>,
    after: Option<&RecordedUsage>,
    limit: u32,
) -> Result<Vec<RecordedUsage>, StoreError> {
    let mut query = sql(SELECT);
    query.push("at < ").push_bind(until.as_micros());
    if let Some(recorded_from) = recorded_from {
        query.push(" AND recorded_at >= ").push_bind(recorded_from.as_micros());
    }
    match after {
        None => query.push(" AND at >= ").push_bind(from.as_micros()),
        Some(after) => {
            query.push(" AND (at, organization, id) > (").push_bind(after.at.as_micros());
            query.push(", ").push_bind(after.organization).push(", ").push_bind(&after.id).push(")")
        }
    };
    query.push(" ORDER BY at, organization, id LIMIT ").push_bind(limit);
    query.fetch_all(db).await?.iter().map(read).collect()
}

async fn insert(db: &mut Connection, new: &RecordedUsage) -> Result<(), StoreError> {
    sql("INSERT INTO recorded_usage (organization, id, api, project, at, recorded_at, calls, cost, corrects, note, \
         recorded_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
    .bind(new.organization)
    .bind(&new.id)
    .bind(new.api)
    .bind(new.project)
    .bind(new.at.as_micros())
    .bind(new.recorded_at.as_micros())
    .bind(i64::try_from(new.calls).unwrap_or(i64::MAX))
    .bind(new.cost)
    .bind(new.corrects.as_deref())
    .bind(new.note.as_deref())
    .bind(&new.recorded_by)
    .execute(db)
    .await?;
    Ok(())
}

fn read(row: &Row) -> Result<RecordedUsage, StoreError> {
    let mut row = Columns::of(row);
    Ok(RecordedUsage {
        organization: row.number()?,
        id: row.text()?,
        api: row.number()?,
        project: row.number()?,
        at: row.moment()?,
        recorded_at: row.moment()?,
        calls: row.number()?,
        cost: row.integer()?,
        corrects: row.text_if_any()?,
        note: row.text_if_any()?,
        recorded_by: row.text()?,
    })
}
