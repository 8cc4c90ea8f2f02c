//! `GET /v1/encryption`

use axum::extract::State;

use super::now;
use super::view::EncryptionView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadEncryption};
use crate::problem::Problem;

/// See what secrets are encrypted under and texts of keys are hashed with, and how much is still under what is older. Every
/// record's beginning is read for it.
#[utoipa::path(get, operation_id = "readEncryption", path = "/v1/encryption", tag = "Encryption",
    security(("management_key" = [])), responses((status = 200, body = EncryptionView), (status = 401), (status = 403)))]
pub(super) async fn read(
    caller: Caller<ReadEncryption>,
    State(app): State<App>,
) -> Result<axum::Json<EncryptionView>, Problem> {
    Ok(axum::Json(now(&app, &caller).await?))
}
