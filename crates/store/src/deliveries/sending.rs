//! What is to be tried now, and what came of it.

use keystile_core::time::Timestamp;

use super::DeliveryState;
use crate::catalog::audit::entries;
use crate::catalog::webhooks;
use crate::db::{Columns, Connection, damaged, signed, sql};
use crate::records::{AuditEntry, Webhook};
use crate::{Catalog, StoreError};

/// A delivery that is to be tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its event.
    pub entry: AuditEntry,
    /// How often it was tried.
    pub attempts: u32,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The number of the webhook.
    pub webhook: u32,
    /// The place of the event in the audit.
    pub sequence: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What is next.
    pub then: Then,
}

/// What is next after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Nothing: the receiver took it.
    Done,
    /// It is tried again.
    Retry {
        /// When.
        at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// Nothing: it was tried often enough.
    GiveUp {
        /// Why it failed.
        error: String,
    },
}

impl Catalog {
    /// The active webhooks of all organizations that have something to send at this moment.
    pub async fn due_webhooks(&self, at: Timestamp) -> Result<Vec<Webhook>, StoreError> {
        let mut query = sql(webhooks::SELECT);
        query
            .push(
                " AND w.state = 'active' AND EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook = w.number \
                   AND d.state = 'pending' AND d.next_at <= ",
            )
            .push_bind(at.as_micros());
        query.push(") ORDER BY w.number");
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(webhooks::read).collect()
    }

    /// What a webhook has to send at this moment, at most so much, what has waited longest first.
    pub async fn due_deliveries(&self, webhook: u32, at: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        let mut db = self.0.base.read().await?;
        let rows = sql("SELECT sequence, attempts FROM webhook_deliveries WHERE webhook = ? AND state = 'pending' \
             AND next_at <= ? ORDER BY next_at, sequence LIMIT ?")
        .bind(webhook)
        .bind(at.as_micros())
        .bind(limit)
        .fetch_all(&mut db)
        .await?;
        let mut attempts = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut row = Columns::of(row);
            attempts.push((row.number()?, row.number()?));
        }
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        let sequences: Vec<u64> = attempts.iter().map(|(sequence, _)| *sequence).collect();
        let mut found = entries(&mut db, &sequences).await?;
        let mut due = Vec::with_capacity(found.len());
        for (sequence, attempts) in attempts {
            let place = found.iter().position(|entry| entry.sequence == sequence);
            let place =
                place.ok_or_else(|| damaged(format_args!("a delivery of entry {sequence}, which is missing")))?;
            due.push(Due { entry: found.swap_remove(place), attempts });
        }
        Ok(due)
    }

    /// Notes what came of attempts.
    ///
    /// # Errors
    /// If the store failed; then none of them is noted.
    pub async fn note_attempts(&self, attempts: &[Attempt]) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        let db = &mut *transaction;
        self.0.newest(db).await?;
        for attempt in attempts {
            let (state, next_at, error) = match &attempt.then {
                Then::Done => (DeliveryState::Delivered, None, ""),
                Then::Retry { at, error } => (DeliveryState::Pending, Some(*at), error.as_str()),
                Then::GiveUp { error } => (DeliveryState::Failed, None, error.as_str()),
            };
            let is_done = attempt.then == Then::Done;
            sql(
                "UPDATE webhook_deliveries SET state = ?, attempts = attempts + 1, next_at = ?, status = ?, error = ?, \
                 last_at = ?, delivered_at = coalesce(?, delivered_at) WHERE webhook = ? AND sequence = ?",
            )
            .bind(state.as_str())
            .bind(next_at.map(Timestamp::as_micros))
            .bind(attempt.status.map(i64::from))
            .bind(error)
            .bind(attempt.at.as_micros())
            .bind(is_done.then_some(attempt.at.as_micros()))
            .bind(attempt.webhook)
            .bind(signed(attempt.sequence))
            .execute(db)
            .await?;
            note_arrival(db, attempt.webhook, is_done, attempt.at).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Notes whether what was sent to a webhook beside events arrived, which says since when nothing does.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn note_arrival(&self, webhook: u32, has_arrived: bool, at: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        self.0.newest(&mut transaction).await?;
        note_arrival(&mut transaction, webhook, has_arrived, at).await?;
        Ok(transaction.commit().await?)
    }
}

async fn note_arrival(db: &mut Connection, webhook: u32, has_arrived: bool, at: Timestamp) -> Result<(), StoreError> {
    let since = if has_arrived {
        sql("UPDATE webhooks SET failing_since = NULL WHERE number = ? AND failing_since IS NOT NULL")
    } else {
        sql("UPDATE webhooks SET failing_since = ? WHERE failing_since IS NULL AND number = ?").bind(at.as_micros())
    };
    since.bind(webhook).execute(db).await?;
    Ok(())
}
