//! Changes of webhooks. Nodes hold nothing of them.

use keystile_core::id::WebhookId;
use keystile_core::time::Timestamp;
use keystile_core::webhook::{EventFilter, WebhookUrl};
use serde_json::json;

use super::{Done, Work, encryption, or_exists, refuse_stale};
use crate::catalog::webhooks::find;
use crate::db::{signed, sql, to_json};
use crate::records::WebhookState;
use crate::secret::Sealed;
use crate::{ApplyError, Subject};

const NO_SUCH: ApplyError = ApplyError::NotFound("webhook");

/// Most webhooks of an organization: each costs a delivery an event.
const MAX_WEBHOOKS: u32 = 100;

/// What is said of a webhook.
pub(super) struct Texts<'a> {
    pub(super) url: &'a WebhookUrl,
    pub(super) description: &'a str,
    pub(super) events: &'a EventFilter,
}

pub(super) async fn create(work: Work<'_>, id: WebhookId, to: Texts<'_>, secret: &Sealed) -> Result<Done, ApplyError> {
    encryption::refuse_retired(work.db, secret).await?;
    let others: u32 = sql("SELECT count(*) FROM webhooks WHERE organization = ? AND deleted_at IS NULL")
        .bind(work.tenant.number)
        .fetch_number(&mut *work.db)
        .await?;
    if others >= MAX_WEBHOOKS {
        return Err(ApplyError::Exists("there are as many webhooks as an organization can have; delete one first"));
    }
    let last: i64 = sql("SELECT coalesce(max(sequence), 0) FROM audit").fetch_number(&mut *work.db).await?;
    sql("INSERT INTO webhooks (id, organization, url, description, events, state, reason, secret, old_secret, handed_to, \
         created_at, updated_at, revision) VALUES (?, ?, ?, ?, ?, 'active', '', ?, ?, ?, ?, ?, ?)")
    .bind(id.to_bytes())
    .bind(work.tenant.number)
    .bind(to.url.to_string())
    .bind(to.description)
    .bind(to_json(to.events)?)
    .bind(&secret.0[..])
    .bind([0_u8; 0])
    // The next entry is that of its own making: it tells of what comes after that.
    .bind(last + 1)
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .execute(&mut *work.db)
    .await
    .map_err(or_exists("a webhook with this id is there already"))?;
    let webhook = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("webhook.create", id, &webhook, Subject::Organization))
}

pub(super) async fn update(
    work: Work<'_>,
    id: WebhookId,
    was: u64,
    to: Texts<'_>,
    state: &WebhookState,
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    let (word, reason) = match state {
        WebhookState::Active => ("active", ""),
        WebhookState::Disabled { reason } => ("disabled", reason.as_str()),
    };
    let action = match (&before.state, state) {
        (WebhookState::Active, WebhookState::Disabled { .. }) => "webhook.disable",
        (WebhookState::Disabled { .. }, WebhookState::Active) => "webhook.enable",
        (WebhookState::Active, WebhookState::Active)
        | (WebhookState::Disabled { .. }, WebhookState::Disabled { .. }) => "webhook.update",
    };
    // What failed at another address, or before somebody looked after it, says nothing of this one.
    let failing_since = match action {
        "webhook.enable" => None,
        _ if before.url != *to.url => None,
        _ => before.failing_since,
    };
    sql("UPDATE webhooks SET url = ?, description = ?, events = ?, state = ?, reason = ?, failing_since = ?, \
         updated_at = ?, revision = ? WHERE number = ?")
    .bind(to.url.to_string())
    .bind(to.description)
    .bind(to_json(to.events)?)
    .bind(word)
    .bind(reason)
    .bind(failing_since.map(Timestamp::as_micros))
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .execute(&mut *work.db)
    .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed(action, id, [&before, &after], Subject::Organization))
}

pub(super) async fn rotate(
    work: Work<'_>,
    id: WebhookId,
    secret: &Sealed,
    old_until: Timestamp,
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    encryption::refuse_retired(work.db, secret).await?;
    sql("UPDATE webhooks SET old_secret = secret, old_secret_until = ?, secret = ?, updated_at = ?, revision = ? \
         WHERE number = ?")
    .bind(old_until.as_micros())
    .bind(&secret.0[..])
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .execute(&mut *work.db)
    .await?;
    let shown = json!({ "old_secret_until": old_until }).to_string();
    Ok(Done::new("webhook.rotate_secret", id, String::new(), shown, vec![Subject::Organization]))
}

pub(super) async fn delete(work: Work<'_>, id: WebhookId) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    sql("UPDATE webhooks SET secret = ?, old_secret = ?, deleted_at = ?, revision = ? WHERE number = ?")
        .bind([0_u8; 0])
        .bind([0_u8; 0])
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    sql("DELETE FROM webhook_deliveries WHERE webhook = ?").bind(before.number).execute(&mut *work.db).await?;
    Ok(Done::deleted("webhook.delete", id, &before, vec![Subject::Organization]))
}
