//! `/v1/activations`: which project may call which API.

mod ceilings;
mod create;
mod delete;
mod get;
mod judge;
mod list;
mod plan;
mod quotas;
mod request;
pub(super) mod view;

use keystile_core::permission::{self, Permission};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::problem::invalid;
use super::projects::checked_text;
use crate::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(judge::approve))
        .routes(routes!(judge::suspend))
        .routes(routes!(judge::refuse))
        .routes(routes!(request::request))
        .routes(routes!(plan::set_plan))
        .routes(routes!(ceilings::set_ceilings))
        .routes(routes!(quotas::quotas))
}

/// Permissions that are asked for or granted.
fn checked_permissions(permissions: Option<Vec<Permission>>) -> Result<Option<Vec<Permission>>, Problem> {
    permissions.map(permission::checked).transpose().map_err(|error| invalid(format!("{error}.")))
}

/// What a project says of its request.
fn checked_note(note: String) -> Result<String, Problem> {
    checked_text("note", note)
}
