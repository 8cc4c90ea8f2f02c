//! Events that are kept after they were added up, for recounting and for whoever bills. They are without the addresses of their
//! clients and without their facets: those are kept apart, and for another time.
//!
//! An event is known by the node that counted it, by its batch, and by its place in that: no other one ever gets the same name, and
//! it gets no other one, not even by a process that goes on from a backup.

use std::collections::BTreeMap;

use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, UsageEvent};

use super::Ledger;
use super::codec::{self, BrokenBatch, Kept};
use super::meta::{moment, note_moment};
use super::roll_up::Read;
use crate::StoreError;
use crate::db::{Columns, Connection, damaged, signed, sql};

/// Events in one row: what is read and told of them at a time.
const EVENTS: usize = 5_000;
/// Bytes that a row takes besides its events, with its indexes.
const ROW_BYTES: usize = 160;
/// Rows that are forgotten in one transaction: some megabytes.
const FORGOTTEN: u32 = 200;
/// From when on events are kept, in `meta`.
const KEPT_FROM: &str = "events_from";
/// Up to when what was recorded is in files, in `meta`.
const IN_FILES_UNTIL: &str = "in_files_until";
/// Up to when nothing is recorded any more, in `meta`.
const OVER_UNTIL: &str = "recorded_until";

/// An event that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvent {
    /// By what it is known.
    pub name: EventName,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What was counted.
    pub event: UsageEvent,
}

/// By what an event is known, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventName {
    /// The process that counted it.
    pub node: u64,
    /// Its batch.
    pub sequence: u64,
    /// Its place in that.
    pub place: u64,
}

/// A row of kept events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventsAt {
    hour: i64,
    node: i64,
    sequence: i64,
    place: i64,
}

impl EventsAt {
    /// The hour in which they happened.
    pub(super) const fn hour(&self) -> Timestamp {
        Timestamp::from_micros(self.hour)
    }

    fn unpack(&self, events: &[u8]) -> Result<Vec<KeptEvent>, BrokenBatch> {
        let node = self.node.cast_unsigned();
        let event = |kept: Kept| KeptEvent {
            name: EventName { node, sequence: kept.sequence, place: kept.place },
            recorded_at: kept.recorded_at,
            event: kept.event,
        };
        Ok(codec::decode_kept(events)?.into_iter().map(event).collect())
    }

    fn damaged(&self, error: &BrokenBatch) -> StoreError {
        damaged(format_args!("kept events of {}: {error}", self.hour()))
    }
}

/// What is kept of an event: who called is kept apart, and for another time.
fn without_people(event: &UsageEvent) -> UsageEvent {
    UsageEvent { client: None, facets: None, ..*event }
}

/// Keeps the events of batches, those of each hour apart.
pub(super) async fn keep(db: &mut Connection, batches: &[Read], events: &[UsageEvent]) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let recorded_at = batches.iter().filter_map(|batch| batch.recorded_at).max();
    begin(db, recorded_at).await?;
    for of_node in batches.chunk_by(|one, other| one.place.node == other.place.node) {
        let first = of_node[0].place;
        let mut hours: BTreeMap<Timestamp, Vec<Kept>> = BTreeMap::new();
        for batch in of_node {
            for (place, (recorded_at, event)) in (0..).zip(batch.of(events)) {
                let sequence = batch.place.sequence.cast_unsigned();
                let kept = Kept { sequence, place, recorded_at, event: without_people(event) };
                hours.entry(event.at.floor_secs(Bucket::Hour.secs())).or_default().push(kept);
            }
        }
        let mut place = 0_u64;
        for (hour, events) in hours {
            for some in events.chunks(EVENTS) {
                let bytes = codec::encode_kept(some);
                let recorded = || some.iter().map(|kept| kept.recorded_at);
                let (first_recorded_at, recorded_at) =
                    (recorded().min().unwrap_or(hour), recorded().max().unwrap_or(hour));
                sql("INSERT INTO kept_events (hour, node, sequence, place, recorded_at, bytes, events, first_recorded_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(hour.as_micros())
                .bind(first.node)
                .bind(first.sequence)
                .bind(signed(place))
                .bind(recorded_at.as_micros())
                .bind(signed((ROW_BYTES + bytes.len()) as u64))
                .bind(bytes)
                .bind(first_recorded_at.as_micros())
                .execute(&mut *db)
                .await?;
                place += some.len() as u64;
            }
        }
    }
    Ok(())
}

/// Notes that events are kept from now on, unless they were before: from ever, if nothing was counted yet. What was counted in a
/// time to come, by a clock that was wrong, is not waited for.
pub(super) async fn begin(db: &mut Connection, now: Option<Timestamp>) -> Result<(), StoreError> {
    if kept_from(db).await?.is_some() {
        return Ok(());
    }
    let row = sql("SELECT max(start) FROM usage_hour").fetch_one(&mut *db).await?;
    let last = Columns::of(&row).moment_if_any()?;
    let last = last.map(|last| now.map_or(last, |now| last.min(now.floor_secs(Bucket::Hour.secs()))));
    let from = last.map_or(Timestamp::from_secs(0), |last| last.plus_secs(Bucket::Hour.secs()));
    note(db, from).await
}

