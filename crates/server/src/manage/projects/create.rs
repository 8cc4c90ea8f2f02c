//! `POST /v1/projects`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::ProjectId;
use keystile_core::key::Environment;
use keystile_core::metadata::{Labels, Metadata};
use keystile_core::pattern::PatternRef;
use keystile_store::Change;
use keystile_store::records::ProjectAbout;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::ProjectView;
use super::{checked_name, checked_patterns, checked_text};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteProjects};
use crate::manage::extract::Json;
use crate::manage::problem::not_found;
use crate::problem::Problem;

/// A project to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectCreate {
    /// Its name.
    name: String,
    /// What it does.
    #[serde(default)]
    description: String,
    /// Whom to ask about it.
    #[serde(default)]
    contact: String,
    /// `live` (if nothing is said) or `test`; it can't be changed later.
    #[schema(value_type = Option<String>)]
    environment: Option<Environment>,
    /// How many keys it may have that are not revoked; without it as many as the server lets a project have. Of the two
    /// bounds the narrower one holds.
    max_keys: Option<u32>,
    /// Patterns that all its calls must pass, by id or name.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    patterns: Vec<PatternRef>,
    /// Words that it is found by, at most 32.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    labels: Labels,
    /// An object that your programs understand, at most 4 KiB.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Metadata,
}

/// Make a project.
#[utoipa::path(post, operation_id = "createProject", path = "/v1/projects", tag = "Projects", request_body = ProjectCreate,
    security(("management_key" = [])),
    responses((status = 201, body = ProjectView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteProjects>,
    State(app): State<App>,
    body: Json<ProjectCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    let id = ProjectId::from_entropy(app.id()?);
    let about = ProjectAbout {
        name: checked_name(wanted.name)?,
        description: checked_text("description", wanted.description)?,
        contact: checked_text("contact", wanted.contact)?,
        max_keys: wanted.max_keys,
        patterns: checked_patterns(&app, &caller, &wanted.patterns).await?,
        labels: wanted.labels,
        metadata: wanted.metadata,
    };
    let environment = wanted.environment.unwrap_or(Environment::Live);
    let change = Change::CreateProject { id, about, environment };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("project"))?,
    };
    let view = ProjectView::from(app.project(&caller, id).await?);
    Ok((StatusCode::CREATED, axum::Json(view)))
}
