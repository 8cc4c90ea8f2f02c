//! `/v1/member_roles`: roles that an organization makes for its members, out of the rights at this API. Those that are built in
//! are listed at `/v1/permissions`.

mod create;
mod delete;
mod get;
mod list;
mod update;
mod view;

use keystile_core::member::BuiltInRole;
use keystile_core::permission::{self, Permission};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Asker;
use super::problem::{conflict, invalid};
use crate::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create::create, list::list)).routes(routes!(
        get::get,
        update::update,
        delete::delete
    ))
}

/// Permissions that a role may grant: no more than whoever makes it has.
fn checked(asker: &Asker, permissions: Vec<Permission>) -> Result<Vec<Permission>, Problem> {
    let permissions = permission::checked(permissions).map_err(|error| invalid(format!("{error}.")))?;
    asker.hands_down(&permissions)?;
    Ok(permissions)
}

/// Refuses a name by which a built-in role is meant.
fn refuse_built_in(name: &str) -> Result<(), Problem> {
    if name.to_lowercase().parse::<BuiltInRole>().is_ok() {
        return Err(conflict(format!("{name} is a role that every organization has; take another name.")));
    }
    Ok(())
}
