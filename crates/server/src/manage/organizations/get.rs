//! `GET /v1/organizations/{id}`

use axum::extract::State;
use keystile_core::id::OrganizationId;

use super::view::OrganizationView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadOrganizations};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// An organization.
#[utoipa::path(get, operation_id = "getOrganization", path = "/v1/organizations/{id}", tag = "Organizations",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 200, body = OrganizationView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadOrganizations>,
    State(app): State<App>,
    Id(id): Id<OrganizationId>,
) -> Result<axum::Json<OrganizationView>, Problem> {
    Ok(axum::Json(OrganizationView::from(app.organization(&caller, id).await?)))
}
