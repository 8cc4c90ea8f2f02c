//! `POST /v1/projects/{id}/suspend` and `/resume`

use axum::extract::State;
use keystile_core::id::ProjectId;
use keystile_store::Change;
use keystile_store::records::Suspension;

use super::view::ProjectView;
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteProjects};
use crate::manage::extract::{Id, Json, Nothing};
use crate::manage::reason::{Reason, reason};
use crate::problem::Problem;

/// Refuse every call with a key of the project, at every API, with `suspended`. Not that of your own management key.
#[utoipa::path(post, operation_id = "suspendProject", path = "/v1/projects/{id}/suspend", tag = "Projects", params(("id" = String, Path)),
    request_body = Reason, security(("management_key" = [])),
    responses((status = 200, body = ProjectView), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn suspend(
    caller: Caller<WriteProjects>,
    State(app): State<App>,
    Id(id): Id<ProjectId>,
    body: Option<Json<Reason>>,
) -> Result<axum::Json<ProjectView>, Problem> {
    let suspension = Suspension { since: app.now(), reason: reason(body)? };
    switch(&caller, &app, id, Some(suspension)).await
}

/// Let a suspended project go on.
#[utoipa::path(post, operation_id = "resumeProject", path = "/v1/projects/{id}/resume", tag = "Projects", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = ProjectView), (status = 401), (status = 404)))]
pub(super) async fn resume(
    caller: Caller<WriteProjects>,
    State(app): State<App>,
    Id(id): Id<ProjectId>,
    _: Nothing,
) -> Result<axum::Json<ProjectView>, Problem> {
    switch(&caller, &app, id, None).await
}

async fn switch(
    asker: &Asker,
    app: &App,
    id: ProjectId,
    suspension: Option<Suspension>,
) -> Result<axum::Json<ProjectView>, Problem> {
    let project = app.project(asker, id).await?;
    app.apply(asker, Change::SuspendProject { id, was: project.revision, suspension }).await?;
    Ok(axum::Json(ProjectView::from(app.project(asker, id).await?)))
}
