//! `DELETE /v1/apis/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::ApiId;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteApis};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Withdraw an API, with its activations. Keys stay.
#[utoipa::path(delete, operation_id = "deleteApi", path = "/v1/apis/{id}", tag = "APIs", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn delete(
    caller: Caller<WriteApis>,
    State(app): State<App>,
    Id(id): Id<ApiId>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::DeleteApi { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
