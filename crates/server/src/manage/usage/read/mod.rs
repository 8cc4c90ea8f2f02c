//! `GET /v1/usage`: what was asked (`question`), the rows of the answer (`rows`), and what they were in the time before (`compare`).

mod compare;
mod question;
mod rows;

use std::time::Duration;

use axum::extract::State;
use data_encoding::BASE64URL_NOPAD;
use keystile_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadUsage};
use crate::manage::extract::Query;
use crate::manage::problem::{internal, overloaded};
use crate::problem::Problem;
use question::{Asked, Question};
use rows::UsageItem;

/// Questions for which much is read are answered one at a time: others are not to wait for them.
static COSTLY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// How long one of them waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Usage, ordered as it was asked for.
#[derive(Serialize, ToSchema)]
pub(super) struct Usage {
    /// From when on calls are in it: what was asked for, rounded down.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until when: rounded up.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// The rows.
    items: Vec<UsageItem>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What was counted, refused calls and unknown keys too. Calls that were answered until now are in it. The most of something come first
/// with `order_by`: the ten projects with most calls are `group_by=project&order_by=calls&limit=10`.
#[utoipa::path(get, operation_id = "readUsage", path = "/v1/usage", tag = "Usage", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = Usage), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn read(
    caller: Caller<ReadUsage>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<Usage>, Problem> {
    let Question { query, percentiles, compares, costly } = question::understood(&app, &caller, &asked).await?;
    let turn = async { if costly { Some(COSTLY.lock().await) } else { None } };
    let turn = tokio::time::timeout(PATIENCE, turn).await;
    let _turn =
        turn.map_err(|_| overloaded("Much is being read for somebody else; ask again later, or ask for less."))?;
    app.writer.flush().await.map_err(|error| internal(&error))?;
    let mut found = app.ledger.usage(&query).await.map_err(|error| internal(&error))?;
    let shown = query.limit as usize - 1;
    let more = found.len() > shown;
    found.truncate(shown);
    let next_cursor = more.then(|| BASE64URL_NOPAD.encode(&(query.after + shown as u64).to_be_bytes()));
    let before = if compares { Some(compare::before(&app, &query).await?) } else { None };
    if let Some(before) = &before
        && !more
        && query.after == 0
    {
        let gone = before.gone(&found);
        found.extend(gone);
    }
    let items = rows::named(&app, found, &percentiles, before).await.map_err(|error| internal(&error))?;
    let (from, until) = query.whole();
    Ok(axum::Json(Usage { from, until, items, next_cursor }))
}
