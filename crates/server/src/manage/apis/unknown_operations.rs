//! `GET /v1/apis/{id}/unknown_operations`

use axum::extract::State;
use data_encoding::BASE64URL_NOPAD;
use keystile_core::id::ApiId;
use keystile_core::time::Timestamp;
use keystile_store::{OperationRow, OperationsQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::enforce::operations::UNDOCUMENTED;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadUsage};
use crate::manage::extract::{Id, Query};
use crate::manage::list::{List, limit};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

/// The span that is asked about if nothing is said: 30 days.
const DEFAULT_SPAN_SECS: i64 = 30 * 86_400;

/// Which of them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Called from this moment on; 30 days before `until` unless said otherwise.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Called until this moment; now unless said otherwise.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What was called and is not in the API's OpenAPI document.
#[derive(Serialize, ToSchema)]
pub(super) struct UnknownOperation {
    /// The method; `null` for all that are beyond the 200 that are told apart.
    #[schema(value_type = Option<String>, example = "GET")]
    method: Option<String>,
    /// The first segments of the path, with `*` for numbers, for long words and for what follows.
    #[schema(value_type = Option<String>, example = "/dogs/*")]
    path: Option<String>,
    /// Calls and verifications, refused ones too.
    calls: u64,
    /// Those among them that were refused.
    refused_calls: u64,
    /// When it was called last: the start of the minute in the hours in which the span begins and ends, of the hour in
    /// those between. It is kept no finer.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
}

impl From<OperationRow> for UnknownOperation {
    fn from(row: OperationRow) -> Self {
        let told_apart = row.label.strip_prefix(UNDOCUMENTED).and_then(|rest| rest.split_once(' '));
        let (method, path) = told_apart.map(|(method, path)| (method.to_owned(), path.to_owned())).unzip();
        Self { method, path, calls: row.calls, refused_calls: row.refused, last_seen_at: row.last }
    }
}

/// What was called and is not in the API's OpenAPI document, by method and path. Calls that were answered until now are in
/// it.
#[utoipa::path(get, operation_id = "listUnknownOperations", path = "/v1/apis/{id}/unknown_operations", tag = "APIs",
    params(("id" = String, Path), Asked), security(("management_key" = [])),
    responses((status = 200, body = List<UnknownOperation>), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn list(
    caller: Caller<ReadUsage>,
    State(app): State<App>,
    Id(id): Id<ApiId>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<UnknownOperation>>, Problem> {
    // The minute that is running belongs to the answer.
    let until = asked.until.unwrap_or_else(|| app.now().plus_secs(1));
    let from = asked.from.unwrap_or_else(|| until.plus_secs(-DEFAULT_SPAN_SECS));
    if from >= until {
        return Err(invalid("from is not before until."));
    }
    let shown = limit(asked.limit)?;
    let after = asked.cursor.as_deref().map(label).transpose()?;
    let api = app.api(&caller, id).await?;
    app.writer.flush().await.map_err(|error| internal(&error))?;
    let query =
        OperationsQuery { api: api.number, prefix: UNDOCUMENTED.trim_end(), from, until, after, limit: shown + 1 };
    let mut rows = app.ledger.operations(&query).await.map_err(|error| internal(&error))?;
    let more = rows.len() > shown as usize;
    rows.truncate(shown as usize);
    let last = rows.last().filter(|_| more);
    let next_cursor = last.map(|row| BASE64URL_NOPAD.encode(row.label.as_bytes()));
    Ok(axum::Json(List { items: rows.into_iter().map(UnknownOperation::from).collect(), next_cursor }))
}

/// The label that a cursor names.
fn label(cursor: &str) -> Result<String, Problem> {
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| text.starts_with(UNDOCUMENTED.trim_end()))
        .ok_or_else(|| invalid("cursor is no next_cursor of this list; leave it out to begin anew."))
}
