//! `/v1/apis/{id}/secrets`: what an API has for its upstream. Values go in and never come out.

use axum::extract::State;
use http::StatusCode;
use keystile_core::api::{MAX_SECRET_BYTES, SecretName};
use keystile_core::id::ApiId;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadApis, WriteApis};
use crate::manage::extract::{Id, Json, Pair};
use crate::manage::list::List;
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;
use crate::upstream::Secrets;
use crate::world::random;

/// What is shown of a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Secret)]
pub(super) struct SecretView {
    /// `header:NAME` or `client_certificate`.
    #[schema(value_type = String, example = "header:authorization")]
    name: SecretName,
    /// When it was set.
    #[schema(value_type = String, format = DateTime)]
    set_at: Timestamp,
}

/// A value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretInput {
    /// Of a header what every call gets; of a client certificate its chain and private key as PEM. It is kept encrypted
    /// and not shown again.
    #[schema(value_type = String, required = true, format = Password)]
    value: Option<Zeroizing<String>>,
}

/// What secrets an API has for its upstream, without their values.
#[utoipa::path(get, operation_id = "listSecrets", path = "/v1/apis/{id}/secrets", tag = "APIs", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = List<SecretView>), (status = 401), (status = 404)))]
pub(super) async fn list(
    caller: Caller<ReadApis>,
    State(app): State<App>,
    Id(id): Id<ApiId>,
) -> Result<axum::Json<List<SecretView>>, Problem> {
    let api = app.api(&caller, id).await?;
    let secrets = app.catalog.api_secrets(&api).await.map_err(|error| internal(&error))?;
    let items = secrets.into_iter().map(|secret| SecretView { name: secret.name, set_at: secret.set_at }).collect();
    Ok(axum::Json(List { items, next_cursor: None }))
}

/// Give an API a secret for its upstream, or another value: a header that every call gets, in place of the client's own,
/// or the certificate that the upstream is shown.
#[utoipa::path(put, operation_id = "setSecret", path = "/v1/apis/{id}/secrets/{name}", tag = "APIs",
    params(("id" = String, Path), ("name" = String, Path, description = "`header:NAME` or `client_certificate`")),
    request_body = SecretInput, security(("management_key" = [])),
    responses((status = 204), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn set(
    caller: Caller<WriteApis>,
    State(app): State<App>,
    Pair(id, name): Pair<ApiId>,
    body: Json<SecretInput>,
) -> Result<StatusCode, Problem> {
    app.api(&caller, id).await?;
    let name = named(&name)?;
    let value = body.value.value.ok_or_else(|| invalid("value is missing; say what the upstream is to see."))?;
    if value.len() > MAX_SECRET_BYTES {
        return Err(invalid(format!("The value of a secret is at most {MAX_SECRET_BYTES} bytes long.")));
    }
    Secrets::default()
        .add(&name, value.as_bytes())
        .map_err(|error| invalid(format!("value can't be used: {error}.")))?;
    let salt = random(&*app.entropy).map_err(|error| internal(&error))?;
    let sealed = app.catalog.seal_api_secret(caller.organization, (id, &name), value.as_bytes(), &salt);
    app.apply(&caller, Change::SetApiSecret { api: id, name, sealed }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a secret of an API away: calls go on without it.
#[utoipa::path(delete, operation_id = "removeSecret", path = "/v1/apis/{id}/secrets/{name}", tag = "APIs",
    params(("id" = String, Path), ("name" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn remove(
    caller: Caller<WriteApis>,
    State(app): State<App>,
    Pair(id, name): Pair<ApiId>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::RemoveApiSecret { api: id, name: named(&name)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn named(text: &str) -> Result<SecretName, Problem> {
    text.parse().map_err(|error| invalid(format!("The name of the secret can't be used: {error}.")))
}
