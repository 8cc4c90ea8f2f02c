//! From events to deliveries: new ones as they come, and others when somebody asks for them anew.

use keystile_core::id::OrganizationId;
use keystile_core::time::Timestamp;
use keystile_core::webhook::EventFilter;

use crate::db::{Columns, Connection, Row, Value, signed, sql};
use crate::records::Webhook;
use crate::{Catalog, StoreError};

/// Entries that are looked at in one transaction for one webhook: changes wait for it.
const ENTRIES: u32 = 500;
/// Deliveries of a webhook that wait: of one that takes nothing, further events stay in the audit until others are done.
const MAX_PENDING: u32 = 10_000;
/// Times so many entries are looked at for one request: changes wait for it, some tenths of a second.
const MAX_LOOKS: u32 = 200;
/// Most events that one request sends anew, a few hundred more or less.
pub const MAX_REPLAYED: u64 = 10_000;

/// What was put up to be sent anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// How many events.
    pub count: u64,
    /// Where to go on, if there were more than one request takes.
    pub next: Option<u64>,
}

/// A webhook that is behind the audit.
struct Behind {
    number: u32,
    organization: OrganizationId,
    events: EventFilter,
    handed_to: u64,
}

async fn behind(db: &mut Connection) -> Result<Vec<Behind>, StoreError> {
    let query = sql("SELECT w.number, o.id, w.events, w.handed_to FROM webhooks w \
         JOIN organizations o ON o.number = w.organization \
         WHERE w.deleted_at IS NULL AND w.state = 'active' \
         AND w.handed_to < (SELECT coalesce(max(sequence), 0) FROM audit) \
         AND (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook = w.number AND d.state = 'pending') < ?")
    .bind(MAX_PENDING);
    let read = |row: &Row| {
        let mut row = Columns::of(row);
        Ok(Behind {
            number: row.number()?,
            organization: row.id(OrganizationId::from_slice)?,
            events: row.json()?,
            handed_to: row.number()?,
        })
    };
    query.fetch_all(db).await?.iter().map(read).collect()
}

/// The places of the events after this one that a webhook tells of, and up to where it has been looked. `last` is the
/// newest entry of all.
async fn told(db: &mut Connection, of: &Behind, last: u64) -> Result<(Vec<u64>, u64), StoreError> {
    let rows =
        sql("SELECT sequence, action FROM audit WHERE organization = ? AND sequence > ? ORDER BY sequence LIMIT ?")
            .bind(of.organization.to_bytes())
            .bind(signed(of.handed_to))
            .bind(ENTRIES)
            .fetch_all(db)
            .await?;
    let (mut sequences, mut looked) = (Vec::new(), of.handed_to);
    for row in &rows {
        let mut row = Columns::of(row);
        looked = row.number()?;
        if of.events.admits(&row.text()?) {
            sequences.push(looked);
        }
    }
    // What comes after the last one is others'.
    let looked = if rows.len() < ENTRIES as usize { last.max(looked) } else { looked };
    Ok((sequences, looked))
}

/// Puts events up to be sent at this moment. Those that are there already stay as they are, unless they are sent anew.
async fn put_up(
    db: &mut Connection,
    webhook: u32,
    sequences: &[u64],
    at: Timestamp,
    anew: bool,
) -> Result<(), StoreError> {
    if sequences.is_empty() {
        return Ok(());
    }
    let mut query =
        sql("INSERT INTO webhook_deliveries (webhook, sequence, state, attempts, next_at, error, created_at) \
         VALUES ")
        .seldom();
    for (place, sequence) in sequences.iter().enumerate() {
        let values: [Value<'_>; 7] = [
            webhook.into(),
            signed(*sequence).into(),
            "pending".into(),
            0_u32.into(),
            at.as_micros().into(),
            "".into(),
            at.as_micros().into(),
        ];
        query.push(if place == 0 { "" } else { ", " }).push_list(values);
    }
    query.push(if anew {
        " ON CONFLICT (webhook, sequence) DO UPDATE SET state = 'pending', attempts = 0, next_at = excluded.next_at"
    } else {
        " ON CONFLICT (webhook, sequence) DO NOTHING"
    });
    query.execute(db).await?;
    Ok(())
}

impl Catalog {
    /// Makes deliveries of new events, some hundred a webhook; whether there may be more.
    ///
    /// # Errors
    /// If the store failed; then it is as if nobody had asked.
    pub async fn make_deliveries(&self, at: Timestamp) -> Result<bool, StoreError> {
        // Nothing is written where there is nothing to do: this is asked every second.
        if behind(&mut self.0.base.read().await?).await?.is_empty() {
            return Ok(false);
        }
        let mut transaction = self.0.base.write().await?;
        let db = &mut *transaction;
        // Refuses a store that went back.
        self.0.newest(db).await?;
        let last: u64 = sql("SELECT coalesce(max(sequence), 0) FROM audit").fetch_number(db).await?;
        let mut more = false;
        for webhook in behind(db).await? {
            let (sequences, looked) = told(db, &webhook, last).await?;
            put_up(db, webhook.number, &sequences, at, false).await?;
            sql("UPDATE webhooks SET handed_to = ? WHERE number = ?")
                .bind(signed(looked))
                .bind(webhook.number)
                .execute(db)
                .await?;
            more |= looked < last;
        }
        transaction.commit().await?;
        Ok(more)
    }

    /// Puts a delivery up to be sent anew; whether there is one.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn replay(&self, webhook: &Webhook, sequence: u64, at: Timestamp) -> Result<bool, StoreError> {
        let mut transaction = self.0.base.write().await?;
        self.0.newest(&mut transaction).await?;
        let changed = sql("UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_at = ? \
             WHERE webhook = ? AND sequence = ?")
        .bind(at.as_micros())
        .bind(webhook.number)
        .bind(signed(sequence))
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(changed > 0)
    }

    /// Puts up all events from this place on that a webhook tells of, delivered ones too, oldest first.
    ///
    /// # Errors
    /// If the store failed; then none is.
    pub async fn replay_since(&self, webhook: &Webhook, first: u64, at: Timestamp) -> Result<Replayed, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let db = &mut *transaction;
        self.0.newest(db).await?;
        let last: u64 = sql("SELECT coalesce(max(sequence), 0) FROM audit").fetch_number(db).await?;
        let mut from = Behind {
            number: webhook.number,
            organization: webhook.organization,
            events: webhook.events.clone(),
            handed_to: first.saturating_sub(1).min(last),
        };
        let (mut count, mut looks) = (0, 0);
        while from.handed_to < last && count < MAX_REPLAYED && looks < MAX_LOOKS {
            looks += 1;
            let (sequences, looked) = told(db, &from, last).await?;
            put_up(db, webhook.number, &sequences, at, true).await?;
            count += sequences.len() as u64;
            from.handed_to = looked;
        }
        transaction.commit().await?;
        Ok(Replayed { count, next: (from.handed_to < last).then_some(from.handed_to + 1) })
    }
}
