//! `/v1/invitations`: how people become members. Whoever holds an invitation's link accepts it once, at
//! `/v1/invitations/accept` or with an account that they have.

mod create;
mod delete;
mod get;
mod list;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create::create, list::list)).routes(routes!(get::get, delete::delete))
}
