//! `POST /v1/apis/{id}/disable` and `/enable`

use axum::extract::State;
use keystile_core::id::ApiId;
use keystile_store::Change;

use super::view::ApiView;
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteApis};
use crate::manage::extract::{Id, Nothing};
use crate::problem::Problem;

/// Switch an API off: its calls are refused with `api_inactive`.
#[utoipa::path(post, operation_id = "disableApi", path = "/v1/apis/{id}/disable", tag = "APIs", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = ApiView), (status = 401), (status = 404)))]
pub(super) async fn disable(
    caller: Caller<WriteApis>,
    State(app): State<App>,
    Id(id): Id<ApiId>,
    _: Nothing,
) -> Result<axum::Json<ApiView>, Problem> {
    switch(&caller, &app, id, false).await
}

/// Switch an API on again.
#[utoipa::path(post, operation_id = "enableApi", path = "/v1/apis/{id}/enable", tag = "APIs", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = ApiView), (status = 401), (status = 404)))]
pub(super) async fn enable(
    caller: Caller<WriteApis>,
    State(app): State<App>,
    Id(id): Id<ApiId>,
    _: Nothing,
) -> Result<axum::Json<ApiView>, Problem> {
    switch(&caller, &app, id, true).await
}

async fn switch(asker: &Asker, app: &App, id: ApiId, active: bool) -> Result<axum::Json<ApiView>, Problem> {
    let api = app.api(asker, id).await?;
    let (name, settings) = (api.name, api.settings);
    app.apply(asker, Change::UpdateApi { id, was: api.revision, name, active, settings, document: None }).await?;
    Ok(axum::Json(ApiView::from(app.api(asker, id).await?)))
}
