//! What was counted. Batches of events come in as they are (`append`, form in `codec`) and are durable at once; adding
//! them up by minute, hour and day (`counts`, `facets`) is done later, many batches at a time (`roll_up`), and before anybody asks (`query`,
//! `operations`, `last_use`, `uses`). The events stay for a while (`kept`), and what is recorded by hand beside them
//! (`recorded`), so that all of it can be counted anew (`recount`); what comes late for a statement is noted (`late`), and statements are made of
//! one view of it all (`billed`). How far it was told to webhooks is kept as well (`places`). Beside all that, single calls are written down for a while (`requests`).
//!
//! A batch is known by its node and sequence, so that one that is sent again is not counted again.

mod append;
mod balances;
mod billed;
mod codec;
mod counts;
mod credits;
mod facets;
mod kept;
mod last_use;
mod late;
mod meta;
mod operations;
mod places;
mod query;
mod recorded;
mod recount;
mod requests;
mod roll_up;
mod uses;

use std::sync::Arc;

pub use balances::{Amount, Taken, Taking};
pub use billed::{Billed, BilledUsage};
pub use credits::{CreditEntriesOf, CreditMove, CreditMoved, EntryName, EntrySaid, GrantTaken, NotMoved, Room};
pub use kept::{EventName, EventsAt, KeptEvent};
pub use last_use::Use;
pub use places::UsagePlace;
pub use recorded::{NewUsage, NotRecorded, RecordedUsage};
pub use recount::{Difference, Recount};
pub use requests::{KeptRequest, LoggedRequest, RequestDoor, RequestsAt, RequestsOf, RequestsPage, RequestsQuery};

use crate::db::{Base, Columns, sql};
use crate::hold::Hold;
use crate::sqlite::Newest;
use crate::{LabelRow, StoreError};

/// What is wrong with kept events, if anything is.
pub(crate) fn unsound_kept(events: &[u8]) -> Option<String> {
    codec::decode_kept(events).err().map(|error| error.to_string())
}

/// What is wrong with a batch, if anything is.
pub(crate) fn unsound(events: &[u8]) -> Option<String> {
    codec::decode(events).err().map(|error| error.to_string())
}

/// What was counted. Cheap to clone; all clones share one pool.
#[derive(Clone)]
pub struct Ledger(Arc<LedgerParts>);

struct LedgerParts {
    base: Base,
    hold: Hold,
    /// What tells how far its file has come, if it is one.
    newest: Option<Newest>,
}

impl Ledger {
    /// What a file's ledger counts itself by: all batches that were ever kept. It only grows.
    pub(crate) const BATCHES: &str = "SELECT coalesce(sum(last_sequence), 0) FROM nodes";

    pub(crate) fn new(base: Base, hold: Hold, newest: Option<Newest>) -> Self {
        Self(Arc::new(LedgerParts { base, hold, newest }))
    }

    pub(crate) fn hold(&self) -> &Hold {
        &self.0.hold
    }

    /// Every label, by number.
    pub async fn labels(&self) -> Result<Vec<LabelRow>, StoreError> {
        let rows = sql("SELECT number, api, text FROM labels ORDER BY number")
            .fetch_all(&mut self.0.base.read().await?)
            .await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                Ok(LabelRow { number: row.number()?, api: row.number()?, text: row.text()? })
            })
            .collect()
    }

    /// Closes the file, and lets go of the folder once the catalogue is closed as well.
    pub async fn close(&self) {
        self.0.base.close().await;
        self.0.hold.release();
    }
}
