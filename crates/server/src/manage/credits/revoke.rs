//! `POST /v1/credits/{id}/revoke`

use axum::extract::State;
use keystile_core::id::CreditGrantId;
use keystile_store::Change;

use super::view::{CreditGrantView, view};
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteCredits};
use crate::manage::extract::{Id, Json};
use crate::manage::problem::not_found;
use crate::manage::reason::{Reason, reason};
use crate::problem::Problem;

/// Take back what is left of a grant; a reason takes the place of its note. What was spent stays spent.
#[utoipa::path(post, operation_id = "revokeCredits", path = "/v1/credits/{id}/revoke", tag = "Credits", params(("id" = String, Path)),
    request_body = Reason, security(("management_key" = [])),
    responses((status = 200, body = CreditGrantView), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn revoke(
    caller: Caller<WriteCredits>,
    State(app): State<App>,
    Id(id): Id<CreditGrantId>,
    body: Option<Json<Reason>>,
) -> Result<axum::Json<CreditGrantView>, Problem> {
    let grant = app.credit_grant(&caller, id).await?;
    if grant.organization != caller.organization {
        return Err(not_found("credit grant"));
    }
    let reason = reason(body)?;
    app.apply(&caller, Change::RevokeCredits { id, was: grant.revision, reason }).await?;
    let grant = app.credit_grant(&caller, id).await?;
    Ok(axum::Json(view(&app, grant).await?))
}
