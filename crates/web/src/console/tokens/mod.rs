//! Management tokens: keys of the kind that opens the management API, for programs that do what people do here. They are keys: what
//! can be done to one is on its page among the keys.

mod create;
mod list;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Console;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/tokens", get(list::list).post(create::create))
        .route("/tokens/new", get(create::form))
        .route("/tokens/code", post(create::code))
}
