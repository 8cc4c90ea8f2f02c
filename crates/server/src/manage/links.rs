//! `POST /v1/login/link/begin`, `POST /v1/login/link`: logging in by a link that comes by e-mail. They need no right: whoever holds the
//! link has the proof.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use keystile_core::account::EmailAddress;
use keystile_core::id::OrganizationId;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::authenticate::Newcomer;
use super::extract::Json;
use super::login::{Delivery, LoggedInView, Secret, delivered, former_of, refused};
use super::problem::{login_failed, login_locked, overloaded};
use crate::identity::{LoginError, NoLetter};
use crate::problem::Problem;

/// Seconds after which whoever asked for too many letters may ask again.
const LATER_SECS: u32 = 900;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(enter))
}

/// Who wants a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkBegin {
    /// The e-mail address of the account.
    #[schema(value_type = String, example = "ada@example.com")]
    email: EmailAddress,
}

/// Ask for a link to log in with, by e-mail. The answer is the same whether the address has an account or not. A link is good for a
/// quarter of an hour, once. Whoever has a passkey or is known by an identity provider gets a letter without one.
#[utoipa::path(post, operation_id = "beginLinkLogin", path = "/v1/login/link/begin", tag = "Accounts",
    request_body = LinkBegin, security(()), responses((status = 202), (status = 400), (status = 429)))]
pub(super) async fn begin(
    newcomer: Newcomer,
    State(app): State<App>,
    body: Json<LinkBegin>,
) -> Result<Response, Problem> {
    let from = (newcomer.address, newcomer.request);
    match app.identity.offer_link((&app.feed, &app.mail), from, body.value.email) {
        Ok(()) => Ok(StatusCode::ACCEPTED.into_response()),
        Err(NoLetter::TooMany) => {
            let detail = "Too many letters were asked for from this network; try again in a quarter of an hour.";
            Ok(([(RETRY_AFTER, LATER_SECS.to_string())], login_locked(detail)).into_response())
        }
        Err(NoLetter::Overloaded) => Err(overloaded("Too many letters are being written; try again soon.")),
    }
}

/// Who comes by a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkLogin {
    /// The token: what follows the `#` in the link.
    #[schema(value_type = String)]
    token: Secret,
    /// The six digits that your app shows, or a recovery code, if the account has a second factor.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<Secret>,
    /// The organization to work in; else the one that the account joined first.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// Whether the token of the session comes in the answer (`token`), or in a cookie that no script sees (`cookie`).
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "token")]
    deliver: Option<Delivery>,
}

/// Log in by a link, and with a code if the account has a second factor (`second_factor_required` says so, and the link is good as
/// before). Wrong codes count as wrong passwords do.
#[utoipa::path(post, operation_id = "logInByLink", path = "/v1/login/link", tag = "Accounts", request_body = LinkLogin,
    security(()), responses((status = 200, body = LoggedInView), (status = 400), (status = 401), (status = 429)))]
pub(super) async fn enter(
    newcomer: Newcomer,
    State(app): State<App>,
    body: Json<LinkLogin>,
) -> Result<Response, Problem> {
    let wanted = body.value;
    let visitor = newcomer.visitor(former_of(&app, &newcomer).await?);
    let shown = (wanted.token.expose(), wanted.code.as_ref().map(Secret::expose));
    let opened = match app.identity.log_in_by_link(&app.feed, &visitor, shown, wanted.organization_id).await {
        Ok(opened) => opened,
        Err(LoginError::Wrong) => {
            app.webhooks.wake();
            return Err(login_failed().because("The code is wrong, or was used before. The link is good as before."));
        }
        Err(error) => return Ok(refused(&app, error)),
    };
    app.webhooks.wake();
    let (text, cookie) = delivered(&opened.token, wanted.deliver.unwrap_or_default());
    Ok((cookie, axum::Json(LoggedInView::of(opened, text))).into_response())
}
