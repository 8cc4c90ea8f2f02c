//! `/v1/encryption`: the keys that secrets are under and the peppers that texts of keys are hashed with. They are the whole
//! installation's, so only its first organization, which runs it, sees and changes them.

mod peppers;
mod read;
mod retire;
mod rewrap;
mod rotate;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Asker;
use super::problem::internal;
use crate::problem::Problem;
use view::EncryptionView;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read::read))
        .routes(routes!(rotate::rotate))
        .routes(routes!(rewrap::rewrap))
        .routes(routes!(retire::retire))
        .routes(routes!(peppers::rotate))
        .routes(routes!(peppers::retire))
}

/// How everything stands.
async fn now(app: &App, asker: &Asker) -> Result<EncryptionView, Problem> {
    asker.runs_the_installation()?;
    let encryption = app.catalog.encryption(app.now()).await.map_err(|error| internal(&error))?;
    Ok(EncryptionView::from(encryption))
}
