//! `POST /v1/activations/{id}/approve`, `/suspend` and `/refuse`: what the API's owner says.

use axum::extract::State;
use keystile_core::decide::ActivationState;
use keystile_core::id::ActivationId;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::ActivationView;
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteActivations};
use crate::manage::extract::{Id, Json, Nothing};
use crate::manage::problem::invalid;
use crate::problem::Problem;

/// Longest reason.
const MAX_REASON_CHARS: usize = 500;

/// Why.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// What the project's people are told.
    #[serde(default)]
    reason: String,
}

/// Let the project call the API.
#[utoipa::path(post, operation_id = "approveActivation", path = "/v1/activations/{id}/approve", tag = "Activations", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = ActivationView), (status = 401), (status = 404)))]
pub(super) async fn approve(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
    _: Nothing,
) -> Result<axum::Json<ActivationView>, Problem> {
    judge(&caller, &app, id, ActivationState::Approved, String::new()).await
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
    judge(&caller, &app, id, ActivationState::Suspended, reason(body)).await
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
    judge(&caller, &app, id, ActivationState::Refused, reason(body)).await
}

fn reason(body: Option<Json<Reason>>) -> String {
    body.map(|body| body.value.reason).unwrap_or_default()
}

async fn judge(
    asker: &Asker,
    app: &App,
    id: ActivationId,
    state: ActivationState,
    reason: String,
) -> Result<axum::Json<ActivationView>, Problem> {
    if reason.chars().count() > MAX_REASON_CHARS || reason.chars().any(char::is_control) {
        return Err(invalid(format!("reason is one line of at most {MAX_REASON_CHARS} characters.")));
    }
    let activation = app.activation(asker, id).await?;
    app.apply(asker, Change::UpdateActivation { id, was: activation.revision, state, reason }).await?;
    Ok(axum::Json(ActivationView::from(app.activation(asker, id).await?)))
}
