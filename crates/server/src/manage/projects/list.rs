//! `GET /v1/projects`

use axum::extract::State;

use super::view::ProjectView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadProjects};
use crate::manage::extract::Query;
use crate::manage::list::{List, Named, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// The projects of the organization.
#[utoipa::path(get, operation_id = "listProjects", path = "/v1/projects", tag = "Projects", params(Named), security(("management_key" = [])),
    responses((status = 200, body = List<ProjectView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadProjects>,
    State(app): State<App>,
    Query(asked): Query<Named>,
) -> Result<axum::Json<List<ProjectView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app
        .catalog
        .projects(caller.organization, asked.name.as_deref(), page)
        .await
        .map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |project| project.number, ProjectView::from)))
}
