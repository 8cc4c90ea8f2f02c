//! `GET /v1/requests/{id}`

use axum::extract::State;
use keystile_core::id::RequestId;
use keystile_store::KeptRequest;

use super::view::{RequestView, Viewer};
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, ReadRequests};
use crate::manage::extract::Id;
use crate::manage::problem::{internal, not_found};
use crate::problem::Problem;

/// A call of the request log by its id: one that is counted for the organization, or one of a project of its own.
#[utoipa::path(get, operation_id = "getRequest", path = "/v1/requests/{id}", tag = "Requests", params(("id" = String, Path)),
    security(("management_key" = [])),
    responses((status = 200, body = RequestView), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn show(
    caller: Caller<ReadRequests>,
    State(app): State<App>,
    Id(id): Id<RequestId>,
) -> Result<axum::Json<RequestView>, Problem> {
    // What can't be written at the moment can be searched all the same.
    let _ = app.requests.flush().await;
    let call = app.ledger.request(id).await.map_err(|error| internal(&error))?;
    let call = call.ok_or_else(unknown)?;
    if !is_visible(&app, &caller, &call).await? {
        return Err(unknown());
    }
    let shown = Viewer::new(&app, caller.owner).views(vec![call]).await.map_err(|error| internal(&error))?;
    shown.into_iter().next().map(axum::Json).ok_or_else(unknown)
}

fn unknown() -> Problem {
    not_found("request in the log")
}

/// Whether the asker sees this call: one that is counted for them, or one of a project of theirs.
pub(super) async fn is_visible(app: &App, asker: &Asker, call: &KeptRequest) -> Result<bool, Problem> {
    if call.request.organization == asker.owner {
        return Ok(true);
    }
    let ids = app.catalog.project_ids(&[call.request.project]).await.map_err(|error| internal(&error))?;
    let Some(project) = ids.get(&call.request.project) else { return Ok(false) };
    let own = app.catalog.project_number(asker.organization, *project).await.map_err(|error| internal(&error))?;
    Ok(own.is_some())
}
