//! `POST /v1/account/prove`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::{self, Token, Visitor};
use crate::manage::app::App;
use crate::manage::caller::{Anybody, Caller};
use crate::manage::extract::Json;
use crate::manage::login::{Delivery, Secret, delivered, refused};
use crate::problem::Problem;

/// Proof of who somebody is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    /// The password.
    #[schema(value_type = String)]
    password: Secret,
    /// The six digits that your app shows, or a recovery code, if the account has a second factor.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    code: Option<Secret>,
}

/// A session whose holder proved who they are.
#[derive(Serialize, ToSchema)]
#[schema(as = Proven)]
pub(super) struct ProvenView {
    /// Until when what is dangerous may be done.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// The session's token from now on, if it is not in a cookie. It is shown this one time; the one before is no longer good.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Prove once more who you are, before something dangerous. The session goes on under another token.
#[utoipa::path(post, operation_id = "proveAccount", path = "/v1/account/prove", tag = "Accounts", request_body = Proof,
    security(("management_key" = [])),
    responses((status = 200, body = ProvenView), (status = 400), (status = 401), (status = 403), (status = 429)))]
pub(super) async fn prove(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<Proof>,
) -> Result<Response, Problem> {
    caller.refuse_conditions()?;
    let deliver = if caller.person()?.in_cookie { Delivery::Cookie } else { Delivery::Token };
    let wanted = body.value;
    let proof = identity::Proof { password: wanted.password.expose(), code: wanted.code.as_ref().map(Secret::expose) };
    let person = caller.person()?;
    let visitor = Visitor { address: caller.address, request: caller.request, agent: "", replaces: None };
    let of = (person.id(), &person.session.account, caller.organization);
    match app.identity.prove_again(&app.feed, &visitor, of, proof).await {
        Ok(token) => Ok(proven(&app, &token, deliver)),
        Err(error) => Ok(refused(&app, error)),
    }
}

/// A session's new token.
pub(super) fn proven(app: &App, token: &Token, deliver: Delivery) -> Response {
    app.webhooks.wake();
    let (text, cookie) = delivered(token, deliver);
    let view = ProvenView { until: app.now().plus_secs(app.identity.limits.proven_secs), token: text };
    (cookie, axum::Json(view)).into_response()
}
