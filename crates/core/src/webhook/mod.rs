//! Webhooks: where they may lead, of what they tell, and when a delivery is tried again. All of it is arithmetic and
//! reading; names are looked up and deliveries made by the server.
//!
//! `url` is a webhook's address, `network` says which addresses are public, `filter` which events are told, `schedule`
//! when, and `event` how an event is named.

mod event;
mod filter;
mod network;
mod schedule;
mod url;

pub use event::{event_id, sequence_of, usage_hour_id};
pub use filter::{EventFilter, EventPattern, MAX_PATTERNS, NotAPattern, USAGE_HOUR};
pub use network::{Reach, is_public};
pub use schedule::{DISABLE_AFTER_SECS, MAX_ATTEMPTS, retry_after_micros, retry_always_after_micros};
pub use url::{MAX_URL_BYTES, NotAWebhookUrl, WebhookUrl};
