//! `/v1/roles`: permissions under a name, which keys have by naming it.

mod create;
mod delete;
mod get;
mod list;
mod update;
mod view;

use keystile_core::id::RoleId;
use keystile_core::permission::{self, Permission};
use keystile_core::role::{MAX_ROLES, RoleRef};
use keystile_store::records::Role;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Asker;
use super::problem::{internal, invalid, not_found};
use crate::problem::Problem;

/// Most that one request names: a few more than one key has, so that whoever says one twice is told what is wrong.
const MAX_NAMED: usize = 4 * MAX_ROLES;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create::create, list::list)).routes(routes!(
        get::get,
        update::update,
        delete::delete
    ))
}

/// The ids of the asker's roles that are meant.
pub(super) async fn ids_of(app: &App, asker: &Asker, wanted: &[RoleRef]) -> Result<Vec<RoleId>, Problem> {
    // Before each of them is looked up.
    if wanted.len() > MAX_NAMED {
        return Err(invalid(format!(
            "roles names at most {MAX_NAMED}; some stand there several times, or it is too many."
        )));
    }
    let mut ids = Vec::with_capacity(wanted.len());
    for one in wanted {
        let found: Option<Role> = match one {
            RoleRef::Id(id) => app.catalog.role(asker.organization, *id).await,
            RoleRef::Name(name) => app.catalog.role_named(asker.organization, name).await,
        }
        .map_err(|error| internal(&error))?;
        let because = || not_found("role").because(format!("There is no role {one}; GET /v1/roles lists them."));
        ids.push(found.ok_or_else(because)?.id);
    }
    Ok(ids)
}

/// Permissions that a role may grant.
fn checked(permissions: Vec<Permission>) -> Result<Vec<Permission>, Problem> {
    permission::checked(permissions).map_err(|error| invalid(format!("{error}.")))
}
