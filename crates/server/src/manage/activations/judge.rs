//! `POST /v1/activations/{id}/approve`, `/suspend` and `/refuse`: what the API's owner says.

use axum::extract::State;
use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, PlanId};
use keystile_core::permission::Permission;
use keystile_store::Change;
use keystile_store::records::Activation;
use serde::Deserialize;
use utoipa::ToSchema;

use super::checked_permissions;
use super::view::ActivationView;
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteActivations};
use crate::manage::extract::{Id, Json, spoken};
use crate::manage::reason::{Reason, checked, reason};
use crate::problem::Problem;

/// What is granted, and why.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    /// What keys of the project may do at this API at most, besides what each of them may; `null` bounds nothing. If
    /// nothing is said: what was asked for, or, of a suspended or approved activation, what was granted before.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Option<Option<Vec<Permission>>>,
    /// The plan that it gets; `null` for none. If nothing is said: the one that it has; of a request, the plan that was asked
    /// for, or else the API's standard one.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>)]
    plan_id: Option<Option<PlanId>>,
    /// What the project's people are told.
    #[serde(default)]
    reason: String,
}

/// Let the project call the API.
#[utoipa::path(post, operation_id = "approveActivation", path = "/v1/activations/{id}/approve", tag = "Activations", params(("id" = String, Path)),
    request_body = Grant, security(("management_key" = [])),
    responses((status = 200, body = ActivationView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn approve(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
    body: Option<Json<Grant>>,
) -> Result<axum::Json<ActivationView>, Problem> {
    let grant = body.map(|body| body.value).unwrap_or_default();
    let activation = app.activation(&caller, id).await?;
    let granted = match (grant.permissions, activation.state) {
        (Some(permissions), _) => checked_permissions(permissions)?,
        (None, ActivationState::Requested | ActivationState::Refused) => activation.wish.permissions.clone(),
        (None, ActivationState::Approved | ActivationState::Suspended) => activation.granted.clone(),
    };
    let reason = checked(grant.reason)?;
    let said = Said { reason, granted, plan: grant.plan_id };
    judge(&caller, &app, activation, ActivationState::Approved, said).await
}

/// Take the project's access back for now: its calls are refused with `suspended`.
#[utoipa::path(post, operation_id = "suspendActivation", path = "/v1/activations/{id}/suspend", tag = "Activations", params(("id" = String, Path)),
    request_body = Reason, security(("management_key" = [])),
    responses((status = 200, body = ActivationView), (status = 401), (status = 404)))]
pub(super) async fn suspend(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
    body: Option<Json<Reason>>,
) -> Result<axum::Json<ActivationView>, Problem> {
    let reason = reason(body)?;
    let activation = app.activation(&caller, id).await?;
    // It is kept for when the project may go on.
    let granted = activation.granted.clone();
    judge(&caller, &app, activation, ActivationState::Suspended, Said { reason, granted, plan: None }).await
}

/// Do not let the project call the API.
#[utoipa::path(post, operation_id = "refuseActivation", path = "/v1/activations/{id}/refuse", tag = "Activations", params(("id" = String, Path)),
    request_body = Reason, security(("management_key" = [])),
    responses((status = 200, body = ActivationView), (status = 401), (status = 404)))]
pub(super) async fn refuse(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
    body: Option<Json<Reason>>,
) -> Result<axum::Json<ActivationView>, Problem> {
    let reason = reason(body)?;
    let activation = app.activation(&caller, id).await?;
    judge(&caller, &app, activation, ActivationState::Refused, Said { reason, granted: None, plan: None }).await
}

/// What is said with a judgement.
struct Said {
    reason: String,
    granted: Option<Vec<Permission>>,
    plan: Option<Option<PlanId>>,
}

async fn judge(
    asker: &Asker,
    app: &App,
    activation: Activation,
    state: ActivationState,
    said: Said,
) -> Result<axum::Json<ActivationView>, Problem> {
    let (id, was) = (activation.id, activation.revision);
    let Said { reason, granted, plan } = said;
    app.apply(asker, Change::UpdateActivation { id, was, state, reason, granted, plan }).await?;
    Ok(axum::Json(ActivationView::from(app.activation(asker, id).await?)))
}
