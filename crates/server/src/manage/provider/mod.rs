//! Logging in at an identity provider (OpenID Connect): what a browser is sent there with, and what becomes of it when it comes
//! back ([`back`]).

mod back;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keystile_core::key::TokenKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(in crate::manage) use back::come_back;

use super::app::App;
use super::authenticate::{Newcomer, journey_cookie};
use super::extract::Json;
use super::invitations::no_invitation;
use super::login::{Secret, sentence};
use super::problem::{internal, overloaded, provider_unavailable};
use crate::identity::{Departure, Errand, ProviderError};
use crate::problem::{Problem, causes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(ways)).routes(routes!(log_in)).routes(routes!(join))
}

/// How people log in here.
#[derive(Serialize, ToSchema)]
#[schema(as = LoginWays)]
pub(super) struct WaysView {
    /// Whether passkeys do; not where nobody said at which address browsers reach this server.
    passkeys: bool,
    /// What the identity provider is called; `null` if there is none.
    provider: Option<String>,
    /// Whether links that come by e-mail do: not where no mail server is set up.
    links: bool,
}

/// How people log in here, besides a password.
#[utoipa::path(get, operation_id = "loginWays", path = "/v1/login/ways", tag = "Accounts", security(()),
    responses((status = 200, body = WaysView)))]
pub(super) async fn ways(_: Newcomer, State(app): State<App>) -> axum::Json<WaysView> {
    let provider = app.identity.provider_name().map(str::to_owned);
    axum::Json(WaysView { passkeys: app.identity.has_passkeys(), provider, links: app.identity.has_links() })
}

/// Where a browser is to go.
#[derive(Serialize, ToSchema)]
#[schema(as = Departure)]
pub(super) struct DepartureView {
    /// The address at the identity provider. What is kept meanwhile is in a cookie of this answer.
    #[schema(example = "https://id.example.com/authorize?client_id=…")]
    url: String,
}

/// The answer that sends a browser to the provider.
pub(super) async fn depart(app: &App, errand: Errand, to: Page) -> Result<Response, Problem> {
    let Departure { url, journey, life_secs } = app.identity.depart(errand, to.path()).await?;
    Ok((journey_cookie(&journey, life_secs), axum::Json(DepartureView { url })).into_response())
}

/// Where a browser goes on.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Page {
    /// How somebody logs in.
    #[default]
    Account,
    /// Where a device is let in.
    Device,
}

impl Page {
    const fn path(self) -> &'static str {
        match self {
            Self::Account => "/account",
            Self::Device => "/device",
        }
    }
}

/// What for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderLogin {
    /// The page where the browser goes on: `account` or `device`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "account")]
    pub(super) page: Option<Page>,
}

/// Begin to log in at the identity provider: where the browser is to go. It comes back logged in, in a cookie.
#[utoipa::path(post, operation_id = "beginProviderLogin", path = "/v1/login/provider/begin", tag = "Accounts",
    request_body = ProviderLogin, security(()),
    responses((status = 200, body = DepartureView), (status = 400), (status = 409)))]
pub(super) async fn log_in(
    _: Newcomer,
    State(app): State<App>,
    body: Json<ProviderLogin>,
) -> Result<Response, Problem> {
    depart(&app, Errand::LogIn, body.value.page.unwrap_or_default()).await
}

/// Which invitation is accepted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderJoin {
    /// The token of the invitation: what follows the `#` in its link.
    #[schema(value_type = String)]
    token: Secret,
}

/// Begin to accept an invitation without a password, by who somebody is at the identity provider. The provider must know their e-mail
/// address, and it must be the one of the invitation if that names one.
#[utoipa::path(post, operation_id = "beginProviderJoin", path = "/v1/invitations/provider/begin", tag = "Members",
    request_body = ProviderJoin, security(()),
    responses((status = 200, body = DepartureView), (status = 400), (status = 404), (status = 409)))]
pub(super) async fn join(_: Newcomer, State(app): State<App>, body: Json<ProviderJoin>) -> Result<Response, Problem> {
    let lookup = TokenKind::Invitation.lookup(body.value.token.expose()).ok_or_else(no_invitation)?;
    let invitation = app.catalog.open_invitation(lookup, app.now()).await.map_err(|error| internal(&error))?;
    invitation.ok_or_else(no_invitation)?;
    depart(&app, Errand::Join { lookup }, Page::Account).await
}

impl From<ProviderError> for Problem {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Unavailable => provider_unavailable(sentence(&error)),
            ProviderError::Entropy(error) => internal(&error),
            _ => {
                tracing::warn!(cause = causes(&error), "the identity provider is of no use");
                overloaded("The identity provider can't be asked at the moment; log in another way, or try again.")
            }
        }
    }
}
