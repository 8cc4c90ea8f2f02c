//! `/v1/apis`: what is published.

mod create;
mod delete;
mod get;
mod list;
mod operations;
mod secrets;
pub(super) mod settings;
mod switch;
mod targets;
mod unknown_operations;
mod update;
mod view;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use crate::openapi::MAX_DOCUMENT_BYTES;

/// A request may carry a whole OpenAPI document, as JSON inside JSON at worst.
const BODY_LIMIT_BYTES: usize = MAX_DOCUMENT_BYTES + (1 << 20);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(targets::targets))
        .routes(routes!(operations::list))
        .routes(routes!(unknown_operations::list))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::set, secrets::remove))
        .routes(routes!(switch::disable))
        .routes(routes!(switch::enable))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
}
