//! `PATCH /v1/webhooks/{id}`

use axum::extract::State;
use keystile_core::id::WebhookId;
use keystile_core::webhook::{EventFilter, WebhookUrl};
use keystile_store::Change;
use keystile_store::records::WebhookState;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::WebhookView;
use super::{reachable, shown, tells_of_usage};
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteWebhooks};
use crate::manage::extract::{Id, Json, said};
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// What is to change of a webhook.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookUpdate {
    /// Where it leads.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    url: Option<WebhookUrl>,
    /// What it is for.
    #[serde(default, deserialize_with = "said")]
    description: Option<String>,
    /// Of which types of events it tells; an empty list for all changes. Whoever names `usage.hour`, or changes the URL of a
    /// webhook that does, needs `usage.read`.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<EventFilter>,
    /// Whether anything is sent. What happens while it is off is sent once it is on again.
    #[serde(default, deserialize_with = "said")]
    active: Option<bool>,
}

/// Change a webhook. Fields that are not said stay as they are.
#[utoipa::path(patch, operation_id = "updateWebhook", path = "/v1/webhooks/{id}", tag = "Webhooks", params(("id" = String, Path)),
    request_body = WebhookUpdate, security(("management_key" = [])),
    responses((status = 200, body = WebhookView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WriteWebhooks>,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    body: Json<WebhookUpdate>,
) -> Result<axum::Json<WebhookView>, Problem> {
    let webhook = app.webhook(&caller, id).await?;
    let wanted = body.value;
    let is_sent_otherwise = wanted.url.is_some() || wanted.events.is_some();
    let events = wanted.events.unwrap_or(webhook.events);
    if is_sent_otherwise {
        tells_of_usage(&caller, &events)?;
    }
    let url = match wanted.url {
        Some(url) => reachable(&app, url).await?,
        None => webhook.url,
    };
    let state = match (wanted.active, webhook.state) {
        (None, state) | (Some(false), state @ WebhookState::Disabled { .. }) => state,
        (Some(true), _) => WebhookState::Active,
        (Some(false), WebhookState::Active) => WebhookState::Disabled { reason: String::new() },
    };
    let change = Change::UpdateWebhook {
        id,
        was: webhook.revision,
        url,
        description: wanted.description.map_or(Ok(webhook.description), |text| checked_text("description", text))?,
        events,
        state,
    };
    app.apply(&caller, change).await?;
    Ok(axum::Json(shown(&app, app.webhook(&caller, id).await?).await?))
}
