//! `POST /v1/invitations`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::account::EmailAddress;
use keystile_core::id::{InvitationId, OrganizationId};
use keystile_core::key::TokenKind;
use keystile_core::member::MemberRoleRef;
use keystile_store::Change;
use keystile_store::records::Invite;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::InvitationView;
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteMembers, WriteOrganizations};
use crate::manage::extract::Json;
use crate::manage::members::role_of;
use crate::manage::problem::{internal, invalid, not_found};
use crate::problem::Problem;

/// Hours for which an invitation is good unless something else is said: long enough for a holiday.
const HOURS: u32 = 168;
/// At most.
const MAX_HOURS: u32 = 720;

/// An invitation to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InvitationCreate {
    /// Whom: only an account with this address can accept it. Without one, whoever holds the link can.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ada@example.com")]
    email: Option<EmailAddress>,
    /// As what: the word of a role that is built in, or the name or id of one of your own; nothing in it that you lack yourself.
    #[schema(value_type = String, example = "developer")]
    role: MemberRoleRef,
    /// Where to: your own organization, unless yours runs the installation and invites the first member of another one.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// For how many hours it can be accepted; a week unless something else is said.
    #[serde(default)]
    expires_in_hours: Option<u32>,
}

/// Invite somebody. The answer has the link, this one time. Prove first who you are.
#[utoipa::path(post, operation_id = "createInvitation", path = "/v1/invitations", tag = "Members",
    request_body = InvitationCreate, security(("management_key" = [])),
    responses((status = 201, body = InvitationView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    body: Json<InvitationCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    let hours = wanted.expires_in_hours.unwrap_or(HOURS);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(invalid(format!("expires_in_hours is 1 to {MAX_HOURS}.")));
    }
    let (role, granted) = role_of(&app, &caller, &wanted.role).await?;
    let organization = wanted.organization_id.unwrap_or(caller.organization);
    if organization != caller.organization {
        // Seen by the one that runs the installation alone; to others there is no such organization.
        app.organization(&caller, organization).await?;
        caller.needs::<WriteOrganizations>()?;
    }
    caller.hands_down(&granted)?;
    let token = app.identity.token(TokenKind::Invitation).map_err(|error| internal(&error))?;
    let id = InvitationId::from_entropy(app.id()?);
    let ends_at = app.now().plus_secs(i64::from(hours) * 3_600);
    let invite = Invite { id, organization, email: wanted.email, role, lookup: token.lookup, ends_at };
    let made = app.create(&caller, body.hash, id.to_string(), Change::Invite(invite)).await?;
    let (id, is_new) = match made {
        Made::Now => (id, true),
        Made::Before(subject) => (subject.parse().map_err(|_| not_found("invitation"))?, false),
    };
    let view = InvitationView::of(app.invitation(&caller, id).await?, app.now());
    let view = if is_new { view.with_path(format!("/join#{}", token.text.expose())) } else { view };
    Ok((StatusCode::CREATED, axum::Json(view)))
}
