//! `DELETE /v1/keys/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::KeyId;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteKeys};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Delete a key: it is refused as unknown from now on.
#[utoipa::path(delete, operation_id = "deleteKey", path = "/v1/keys/{id}", tag = "Keys", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn delete(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::DeleteKey { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
