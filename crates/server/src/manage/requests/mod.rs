//! `/v1/requests`: the request log, searched and followed (PRODUCT.md K29, K30).
//!
//! An organization sees the calls that are counted for it, which are those at its APIs, and those of its own projects and keys at
//! the APIs of others; of these it is not told what the others are the only ones to know (`view`). Whoever asks about a project or a
//! key asks about their own: all others are not there.
//!
//! Not here: how calls get there (`telemetry/request_log`).

#[macro_use]
mod asked;
mod list;
mod live;
mod show;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
pub(super) use view::{RequestView, Viewer};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(live::live)).routes(routes!(show::show))
}
