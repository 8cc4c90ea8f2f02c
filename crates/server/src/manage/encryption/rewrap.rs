//! `POST /v1/encryption/rewrap`

use axum::extract::State;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::now;
use super::view::EncryptionView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteEncryption};
use crate::manage::extract::{Json, said};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;
use crate::world::random;

/// Secrets in one request, unless it says otherwise: other changes wait for it about a tenth of a second.
const RECORDS: u32 = 1_000;
/// Most of them.
const MAX_RECORDS: u32 = 10_000;

/// How much of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EncryptionRewrap {
    /// How many secrets to encrypt anew, 1,000 if it is not said; other changes wait meanwhile.
    #[serde(default, deserialize_with = "said")]
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<u32>,
}

/// Encrypt secrets of older versions anew, under the newest. Ask again while `older_records` of the answer is not 0.
#[utoipa::path(post, operation_id = "rewrapEncryption", path = "/v1/encryption/rewrap", tag = "Encryption",
    request_body = EncryptionRewrap, security(("management_key" = [])),
    responses((status = 200, body = EncryptionView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn rewrap(
    caller: Caller<WriteEncryption>,
    State(app): State<App>,
    body: Json<EncryptionRewrap>,
) -> Result<axum::Json<EncryptionView>, Problem> {
    caller.runs_the_installation()?;
    let limit = body.value.limit.unwrap_or(RECORDS);
    if !(1..=MAX_RECORDS).contains(&limit) {
        return Err(invalid(format!("limit is a number from 1 to {MAX_RECORDS}.")));
    }
    let entropy = random(&*app.entropy).map_err(|error| internal(&error))?;
    app.apply(&caller, Change::Rewrap { limit, entropy }).await?;
    let view = now(&app, &caller).await?;
    Ok(axum::Json(if caller.conditions.dry_run { view.with_rewrapped(limit) } else { view }))
}
