//! `POST /v1/webhooks`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::WebhookId;
use keystile_core::webhook::{EventFilter, WebhookUrl};
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::{NewWebhookView, WebhookView};
use super::{new_secret, reachable, tells_of_usage};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteWebhooks};
use crate::manage::extract::Json;
use crate::manage::problem::not_found;
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// A webhook to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookCreate {
    /// Where it leads: `https://…` on the public internet, or into a network that whoever runs the server has allowed.
    #[schema(value_type = String, example = "https://hooks.example.com/keystile")]
    url: WebhookUrl,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Of which types of events it tells, such as `key.revoke`, or `key.*` for all of a kind; of all changes if nothing is said. Usage is no
    /// change: `usage.hour`, which tells what was counted hour by hour, has to be named itself (not by `usage.*`), and takes `usage.read` as well.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    events: EventFilter,
}

/// Make a webhook. It tells of what happens from now on. Its secret is in the answer, this one time.
#[utoipa::path(post, operation_id = "createWebhook", path = "/v1/webhooks", tag = "Webhooks", request_body = WebhookCreate,
    security(("management_key" = [])),
    responses((status = 201, body = NewWebhookView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteWebhooks>,
    State(app): State<App>,
    body: Json<WebhookCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    tells_of_usage(&caller, &wanted.events)?;
    let id = WebhookId::from_entropy(app.id()?);
    let (secret, shown) = new_secret(&app, caller.organization, id)?;
    let change = Change::CreateWebhook {
        id,
        url: reachable(&app, wanted.url).await?,
        description: checked_text("description", wanted.description)?,
        events: wanted.events,
        secret,
    };
    let (id, secret) = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => (id, Some(shown)),
        Made::Before(subject) => (subject.parse().map_err(|_| not_found("webhook"))?, None),
    };
    let webhook = WebhookView::from(app.webhook(&caller, id).await?);
    Ok((StatusCode::CREATED, axum::Json(NewWebhookView { webhook, secret })))
}
