//! Sign-ins: who is logged in, one's own sessions elsewhere, and what failed.

mod act;
mod agent;
mod failures;
mod list;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Console;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/sessions", get(list::list))
        .route("/sessions/end-others", get(act::others_form).post(act::others))
        .route("/sessions/own/{id}/end", post(act::end_own))
        .route("/sessions/{id}/end", get(act::end_form).post(act::end))
}
