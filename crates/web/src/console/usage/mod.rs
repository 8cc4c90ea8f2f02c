//! Usage: what was called, by what one wants to know it by, against the time before; and when in the month.

mod by;
mod month;
mod show;
mod table;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::Console;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/usage", get(show::show)).route("/usage.csv", get(show::export))
}
