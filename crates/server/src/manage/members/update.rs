//! `PATCH /v1/members/{id}`

use axum::extract::State;
use keystile_core::id::MemberId;
use keystile_core::member::MemberRoleRef;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::role_of;
use super::view::MemberView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteMembers};
use crate::manage::extract::{Id, Json, said};
use crate::manage::problem::conflict;
use crate::problem::Problem;

/// What is to change of a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberUpdate {
    /// The role: the word of one that is built in, or the name or id of one of your own.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, example = "developer")]
    role: Option<MemberRoleRef>,
}

/// Give a member another role, with nothing in it that you lack yourself. It holds from the member's next request on, and the
/// invitations that the member made are taken back. Prove first who you are.
#[utoipa::path(patch, operation_id = "updateMember", path = "/v1/members/{id}", tag = "Members", params(("id" = String, Path)),
    request_body = MemberUpdate, security(("management_key" = [])),
    responses((status = 200, body = MemberView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    Id(id): Id<MemberId>,
    body: Json<MemberUpdate>,
) -> Result<axum::Json<MemberView>, Problem> {
    let member = app.member(&caller, id).await?;
    caller.reaches(&member.granted)?;
    let role = match &body.value.role {
        None => member.role,
        Some(wanted) => {
            let (role, granted) = role_of(&app, &caller, wanted).await?;
            caller.hands_down(&granted)?;
            role
        }
    };
    let own = app.organization(&caller, caller.organization).await?;
    if let keystile_core::member::MemberRole::BuiltIn(role) = role
        && role.kind() != own.kind
    {
        return Err(conflict(format!(
            "An organization of the kind {} has no role {role}; GET /v1/permissions lists those of each kind.",
            own.kind
        )));
    }
    app.apply(&caller, Change::UpdateMember { id, was: member.revision, role }).await?;
    Ok(axum::Json(MemberView::from(app.member(&caller, id).await?)))
}
