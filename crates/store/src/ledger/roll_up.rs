//! Adding batches up (`counts`, `facets` and others say how), in transactions that take the batches away as they add their counts, and keep their
//! events (`kept`): a crash neither loses nor doubles any.

use std::ops::Range;

use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, UsageEvent, fold, fold_latencies};

use super::{Ledger, codec, counts, facets, kept, last_use, late, uses};
use crate::StoreError;
use crate::db::{Columns, Connection, sql};

/// Batches in one transaction. A minute's worth of one node; more would hold up new batches for too long.
const BATCHES: u32 = 600;
/// Bytes of batches in one transaction: what is unpacked of them stays a small part of memory.
const BATCH_BYTES: usize = 8 << 20;

/// Which batch.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) node: i64,
    pub(super) sequence: i64,
}

/// A batch that was read, as a part of all events that were.
pub(super) struct Read {
    pub(super) place: Place,
    /// When it was recorded; `None`: in time.
    pub(super) recorded_at: Option<Timestamp>,
    pub(super) events: Range<usize>,
}

impl Read {
    /// Its events, each with the moment at which it was recorded.
    pub(super) fn of<'a>(&self, all: &'a [UsageEvent]) -> impl Iterator<Item = (Timestamp, &'a UsageEvent)> + use<'a> {
        let recorded_at = self.recorded_at;
        all[self.events.clone()].iter().map(move |event| (recorded_at.unwrap_or(event.at), event))
    }
}

impl Ledger {
    /// Adds the batches up by minute, hour and day, and lets go of them; returns how many events.
    ///
    /// # Errors
    /// If the file can't be read or written; what was added up until then is kept, and the rest is for the next time.
    pub async fn roll_up(&self) -> Result<u64, StoreError> {
        let mut events = 0;
        // Asked without a transaction first: mostly there is nothing to do, and writers needn't wait for that.
        while self.has_batches().await? {
            events += self.roll_up_some().await?;
        }
        Ok(events)
    }

    async fn has_batches(&self) -> Result<bool, StoreError> {
        let any = sql("SELECT sequence FROM batches LIMIT 1");
        Ok(any.fetch_optional(&mut self.0.base.read().await?).await?.is_some())
    }

    /// As many batches as one transaction takes.
    async fn roll_up_some(&self) -> Result<u64, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let db = &mut *transaction;
        let (mut events, mut batches) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        for place in places(db).await? {
            let row = sql("SELECT recorded_at, events FROM batches WHERE node = ? AND sequence = ?")
                .bind(place.node)
                .bind(place.sequence)
                .fetch_one(&mut *db)
                .await?;
            let mut row = Columns::of(&row);
            let (recorded_at, batch) = (row.moment_if_any()?, row.blob()?);
            bytes += batch.len();
            match codec::decode(batch) {
                Ok(more) => {
                    let begin = events.len();
                    events.extend(more);
                    batches.push(Read { place, recorded_at, events: begin..events.len() });
                }
                Err(cause) => set_aside(db, place, &cause.to_string()).await?,
            }
            sql("DELETE FROM batches WHERE node = ? AND sequence = ?")
                .bind(place.node)
                .bind(place.sequence)
                .execute(&mut *db)
                .await?;
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        kept::keep(db, &batches, &events).await?;
        late::add(db, batches.iter().flat_map(|batch| batch.of(&events))).await?;
        uses::add_versions(db, &events).await?;
        uses::add_addresses(db, &events).await?;
        // Usage is the key's, whichever version of it was presented.
        for event in &mut events {
            event.dimensions.version = 0;
        }
        last_use::add(db, &events).await?;
        facets::add_facets(db, &events).await?;
        counts::add_up(db, fold(Bucket::Minute, &events), fold_latencies(Bucket::Minute, &events)).await?;
        transaction.commit().await?;
        Ok(events.len() as u64)
    }
}

async fn places(db: &mut Connection) -> Result<Vec<Place>, StoreError> {
    let rows =
        sql("SELECT node, sequence FROM batches ORDER BY node, sequence LIMIT ?").bind(BATCHES).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            let mut row = Columns::of(row);
            Ok(Place { node: row.integer()?, sequence: row.integer()? })
        })
        .collect()
}

/// Keeps a batch that can't be read for somebody to look at, and says so.
async fn set_aside(db: &mut Connection, place: Place, cause: &str) -> Result<(), StoreError> {
    let (node, sequence) = (place.node.cast_unsigned(), place.sequence.cast_unsigned());
    tracing::error!(node, sequence, cause, "a batch of usage can't be read; it is kept in the table broken_batches");
    sql("INSERT INTO broken_batches (node, sequence, events, cause) \
         SELECT node, sequence, events, ? FROM batches WHERE node = ? AND sequence = ?")
    .bind(cause)
    .bind(place.node)
    .bind(place.sequence)
    .execute(db)
    .await?;
    Ok(())
}
