//! `/v1/activations`: which project may call which API.

mod create;
mod delete;
mod get;
mod judge;
mod list;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(judge::approve))
        .routes(routes!(judge::suspend))
        .routes(routes!(judge::refuse))
}
