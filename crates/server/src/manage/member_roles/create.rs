//! `POST /v1/member_roles`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::MemberRoleId;
use keystile_core::member::MemberRoleName;
use keystile_core::permission::Permission;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::MemberRoleView;
use super::{checked, refuse_built_in};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteMembers};
use crate::manage::extract::Json;
use crate::manage::problem::not_found;
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// A role to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberRoleCreate {
    /// Its name, a word that no other role of members has.
    #[schema(value_type = String, example = "night-shift")]
    name: MemberRoleName,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// What members that have it may do at this API, such as `keys.read` or `keys.*`: nothing that you lack yourself.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Vec<Permission>,
}

/// Make a role for members.
#[utoipa::path(post, operation_id = "createMemberRole", path = "/v1/member_roles", tag = "Members",
    request_body = MemberRoleCreate, security(("management_key" = [])),
    responses((status = 201, body = MemberRoleView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteMembers>,
    State(app): State<App>,
    body: Json<MemberRoleCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    refuse_built_in(wanted.name.as_str())?;
    let id = MemberRoleId::from_entropy(app.id()?);
    let change = Change::CreateMemberRole {
        id,
        name: wanted.name,
        description: checked_text("description", wanted.description)?,
        permissions: checked(&caller, wanted.permissions)?,
    };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("member role"))?,
    };
    Ok((StatusCode::CREATED, axum::Json(MemberRoleView::from(app.member_role(&caller, id).await?))))
}
