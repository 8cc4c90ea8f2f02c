//! `/v1/credits`: what is granted to those who call an organization's APIs, what is left of it, and what was charged.

mod create;
pub(super) mod entries;
mod get;
mod list;
mod revoke;
pub(super) mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(entries::entries))
        .routes(routes!(get::get))
        .routes(routes!(revoke::revoke))
}
