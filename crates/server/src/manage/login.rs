//! `POST /v1/login`, and the two links that lead somebody in who is not known yet. They need no right: what is sent is the proof.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use keystile_core::account::EmailAddress;
use keystile_core::id::{AccountId, MemberId, OrganizationId, SessionId};
use keystile_core::key::TokenKind;
use keystile_core::time::Timestamp;
use keystile_store::records::{Joining, NewAccount};
use keystile_store::{Actor, ApplyError, Author, Change, PasswordBy, Who};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use super::app::App;
use super::authenticate::{Newcomer, cookie_of};
use super::extract::Json;
use super::members::view::{MemberView, role_text};
use super::problem::{factor_required, internal, invalid, login_failed, login_locked, not_found, overloaded};
use super::projects::checked_person;
use crate::enforce::change::NotMade;
use crate::identity::{LoginError, NotAPassword, Opened, Proof, Token};
use crate::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(look)).routes(routes!(accept)).routes(routes!(reset))
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
        let Opened { id, account, membership, token } = opened;
        Self {
            session_id: id,
            account_id: account.id,
            organization_id: membership.organization,
            organization_name: membership.organization_name,
            role: role_text(membership.member.role, membership.member.role_name.as_ref()),
            token: Some(token.text.expose().to_owned()),
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
    let former = match newcomer.former_session() {
        Some(text) => app.identity.session(text).await.map_err(|error| internal(&error))?,
        None => None,
    };
    let visitor = newcomer.visitor(former.map(|(session, _)| session.id));
    let proof = Proof { password: wanted.password.expose(), code: wanted.code.as_ref().map(Secret::expose) };
    let shown = (&wanted.email, proof);
    let opened = match app.identity.log_in(&app.feed, &visitor, shown, wanted.organization_id).await {
        Ok(opened) => opened,
        Err(error) => return Ok(refused(&app, error)),
    };
    app.webhooks.wake();
    let (text, cookie) = delivered(&opened.token, wanted.deliver.unwrap_or_default());
    let view = LoggedInView { token: text, ..LoggedInView::with_token(opened) };
    Ok((cookie, axum::Json(view)).into_response())
}

/// The answer to whoever is not let in.
pub(super) fn refused(app: &App, error: LoginError) -> Response {
    app.webhooks.wake();
    match error {
        LoginError::Wrong => login_failed().into_response(),
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

/// Which invitation is looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InvitationLook {
    /// The token of the invitation: what follows the `#` in its link.
    #[schema(value_type = String)]
    token: Secret,
}

/// What an invitation leads to, for whoever holds it.
#[derive(Serialize, ToSchema)]
#[schema(as = InvitationOffer)]
pub(super) struct OfferView {
    /// The name of the organization.
    organization_name: String,
    /// The role there.
    role: String,
    /// The e-mail address that it is for; `null` if that is up to whoever accepts it.
    email: Option<String>,
    /// Until when it can be accepted.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// See what an invitation leads to, before it is accepted.
#[utoipa::path(post, operation_id = "lookAtInvitation", path = "/v1/invitations/look", tag = "Members",
    request_body = InvitationLook, security(()), responses((status = 200, body = OfferView), (status = 400), (status = 404)))]
pub(super) async fn look(
    _: Newcomer,
    State(app): State<App>,
    body: Json<InvitationLook>,
) -> Result<axum::Json<OfferView>, Problem> {
    let lookup = TokenKind::Invitation.lookup(body.value.token.expose()).ok_or_else(no_invitation)?;
    let invitation = app.catalog.open_invitation(lookup, app.now()).await.map_err(|error| internal(&error))?;
    let invitation = invitation.ok_or_else(no_invitation)?;
    Ok(axum::Json(OfferView {
        organization_name: invitation.organization_name,
        role: role_text(invitation.role, invitation.role_name.as_ref()),
        email: invitation.email.map(|email| email.as_str().to_owned()),
        expires_at: invitation.ends_at,
    }))
}

/// Who joins by an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acceptance {
    /// The token of the invitation: what follows the `#` in its link.
    #[schema(value_type = String)]
    token: Secret,
    /// The e-mail address to log in with. It can be left out where the invitation names one.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    email: Option<EmailAddress>,
    /// What you are called.
    #[serde(default)]
    name: String,
    /// The password to log in with from now on; of an account that is there already, the one that it has.
    #[schema(value_type = String)]
    password: Secret,
    /// The six digits that your app shows, or a recovery code, if there is an account with a second factor already.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    code: Option<Secret>,
}

/// Accept an invitation: an account is made, or the one of the address joins, with its password. Whoever is logged in uses
/// `POST /v1/account/join`.
#[utoipa::path(post, operation_id = "acceptInvitation", path = "/v1/invitations/accept", tag = "Members",
    request_body = Acceptance, security(()),
    responses((status = 201, body = MemberView), (status = 400), (status = 401), (status = 404), (status = 409), (status = 429)))]
pub(super) async fn accept(
    newcomer: Newcomer,
    State(app): State<App>,
    body: Json<Acceptance>,
) -> Result<Response, Problem> {
    let wanted = body.value;
    let lookup = TokenKind::Invitation.lookup(wanted.token.expose()).ok_or_else(no_invitation)?;
    let invitation = app.catalog.open_invitation(lookup, app.now()).await.map_err(|error| internal(&error))?;
    let invitation = invitation.ok_or_else(no_invitation)?;
    let email = wanted.email.or(invitation.email);
    let email = email.ok_or_else(|| invalid("Say the e-mail address to log in with, as email."))?;
    let organization = invitation.organization;
    let member = MemberId::from_entropy(app.id()?);
    let known = app.catalog.account_of(&email).await.map_err(|error| internal(&error))?;
    if known.is_some() {
        let visitor = newcomer.visitor(None);
        let proof = Proof { password: wanted.password.expose(), code: wanted.code.as_ref().map(Secret::expose) };
        let (proven, _) = match app.identity.prove(&app.feed, &visitor, &email, proof).await {
            Ok(proven) => proven,
            Err(error) => return Ok(refused(&app, error)),
        };
        let joining = Joining::Known(proven.account.id, Some(proven.shown.clone()));
        let change = Change::AcceptInvitation { lookup, member, joining };
        let author = app.identity.author(&visitor, organization, Who::Account(proven.account.id));
        if let Err(error) = app.identity.used(&app.feed, &visitor, &proven, (author, change)).await {
            return Ok(refused(&app, error));
        }
        app.webhooks.wake();
    } else {
        let name = checked_person(wanted.name)?;
        let known = [email.as_str(), &name, &invitation.organization_name];
        let password = app.identity.new_password(wanted.password.expose(), false, &known).await?;
        let account = AccountId::from_entropy(app.id()?);
        let joining = Joining::New(NewAccount { id: account, email, name, password });
        let change = Change::AcceptInvitation { lookup, member, joining };
        make(&app, &newcomer, (organization, Who::Account(account)), change).await?;
    }
    let made = app.catalog.member(organization, member).await.map_err(|error| internal(&error))?;
    let view = MemberView::from(made.ok_or_else(|| not_found("member"))?);
    Ok((StatusCode::CREATED, axum::Json(view)).into_response())
}

pub(super) fn no_invitation() -> Problem {
    not_found("invitation").because(
        "This invitation was accepted, was taken back, has ended, or never was. Ask whoever invited you for another one.",
    )
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

async fn make(
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
