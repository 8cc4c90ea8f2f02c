//! `POST /v1/account/password`

use axum::extract::State;
use axum::response::Response;
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
use crate::manage::problem::internal;
use crate::problem::Problem;

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    /// The password that you have.
    #[schema(value_type = String)]
    current: Secret,
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
    let proof = Proof { password: wanted.current.expose(), code: wanted.code.as_ref().map(Secret::expose) };
    let visitor = Visitor { address: caller.address, request: caller.request, agent: "", replaces: None };
    let (shown, _) = match app.identity.prove(&app.feed, &visitor, &account.email, proof).await {
        Ok(shown) => shown,
        Err(error) => return Ok(refused(&app, error)),
    };
    let token = app.identity.token(TokenKind::Session).map_err(|error| internal(&error))?;
    let by = PasswordBy::Holder { shown: shown.shown.clone(), session: person.id(), lookup: token.lookup };
    let change = Change::SetPassword { account: account.id, password, alone, by };
    let author = app.identity.author(&visitor, caller.organization, Who::Account(account.id));
    if let Err(error) = app.identity.used(&app.feed, &visitor, &shown, (author, change)).await {
        return Ok(refused(&app, error));
    }
    let deliver = if person.in_cookie { Delivery::Cookie } else { Delivery::Token };
    Ok(proven(&app, &token, deliver))
}
