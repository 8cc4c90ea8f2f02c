//! `/v1/statements`: what projects used, and what that costs by their plans (PRODUCT.md K28).

mod list;
mod made;
#[cfg(test)]
mod month;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list))
}
