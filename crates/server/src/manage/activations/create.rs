//! `POST /v1/activations`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::{ActivationId, ApiId, PlanId, ProjectId};
use keystile_core::permission::Permission;
use keystile_store::Change;
use keystile_store::records::Wish;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::ActivationView;
use super::{checked_note, checked_permissions};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteActivations};
use crate::manage::extract::Json;
use crate::manage::problem::not_found;
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
    /// What the project's keys are to be allowed at this API, such as `pets.read`; without it whatever each of them is.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Option<Vec<Permission>>,
    /// What for, for the API's owner to read.
    #[serde(default)]
    note: String,
    /// A plan of the API that it would like; whichever its owner gives, if nothing is said.
    #[schema(value_type = Option<String>)]
    plan_id: Option<PlanId>,
}

/// Link a project to an API. It is approved at once if the API is the caller's own, or if its `approval` is `automatic`;
/// else it is asked for.
#[utoipa::path(post, operation_id = "createActivation", path = "/v1/activations", tag = "Activations", request_body = ActivationCreate,
    security(("management_key" = [])),
    responses((status = 201, body = ActivationView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    body: Json<ActivationCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    let (project, api) = (wanted.project_id, wanted.api_id);
    let wish = Wish {
        permissions: checked_permissions(wanted.permissions)?,
        note: checked_note(wanted.note)?,
        plan: wanted.plan_id,
    };
    let id = ActivationId::from_entropy(app.id()?);
    let change = Change::CreateActivation { id, project, api, wish };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("activation"))?,
    };
    let view = ActivationView::from(app.activation(&caller, id).await?);
    Ok((StatusCode::CREATED, axum::Json(view)))
}
