//! `GET /v1/webhooks/{id}`

use axum::extract::State;
use keystile_core::id::WebhookId;

use super::shown;
use super::view::WebhookView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadWebhooks};
use crate::manage::extract::Id;
use crate::problem::Problem;

/// A webhook, without its secret, and how far it was told of usage if it names that.
#[utoipa::path(get, operation_id = "getWebhook", path = "/v1/webhooks/{id}", tag = "Webhooks", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = WebhookView), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: Caller<ReadWebhooks>,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
) -> Result<axum::Json<WebhookView>, Problem> {
    Ok(axum::Json(shown(&app, app.webhook(&caller, id).await?).await?))
}
