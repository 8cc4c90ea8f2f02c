//! `GET /v1/webhooks`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::WebhookView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadWebhooks};
use crate::manage::extract::Query;
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The webhooks of the organization.
#[utoipa::path(get, operation_id = "listWebhooks", path = "/v1/webhooks", tag = "Webhooks", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<WebhookView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadWebhooks>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<WebhookView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.webhooks(caller.organization, page).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |webhook| webhook.number, WebhookView::from)))
}
