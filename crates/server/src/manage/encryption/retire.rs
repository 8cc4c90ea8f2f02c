//! `DELETE /v1/encryption/keys/{version}`

use axum::extract::State;
use http::StatusCode;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteEncryption};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Retire a version of the encryption key under which nothing is any more: it is wiped. Whoever
/// learns of the root key later can't open what was under it, but with a backup of before.
#[utoipa::path(delete, operation_id = "retireEncryptionKey", path = "/v1/encryption/keys/{version}", tag = "Encryption",
    params(("version" = u32, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn retire(
    caller: Caller<WriteEncryption>,
    State(app): State<App>,
    Id(version): Id<u32>,
) -> Result<StatusCode, Problem> {
    caller.runs_the_installation()?;
    app.apply(&caller, Change::RetireEncryptionKey { version }).await?;
    Ok(StatusCode::NO_CONTENT)
}
