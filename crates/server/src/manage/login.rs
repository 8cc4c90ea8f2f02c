//! `POST /v1/login`, and `POST /v1/password/reset` for whoever has a link. They need no right: what is sent is the proof.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use keystile_core::account::EmailAddress;
use keystile_core::id::{AccountId, OrganizationId, SessionId};
use keystile_core::key::TokenKind;
use keystile_core::time::Timestamp;
use keystile_store::{Actor, ApplyError, Author, Change, PasswordBy, Who};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use super::app::App;
use super::authenticate::{Newcomer, cookie_of};
use super::extract::Json;
use super::invitations::no_invitation;
use super::members::view::role_text;
use super::problem::{factor_required, internal, invalid, login_failed, login_locked, not_found, overloaded};
use crate::enforce::change::NotMade;
use crate::identity::{LoginError, NotAPassword, Opened, Proof, Token};
use crate::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(reset))
}

/// How a session's token reaches whoever logs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Delivery {
    /// In the answer: for programs.
    #[default]
    Token,
    /// In a cookie that no script sees: for browsers.
    Cookie,
}

/// Who wants to be let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// The e-mail address of the account.
    #[schema(value_type = String, example = "ada@example.com")]
    email: EmailAddress,
    /// The password.
    #[schema(value_type = String)]
    password: Secret,
    /// The six digits that your app shows, or a recovery code, if the account has a second factor.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<Secret>,
    /// The organization to work in; else the one that the account joined first.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// Whether the token comes in the answer (`token`), or in a cookie that no script sees (`cookie`).
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "token")]
    deliver: Option<Delivery>,
}

/// A text that is wiped when dropped and does not print itself.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(Zeroizing<String>);

impl Secret {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

/// A session that began.
#[derive(Serialize, ToSchema)]
#[schema(as = LoggedIn)]
pub(super) struct LoggedInView {
    /// The session.
    #[schema(value_type = String)]
    session_id: SessionId,
    /// The account.
    #[schema(value_type = String)]
    account_id: AccountId,
    /// Where it is.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// The name of that organization.
    organization_name: String,
    /// The role there.
    role: String,
    /// The token, if it was not to be in a cookie. It is shown this one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl LoggedInView {
    /// With the token in it.
    pub(super) fn with_token(opened: Opened) -> Self {
        let text = opened.token.text.expose().to_owned();
        Self::of(opened, Some(text))
    }

    /// With this of the token.
    pub(super) fn of(opened: Opened, token: Option<String>) -> Self {
        let Opened { id, account, membership, .. } = opened;
        Self {
            session_id: id,
            account_id: account.id,
            organization_id: membership.organization,
            organization_name: membership.organization_name,
            role: role_text(membership.member.role, membership.member.role_name.as_ref()),
            token,
        }
    }
}

/// The token where it belongs: in the answer or in a cookie.
pub(super) fn delivered(token: &Token, deliver: Delivery) -> (Option<String>, HeaderMap) {
    match deliver {
        Delivery::Token => (Some(token.text.expose().to_owned()), HeaderMap::new()),
        Delivery::Cookie => (None, cookie_of(&token.text)),
    }
}

/// Log in with a password, and with a code if the account has a second factor (`second_factor_required` says so). Whoever is wrong too often waits; an address without an account is answered like a wrong password.
#[utoipa::path(post, operation_id = "login", path = "/v1/login", tag = "Accounts", request_body = Login, security(()),
    responses((status = 200, body = LoggedInView), (status = 400), (status = 401), (status = 429)))]
pub(super) async fn login(newcomer: Newcomer, State(app): State<App>, body: Json<Login>) -> Result<Response, Problem> {
    let wanted = body.value;
    let visitor = newcomer.visitor(former_of(&app, &newcomer).await?);
    let proof = Proof { password: wanted.password.expose(), code: wanted.code.as_ref().map(Secret::expose) };
    let shown = (&wanted.email, proof);
    let opened = match app.identity.log_in(&app.feed, &visitor, shown, wanted.organization_id).await {
        Ok(opened) => opened,
        Err(error) => return Ok(refused(&app, error)),
    };
    app.webhooks.wake();
    let (text, cookie) = delivered(&opened.token, wanted.deliver.unwrap_or_default());
    Ok((cookie, axum::Json(LoggedInView::of(opened, text))).into_response())
}

/// The session that a browser had before, which ends with the new one (S-1).
pub(super) async fn former_of(app: &App, newcomer: &Newcomer) -> Result<Option<SessionId>, Problem> {
    let Some(text) = newcomer.former_session() else { return Ok(None) };
    let former = app.identity.session(text).await.map_err(|error| internal(&error))?;
    Ok(former.map(|(session, _)| session.id))
}

