//! `PATCH /v1/organizations/{id}`

use axum::extract::State;
use keystile_core::id::OrganizationId;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::OrganizationView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteOrganizations};
use crate::manage::extract::{Id, Json, said};
use crate::manage::projects::checked_name;
use crate::problem::Problem;

/// What is to change of an organization.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrganizationUpdate {
    /// Its name.
    #[serde(default, deserialize_with = "said")]
    name: Option<String>,
}

/// Give an organization another name.
#[utoipa::path(patch, operation_id = "updateOrganization", path = "/v1/organizations/{id}", tag = "Organizations",
    params(("id" = String, Path)), request_body = OrganizationUpdate, security(("management_key" = [])),
    responses((status = 200, body = OrganizationView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WriteOrganizations>,
    State(app): State<App>,
    Id(id): Id<OrganizationId>,
    body: Json<OrganizationUpdate>,
) -> Result<axum::Json<OrganizationView>, Problem> {
    let one = app.organization(&caller, id).await?;
    let name = body.value.name.map_or(Ok(one.name), checked_name)?;
    app.apply(&caller, Change::UpdateOrganization { id, was: one.revision, name }).await?;
    Ok(axum::Json(OrganizationView::from(app.organization(&caller, id).await?)))
}
