//! `POST /v1/webhooks/{id}/test`

use axum::extract::State;
use keystile_core::id::{EventId, WebhookId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteWebhooks};
use crate::manage::extract::{Id, Nothing};
use crate::manage::problem::internal;
use crate::problem::Problem;
use crate::webhooks::NotTried;

/// What came of a trial.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookTrial)]
pub(super) struct TrialView {
    /// The id of the event that was sent.
    #[schema(value_type = String)]
    event_id: EventId,
    /// Whether the receiver took it.
    delivered: bool,
    /// The status of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Why it did not arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
}

/// Send an event of the type `webhook.test` now, once, and say what came of it. A webhook that is off can be tried too.
#[utoipa::path(post, operation_id = "testWebhook", path = "/v1/webhooks/{id}/test", tag = "Webhooks", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = TrialView), (status = 401), (status = 404)))]
pub(super) async fn test(
    caller: Caller<WriteWebhooks>,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    _: Nothing,
) -> Result<axum::Json<TrialView>, Problem> {
    caller.refuse_dry_run()?;
    let webhook = app.webhook(&caller, id).await?;
    let trial = app.webhooks.try_out(&webhook).await.map_err(|error| match &error {
        NotTried::Store(error) => internal(error),
        NotTried::Entropy(error) => internal(error),
    })?;
    Ok(axum::Json(TrialView {
        event_id: trial.event,
        delivered: trial.error.is_none(),
        status: trial.status,
        error: trial.error,
        duration_ms: trial.millis,
    }))
}
