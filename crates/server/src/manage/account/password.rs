//! `POST /v1/account/password`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keystile_core::account::checked_length;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::prove::proven;
use crate::identity::Proof;
use crate::manage::app::App;
use crate::manage::caller::{Anybody, Caller};
use crate::manage::extract::Json;
use crate::manage::login::{Delivery, Secret};
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
    caller.refuse_dry_run()?;
    let person = caller.person()?;
    let wanted = body.value;
    let account = &person.session.account;
    // Before anything is changed: whoever picks a poor one keeps the token that they have.
    let known = [account.email.as_str(), &account.name];
    let password = app.identity.new_password(wanted.password.expose(), account.has_totp, &known).await?;
    let deliver = if person.in_cookie { Delivery::Cookie } else { Delivery::Token };
    let alone = checked_length(wanted.password.expose(), false).is_ok();
    let proof = Proof { password: wanted.current.expose(), code: wanted.code.as_ref().map(Secret::expose) };
    let answer = proven(&app, &caller, proof, deliver).await?;
    if answer.status() == StatusCode::OK {
        let (account, except) = (account.id, Some(person.id()));
        app.apply(&caller, Change::SetPassword { account, password, alone, except, reset: None, forgives: None })
            .await?;
    }
    Ok(answer.into_response())
}
