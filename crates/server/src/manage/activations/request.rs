//! `POST /v1/activations/{id}/request`: asking once more.

use axum::extract::State;
use keystile_core::id::{ActivationId, PlanId};
use keystile_core::permission::Permission;
use keystile_store::Change;
use keystile_store::records::Wish;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::ActivationView;
use super::{checked_note, checked_permissions};
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteActivations};
use crate::manage::extract::{Id, Json, spoken};
use crate::problem::Problem;

/// What is asked for.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActivationRequest {
    /// What the project's keys are to be allowed at this API; `null` for whatever each of them is. If nothing is said: what
    /// was asked for before.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Option<Option<Vec<Permission>>>,
    /// What for; if nothing is said, what was said before.
    note: Option<String>,
    /// A plan of the API that it would like; `null` for whichever its owner gives. If nothing is said: what was asked for
    /// before.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>)]
    plan_id: Option<Option<PlanId>>,
}

/// Ask once more for what was refused. Its owner judges, whatever the API's setting.
#[utoipa::path(post, operation_id = "requestActivation", path = "/v1/activations/{id}/request", tag = "Activations", params(("id" = String, Path)),
    request_body = ActivationRequest, security(("management_key" = [])),
    responses((status = 200, body = ActivationView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn request(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
    body: Option<Json<ActivationRequest>>,
) -> Result<axum::Json<ActivationView>, Problem> {
    let wanted = body.map(|body| body.value).unwrap_or_default();
    let activation = app.activation(&caller, id).await?;
    let wish = Wish {
        permissions: wanted.permissions.map_or(Ok(activation.wish.permissions), checked_permissions)?,
        note: wanted.note.map_or(Ok(activation.wish.note), checked_note)?,
        plan: wanted.plan_id.unwrap_or(activation.wish.plan),
    };
    app.apply(&caller, Change::RequestActivation { id, was: activation.revision, wish }).await?;
    Ok(axum::Json(ActivationView::from(app.activation(&caller, id).await?)))
}
