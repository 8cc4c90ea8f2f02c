//! `POST /v1/activations`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, ProjectId};
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::ActivationView;
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteActivations};
use crate::manage::extract::Json;
use crate::manage::problem::{internal, not_found};
use crate::problem::Problem;

/// A link to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActivationCreate {
    /// The project that wants to call.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// The API to be called.
    #[schema(value_type = String)]
    api_id: ApiId,
}

/// Link a project to an API. It is approved at once if the API is the caller's own, else asked for.
#[utoipa::path(post, operation_id = "createActivation", path = "/v1/activations", tag = "Activations", request_body = ActivationCreate,
    security(("management_key" = [])),
    responses((status = 201, body = ActivationView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    body: Json<ActivationCreate>,
) -> Result<impl IntoResponse, Problem> {
    let (project, api) = (body.value.project_id, body.value.api_id);
    let own = app.catalog.api(caller.organization, api).await.map_err(|error| internal(&error))?;
    let state = if own.is_some() { ActivationState::Approved } else { ActivationState::Requested };
    let id = ActivationId::from_entropy(app.id()?);
    let change = Change::CreateActivation { id, project, api, state, reason: String::new() };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("activation"))?,
    };
    let view = ActivationView::from(app.activation(&caller, id).await?);
    Ok((StatusCode::CREATED, axum::Json(view)))
}
