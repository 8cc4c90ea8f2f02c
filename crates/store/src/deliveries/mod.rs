//! What is to be sent to webhooks, and what became of it. Events are the audit's entries, so none can be forgotten: each
//! webhook has a place in the audit up to which events became deliveries, and that place and they are kept together.
//!
//! This is bookkeeping, not a change of the catalogue: it has no revision and no audit entry, else an event would follow
//! from every delivery. Not here: when something is tried again, and sending.
//!
//! `making` is the way from events to deliveries, and sending them anew; `sending` what is to be tried now and what came of
//! it; here is what is shown of them.

mod making;
mod sending;

use keystile_core::id::OrganizationId;
use keystile_core::time::Timestamp;

use crate::db::{Columns, Row, signed, sql};
use crate::records::{Page, Webhook};
use crate::{Catalog, StoreError};

pub use making::{MAX_REPLAYED, Replayed};
pub use sending::{Attempt, Due, Then};

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is to be sent.
    Pending,
    /// The receiver took it.
    Delivered,
    /// It was tried as often as anything is, and is not tried any more.
    Failed,
}

impl DeliveryState {
    const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for DeliveryState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| "a delivery is pending, delivered or failed".to_owned())
    }
}

/// An event on its way to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub number: u32,
    /// The place of its event in the audit.
    pub sequence: u64,
    /// The event's type.
    pub kind: String,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_at: Option<Timestamp>,
    /// The status of the last answer, if there was one.
    pub status: Option<u16>,
    /// Why the last attempt failed; empty if it did not.
    pub error: String,
    /// When it was tried last.
    pub last_at: Option<Timestamp>,
    /// When the receiver took it.
    pub delivered_at: Option<Timestamp>,
    /// When it came to be.
    pub created_at: Timestamp,
}

/// What waits, of webhooks that are active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many deliveries.
    pub count: u64,
    /// Since when the oldest of them has been there.
    pub since: Option<Timestamp>,
}

const DELIVERY: &str = "SELECT d.number, d.sequence, a.action, d.state, d.attempts, d.next_at, d.status, d.error, \
     d.last_at, d.delivered_at, d.created_at FROM webhook_deliveries d JOIN audit a ON a.sequence = d.sequence \
     WHERE d.webhook = ";

fn read(row: &Row) -> Result<Delivery, StoreError> {
    let mut row = Columns::of(row);
    Ok(Delivery {
        number: row.number()?,
        sequence: row.number()?,
        kind: row.text()?,
        state: row.word()?,
        attempts: row.number()?,
        next_at: row.moment_if_any()?,
        status: row.number_if_any()?,
        error: row.text()?,
        last_at: row.moment_if_any()?,
        delivered_at: row.moment_if_any()?,
        created_at: row.moment()?,
    })
}

impl Catalog {
    /// What was sent to a webhook and is to be, newest first.
    pub async fn deliveries(
        &self,
        webhook: &Webhook,
        state: Option<DeliveryState>,
        page: Page,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut query = sql(DELIVERY);
        query.push_bind(webhook.number);
        if let Some(state) = state {
            query.push(" AND d.state = ").push_bind(state.as_str());
        }
        crate::catalog::push_page(&mut query, "d.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// The delivery of one event to a webhook.
    pub async fn delivery(&self, webhook: &Webhook, sequence: u64) -> Result<Option<Delivery>, StoreError> {
        let mut query = sql(DELIVERY);
        query.push_bind(webhook.number).push(" AND d.sequence = ").push_bind(signed(sequence));
        query.fetch_optional(&mut self.0.base.read().await?).await?.as_ref().map(read).transpose()
    }

    /// The place of the first event of an organization from this moment on; one beyond the last if there is none.
    pub async fn first_event_since(&self, organization: OrganizationId, at: Timestamp) -> Result<u64, StoreError> {
        let mut db = self.0.base.read().await?;
        let first = sql("SELECT min(sequence) FROM audit WHERE organization = ? AND at >= ?")
            .bind(organization.to_bytes())
            .bind(at.as_micros())
            .fetch_number_if_any(&mut db)
            .await?;
        match first {
            Some(first) => Ok(first),
            None => sql("SELECT coalesce(max(sequence), 0) + 1 FROM audit").fetch_number(&mut db).await,
        }
    }

    /// Forgets deliveries from before this moment of which nothing is to be sent any more. Their events stay.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn forget_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.0.base.write().await?;
        self.0.newest(&mut transaction).await?;
        let gone = sql("DELETE FROM webhook_deliveries WHERE state != 'pending' AND created_at < ?")
            .bind(before.as_micros())
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(gone)
    }

    /// How much waits to be sent.
    pub async fn waiting_deliveries(&self) -> Result<Waiting, StoreError> {
        let query = sql("SELECT count(*), min(d.created_at) FROM webhook_deliveries d \
             JOIN webhooks w ON w.number = d.webhook WHERE d.state = 'pending' AND w.state = 'active'");
        let row = query.fetch_one(&mut self.0.base.read().await?).await?;
        let mut row = Columns::of(&row);
        Ok(Waiting { count: row.number()?, since: row.moment_if_any()? })
    }
}
