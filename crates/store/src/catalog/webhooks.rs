//! Webhooks. Their secrets are opened for whoever signs, and for nobody else.

use keystile_core::id::{OrganizationId, WebhookId};
use keystile_core::time::Timestamp;
use zeroize::Zeroizing;

use super::push_page;
use crate::db::{Columns, Connection, Row, damaged, sql, word};
use crate::records::{Page, Webhook, WebhookState};
use crate::secret::Place;
use crate::{Catalog, StoreError};

/// The columns that [`read`] takes.
pub(crate) const SELECT: &str = "SELECT w.id, w.number, o.id, w.url, w.description, w.events, w.state, w.reason, \
     w.old_secret_until, w.failing_since, w.created_at, w.updated_at, w.revision FROM webhooks w \
     JOIN organizations o ON o.number = w.organization WHERE w.deleted_at IS NULL";

pub(crate) fn read(row: &Row) -> Result<Webhook, StoreError> {
    let mut row = Columns::of(row);
    Ok(Webhook {
        id: row.id(WebhookId::from_slice)?,
        number: row.number()?,
        organization: row.id(OrganizationId::from_slice)?,
        url: word(&row.text()?)?,
        description: row.text()?,
        events: row.json()?,
        state: match (row.text()?.as_str(), row.text()?) {
            ("active", _) => WebhookState::Active,
            ("disabled", reason) => WebhookState::Disabled { reason },
            (other, _) => return Err(damaged(format_args!("the word {other:?}"))),
        },
        old_secret_until: row.moment_if_any()?,
        failing_since: row.moment_if_any()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    })
}

/// One webhook of an organization.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: WebhookId,
) -> Result<Option<Webhook>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND w.id = ").push_bind(id.to_bytes());
    query.push(" AND o.id = ").push_bind(organization.to_bytes());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// The webhooks of an organization, newest first.
    pub async fn webhooks(&self, organization: OrganizationId, page: Page) -> Result<Vec<Webhook>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        push_page(&mut query, "w.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One webhook of an organization.
    pub async fn webhook(&self, organization: OrganizationId, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }

    /// The webhooks of all organizations that name this type of events, those too of which nothing is sent now.
    pub async fn webhooks_naming(&self, kind: &str) -> Result<Vec<Webhook>, StoreError> {
        let mut query = sql(SELECT);
        // Only what may be meant is read; what is meant the filter says.
        query.push(" AND w.events LIKE ").push_bind(format!("%\"{kind}\"%")).push(" ORDER BY w.number");
        let rows = query.fetch_all(&mut self.0.base.read().await?).await?;
        let mut found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        found.retain(|webhook| webhook.events.names(kind));
        Ok(found)
    }

    /// What deliveries of a webhook are signed with at this moment: its secret, and the one before as long as that signs
    /// too. Empty if it was deleted.
    pub async fn webhook_secrets(
        &self,
        webhook: &Webhook,
        at: Timestamp,
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, StoreError> {
        let query = "SELECT o.id, w.secret, w.old_secret, w.old_secret_until FROM webhooks w \
             JOIN organizations o ON o.number = w.organization WHERE w.number = ? AND w.deleted_at IS NULL";
        let row = sql(query).bind(webhook.number).fetch_optional(&mut self.0.base.read().await?).await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let mut row = Columns::of(&row);
        let owner = row.id(OrganizationId::from_slice)?;
        let (secret, old, until) = (row.blob()?, row.blob()?, row.moment_if_any()?);
        let old = until.is_some_and(|until| at < until).then_some(old);
        let kept = [Some(secret), old].into_iter().flatten();
        let ring = self.ring_for(kept.clone()).await?;
        let place = Place::of_webhook(&self.0.installation, owner, webhook.id);
        kept.map(|sealed| place.open(&ring, sealed)).collect()
    }
}
