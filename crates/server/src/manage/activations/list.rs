//! `GET /v1/activations`

use axum::extract::State;
use keystile_core::decide::ActivationState;
use keystile_core::id::{ApiId, ProjectId};
use keystile_store::records::ActivationFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::ActivationView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadActivations};
use crate::manage::extract::Query;
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Which activations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those of this project.
    #[param(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Only those of this API.
    #[param(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// Only those that have come so far.
    #[param(value_type = Option<String>)]
    state: Option<ActivationState>,
}

/// The activations of the organization's projects and of its APIs.
#[utoipa::path(get, operation_id = "listActivations", path = "/v1/activations", tag = "Activations", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<ActivationView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadActivations>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<ActivationView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let filter = ActivationFilter { project: asked.project_id, api: asked.api_id, state: asked.state, ever: false };
    let rows = app.catalog.activations(caller.organization, filter, page).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |activation| activation.number, ActivationView::from)))
}