async fn note(db: &mut Connection, from: Timestamp) -> Result<(), StoreError> {
    note_moment(db, KEPT_FROM, from).await
}

/// From when on events are kept; `None` before there were any.
pub(super) async fn kept_from(db: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    moment(db, KEPT_FROM).await
}

/// When something counts as recorded: now, or if the clock was set back, when that is in no hour that is over already.
pub(super) async fn recorded_now(db: &mut Connection, now: Timestamp) -> Result<Timestamp, StoreError> {
    Ok(over_until(db).await?.map_or(now, |until| now.max(until)))
}

/// Up to when nothing is recorded any more. Before that was noted, what is in files told it.
async fn over_until(db: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    match moment(db, OVER_UNTIL).await? {
        Some(until) => Ok(Some(until)),
        None => moment(db, IN_FILES_UNTIL).await,
    }
}

/// The events of the first row after this one, of hours from `from` until before `until`, if one of them was recorded from
/// `recorded_from` on; `None` after the last one.
pub(super) async fn next(
    db: &mut Connection,
    (from, until): (Timestamp, Timestamp),
    recorded_from: Option<Timestamp>,
    after: Option<EventsAt>,
) -> Result<Option<(EventsAt, Result<Vec<KeptEvent>, BrokenBatch>)>, StoreError> {
    let mut query = sql("SELECT hour, node, sequence, place, events FROM kept_events WHERE hour < ");
    query.push_bind(until.as_micros());
    // One lower bound alone: with both, SQLite begins at the hour and walks over all that was read before.
    match after {
        None => query.push(" AND hour >= ").push_bind(from.as_micros()),
        Some(after) => {
            query.push(" AND (hour, node, sequence, place) > (").push_bind(after.hour).push(", ").push_bind(after.node);
            query.push(", ").push_bind(after.sequence).push(", ").push_bind(after.place).push(")")
        }
    };
    if let Some(recorded_from) = recorded_from {
        query.push(" AND recorded_at >= ").push_bind(recorded_from.as_micros());
    }
    query.push(" ORDER BY hour, node, sequence, place LIMIT 1");
    let Some(row) = query.fetch_optional(db).await? else { return Ok(None) };
    let mut row = Columns::of(&row);
    let at = place(&mut row)?;
    Ok(Some((at, at.unpack(row.blob()?))))
}

fn place(row: &mut Columns<'_>) -> Result<EventsAt, StoreError> {
    Ok(EventsAt { hour: row.integer()?, node: row.integer()?, sequence: row.integer()?, place: row.integer()? })
}

impl Ledger {
    /// Kept events that happened in the hours from that of `from` until before `until`, some thousands at a time: those after what
    /// was read before, which comes with them; `None` after the last ones. Rows of which none was recorded from `recorded_from` on are
    /// left out. Hour by hour, in no order within. What was not added up yet is not among them: [`Ledger::roll_up`] does that.
    ///
    /// # Errors
    /// If the store fails, or a row of events is damaged.
    pub async fn kept_events(
        &self,
        (from, until): (Timestamp, Timestamp),
        recorded_from: Option<Timestamp>,
        after: Option<EventsAt>,
    ) -> Result<Option<(EventsAt, Vec<KeptEvent>)>, StoreError> {
        let from = from.floor_secs(Bucket::Hour.secs());
        let next = next(&mut self.0.base.read().await?, (from, until), recorded_from, after).await?;
        let Some((at, events)) = next else { return Ok(None) };
        Ok(Some((at, events.map_err(|error| at.damaged(&error))?)))
    }

