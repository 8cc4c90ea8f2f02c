//! `POST /v1/webhooks/{id}/rotate_secret`

use axum::extract::State;
use keystile_core::id::WebhookId;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::{NewWebhookView, WebhookView};
use super::{new_secret, tells_of_usage};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteWebhooks};
use crate::manage::extract::{Id, Json, RequestHash};
use crate::manage::problem::invalid;
use crate::problem::Problem;

/// How long both secrets sign unless somebody says otherwise.
const DEFAULT_OVERLAP_HOURS: u32 = 24;
/// A week: whoever needs longer has forgotten it.
const MAX_OVERLAP_HOURS: u32 = 7 * 24;

/// How a secret is replaced.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// For how many hours deliveries are also signed with the old secret; 24 unless said otherwise, 0 to 168. After a leak
    /// it should be 0.
    overlap_hours: Option<u32>,
}

/// Give a webhook another secret, which is in the answer, this one time. For a day deliveries are signed with both.
/// Of one that names `usage.hour` it takes `usage.read` as well.
#[utoipa::path(post, operation_id = "rotateWebhookSecret", path = "/v1/webhooks/{id}/rotate_secret", tag = "Webhooks",
    params(("id" = String, Path)), request_body = Rotation, security(("management_key" = [])),
    responses((status = 200, body = NewWebhookView), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn rotate(
    caller: Caller<WriteWebhooks>,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    body: Option<Json<Rotation>>,
) -> Result<axum::Json<NewWebhookView>, Problem> {
    tells_of_usage(&caller, &app.webhook(&caller, id).await?.events)?;
    let (wanted, hash) = match body {
        Some(body) => (body.value, body.hash),
        None => (Rotation::default(), RequestHash::of("POST", &format!("/v1/webhooks/{id}/rotate_secret"))),
    };
    let hours = wanted.overlap_hours.unwrap_or(DEFAULT_OVERLAP_HOURS);
    if hours > MAX_OVERLAP_HOURS {
        return Err(invalid(format!("overlap_hours is 0 to {MAX_OVERLAP_HOURS}.")));
    }
    let (secret, shown) = new_secret(&app, caller.organization, id)?;
    let old_until = app.now().plus_secs(i64::from(hours) * 3_600);
    let change = Change::RotateWebhookSecret { id, secret, old_until };
    let secret = match app.create(&caller, hash, id.to_string(), change).await? {
        Made::Now => Some(shown),
        Made::Before(_) => None,
    };
    let webhook = WebhookView::from(app.webhook(&caller, id).await?);
    Ok(axum::Json(NewWebhookView { webhook, secret }))
}
