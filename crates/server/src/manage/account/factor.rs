//! One's own second factor: `/v1/account/totp`, `/v1/account/recovery_codes`. Whoever changes it proved just now who they are.

use axum::extract::State;
use http::StatusCode;
use keystile_store::Change;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::RecoveryCodes;
use crate::manage::app::App;
use crate::manage::caller::{Anybody, Asker, Caller};
use crate::manage::extract::{Json, Nothing};
use crate::manage::login::Secret;
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

/// What to put into an app that shows one-time codes.
#[derive(Serialize, ToSchema)]
#[schema(as = TotpEnrolment)]
pub(super) struct EnrolmentView {
    /// To be typed into the app. It is shown this one time.
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: String,
    /// The same with all that an app wants to know, for a picture that it reads.
    #[schema(example = "otpauth://totp/Keystile:ada%40example.com?secret=…")]
    uri: String,
}

/// Begin to use one-time codes: put the secret into an app, then confirm with a code of it. Until then nothing is asked for.
#[utoipa::path(post, operation_id = "offerTotp", path = "/v1/account/totp", tag = "Accounts", security(("management_key" = [])),
    responses((status = 200, body = EnrolmentView), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn offer(
    caller: Caller<Anybody>,
    State(app): State<App>,
    _: Nothing,
) -> Result<axum::Json<EnrolmentView>, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    caller.proven()?;
    let issuer = format!("Keystile {}", person.membership.organization_name);
    let account = person.account();
    let enrolment = app.identity.enrol(account, person.session.account.email.as_str(), &issuer);
    let enrolment = enrolment.map_err(|error| internal(&error))?;
    app.apply(&caller, Change::OfferTotp { account, sealed: enrolment.sealed }).await?;
    Ok(axum::Json(EnrolmentView { secret: enrolment.secret.to_string(), uri: enrolment.uri.to_string() }))
}

/// A code of the app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TotpCode {
    /// The six digits that it shows.
    #[schema(value_type = String, example = "123456")]
    code: Secret,
}

/// Codes for whoever loses the app.
#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryCodes)]
pub(super) struct CodesView {
    /// Each will do once in place of the app's. They are shown this one time: keep them where the app is not.
    recovery_codes: Vec<String>,
}

/// Confirm with a code of the app. From now on one is asked for with the password; other sessions end.
#[utoipa::path(post, operation_id = "confirmTotp", path = "/v1/account/totp/confirm", tag = "Accounts", request_body = TotpCode,
    security(("management_key" = [])),
    responses((status = 200, body = CodesView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn confirm(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<TotpCode>,
) -> Result<axum::Json<CodesView>, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    caller.proven()?;
    let (account, except) = (person.account(), person.id());
    let step = app.identity.confirms(account, body.value.code.expose().trim()).await;
    let wrong = || {
        invalid(
            "code is not what the app shows now: wait for the next one, and look whether the clock of its device is right.",
        )
    };
    let (made_at, step) = step.map_err(|error| internal(&error))?.ok_or_else(wrong)?;
    let codes = codes_of(&app, &caller)?;
    let change = Change::ConfirmTotp { account, made_at, step, codes: codes.lookups, except };
    app.apply(&caller, change).await?;
    Ok(axum::Json(CodesView { recovery_codes: codes.texts }))
}

/// Give up one-time codes and recovery codes: the password is all from now on. Other sessions end.
#[utoipa::path(delete, operation_id = "removeTotp", path = "/v1/account/totp", tag = "Accounts", security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn remove(caller: Caller<Anybody>, State(app): State<App>) -> Result<StatusCode, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    caller.proven()?;
    app.apply(&caller, Change::RemoveFactors { account: person.account(), except: Some(person.id()), of: None })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get other recovery codes; those that are left are no longer good.
#[utoipa::path(post, operation_id = "renewRecoveryCodes", path = "/v1/account/recovery_codes", tag = "Accounts",
    security(("management_key" = [])),
    responses((status = 200, body = CodesView), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn renew(
    caller: Caller<Anybody>,
    State(app): State<App>,
    _: Nothing,
) -> Result<axum::Json<CodesView>, Problem> {
    caller.refuse_conditions()?;
    let account = caller.person()?.account();
    caller.proven()?;
    let codes = codes_of(&app, &caller)?;
    app.apply(&caller, Change::SetRecoveryCodes { account, codes: codes.lookups }).await?;
    Ok(axum::Json(CodesView { recovery_codes: codes.texts }))
}

fn codes_of(app: &App, asker: &Asker) -> Result<RecoveryCodes, Problem> {
    app.identity.recovery_codes(asker.person()?.account()).map_err(|error| internal(&error))
}
