//! `GET /v1/apis`

use axum::extract::State;

use super::view::ApiView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadApis};
use crate::manage::extract::Query;
use crate::manage::list::{List, Named, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// The APIs of the organization.
#[utoipa::path(get, operation_id = "listApis", path = "/v1/apis", tag = "APIs", params(Named), security(("management_key" = [])),
    responses((status = 200, body = List<ApiView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadApis>,
    State(app): State<App>,
    Query(asked): Query<Named>,
) -> Result<axum::Json<List<ApiView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows =
        app.catalog.apis(caller.organization, asked.name.as_deref(), page).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |api| api.number, ApiView::from)))
}
