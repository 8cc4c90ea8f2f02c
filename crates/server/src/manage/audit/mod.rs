//! `/v1/audit`: who did what, when, from where, and how things were before and after.

#[macro_use]
mod asked;
mod export;
mod list;
mod verify;
mod view;

pub(crate) use view::EntryView;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(export::export)).routes(routes!(verify::verify))
}
