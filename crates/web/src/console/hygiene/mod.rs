//! Key hygiene: which keys are more dangerous than they need to be, by rule, and what to do about them.

mod disable;
mod rules;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Console;
use super::model::{Key, List};
use super::visit::Visit;
use crate::api::Asked;
use crate::ui::form::query;

/// Pages of keys that are looked at: two thousand keys.
const PAGES: usize = 10;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/hygiene", get(show::show))
        .route("/hygiene.csv", get(show::export))
        .route("/hygiene/disable", post(disable::disable))
}

/// The newest keys that are active, and whether there are more than were read.
async fn keys(visit: &Visit) -> Asked<(Vec<Key>, bool)> {
    let (mut keys, mut cursor) = (Vec::new(), String::new());
    for _ in 0..PAGES {
        let asked = query(&[("state", "active"), ("limit", "200"), ("cursor", &cursor)]);
        let page: List<Key> = visit.get(&format!("/v1/keys?{asked}")).await?;
        keys.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = next,
            None => return Ok((keys, false)),
        }
    }
    Ok((keys, true))
}
