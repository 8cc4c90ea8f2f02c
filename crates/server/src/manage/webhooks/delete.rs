//! `DELETE /v1/webhooks/{id}`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::WebhookId;
use keystile_store::Change;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteWebhooks};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// Delete a webhook. What it has not sent yet is not sent.
#[utoipa::path(delete, operation_id = "deleteWebhook", path = "/v1/webhooks/{id}", tag = "Webhooks", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn delete(
    caller: Caller<WriteWebhooks>,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::DeleteWebhook { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
