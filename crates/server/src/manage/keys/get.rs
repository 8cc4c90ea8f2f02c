//! `GET /v1/keys/{id}`

use axum::extract::State;
use keystile_core::id::KeyId;

use super::view::KeyView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadKeys};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// A key, without its secret.
#[utoipa::path(get, operation_id = "getKey", path = "/v1/keys/{id}", tag = "Keys", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = KeyView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
) -> Result<axum::Json<KeyView>, Problem> {
    Ok(axum::Json(KeyView::from(app.key(&caller, id).await?)))
}
