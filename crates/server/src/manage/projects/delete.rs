//! `DELETE /v1/projects/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::ProjectId;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteProjects};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Delete a project, with its keys and activations.
#[utoipa::path(delete, operation_id = "deleteProject", path = "/v1/projects/{id}", tag = "Projects", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: Caller<WriteProjects>,
    State(app): State<App>,
    Id(id): Id<ProjectId>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::DeleteProject { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
