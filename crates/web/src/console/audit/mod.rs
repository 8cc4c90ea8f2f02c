//! The audit: who did what, when and from where, with what it was before and after, and whether any of that was altered.

mod density;
mod filter;
mod list;
mod verify;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Console;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/audit", get(list::list))
        .route("/audit.csv", get(list::export))
        .route("/audit/verify", get(verify::verify))
}

/// An entry, as the API tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) sequence: u64,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) actor: String,
    pub(super) subject_id: String,
    #[serde(default)]
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) request_id: Option<String>,
    #[serde(default)]
    pub(super) before: Option<Value>,
    #[serde(default)]
    pub(super) after: Option<Value>,
    pub(super) is_erased: bool,
    pub(super) created_at: Timestamp,
}
