//! `/v1/usage`: what was counted; the events that it is made of, what is recorded beside them, and whether it adds up (PRODUCT.md K28).

mod export;
mod filters;
mod names;
mod read;
mod record;
mod span;
mod verify;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
pub(crate) use export::{EventView, Events};
pub(super) use filters::filters;
pub(crate) use names::Names;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read::read))
        .routes(routes!(record::record))
        .routes(routes!(export::export))
        .routes(routes!(verify::verify))
}
