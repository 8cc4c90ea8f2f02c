//! `GET /v1/plans`

use axum::extract::State;
use keystile_core::id::ApiId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::PlanView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadPlans};
use crate::manage::extract::Query;
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Which plans.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those of this API.
    #[param(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// Only those of this name.
    name: Option<String>,
}

/// The plans of the organization's APIs, newest first.
#[utoipa::path(get, operation_id = "listPlans", path = "/v1/plans", tag = "Plans", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<PlanView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadPlans>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<PlanView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.plans(caller.organization, asked.api_id, asked.name.as_deref(), page).await;
    let now = app.now();
    let rows = rows.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |plan| plan.number, |plan| PlanView::new(plan, now))))
}
