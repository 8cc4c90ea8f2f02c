//! `POST /v1/invitations/look`, `POST /v1/invitations/accept`: for whoever holds an invitation's token, which is the proof.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keystile_core::account::EmailAddress;
use keystile_core::id::{AccountId, MemberId};
use keystile_core::key::TokenKind;
use keystile_core::time::Timestamp;
use keystile_store::records::{Entry, Joining, NewAccount};
use keystile_store::{Change, Who};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::Proof;
use crate::manage::app::App;
use crate::manage::authenticate::Newcomer;
use crate::manage::extract::Json;
use crate::manage::login::{Secret, make, refused};
use crate::manage::members::view::{MemberView, role_text};
use crate::manage::problem::{internal, invalid, not_found};
use crate::manage::projects::checked_person;
use crate::problem::Problem;

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
        let joining = Joining::New(NewAccount { id: account, email, name, entry: Entry::Password(password) });
        let change = Change::AcceptInvitation { lookup, member, joining };
        make(&app, &newcomer, (organization, Who::Account(account)), change).await?;
    }
    let made = app.catalog.member(organization, member).await.map_err(|error| internal(&error))?;
    let view = MemberView::from(made.ok_or_else(|| not_found("member"))?);
    Ok((StatusCode::CREATED, axum::Json(view)).into_response())
}

pub(in crate::manage) fn no_invitation() -> Problem {
    not_found("invitation").because(
        "This invitation was accepted, was taken back, has ended, or never was. Ask whoever invited you for another one.",
    )
}
