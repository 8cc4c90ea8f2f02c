//! `GET` and `DELETE /v1/privacy/members/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::MemberId;
use keystile_store::Change;
use keystile_store::records::Page;
use serde::Serialize;
use utoipa::ToSchema;

use super::{entries_about, refuse_trial, wiped};
use crate::manage::app::App;
use crate::manage::audit::EntryView;
use crate::manage::caller::{Caller, ReadPrivacy, WritePrivacy};
use crate::manage::extract::Id;
use crate::manage::members::view::MemberView;
use crate::manage::problem::{conflict, internal};
use crate::manage::sessions::view::SessionView;
use crate::problem::Problem;

/// Sessions of an account are fewer.
const SESSIONS: Page = Page { before: None, limit: 200 };

/// All that an organization keeps about a member.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberExport)]
pub(super) struct MemberExportView {
    /// The member.
    member: MemberView,
    /// The sessions here that last.
    sessions: Vec<SessionView>,
    /// What the person did here.
    audit_entries: Vec<EntryView>,
}

/// All that this organization keeps about a member: who it is, their sessions here, and what they did. Prove first who you are.
#[utoipa::path(get, operation_id = "exportMember", path = "/v1/privacy/members/{id}", tag = "Privacy", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = MemberExportView), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn export(
    caller: Caller<ReadPrivacy>,
    State(app): State<App>,
    Id(id): Id<MemberId>,
) -> Result<axum::Json<MemberExportView>, Problem> {
    let member = app.member(&caller, id).await?;
    app.apply(&caller, Change::Note { action: "member.export", subject: id.to_string(), made: None }).await?;
    let (account, limits) = (member.account.id, &app.identity.limits);
    let sessions = app.catalog.sessions_of(account, (limits, app.now()), SESSIONS).await;
    let sessions = sessions.map_err(|error| internal(&error))?;
    let here = sessions.into_iter().filter(|session| session.organization == caller.organization);
    let audit_entries =
        entries_about(&app.catalog, caller.organization, account).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(MemberExportView {
        sessions: here.map(|session| SessionView::of(session, limits, None)).collect(),
        member: member.into(),
        audit_entries,
    }))
}

/// Take a member away and erase the account, for ever: address, name, password, passkeys, sessions, and from where the person did what. Their id stays
/// in the audit. Whoever is a member of another organization too is not erased (409). Prove first who you are.
#[utoipa::path(delete, operation_id = "eraseMember", path = "/v1/privacy/members/{id}", tag = "Privacy",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn erase(
    caller: Caller<WritePrivacy>,
    State(app): State<App>,
    Id(id): Id<MemberId>,
) -> Result<StatusCode, Problem> {
    refuse_trial(&caller)?;
    // Whoever was taken away before has no rights that could be beyond anybody's reach.
    let member = app.catalog.member(caller.organization, id).await.map_err(|error| internal(&error))?;
    if let Some(member) = &member {
        caller.reaches(&member.granted)?;
        if caller.session.as_ref().is_some_and(|person| person.account() == member.account.id) {
            return Err(conflict("This is yourself: have somebody else erase you, so that it is noted who did it."));
        }
    }
    let was = member.map_or(0, |member| member.revision);
    app.apply(&caller, Change::EraseMember { id, was }).await?;
    wiped(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}