/// The answer to whoever is not let in.
pub(super) fn refused(app: &App, error: LoginError) -> Response {
    app.webhooks.wake();
    match error {
        LoginError::Wrong => login_failed().into_response(),
        LoginError::WrongPasskey => login_failed()
            .because("This passkey is not known here, or it is too old an answer; log in another way.")
            .into_response(),
        LoginError::WrongLink => login_failed()
            .because("This link was used, has ended, or never was; ask for another one.")
            .into_response(),
        LoginError::UnknownIdentity => login_failed()
            .because("Nobody is known by this identity here; log in another way, and connect it with your account.")
            .into_response(),
        LoginError::Passkey(error) => Problem::from(error).into_response(),
        LoginError::FactorRequired => factor_required().into_response(),
        LoginError::Locked(Some(end)) => wait(
            "Too many passwords were wrong; none is looked at for a while. Retry-After says for how long.",
            seconds_until(app.now(), end),
        ),
        LoginError::Locked(None) => login_locked(
            "Too many passwords were wrong; none is looked at any more. Ask whoever manages your organization for a link to \
             a new password.",
        )
        .into_response(),
        LoginError::TooMany => {
            wait("Too many passwords were wrong from this network; try again in a quarter of an hour.", 900)
        }
        LoginError::Elsewhere => not_found("organization")
            .because("There is no such organization among those of this account; leave organization_id out.")
            .into_response(),
        LoginError::Overloaded(error) => overloaded(sentence(&error)).into_response(),
        LoginError::NoToken(error) => internal(&error).into_response(),
        LoginError::Store(error) => internal(&error).into_response(),
        LoginError::NotMade(NotMade::Refused(ApplyError::NotFound("invitation"))) => no_invitation().into_response(),
        LoginError::NotMade(why) => Problem::from(why).into_response(),
    }
}

fn wait(detail: &'static str, seconds: i64) -> Response {
    ([(RETRY_AFTER, seconds.to_string())], login_locked(detail)).into_response()
}

fn seconds_until(now: Timestamp, end: Timestamp) -> i64 {
    ((end.as_micros() - now.as_micros() + 999_999) / 1_000_000).max(1)
}

/// An error as a sentence.
pub(super) fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

impl From<NotAPassword> for Problem {
    fn from(why: NotAPassword) -> Self {
        match why {
            NotAPassword::Poor(_) | NotAPassword::Weak(_) => invalid(sentence(&why)),
            NotAPassword::Overloaded(error) => overloaded(sentence(&error)),
            NotAPassword::Unreadable(error) => internal(&error),
            NotAPassword::Entropy(error) => internal(&error),
        }
    }
}

/// Who has a link to a new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordReset {
    /// The token: what follows the `#` in the link.
    #[schema(value_type = String)]
    token: Secret,
    /// The password to log in with from now on.
    #[schema(value_type = String)]
    password: Secret,
}

/// Choose a new password by a link that whoever manages your organization made. All your sessions end. It changes nothing but
/// the password: other factors stay.
#[utoipa::path(post, operation_id = "resetPassword", path = "/v1/password/reset", tag = "Accounts",
    request_body = PasswordReset, security(()), responses((status = 204), (status = 400), (status = 404)))]
pub(super) async fn reset(
    newcomer: Newcomer,
    State(app): State<App>,
    body: Json<PasswordReset>,
) -> Result<StatusCode, Problem> {
    let no_link = || {
        not_found("link").because("This link was used, has ended, or never was. Ask whoever sent it for another one.")
    };
    let wanted = body.value;
    let lookup = TokenKind::Reset.lookup(wanted.token.expose()).ok_or_else(no_link)?;
    let found = app.catalog.account_to_reset(lookup, app.now()).await.map_err(|error| internal(&error))?;
    let account = found.ok_or_else(no_link)?.account;
    let memberships = app.catalog.memberships(account.id).await.map_err(|error| internal(&error))?;
    let home = memberships.first().ok_or_else(no_link)?.organization;
    let known = [account.email.as_str(), &account.name];
    let password = app.identity.new_password(wanted.password.expose(), false, &known).await?;
    let forgives = app.identity.lookup_of(&account.email);
    let change =
        Change::SetPassword { account: account.id, password, alone: true, by: PasswordBy::Link { lookup, forgives } };
    make(&app, &newcomer, (home, Who::Account(account.id)), change).await.map_err(|problem| match problem.status {
        404 => no_link(),
        _ => problem,
    })?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn make(
    app: &App,
    newcomer: &Newcomer,
    (organization, who): (OrganizationId, Who),
    change: Change,
) -> Result<(), Problem> {
    let actor = Actor { organization, who, address: newcomer.address, request: Some(newcomer.request) };
    let author = Author { actor, at: app.now(), idempotency: None };
    let made = app.feed.make(author, change, app.clock.ticks()).await;
    app.webhooks.wake();
    made.map(drop).map_err(|why| match why {
        // Somebody was faster.
        NotMade::Refused(ApplyError::NotFound("invitation")) => no_invitation(),
        why => why.into(),
    })
}
