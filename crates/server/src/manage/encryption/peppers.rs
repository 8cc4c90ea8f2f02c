//! `POST /v1/encryption/peppers` and `DELETE /v1/encryption/peppers/{version}`

use axum::extract::State;
use http::StatusCode;
use keystile_store::Change;
use zeroize::Zeroizing;

use super::now;
use super::view::EncryptionView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteEncryption};
use crate::manage::extract::{Id, Nothing};
use crate::manage::problem::internal;
use crate::problem::Problem;
use crate::world::random;

/// Take another pepper into use. Everything new is hashed with it from now on, and every other key as soon as it is presented.
#[utoipa::path(post, operation_id = "rotatePepper", path = "/v1/encryption/peppers", tag = "Encryption",
    security(("management_key" = [])),
    responses((status = 200, body = EncryptionView), (status = 401), (status = 403)))]
pub(super) async fn rotate(
    caller: Caller<WriteEncryption>,
    State(app): State<App>,
    _: Nothing,
) -> Result<axum::Json<EncryptionView>, Problem> {
    caller.runs_the_installation()?;
    let secret = Zeroizing::new(random(&*app.entropy).map_err(|error| internal(&error))?);
    let salt = random(&*app.entropy).map_err(|error| internal(&error))?;
    let (version, sealed) = app.catalog.new_pepper(&secret, &salt);
    app.apply(&caller, Change::RotatePepper { version, sealed }).await?;
    Ok(axum::Json(now(&app, &caller).await?))
}

/// Retire a pepper with which no key is hashed any more that can be used, or can be again: it is wiped. Keys that were not
/// presented since the one after it was made are still hashed with it; rotate, revoke or delete those first.
#[utoipa::path(delete, operation_id = "retirePepper", path = "/v1/encryption/peppers/{version}", tag = "Encryption",
    params(("version" = u32, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn retire(
    caller: Caller<WriteEncryption>,
    State(app): State<App>,
    Id(version): Id<u32>,
) -> Result<StatusCode, Problem> {
    caller.runs_the_installation()?;
    app.apply(&caller, Change::RetirePepper { version }).await?;
    Ok(StatusCode::NO_CONTENT)
}
