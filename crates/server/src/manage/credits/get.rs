//! `GET /v1/credits/{id}`

use axum::extract::State;
use keystile_core::id::CreditGrantId;

use super::view::{CreditGrantView, view};
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadCredits};
use crate::manage::extract::Id;
use crate::manage::problem::{internal, not_found};
use crate::problem::Problem;

/// Credits that the organization granted or holds, and what is left of them.
#[utoipa::path(get, operation_id = "getCredits", path = "/v1/credits/{id}", tag = "Credits", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = CreditGrantView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadCredits>,
    State(app): State<App>,
    Id(id): Id<CreditGrantId>,
) -> Result<axum::Json<CreditGrantView>, Problem> {
    // It is not noted for a condition: what is left of it changes with every call.
    let grant = app.catalog.credit_grant(caller.organization, id).await.map_err(|error| internal(&error))?;
    let grant = grant.ok_or_else(|| not_found("credit grant"))?;
    Ok(axum::Json(view(&app, grant).await?))
}
