//! `PATCH /v1/member_roles/{id}`

use axum::extract::State;
use keystile_core::id::MemberRoleId;
use keystile_core::member::MemberRoleName;
use keystile_core::permission::Permission;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::MemberRoleView;
use super::{checked, refuse_built_in};
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteMembers};
use crate::manage::extract::{Id, Json, said};
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// What is to change of a role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberRoleUpdate {
    /// Its name. Members that have it keep it.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    name: Option<MemberRoleName>,
    /// What it is for.
    #[serde(default, deserialize_with = "said")]
    description: Option<String>,
    /// What members that have it may do; the whole list. It holds for all of them from the next request on.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Option<Vec<Permission>>,
}

/// Change a role of members, and with it what they may do: from nothing that you lack yourself to nothing that you lack.
#[utoipa::path(patch, operation_id = "updateMemberRole", path = "/v1/member_roles/{id}", tag = "Members",
    params(("id" = String, Path)), request_body = MemberRoleUpdate, security(("management_key" = [])),
    responses((status = 200, body = MemberRoleView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    Id(id): Id<MemberRoleId>,
    body: Json<MemberRoleUpdate>,
) -> Result<axum::Json<MemberRoleView>, Problem> {
    let role = app.member_role(&caller, id).await?;
    caller.hands_down(&role.permissions)?;
    let wanted = body.value;
    if let Some(name) = &wanted.name {
        refuse_built_in(name.as_str())?;
    }
    let change = Change::UpdateMemberRole {
        id,
        was: role.revision,
        name: wanted.name.unwrap_or(role.name),
        description: wanted.description.map_or(Ok(role.description), |text| checked_text("description", text))?,
        permissions: wanted.permissions.map_or(Ok(role.permissions), |list| checked(&caller, list))?,
    };
    app.apply(&caller, change).await?;
    Ok(axum::Json(MemberRoleView::from(app.member_role(&caller, id).await?)))
}
