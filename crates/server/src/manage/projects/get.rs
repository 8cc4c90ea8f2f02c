//! `GET /v1/projects/{id}`

use axum::extract::State;
use keystile_core::id::ProjectId;

use super::view::ProjectView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadProjects};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// A project.
#[utoipa::path(get, operation_id = "getProject", path = "/v1/projects/{id}", tag = "Projects", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = ProjectView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadProjects>,
    State(app): State<App>,
    Id(id): Id<ProjectId>,
) -> Result<axum::Json<ProjectView>, Problem> {
    Ok(axum::Json(ProjectView::from(app.project(&caller, id).await?)))
}
