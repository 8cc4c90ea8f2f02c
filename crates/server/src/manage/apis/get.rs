//! `GET /v1/apis/{id}`

use axum::extract::State;
use keystile_core::id::ApiId;

use super::view::ApiView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadApis};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// An API.
#[utoipa::path(get, operation_id = "getApi", path = "/v1/apis/{id}", tag = "APIs", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = ApiView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadApis>,
    State(app): State<App>,
    Id(id): Id<ApiId>,
) -> Result<axum::Json<ApiView>, Problem> {
    Ok(axum::Json(ApiView::from(app.api(&caller, id).await?)))
}
