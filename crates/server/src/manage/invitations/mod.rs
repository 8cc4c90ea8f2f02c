//! `/v1/invitations`: how people become members. Whoever holds an invitation's link accepts it once, at
//! `/v1/invitations/accept` or with an account that they have.

mod accept;
mod create;
mod delete;
mod get;
mod list;
mod view;

pub(super) use accept::no_invitation;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(accept::look))
        .routes(routes!(accept::accept))
}
