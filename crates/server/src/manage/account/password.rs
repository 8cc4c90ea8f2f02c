//! `POST` and `DELETE /v1/account/password`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keystile_core::key::TokenKind;
use keystile_store::{Change, PasswordBy, Who};
use serde::Deserialize;
use utoipa::ToSchema;

use super::prove::proven;
use crate::identity::{Proof, Visitor};
use crate::manage::app::App;
use crate::manage::caller::{Anybody, Caller};
use crate::manage::extract::Json;
use crate::manage::login::{Delivery, Secret, refused};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    /// The password that you have; whoever has none leaves it out, and proves first who they are.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    current: Option<Secret>,
    /// The six digits that your app shows, or a recovery code, if the account has a second factor.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    code: Option<Secret>,
    /// The one that you want: at least 15 characters of any kind, or 8 besides a second factor.
    #[schema(value_type = String)]
    password: Secret,
}

/// Choose another password. All other sessions end, and this one goes on under another token.
#[utoipa::path(post, operation_id = "changePassword", path = "/v1/account/password", tag = "Accounts",
    request_body = PasswordChange, security(("management_key" = [])),
    responses((status = 200, body = super::prove::ProvenView), (status = 400), (status = 401), (status = 403), (status = 429)))]
pub(super) async fn change(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<PasswordChange>,
) -> Result<Response, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    let wanted = body.value;
    let account = &person.session.account;
    // Before anything is changed: whoever picks a poor one keeps the token that they have.
    let known = [account.email.as_str(), &account.name];
    let password = app.identity.new_password(wanted.password.expose(), account.has_totp, &known).await?;
    let alone = app.identity.may_be_alone(wanted.password.expose());
    let token = app.identity.token(TokenKind::Session).map_err(|error| internal(&error))?;
    let set = |shown| {
        let by = PasswordBy::Holder { shown, session: person.id(), lookup: token.lookup };
        Change::SetPassword { account: account.id, password, alone, by }
    };
    match wanted.current {
        Some(current) => {
            let proof = Proof { password: current.expose(), code: wanted.code.as_ref().map(Secret::expose) };
            let visitor = Visitor { address: caller.address, request: caller.request, agent: "", replaces: None };
            let (shown, _) = match app.identity.prove(&app.feed, &visitor, &account.email, proof).await {
                Ok(shown) => shown,
                Err(error) => return Ok(refused(&app, error)),
            };
            let author = app.identity.author(&visitor, caller.organization, Who::Account(account.id));
            let change = set(Some(shown.shown.clone()));
            if let Err(error) = app.identity.used(&app.feed, &visitor, &shown, (author, change)).await {
                return Ok(refused(&app, error));
            }
        }
        None if account.has_password => {
            return Err(invalid("current is missing: the password that you have."));
        }
        None => {
            caller.proven()?;
            app.apply(&caller, set(None)).await?;
        }
    }
    let deliver = if person.in_cookie { Delivery::Cookie } else { Delivery::Token };
    Ok(proven(&app, &token, deliver))
}

/// Give the password up: your passkeys alone let you in from now on, and one-time and recovery codes go with it. Other sessions end.
/// Prove first who you are.
#[utoipa::path(delete, operation_id = "removePassword", path = "/v1/account/password", tag = "Accounts",
    security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn remove(caller: Caller<Anybody>, State(app): State<App>) -> Result<StatusCode, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    caller.proven()?;
    app.apply(
        &caller,
        Change::RemovePassword { account: person.account(), except: person.id(), ways: app.identity.ways() },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
