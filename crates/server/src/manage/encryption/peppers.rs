//! `POST /v1/encryption/peppers` and `DELETE /v1/encryption/peppers/{version}`

use axum::extract::State;
use http::StatusCode;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::IntoParams;
use zeroize::Zeroizing;

use super::now;
use super::view::EncryptionView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteEncryption};
use crate::manage::extract::{Id, Nothing, Query};
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
    let view = now(&app, &caller).await?;
    Ok(axum::Json(if caller.conditions.dry_run { view.with_pepper(version, app.now()) } else { view }))
}

/// What becomes of the texts that are refused for good.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Forget the texts of revoked keys and of versions that have ended: an import could bring them back as good keys.
    #[serde(default)]
    #[param(required = false)]
    forget: bool,
}

/// Retire a pepper with which no key is hashed any more that can be used, or can be again: it is wiped. Keys that were not
/// presented since the one after it was made are still hashed with it (`GET /v1/keys?pepper=1`); rotate, revoke or delete those
/// first. Without `forget=true` it stays for revoked keys too, whose texts nobody would know any more.
#[utoipa::path(delete, operation_id = "retirePepper", path = "/v1/encryption/peppers/{version}", tag = "Encryption",
    params(("version" = u32, Path), Asked), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn retire(
    caller: Caller<WriteEncryption>,
    State(app): State<App>,
    Id(version): Id<u32>,
    Query(asked): Query<Asked>,
) -> Result<StatusCode, Problem> {
    caller.runs_the_installation()?;
    app.apply(&caller, Change::RetirePepper { version, forget: asked.forget }).await?;
    Ok(StatusCode::NO_CONTENT)
}
