//! `GET /v1/projects`

use axum::extract::State;

use keystile_store::records::ProjectFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::ProjectView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadProjects};
use crate::manage::extract::Query;
use crate::manage::list::{List, labels, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Which projects.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those of exactly this name.
    name: Option<String>,
    /// Only those with this label; several, separated by commas, for those with all of them.
    label: Option<String>,
}

/// The projects of the organization.
#[utoipa::path(get, operation_id = "listProjects", path = "/v1/projects", tag = "Projects", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<ProjectView>), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadProjects>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<ProjectView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let labels = labels(asked.label.as_deref())?;
    let filter = ProjectFilter { name: asked.name, labels };
    let rows = app.catalog.projects(caller.organization, &filter, page).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |project| project.number, ProjectView::from)))
}
