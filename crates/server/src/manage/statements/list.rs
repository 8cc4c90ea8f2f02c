//! `GET /v1/statements`

use axum::extract::State;
use data_encoding::BASE64URL_NOPAD;
use keystile_core::id::{ActivationId, ApiId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_store::records::ActivationFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::made::{Books, StatementView, statement};
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadUsage};
use crate::manage::extract::Query;
use crate::manage::list::{List, page};
use crate::manage::problem::{internal, not_found};
use crate::problem::Problem;

/// Which statements.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Activations that are looked at for a page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// The statements of the time that holds this moment; now unless said otherwise.
    #[param(value_type = Option<String>)]
    at: Option<Timestamp>,
    /// Only that of this activation.
    #[param(value_type = Option<String>)]
    activation_id: Option<ActivationId>,
    /// Only those of this project.
    #[param(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Only those of this API.
    #[param(value_type = Option<String>)]
    api_id: Option<ApiId>,
}

/// What the projects of the organization, and those that call its APIs, used in a period and what that costs. Of those whose
/// plan has no price there is none, so a page may have fewer than were looked at. Activations that were taken away have theirs, too.
#[utoipa::path(get, operation_id = "listStatements", path = "/v1/statements", tag = "Usage", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<StatementView>), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn list(
    caller: Caller<ReadUsage>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<StatementView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let now = app.now();
    let at = asked.at.unwrap_or(now);
    // Calls that were answered until now are on it.
    app.writer.flush().await.map_err(|error| internal(&error))?;
    let mut links = match asked.activation_id {
        Some(id) => {
            let link = app.catalog.activation_ever(caller.organization, id).await.map_err(|error| internal(&error))?;
            vec![link.ok_or_else(|| not_found("activation"))?]
        }
        None => {
            let filter = ActivationFilter { project: asked.project_id, api: asked.api_id, state: None, ever: true };
            let links = app.catalog.activations(caller.organization, filter, page).await;
            links.map_err(|error| internal(&error))?
        }
    };
    let shown = page.limit as usize - 1;
    let more = links.len() > shown;
    links.truncate(shown);
    let next = links.last().filter(|_| more).map(|link| BASE64URL_NOPAD.encode(&link.number.to_be_bytes()));
    let mut items = Vec::new();
    let mut books = Books::new(app.catalog, app.ledger);
    for link in &links {
        items.extend(statement(&mut books, link, at, now).await?);
    }
    Ok(axum::Json(List { items, next_cursor: next }))
}
