//! One's own passkeys: `/v1/account/passkeys`, `/v1/account/prove/passkey`. Whoever changes them proved just now who they are.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keystile_core::id::PasskeyId;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::Passkey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::prove::{ProvenView, proven};
use crate::identity::{Answer, Visitor};
use crate::manage::app::App;
use crate::manage::caller::{Anybody, Caller};
use crate::manage::extract::{Id, Json, Nothing, Query, said};
use crate::manage::list::{List, list as shown, page};
use crate::manage::login::{Delivery, refused};
use crate::manage::passkeys::CeremonyView;
use crate::manage::problem::{internal, invalid, not_found};
use crate::manage::projects::checked_name;
use crate::manage::sessions::view::Paged;
use crate::problem::Problem;

/// A passkey: what somebody's device or password manager proves who they are with.
#[derive(Serialize, ToSchema)]
#[schema(as = Passkey)]
pub(in crate::manage) struct PasskeyView {
    /// Its id, `psk_…`.
    #[schema(value_type = String, example = "psk_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: PasskeyId,
    /// What you call it.
    name: String,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last let you in; `null` if it never did.
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
}

impl From<Passkey> for PasskeyView {
    fn from(passkey: Passkey) -> Self {
        let Passkey { id, name, created_at, used_at, .. } = passkey;
        Self { id, name, created_at, used_at }
    }
}

/// Begin to add a passkey: what the browser is asked. Prove first who you are.
#[utoipa::path(post, operation_id = "beginPasskey", path = "/v1/account/passkeys/begin", tag = "Accounts",
    security(("management_key" = [])),
    responses((status = 200, body = CeremonyView), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn begin(
    caller: Caller<Anybody>,
    State(app): State<App>,
    _: Nothing,
) -> Result<axum::Json<CeremonyView>, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    caller.proven()?;
    Ok(axum::Json(app.identity.offer_passkey(&person.session.account).await?.into()))
}

/// A new passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPasskey {
    /// What you call it, such as where it is.
    #[schema(example = "Laptop")]
    name: String,
    /// What was asked: `ceremony` as it came.
    ceremony: String,
    /// What the browser answered: `PublicKeyCredential.toJSON()`.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Add a passkey to log in with.
#[utoipa::path(post, operation_id = "addPasskey", path = "/v1/account/passkeys", tag = "Accounts", request_body = NewPasskey,
    security(("management_key" = [])),
    responses((status = 201, body = PasskeyView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn add(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<NewPasskey>,
) -> Result<impl IntoResponse, Problem> {
    caller.refuse_conditions()?;
    let account = caller.person()?.account();
    caller.proven()?;
    let NewPasskey { name, ceremony, credential } = body.value;
    let answer = Answer { ceremony: &ceremony, credential };
    let passkey = app.identity.new_passkey(account, answer, checked_name(name)?)?;
    let id = passkey.id;
    app.apply(&caller, Change::AddPasskey(passkey)).await.map_err(|problem| match problem.status {
        404 => invalid("This answer was taken before; begin again."),
        _ => problem,
    })?;
    Ok((StatusCode::CREATED, axum::Json(one(&app, &caller, id).await?)))
}

async fn one(app: &App, caller: &Caller<Anybody>, id: PasskeyId) -> Result<PasskeyView, Problem> {
    let found = app.catalog.passkey(caller.person()?.account(), id).await.map_err(|error| internal(&error))?;
    found.map(PasskeyView::from).ok_or_else(|| not_found("passkey"))
}

/// Your passkeys.
#[utoipa::path(get, operation_id = "listPasskeys", path = "/v1/account/passkeys", tag = "Accounts", params(Paged),
    security(("management_key" = [])), responses((status = 200, body = List<PasskeyView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<Anybody>,
    State(app): State<App>,
    Query(asked): Query<Paged>,
) -> Result<axum::Json<List<PasskeyView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.passkeys(caller.person()?.account(), page).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |passkey| passkey.number, PasskeyView::from)))
}

/// What is to change of a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasskeyUpdate {
    /// What you call it.
    #[serde(default, deserialize_with = "said")]
    #[schema(example = "Laptop")]
    name: Option<String>,
}

/// Give a passkey another name.
#[utoipa::path(patch, operation_id = "renamePasskey", path = "/v1/account/passkeys/{id}", tag = "Accounts",
    params(("id" = String, Path)), request_body = PasskeyUpdate, security(("management_key" = [])),
    responses((status = 200, body = PasskeyView), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn rename(
    caller: Caller<Anybody>,
    State(app): State<App>,
    Id(id): Id<PasskeyId>,
    body: Json<PasskeyUpdate>,
) -> Result<axum::Json<PasskeyView>, Problem> {
    caller.refuse_conditions()?;
    let account = caller.person()?.account();
    if let Some(name) = body.value.name {
        app.apply(&caller, Change::RenamePasskey { id, account, name: checked_name(name)? }).await?;
    }
    Ok(axum::Json(one(&app, &caller, id).await?))
}

/// Take a passkey away; it lets nobody in any more. Other sessions end. Prove first who you are.
#[utoipa::path(delete, operation_id = "removePasskey", path = "/v1/account/passkeys/{id}", tag = "Accounts",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn remove(
    caller: Caller<Anybody>,
    State(app): State<App>,
    Id(id): Id<PasskeyId>,
) -> Result<StatusCode, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    caller.proven()?;
    app.apply(
        &caller,
        Change::RemovePasskey { id, account: person.account(), except: person.id(), ways: app.identity.ways() },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Proof of who somebody is, by a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasskeyProof {
    /// What was asked: `ceremony` as `/v1/login/passkey/begin` answered.
    ceremony: String,
    /// What the browser answered: `PublicKeyCredential.toJSON()`.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Prove once more who you are, by a passkey. The session goes on under another token.
#[utoipa::path(post, operation_id = "proveByPasskey", path = "/v1/account/prove/passkey", tag = "Accounts",
    request_body = PasskeyProof, security(("management_key" = [])),
    responses((status = 200, body = ProvenView), (status = 400), (status = 401), (status = 403), (status = 409), (status = 429)))]
pub(super) async fn prove(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<PasskeyProof>,
) -> Result<Response, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    let deliver = if person.in_cookie { Delivery::Cookie } else { Delivery::Token };
    let PasskeyProof { ceremony, credential } = body.value;
    let visitor = Visitor { address: caller.address, request: caller.request, agent: "", replaces: None };
    let of = (person.id(), person.account(), caller.organization);
    let answer = Answer { ceremony: &ceremony, credential };
    match app.identity.prove_again_by_passkey(&app.feed, &visitor, of, answer).await {
        Ok(token) => Ok(proven(&app, &token, deliver)),
        Err(error) => Ok(refused(&app, error)),
    }
}
