//! `GET /v1/organizations`

use axum::extract::State;

use super::view::OrganizationView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadOrganizations};
use crate::manage::extract::Query;
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::internal;
use crate::manage::sessions::view::Paged;
use crate::problem::Problem;

/// Your organization; all of them, if yours runs the installation.
#[utoipa::path(get, operation_id = "listOrganizations", path = "/v1/organizations", tag = "Organizations", params(Paged),
    security(("management_key" = [])),
    responses((status = 200, body = List<OrganizationView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadOrganizations>,
    State(app): State<App>,
    Query(asked): Query<Paged>,
) -> Result<axum::Json<List<OrganizationView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.organizations_seen_by(caller.organization, page).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |one| one.number, OrganizationView::from)))
}
