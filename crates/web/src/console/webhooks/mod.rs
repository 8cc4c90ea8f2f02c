//! Webhooks: where others are told of changes. The list, making one, its page with what was sent, and what can be done to it.

mod act;
mod events;
mod form;
mod list;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;

use super::Console;
use super::visit::Visit;
use crate::api::Asked;
use crate::ui::form::segment;
use crate::ui::html::Badge;

pub(super) use events::{OF_ALERTS, admits};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/webhooks", get(list::list).post(form::create))
        .route("/webhooks/new", get(form::new))
        .route("/webhooks/code", post(form::code))
        .route("/webhooks/{id}", get(show::show))
        .route("/webhooks/{id}/edit", get(form::edit).post(form::save))
        .route("/webhooks/{id}/test", post(act::test))
        .route("/webhooks/{id}/enable", post(act::enable))
        .route("/webhooks/{id}/disable", get(act::disable_form).post(act::disable))
        .route("/webhooks/{id}/rotate", get(act::rotate_form).post(act::rotate))
        .route("/webhooks/{id}/replay", get(act::replay_form).post(act::replay))
        .route("/webhooks/{id}/deliveries/{event}/replay", post(act::replay_one))
        .route("/webhooks/{id}/delete", get(act::delete_form).post(act::delete))
}

/// A webhook.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Webhook {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) description: String,
    pub(super) events: Vec<String>,
    pub(super) active: bool,
    #[serde(default)]
    disabled_reason: Option<String>,
    #[serde(default)]
    failing_since: Option<Timestamp>,
    #[serde(default)]
    old_secret_until: Option<Timestamp>,
    #[serde(default)]
    usage: Option<Usage>,
    created_at: Timestamp,
}

/// How far one was told of usage.
#[derive(Debug, Clone, Deserialize)]
struct Usage {
    sent_until: Timestamp,
    next_at: Timestamp,
    attempts: u64,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    missed_from: Option<Timestamp>,
}

impl Webhook {
    /// How it stands.
    fn badge(&self) -> Badge {
        match (self.active, &self.disabled_reason, self.failing_since) {
            (false, Some(_), _) => Badge::new("bad", "Disabled"),
            (false, None, _) => Badge::new("off", "Disabled"),
            (true, _, Some(_)) => Badge::new("warn", "Failing"),
            (true, _, None) => Badge::new("ok", "Active"),
        }
    }

    /// Of what it tells, in words.
    fn events_text(&self) -> String {
        if self.events.is_empty() { "All changes".into() } else { self.events.join(", ") }
    }

    /// What it is called where there is no place for its whole address.
    fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or(rest)
    }
}

async fn webhook(visit: &Visit, id: &str) -> Asked<Webhook> {
    visit.get(&format!("/v1/webhooks/{}", segment(id))).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_webhook_says_how_it_stands() {
        let webhook = |more: serde_json::Value| -> Webhook {
            let mut value = json!({
                "id": "whk_1", "url": "https://hooks.example.com:8443/keys?x=1", "description": "", "events": [], "active": true,
                "created_at": "2026-11-01T00:00:00Z",
            });
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(value).unwrap()
        };
        assert_eq!(webhook(json!({})).badge(), Badge::new("ok", "Active"));
        assert_eq!(webhook(json!({"failing_since": "2026-11-02T00:00:00Z"})).badge(), Badge::new("warn", "Failing"));
        assert_eq!(webhook(json!({"active": false, "disabled_reason": "gone"})).badge(), Badge::new("bad", "Disabled"));
        assert_eq!(webhook(json!({})).host(), "hooks.example.com:8443");
        assert_eq!(webhook(json!({"events": ["key.*"]})).events_text(), "key.*");
    }
}
