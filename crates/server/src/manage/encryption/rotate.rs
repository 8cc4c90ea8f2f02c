//! `POST /v1/encryption/rotate`

use axum::extract::State;
use keystile_store::Change;
use keystile_store::cipher::Algorithm;
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::now;
use super::view::EncryptionView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteEncryption};
use crate::manage::extract::{Json, said};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;
use crate::world::random;

/// What the next version is to be like.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EncryptionRotation {
    /// What it encrypts with: `aes-256-gcm` or `xchacha20-poly1305`; else what the newest one does.
    #[serde(default, deserialize_with = "said")]
    algorithm: Option<String>,
}

/// Take another version of the encryption key into use. Everything new is encrypted under it from now on; what is older is
/// read as before, until `rewrap` has encrypted it anew and the older version is retired.
#[utoipa::path(post, operation_id = "rotateEncryption", path = "/v1/encryption/rotate", tag = "Encryption",
    request_body = EncryptionRotation, security(("management_key" = [])),
    responses((status = 200, body = EncryptionView), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn rotate(
    caller: Caller<WriteEncryption>,
    State(app): State<App>,
    body: Json<EncryptionRotation>,
) -> Result<axum::Json<EncryptionView>, Problem> {
    caller.runs_the_installation()?;
    let algorithm = match body.value.algorithm {
        Some(word) => word.parse().map_err(|error| invalid(format!("algorithm is not known; {error}.")))?,
        None => newest(&app).await?,
    };
    let fresh = Zeroizing::new(random(&*app.entropy).map_err(|error| internal(&error))?);
    let salt = random(&*app.entropy).map_err(|error| internal(&error))?;
    let key = app.catalog.new_encryption_key(algorithm, &fresh, &salt).await.map_err(|error| internal(&error))?;
    let version = key.version;
    app.apply(&caller, Change::RotateEncryptionKey { key }).await?;
    let view = now(&app, &caller).await?;
    Ok(axum::Json(if caller.conditions.dry_run { view.with_key(version, algorithm, app.now()) } else { view }))
}

async fn newest(app: &App) -> Result<Algorithm, Problem> {
    let encryption = app.catalog.encryption(app.now()).await.map_err(|error| internal(&error))?;
    Ok(encryption.keys.first().map_or(Algorithm::Aes256Gcm, |newest| newest.algorithm))
}
