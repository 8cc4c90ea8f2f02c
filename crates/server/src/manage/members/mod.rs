//! `/v1/members`: the people of an organization and what they may do. Nobody gives or takes more than they have themselves.

mod delete;
mod get;
mod list;
mod reset;
mod update;
pub(super) mod view;

use keystile_core::member::{MemberRole, MemberRoleRef};
use keystile_core::name::Ref;
use keystile_core::permission::Permission;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Asker;
use super::problem::{internal, not_found};
use crate::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(reset::reset))
        .routes(routes!(reset::remove_factors))
}

/// The role that is meant, with what it grants, of the asker's organization.
pub(super) async fn role_of(
    app: &App,
    asker: &Asker,
    wanted: &MemberRoleRef,
) -> Result<(MemberRole, Vec<Permission>), Problem> {
    let own = match wanted {
        MemberRoleRef::BuiltIn(role) => return Ok((MemberRole::BuiltIn(*role), role.permissions())),
        MemberRoleRef::Custom(Ref::Id(id)) => app.catalog.member_role(asker.organization, *id).await,
        MemberRoleRef::Custom(Ref::Name(name)) => app.catalog.member_role_named(asker.organization, name).await,
    };
    let because = || {
        not_found("member role").because(format!(
            "There is no role {wanted}; GET /v1/permissions lists those that are built in, GET /v1/member_roles your own."
        ))
    };
    let role = own.map_err(|error| internal(&error))?.ok_or_else(because)?;
    Ok((MemberRole::Custom(role.id), role.permissions))
}
