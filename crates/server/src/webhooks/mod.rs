//! Webhooks: organizations are told of events at addresses of their own, signed, at least once each, over restarts too.
//!
//! An event is an entry of the audit ([`event`]), so there is no other place in which one could be forgotten. [`job`] makes
//! deliveries of new entries and tries them until they arrive; it runs in the control plane, never on a thread that carries
//! calls. [`send`] makes one attempt: where it may lead is [`guard`]'s to say, each time anew, and how it is signed
//! [`sign`]'s. What is to be sent and what came of it is the store's to keep. Beside events, [`usage`] tells what was counted to
//! whoever names it.
//!
//! The client is hyper over the connections of [`crate::upstream`], both in the tree: it must connect to the addresses that
//! were judged and to no others, which clients that look names up themselves do not promise.
//!
//! Not here: proxies in between, and any order of events; a receiver goes by their moments.

mod event;
mod guard;
mod job;
mod send;
mod sign;
pub(crate) mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use keystile_core::id::EventId;
use keystile_core::webhook::Reach;
use keystile_store::records::Webhook;
use keystile_store::{Catalog, StoreError};
use serde_json::Value;
use tokio::sync::Notify;

use crate::telemetry::metrics::{Kind, Registry};
use crate::tls::UpstreamTls;
use crate::world::{Clock, Entropy, NoEntropy, random};

pub use event::Event;
pub use guard::{Guard, Refused};
pub use sign::{SECRET_BYTES, shown_secret};

/// What tells of events.
pub struct Webhooks {
    catalog: Catalog,
    /// Where webhooks may lead.
    pub guard: Guard,
    tls: Arc<UpstreamTls>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Told when there may be something to send.
    wake: Notify,
    /// Told when usage is to be sent anew.
    wake_usage: Notify,
    tally: Tally,
}

/// What became of attempts since the start, and what waits.
#[derive(Default)]
struct Tally {
    delivered: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
    waiting: AtomicU64,
    /// Microseconds since 1970; 0 if nothing waits.
    waiting_since: AtomicI64,
    usage_delivered: AtomicU64,
    usage_failed: AtomicU64,
    /// The end of the oldest hour that was tried in vain, in microseconds since 1970; 0 if there is none.
    usage_behind_since: AtomicI64,
}

/// What came of a trial.
pub struct Trial {
    /// The event that was sent.
    pub event: EventId,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it did not arrive, if it did not.
    pub error: Option<String>,
    /// How long it took.
    pub millis: u64,
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub enum NotTried {
    /// The secret can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event can't be named.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

impl Webhooks {
    /// Over this catalogue. Nothing is sent until [`Webhooks::run`].
    pub fn new(
        catalog: Catalog,
        reach: Reach,
        tls: Arc<UpstreamTls>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let (wake, wake_usage) = (Notify::new(), Notify::new());
        Self { catalog, guard: Guard(reach), tls, clock, entropy, wake, wake_usage, tally: Tally::default() }
    }

    /// Says that there may be something to send.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Sends an event of the type `webhook.test` now, once, whatever the webhook tells of and whether it is active or not.
    ///
    /// # Errors
    /// If it could not even be tried.
    pub async fn try_out(&self, webhook: &Webhook) -> Result<Trial, NotTried> {
        let moment = self.clock.now();
        let secrets = self.catalog.webhook_secrets(webhook, moment.wall).await?;
        let event = Event {
            id: EventId::from_entropy(random(&*self.entropy)?),
            kind: "webhook.test".to_owned(),
            created_at: moment.wall,
            organization_id: webhook.organization,
            subject_id: webhook.id.to_string(),
            actor: "system:test".to_owned(),
            before: Value::Null,
            after: Value::Null,
            is_erased: false,
        };
        let sent = self.send(&webhook.url, event.id, event.to_json(), &secrets).await;
        let (status, error) = match sent {
            Ok(status) => (Some(status), None),
            Err(failure) => (failure.status, Some(failure.why)),
        };
        let millis = self.clock.ticks().nanos_since(moment.ticks) / 1_000_000;
        Ok(Trial { event: event.id, status, error, millis })
    }

    /// Declares what became of deliveries.
    pub fn declare(self: &Arc<Self>, registry: &Registry) {
        let webhooks = self.clone();
        registry.family(
            Kind::Counter,
            "keystile_webhook_attempts_total",
            "Attempts to deliver an event to a webhook, by what came of them.",
            move |samples| {
                let Tally { delivered, retried, failed, .. } = &webhooks.tally;
                for (result, count) in [("delivered", delivered), ("retried", retried), ("failed", failed)] {
                    samples.put(&[("result", result)], count.load(Ordering::Relaxed));
                }
            },
        );
        let webhooks = self.clone();
        registry.gauge("keystile_webhook_deliveries_waiting", "Deliveries to webhooks that wait.", move || {
            webhooks.tally.waiting.load(Ordering::Relaxed)
        });
        let webhooks = self.clone();
        registry.gauge(
            "keystile_webhook_oldest_waiting_seconds",
            "How long the oldest delivery that waits has been there.",
            move || webhooks.seconds_since(&webhooks.tally.waiting_since),
        );
        let webhooks = self.clone();
        registry.family(
            Kind::Counter,
            "keystile_webhook_usage_attempts_total",
            "Attempts to tell a webhook of an hour of usage, or a part of it, by what came of them; what failed is tried again.",
            move |samples| {
                let Tally { usage_delivered, usage_failed, .. } = &webhooks.tally;
                for (result, count) in [("delivered", usage_delivered), ("failed", usage_failed)] {
                    samples.put(&[("result", result)], count.load(Ordering::Relaxed));
                }
            },
        );
        let webhooks = self.clone();
        registry.gauge(
            "keystile_webhook_usage_behind_seconds",
            "How long ago the oldest hour of usage ended that was tried and has not arrived.",
            move || webhooks.seconds_since(&webhooks.tally.usage_behind_since),
        );
    }

    /// Seconds since a moment that is 0 if there is none.
    fn seconds_since(&self, moment: &AtomicI64) -> f64 {
        match moment.load(Ordering::Relaxed) {
            0 => 0.0,
            since => (self.clock.now().wall.as_micros() - since).max(0) as f64 / 1e6,
        }
    }
}

impl Event {
    /// As it is sent.
    fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}
