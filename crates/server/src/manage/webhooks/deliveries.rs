//! `GET /v1/webhooks/{id}/deliveries`

use axum::extract::State;
use keystile_core::id::WebhookId;
use keystile_store::deliveries::DeliveryState;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::DeliveryView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadWebhooks};
use crate::manage::extract::{Id, Query};
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those that are `pending`, `delivered` or `failed`.
    state: Option<String>,
}

/// What was sent to a webhook in the last 30 days, and what is still to be sent, newest first.
#[utoipa::path(get, operation_id = "listDeliveries", path = "/v1/webhooks/{id}/deliveries", tag = "Webhooks",
    params(("id" = String, Path), Asked), security(("management_key" = [])),
    responses((status = 200, body = List<DeliveryView>), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn list(
    caller: Caller<ReadWebhooks>,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<DeliveryView>>, Problem> {
    let webhook = app.webhook(&caller, id).await?;
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let state: Option<DeliveryState> = asked
        .state
        .map(|text| text.parse().map_err(|_| invalid("state is pending, delivered or failed.")))
        .transpose()?;
    let rows = app.catalog.deliveries(&webhook, state, page).await.map_err(|error| internal(&error))?;
    let installation = app.catalog.installation();
    Ok(axum::Json(shown(rows, page, |row| row.number, |row| DeliveryView::of(&installation, row))))
}
