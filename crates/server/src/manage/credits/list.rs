//! `GET /v1/credits`

use axum::extract::State;
use keystile_core::credit::CreditKind;
use keystile_core::id::{OrganizationId, ProjectId};
use keystile_store::records::CreditFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::{CreditGrantView, shown, used};
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadCredits};
use crate::manage::extract::Query;
use crate::manage::list::{List, list as listed, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Which credits.
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
    /// Only those that all projects of this organization share.
    #[param(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// Only those of this kind: `paid`, `bonus`, `trial` or `refill`.
    #[param(value_type = Option<String>)]
    kind: Option<CreditKind>,
}

/// The credits that the organization granted or holds, newest first, and what is left of each.
#[utoipa::path(get, operation_id = "listCredits", path = "/v1/credits", tag = "Credits", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<CreditGrantView>), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadCredits>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<CreditGrantView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let filter = CreditFilter { project: asked.project_id, organization: asked.organization_id, kind: asked.kind };
    let rows = app.catalog.credit_grants(caller.organization, filter, page).await;
    let rows = rows.map_err(|error| internal(&error))?;
    let (used, now) = (used(&app, &rows).await?, app.now());
    Ok(axum::Json(listed(rows, page, |grant| grant.number, |grant| shown(grant, &used, now))))
}
