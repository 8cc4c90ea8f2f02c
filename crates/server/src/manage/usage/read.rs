//! `GET /v1/usage`

use axum::extract::State;
use data_encoding::BASE64URL_NOPAD;
use keystile_core::code::Code;
use keystile_core::id::{ApiId, KeyId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Dimensions};
use keystile_store::{GroupBy, StoreError, UsageQuery, UsageRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::names::{Names, counted_for};
use super::span::span;
use crate::manage::app::{App, found};
use crate::manage::caller::{Asker, Caller, ReadUsage};
use crate::manage::extract::Query;
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

const DEFAULT_LIMIT: u32 = 1_000;
const MAX_LIMIT: u32 = 10_000;

/// Which usage.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// From this moment; 24 hours before `until` unless said otherwise.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Until this moment; now unless said otherwise.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// `minute`, `hour` or `day`: a row for each; without it one row for the span.
    #[param(value_type = Option<String>)]
    bucket: Option<Bucket>,
    /// What rows are told apart by: some of `api,project,key,operation,code,status`, separated by commas.
    group_by: Option<String>,
    /// Only this API's.
    #[param(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// Only this project's.
    #[param(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Only this key's.
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Only calls with this code.
    #[param(value_type = Option<String>)]
    code: Option<Code>,
    /// Rows of the page, 1 to 10,000; 1,000 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Usage, ordered by time and by what rows are told apart by.
#[derive(Serialize, ToSchema)]
pub(super) struct Usage {
    /// The rows.
    items: Vec<UsageItem>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A row of usage. What rows are told apart by is there, `null` where a call had none (an unknown key, say).
#[derive(Serialize, ToSchema)]
struct UsageItem {
    /// The start of its minute, hour or day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start: Option<Timestamp>,
    /// The API.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    api_id: Option<Option<ApiId>>,
    /// The project.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    project_id: Option<Option<ProjectId>>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    key_id: Option<Option<KeyId>>,
    /// The operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// The decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    code: Option<Code>,
    /// The status that the client got.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Calls.
    calls: u64,
    /// Microseconds from the head of the request to the end of the answer, summed.
    latency_us: u64,
    /// Bytes of request bodies.
    bytes_in: u64,
    /// Bytes of response bodies.
    bytes_out: u64,
    /// What calls cost that were let through and answered: 1 each, unless the API's settings, a verification or a report
    /// say otherwise.
    cost: i64,
}

/// What was counted, refused calls and unknown keys too. Calls that were answered until now are in it.
#[utoipa::path(get, operation_id = "readUsage", path = "/v1/usage", tag = "Usage", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = Usage), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn read(
    caller: Caller<ReadUsage>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<Usage>, Problem> {
    let query = query(&app, &caller, &asked).await?;
    app.writer.flush().await.map_err(|error| internal(&error))?;
    let mut rows = app.ledger.usage(&query).await.map_err(|error| internal(&error))?;
    let shown = query.limit as usize - 1;
    let more = rows.len() > shown;
    rows.truncate(shown);
    let next_cursor = more.then(|| BASE64URL_NOPAD.encode(&(query.after + shown as u64).to_be_bytes()));
    let items = name(&app, rows).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(Usage { items, next_cursor }))
}

/// Of which API, project and key, by their numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Filters {
    api: Option<u32>,
    project: Option<u32>,
    key: Option<u32>,
}

impl Filters {
    /// Whether something is asked for that is counted under these.
    pub(super) fn let_through(&self, of: &Dimensions) -> bool {
        let is = |asked: Option<u32>, number: u32| asked.is_none_or(|asked| asked == number);
        is(self.api, of.api) && is(self.project, of.project) && is(self.key, of.key)
    }
}

/// The numbers of what is asked about, all of it the asker's.
pub(super) async fn filters(
    app: &App,
    asker: &Asker,
    (api, project, key): (Option<ApiId>, Option<ProjectId>, Option<KeyId>),
) -> Result<Filters, Problem> {
    let (organization, catalog) = (asker.organization, &app.catalog);
    let api = match api {
        None => None,
        Some(id) => Some(found(catalog.api_number(organization, id).await, "API")?),
    };
    let project = match project {
        None => None,
        Some(id) => Some(found(catalog.project_number(organization, id).await, "project")?),
    };
    let key = match key {
        None => None,
        Some(id) => Some(found(catalog.key_number(organization, id).await, "key")?),
    };
    Ok(Filters { api, project, key })
}

async fn query(app: &App, asker: &Asker, asked: &Asked) -> Result<UsageQuery, Problem> {
    let (from, until) = span(app.now(), (asked.from, asked.until))?;
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(invalid(format!("limit is 1 to {MAX_LIMIT}.")));
    }
    let after = match &asked.cursor {
        None => 0,
        Some(text) => BASE64URL_NOPAD
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_be_bytes)
            .ok_or_else(|| invalid("cursor is no next_cursor of this answer; leave it out to begin anew."))?,
    };
    let only = filters(app, asker, (asked.api_id, asked.project_id, asked.key_id)).await?;
    // What was found to be the caller's own is shown whole; without such a filter, what is counted for the caller.
    let organizations = if only == Filters::default() { counted_for(asker) } else { Vec::new() };
    let by = group_by(asked.group_by.as_deref())?;
    Ok(UsageQuery {
        from,
        until,
        bucket: asked.bucket,
        by,
        api: only.api,
        project: only.project,
        key: only.key,
        code: asked.code,
        organizations,
        after,
        limit: limit + 1,
    })
}

fn group_by(text: Option<&str>) -> Result<GroupBy, Problem> {
    let mut by = GroupBy::default();
    for word in text.unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
        match word {
            "api" => by.api = true,
            "project" => by.project = true,
            "key" => by.key = true,
            "operation" => by.label = true,
            "code" => by.code = true,
            "status" => by.status = true,
            _ => {
                return Err(invalid(
                    "group_by takes api, project, key, operation, code and status, separated by commas.",
                ));
            }
        }
    }
    Ok(by)
}

/// Puts ids where the ledger has numbers.
async fn name(app: &App, rows: Vec<UsageRow>) -> Result<Vec<UsageItem>, StoreError> {
    let names = Names::of(&app.catalog, rows.iter().map(|row| [row.api, row.project, row.key])).await?;
    let item = |row: UsageRow| UsageItem {
        start: row.start,
        api_id: row.api.map(|number| names.api(number)),
        project_id: row.project.map(|number| names.project(number)),
        key_id: row.key.map(|number| names.key(number)),
        operation: row.label,
        code: row.code,
        status: row.status,
        calls: row.counts.calls,
        latency_us: row.counts.latency_us,
        bytes_in: row.counts.bytes_in,
        bytes_out: row.counts.bytes_out,
        cost: row.counts.cost,
    };
    Ok(rows.into_iter().map(item).collect())
}