    /// The rows of kept events in which something was recorded from `from` until before `until`, by the hours in which they happened.
    /// Of a row that was written before that was noted it may be nothing.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn events_recorded(&self, (from, until): (Timestamp, Timestamp)) -> Result<Vec<EventsAt>, StoreError> {
        let rows = sql("SELECT hour, node, sequence, place FROM kept_events WHERE recorded_at >= ? \
             AND first_recorded_at < ? ORDER BY hour, node, sequence, place")
        .bind(from.as_micros())
        .bind(until.as_micros())
        .fetch_all(&mut self.0.base.read().await?)
        .await?;
        rows.iter().map(|row| place(&mut Columns::of(row))).collect()
    }

    /// The kept events of a row; none if they were forgotten.
    ///
    /// # Errors
    /// If the store fails, or the row is damaged.
    pub async fn events_at(&self, at: EventsAt) -> Result<Vec<KeptEvent>, StoreError> {
        let row = sql("SELECT events FROM kept_events WHERE hour = ? AND node = ? AND sequence = ? AND place = ?")
            .bind(at.hour)
            .bind(at.node)
            .bind(at.sequence)
            .bind(at.place)
            .fetch_optional(&mut self.0.base.read().await?)
            .await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        at.unpack(Columns::of(&row).blob()?).map_err(|error| at.damaged(&error))
    }

    /// A moment from `from` on before which nothing was recorded after `from` that is still kept; `None` if nothing was at all.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn first_recorded(&self, from: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut db = self.0.base.read().await?;
        let mut first = None;
        for query in [
            "SELECT min(first_recorded_at) FROM kept_events WHERE recorded_at >= ?",
            "SELECT min(recorded_at) FROM recorded_usage WHERE recorded_at >= ?",
        ] {
            let row = sql(query).bind(from.as_micros()).fetch_one(&mut db).await?;
            let found = Columns::of(&row).moment_if_any()?.map(|found| found.max(from));
            first = [first, found].into_iter().flatten().min();
        }
        Ok(first)
    }

    /// Notes that nothing is recorded before this moment any more, whatever the clock says later; never takes it back.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn end_recording(&self, until: Timestamp) -> Result<(), StoreError> {
        if over_until(&mut self.0.base.read().await?).await?.is_some_and(|over| over >= until) {
            return Ok(());
        }
        let mut transaction = self.0.base.write().await?;
        let over = over_until(&mut transaction).await?;
        note_moment(&mut transaction, OVER_UNTIL, over.map_or(until, |over| over.max(until))).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Up to when what was recorded is in files by now; before there were any, the hour of the first event that is kept.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn in_files_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut db = self.0.base.read().await?;
        let noted = moment(&mut db, IN_FILES_UNTIL).await?;
        if noted.is_some() {
            return Ok(noted);
        }
        let row = sql("SELECT min(hour) FROM kept_events").fetch_one(&mut db).await?;
        Columns::of(&row).moment_if_any()
    }

    /// Notes that what was recorded before this moment is in files.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn note_in_files(&self, until: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        note_moment(&mut transaction, IN_FILES_UNTIL, until).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// From when on events are kept, by the moment at which they happened; `None` if there was none yet.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn events_kept_from(&self) -> Result<Option<Timestamp>, StoreError> {
        kept_from(&mut self.0.base.read().await?).await
    }

    /// Forgets events of hours before that of `before`, and of further ones, the oldest first, until those that stay have at most so
    /// many bytes; says of how many hours. What was recorded by hand is forgotten by age alone, once it happened and was recorded before,
    /// and its ids with it. Counts stay.
    ///
    /// # Errors
    /// If the store fails; what was forgotten until then is.
    pub async fn forget_events(&self, before: Option<Timestamp>, bytes: Option<u64>) -> Result<u64, StoreError> {
        let rows = sql("SELECT hour, CAST(sum(bytes) AS BIGINT) FROM kept_events GROUP BY hour ORDER BY hour DESC")
            .fetch_all(&mut self.0.base.read().await?)
            .await?;
        let before = before.map(|before| before.floor_secs(Bucket::Hour.secs()));
        let (mut room, mut forgotten) = (bytes.unwrap_or(u64::MAX), Vec::new());
        for (place, row) in rows.iter().enumerate() {
            let mut row = Columns::of(row);
            let (hour, size) = (row.moment()?, row.number::<u64>()?);
            // Once there was no room for an hour, there is none for those before it.
            let fits = size <= room;
            room = if fits { room - size } else { 0 };
            // The newest one stays: there is nothing yet to put in its place.
            if (!fits && place > 0) || before.is_some_and(|before| hour < before) {
                forgotten.push(hour);
            }
        }
        // The oldest first, some rows at a time: whoever counts does not wait for long.
        for hour in forgotten.iter().rev() {
            let mut transaction = self.0.base.write().await?;
            let kept_from = kept_from(&mut transaction).await?;
            let next = hour.plus_secs(Bucket::Hour.secs());
            note(&mut transaction, kept_from.map_or(next, |kept| kept.max(next))).await?;
            transaction.commit().await?;
            while self.forget_some_of(*hour).await? == u64::from(FORGOTTEN) {}
        }
        if let Some(before) = before {
            let mut transaction = self.0.base.write().await?;
            // By both moments: what was recorded lately of long ago is still to be known when it is sent again.
            let gone = sql("DELETE FROM recorded_usage WHERE at < ? AND recorded_at < ?")
                .bind(before.as_micros())
                .bind(before.as_micros());
            if gone.execute(&mut transaction).await? > 0 {
                let kept_from = kept_from(&mut transaction).await?;
                note(&mut transaction, kept_from.map_or(before, |kept| kept.max(before))).await?;
            }
            transaction.commit().await?;
        }
        Ok(forgotten.len() as u64)
    }

    async fn forget_some_of(&self, hour: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let gone = sql("DELETE FROM kept_events WHERE (hour, node, sequence, place) IN \
             (SELECT hour, node, sequence, place FROM kept_events WHERE hour = ? LIMIT ?)")
        .bind(hour.as_micros())
        .bind(FORGOTTEN)
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(gone)
    }
}
