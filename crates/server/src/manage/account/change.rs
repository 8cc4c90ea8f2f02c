//! `PATCH /v1/account`, `POST /v1/account/join`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::MemberId;
use keystile_core::key::TokenKind;
use keystile_store::records::Joining;
use keystile_store::{Actor, ApplyError, Author, Change, Who};
use serde::Deserialize;
use utoipa::ToSchema;

use super::whoami::{WhoAmIView, of};
use crate::enforce::change::NotMade;
use crate::manage::app::App;
use crate::manage::caller::{Anybody, Caller};
use crate::manage::extract::{Json, said};
use crate::manage::invitations::no_invitation;
use crate::manage::login::Secret;
use crate::manage::members::view::MemberView;
use crate::manage::problem::{internal, not_found};
use crate::manage::projects::checked_person;
use crate::problem::Problem;

/// What is to change of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountUpdate {
    /// What you are called.
    #[serde(default, deserialize_with = "said")]
    name: Option<String>,
}

/// Change what you are called.
#[utoipa::path(patch, operation_id = "updateAccount", path = "/v1/account", tag = "Accounts", request_body = AccountUpdate,
    security(("management_key" = [])), responses((status = 200, body = WhoAmIView), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn update(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<AccountUpdate>,
) -> Result<axum::Json<WhoAmIView>, Problem> {
    caller.refuse_conditions()?;
    let account = caller.person()?.account();
    if let Some(name) = body.value.name {
        app.apply(&caller, Change::RenameAccount { account, name: checked_person(name)? }).await?;
    }
    Ok(axum::Json(of(&app, &caller).await?))
}

/// Which invitation is accepted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    /// The token of the invitation: what follows the `#` in its link.
    #[schema(value_type = String)]
    token: Secret,
}

/// Become a member of another organization, by an invitation.
#[utoipa::path(post, operation_id = "joinOrganization", path = "/v1/account/join", tag = "Accounts", request_body = Join,
    security(("management_key" = [])),
    responses((status = 201, body = MemberView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn join(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<Join>,
) -> Result<impl IntoResponse, Problem> {
    caller.refuse_conditions()?;
    let account = caller.person()?.account();
    let lookup = TokenKind::Invitation.lookup(body.value.token.expose()).ok_or_else(no_invitation)?;
    let invitation = app.catalog.open_invitation(lookup, app.now()).await.map_err(|error| internal(&error))?;
    let organization = invitation.ok_or_else(no_invitation)?.organization;
    let member = MemberId::from_entropy(app.id()?);
    let change = Change::AcceptInvitation { lookup, member, joining: Joining::Known(account, None) };
    // It is made for the organization that is joined.
    let actor = Actor { organization, who: Who::Account(account), ..caller.actor() };
    let author = Author { actor, at: app.now(), idempotency: None };
    let made = app.feed.make(author, change, app.clock.ticks()).await;
    app.webhooks.wake();
    made.map_err(|why| match why {
        NotMade::Refused(ApplyError::NotFound("invitation")) => no_invitation(),
        why => why.into(),
    })?;
    let made = app.catalog.member(organization, member).await.map_err(|error| internal(&error))?;
    Ok((StatusCode::CREATED, axum::Json(MemberView::from(made.ok_or_else(|| not_found("member"))?))))
}
