//! A webhook as it is shown: everything but its secret.

use keystile_core::id::{EventId, WebhookId};
use keystile_core::time::Timestamp;
use keystile_core::webhook::{EventFilter, WebhookUrl, event_id};
use keystile_store::UsagePlace;
use keystile_store::deliveries::Delivery;
use keystile_store::records::{Webhook, WebhookState};
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::webhooks::usage::due_at;

/// A webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookView {
    /// Its id, `whk_…`.
    #[schema(value_type = String, example = "whk_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: WebhookId,
    /// Where it leads.
    #[schema(value_type = String, example = "https://hooks.example.com/keystile")]
    url: WebhookUrl,
    /// What it is for.
    description: String,
    /// Of which types of events it tells; of all changes if the list is empty. Usage (`usage.hour`) is told where it is named itself.
    #[schema(value_type = Vec<String>)]
    events: EventFilter,
    /// Whether anything is sent.
    active: bool,
    /// Why Keystile disabled it, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<String>,
    /// Since when nothing arrived, though something was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// Until when deliveries are also signed with the secret before the last rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    old_secret_until: Option<Timestamp>,
    /// How far it was told of usage, if it names that and is asked for by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageView>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// How far a webhook was told of usage.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookUsage)]
pub(super) struct UsageView {
    /// All that was recorded before this hour was sent, and the parts of it before `part`.
    #[schema(value_type = String, format = DateTime)]
    sent_until: Timestamp,
    /// The part of that hour that is next.
    part: u32,
    /// How often that was tried in vain.
    attempts: u32,
    /// When it is tried next.
    #[schema(value_type = String, format = DateTime)]
    next_at: Timestamp,
    /// The status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// When it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// When the receiver took something last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Timestamp>,
    /// From here on events were forgotten before they were sent; the next part that is sent says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    missed_from: Option<Timestamp>,
}

/// A webhook with a new secret: shown this one time.
#[derive(Serialize, ToSchema)]
#[schema(as = NewWebhook)]
pub(super) struct NewWebhookView {
    /// The webhook.
    #[serde(flatten)]
    pub(super) webhook: WebhookView,
    /// What its deliveries are signed with (`whsec_…`, as in Standard Webhooks). It is shown now and never again; absent
    /// when the request was made before with the same `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) secret: Option<Zeroizing<String>>,
}

/// An event on its way to a webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryView {
    /// The event's id, which is also `webhook-id` of what is sent.
    #[schema(value_type = String)]
    event_id: EventId,
    /// The event's type.
    #[schema(example = "key.revoke")]
    r#type: String,
    /// `pending`, `delivered` or `failed`.
    #[schema(example = "delivered")]
    state: &'static str,
    /// How often it was tried.
    attempts: u32,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// The status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// When it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// When the receiver took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Timestamp>,
    /// When it came to be.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        let (active, reason) = match webhook.state {
            WebhookState::Active => (true, String::new()),
            WebhookState::Disabled { reason } => (false, reason),
        };
        Self {
            id: webhook.id,
            url: webhook.url,
            description: webhook.description,
            events: webhook.events,
            active,
            disabled_reason: Some(reason).filter(|reason| !reason.is_empty()),
            failing_since: webhook.failing_since,
            old_secret_until: webhook.old_secret_until,
            usage: None,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

impl WebhookView {
    /// A webhook that names usage, with how far it was told.
    pub(super) fn with_usage(webhook: Webhook, place: UsagePlace) -> Self {
        Self { usage: Some(UsageView::from(place)), ..Self::from(webhook) }
    }
}

impl From<UsagePlace> for UsageView {
    fn from(place: UsagePlace) -> Self {
        Self {
            next_at: due_at(&place),
            sent_until: place.hour,
            part: place.part,
            attempts: place.attempts,
            status: place.status,
            error: Some(place.error).filter(|error| !error.is_empty()),
            last_at: place.last_at,
            delivered_at: place.delivered_at,
            missed_from: place.missed_from,
        }
    }
}

impl DeliveryView {
    /// A delivery of an event of this installation.
    pub(super) fn of(installation: &[u8; 16], delivery: Delivery) -> Self {
        Self {
            event_id: event_id(installation, delivery.sequence),
            r#type: delivery.kind,
            state: delivery.state.as_str(),
            attempts: delivery.attempts,
            next_at: delivery.next_at,
            status: delivery.status,
            error: Some(delivery.error).filter(|error| !error.is_empty()),
            last_at: delivery.last_at,
            delivered_at: delivery.delivered_at,
            created_at: delivery.created_at,
        }
    }
}
