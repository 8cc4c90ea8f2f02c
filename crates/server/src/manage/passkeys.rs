//! Logging in by a passkey (WebAuthn): `/v1/login/passkey…`. They need no right: what is sent is the proof.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keystile_core::id::OrganizationId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::authenticate::Newcomer;
use super::extract::{Json, Nothing};
use super::login::{Delivery, LoggedInView, delivered, former_of, refused, sentence};
use super::problem::{internal, invalid, passkeys_unavailable};
use crate::identity::{self, PasskeyError};
use crate::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(login))
}

/// What a browser is asked for a passkey.
#[derive(Serialize, ToSchema)]
#[schema(as = PasskeyCeremony)]
pub(super) struct CeremonyView {
    /// To be sent back with the answer, within five minutes. It is good once.
    ceremony: String,
    /// What `navigator.credentials` takes as `publicKey`, as `PublicKeyCredential.parse…OptionsFromJSON` reads it.
    #[schema(value_type = Object)]
    public_key: Value,
}

impl From<identity::Asked> for CeremonyView {
    fn from(asked: identity::Asked) -> Self {
        Self { ceremony: asked.ceremony, public_key: asked.public_key }
    }
}

/// Ask for a passkey, of whomever: the answer says whose it is.
#[utoipa::path(post, operation_id = "beginPasskeyLogin", path = "/v1/login/passkey/begin", tag = "Accounts", security(()),
    responses((status = 200, body = CeremonyView), (status = 400), (status = 409)))]
pub(super) async fn begin(
    _: Newcomer,
    State(app): State<App>,
    _: Nothing,
) -> Result<axum::Json<CeremonyView>, Problem> {
    Ok(axum::Json(app.identity.ask_for_passkey()?.into()))
}

/// The answer of a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasskeyLogin {
    /// What was asked: `ceremony` as it came.
    ceremony: String,
    /// What the browser answered: `PublicKeyCredential.toJSON()`.
    #[schema(value_type = Object)]
    credential: Value,
    /// The organization to work in; else the one that the account joined first.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// Whether the token comes in the answer (`token`), or in a cookie that no script sees (`cookie`).
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "cookie")]
    deliver: Option<Delivery>,
}

/// Log in with a passkey, which is both factors in one. Wrong passwords lock nobody out of it.
#[utoipa::path(post, operation_id = "logInByPasskey", path = "/v1/login/passkey", tag = "Accounts", request_body = PasskeyLogin,
    security(()), responses((status = 200, body = LoggedInView), (status = 400), (status = 401), (status = 409), (status = 429)))]
pub(super) async fn login(
    newcomer: Newcomer,
    State(app): State<App>,
    body: Json<PasskeyLogin>,
) -> Result<Response, Problem> {
    let PasskeyLogin { ceremony, credential, organization_id, deliver } = body.value;
    let visitor = newcomer.visitor(former_of(&app, &newcomer).await?);
    let answer = identity::Answer { ceremony: &ceremony, credential };
    let opened = match app.identity.log_in_by_passkey(&app.feed, &visitor, answer, organization_id).await {
        Ok(opened) => opened,
        Err(error) => return Ok(refused(&app, error)),
    };
    app.webhooks.wake();
    let (text, cookie) = delivered(&opened.token, deliver.unwrap_or_default());
    Ok((cookie, axum::Json(LoggedInView::of(opened, text))).into_response())
}

impl From<PasskeyError> for Problem {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::Unavailable => passkeys_unavailable(),
            PasskeyError::Ended | PasskeyError::NotAnAnswer(_) | PasskeyError::Unfit(_) => invalid(sentence(&error)),
            PasskeyError::Entropy(error) => internal(&error),
            PasskeyError::Store(error) => internal(&error),
        }
    }
}
