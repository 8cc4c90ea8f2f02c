//! `GET /v1/members`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::MemberView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadMembers};
use crate::manage::extract::Query;
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Which members.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only the one with this e-mail address.
    email: Option<String>,
}

/// The members of the organization.
#[utoipa::path(get, operation_id = "listMembers", path = "/v1/members", tag = "Members", params(Asked),
    security(("management_key" = [])), responses((status = 200, body = List<MemberView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadMembers>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<MemberView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.members(caller.organization, asked.email.as_deref(), page).await;
    let rows = rows.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |member| member.number, MemberView::from)))
}
