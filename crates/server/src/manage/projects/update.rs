//! `PATCH /v1/projects/{id}`

use axum::extract::State;
use keystile_core::id::ProjectId;
use keystile_core::metadata::{Labels, Metadata};
use keystile_core::pattern::PatternRef;
use keystile_store::Change;
use keystile_store::records::ProjectAbout;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::ProjectView;
use super::{checked_name, checked_patterns, checked_text};
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteProjects};
use crate::manage::extract::{Id, Json, said, spoken};
use crate::problem::Problem;

/// What is to change of a project.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectUpdate {
    /// Its name.
    #[serde(default, deserialize_with = "said")]
    name: Option<String>,
    /// What it does.
    #[serde(default, deserialize_with = "said")]
    description: Option<String>,
    /// Whom to ask about it.
    #[serde(default, deserialize_with = "said")]
    contact: Option<String>,
    /// How many keys it may have that are not revoked; `null` for as many as the server lets a project have.
    #[serde(default, deserialize_with = "spoken")]
    max_keys: Option<Option<u32>>,
    /// Patterns that all its calls must pass, by id or name; all of them.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    patterns: Option<Vec<PatternRef>>,
    /// Words that it is found by, all of them.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    labels: Option<Labels>,
    /// An object that your programs understand, all of it.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
}

/// Change a project. Fields that are not said stay as they are.
#[utoipa::path(patch, operation_id = "updateProject", path = "/v1/projects/{id}", tag = "Projects", params(("id" = String, Path)),
    request_body = ProjectUpdate, security(("management_key" = [])),
    responses((status = 200, body = ProjectView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WriteProjects>,
    State(app): State<App>,
    Id(id): Id<ProjectId>,
    body: Json<ProjectUpdate>,
) -> Result<axum::Json<ProjectView>, Problem> {
    let project = app.project(&caller, id).await?;
    let wanted = body.value;
    let about = ProjectAbout {
        name: wanted.name.map_or(Ok(project.name), checked_name)?,
        description: wanted.description.map_or(Ok(project.description), |text| checked_text("description", text))?,
        contact: wanted.contact.map_or(Ok(project.contact), |text| checked_text("contact", text))?,
        max_keys: wanted.max_keys.unwrap_or(project.max_keys),
        patterns: match wanted.patterns {
            Some(named) => checked_patterns(&app, &caller, &named).await?,
            None => project.patterns,
        },
        labels: wanted.labels.unwrap_or(project.labels),
        metadata: wanted.metadata.unwrap_or(project.metadata),
    };
    app.apply(&caller, Change::UpdateProject { id, was: project.revision, about }).await?;
    Ok(axum::Json(ProjectView::from(app.project(&caller, id).await?)))
}
