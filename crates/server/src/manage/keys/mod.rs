//! `/v1/keys`: what calls are made with.

mod activity;
mod bulk;
mod compromised;
mod create;
mod delete;
mod explain;
mod export;
mod get;
mod hand_over;
mod import;
mod issue;
mod list;
mod permissions;
pub(super) mod policy;
mod reveal;
mod rotate;
mod rules;
mod state;
mod update;
mod versions;
pub(super) mod view;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    let import =
        OpenApiRouter::new().routes(routes!(import::import)).layer(DefaultBodyLimit::max(import::BODY_LIMIT_BYTES));
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(export::export))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(delete::undelete))
        .routes(routes!(rotate::rotate))
        .routes(routes!(reveal::reveal))
        .routes(routes!(compromised::compromised))
        .routes(routes!(activity::read))
        .routes(routes!(permissions::read))
        .routes(routes!(versions::list))
        .routes(routes!(versions::end))
        .routes(routes!(versions::extend))
        .routes(routes!(state::revoke))
        .routes(routes!(state::disable))
        .routes(routes!(state::enable))
        .routes(routes!(explain::explain))
        .routes(routes!(bulk::bulk))
        .merge(import)
}
