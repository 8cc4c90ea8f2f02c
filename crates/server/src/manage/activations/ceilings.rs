//! `PUT /v1/activations/{id}/ceilings`: what a project's own people allow it at most (PRODUCT.md K27).

use axum::extract::State;
use keystile_core::id::ActivationId;
use keystile_core::plan::Quota;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::ActivationView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteActivations};
use crate::manage::extract::{Id, Json, said};
use crate::manage::plans::view::QuotaShape;
use crate::manage::problem::invalid;
use crate::problem::Problem;

/// What the project's own people allow it at most.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActivationCeilings {
    /// All of them; an empty list for none.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Vec<QuotaShape>)]
    ceilings: Option<Vec<Quota>>,
}

/// Say what your project may use at most, against charges that nobody expects. Only the project's own organization may, and
/// the plan goes on counting.
#[utoipa::path(put, operation_id = "setActivationCeilings", path = "/v1/activations/{id}/ceilings", tag = "Activations",
    params(("id" = String, Path)), request_body = ActivationCeilings, security(("management_key" = [])),
    responses((status = 200, body = ActivationView), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn set_ceilings(
    caller: Caller<WriteActivations>,
    State(app): State<App>,
    Id(id): Id<ActivationId>,
    body: Json<ActivationCeilings>,
) -> Result<axum::Json<ActivationView>, Problem> {
    let was = app.activation(&caller, id).await?.revision;
    let ceilings = body.value.ceilings.ok_or_else(|| invalid("Say ceilings; an empty list takes them away."))?;
    Quota::check_together(&ceilings).map_err(|error| invalid(format!("ceilings: {error}.")))?;
    app.apply(&caller, Change::SetCeilings { id, was, ceilings }).await?;
    Ok(axum::Json(ActivationView::from(app.activation(&caller, id).await?)))
}
