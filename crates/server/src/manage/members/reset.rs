//! `POST /v1/members/{id}/reset_password`, `POST /v1/members/{id}/remove_factors`: for whoever forgot or lost what they log in with.

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::MemberId;
use keystile_core::key::TokenKind;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::Member;
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteMembers, WriteOrganizations};
use crate::manage::extract::{Id, Nothing};
use crate::manage::problem::{conflict, internal};
use crate::problem::Problem;

/// For how long a link to a new password is good.
const HOURS: i64 = 24;

/// A link to a new password.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordLink)]
pub(super) struct PasswordLinkView {
    /// What to add to the address of this server. What follows the `#` opens it: send it only to whom it is for. It is shown this
    /// one time.
    #[schema(example = "/password#reset_live_…")]
    path: String,
    /// Until when it can be used; it works once.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Make a link by which a member chooses a new password; a second factor stays as it is. Whoever has the link can use it, so send it
/// to the member alone. It is good as long as the member is what it is now. Prove first who you are.
#[utoipa::path(post, operation_id = "resetMemberPassword", path = "/v1/members/{id}/reset_password", tag = "Members",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 200, body = PasswordLinkView), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn reset(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    Id(id): Id<MemberId>,
    _: Nothing,
) -> Result<axum::Json<PasswordLinkView>, Problem> {
    caller.refuse_dry_run()?;
    let member = app.member(&caller, id).await?;
    may_enter(&app, &caller, &member).await?;
    let token = app.identity.token(TokenKind::Reset).map_err(|error| internal(&error))?;
    let ends_at = app.now().plus_secs(HOURS * 3_600);
    let change = Change::OfferReset { member: id, was: member.revision, lookup: token.lookup, ends_at };
    app.apply(&caller, change).await?;
    Ok(axum::Json(PasswordLinkView { path: format!("/password#{}", token.text.expose()), expires_at: ends_at }))
}

/// Refuses whoever could get more by logging in as somebody else than they have themselves.
async fn may_enter(app: &App, asker: &Asker, member: &Member) -> Result<(), Problem> {
    asker.hands_down(&member.granted)?;
    let all = app.catalog.memberships(member.account.id).await.map_err(|error| internal(&error))?;
    // Of somebody who is in others too, only those decide who decide over organizations.
    if all.len() > 1 { asker.needs::<WriteOrganizations>() } else { Ok(()) }
}

/// Take from a member who lost it all that lets them in besides a password: codes, passkeys, and what they are known by at an identity
/// provider. Their sessions end. Whoever has no password then needs a link to one. One's own are at /v1/account. Prove first who you are.
#[utoipa::path(post, operation_id = "removeMemberFactors", path = "/v1/members/{id}/remove_factors", tag = "Members",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn remove_factors(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    Id(id): Id<MemberId>,
    _: Nothing,
) -> Result<StatusCode, Problem> {
    caller.refuse_dry_run()?;
    let member = app.member(&caller, id).await?;
    may_enter(&app, &caller, &member).await?;
    if caller.session.as_ref().is_some_and(|person| person.account() == member.account.id) {
        return Err(conflict(
            "These are your own: take one away where you manage your account, so that a way in stays.",
        ));
    }
    app.apply(
        &caller,
        Change::RemoveFactors { account: member.account.id, except: None, of: Some((id, member.revision)) },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
