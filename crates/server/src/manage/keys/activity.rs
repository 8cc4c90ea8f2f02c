//! `GET /v1/keys/{id}/activity`: everything that was done with a key since a moment.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::extract::State;
use keystile_core::code::Code;
use keystile_core::id::{ApiId, KeyId};
use keystile_core::time::Timestamp;
use keystile_store::records::Key;
use keystile_store::{GroupBy, UsageQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadKeys};
use crate::manage::extract::{Id, Query};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

/// The span if nothing is said: 30 days.
const DEFAULT_SPAN_SECS: i64 = 30 * 86_400;
/// Addresses that an answer names, those with the most calls.
const MAX_ADDRESSES: u32 = 1_000;
/// Rows that are read of the ledger: operations by code.
const MAX_ROWS: u32 = 20_000;

/// Since when.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Since this moment; 30 days ago unless said otherwise. Addresses are kept by the day (UTC).
    #[param(value_type = Option<String>)]
    pub(super) since: Option<Timestamp>,
}

/// What was done with a key.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyActivity {
    /// From this moment, to the minute.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Until this one.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Calls that were let through.
    allowed: u64,
    /// Calls that were refused.
    refused: u64,
    /// How calls were answered.
    codes: Vec<CodeCount>,
    /// What was called, the most called first.
    operations: Vec<OperationCount>,
    /// From where, the addresses with the most calls first; at most 1,000, and of each as much as its API keeps.
    addresses: Vec<AddressCount>,
}

/// Calls that were answered alike.
#[derive(Serialize, ToSchema)]
struct CodeCount {
    /// The decision.
    #[schema(value_type = String, example = "allowed")]
    code: Code,
    /// Calls.
    calls: u64,
}

/// Calls of an operation.
#[derive(Serialize, ToSchema)]
struct OperationCount {
    /// The API; `null` for calls that reached none.
    #[schema(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// The operation, such as `GET /pets/{id}`.
    operation: Option<String>,
    /// Calls that were let through.
    allowed: u64,
    /// Calls that were refused.
    refused: u64,
}

/// Calls from an address.
#[derive(Serialize, ToSchema)]
struct AddressCount {
    /// The address; `null` for all that were not told apart: no more than 1,000 are on one day.
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    address: Option<IpAddr>,
    /// Calls, refused ones too.
    calls: u64,
    /// Those that were refused.
    refused: u64,
    /// When the first one came.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// When the last one came.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

/// Everything that was done with a key: calls, operations, addresses, refused and allowed.
#[utoipa::path(get, operation_id = "readKeyActivity", path = "/v1/keys/{id}/activity", tag = "Keys", params(("id" = String, Path), Asked),
    security(("management_key" = [])),
    responses((status = 200, body = KeyActivity), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn read(
    caller: Caller<ReadKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<KeyActivity>, Problem> {
    let key = app.key(&caller, id).await?;
    Ok(axum::Json(activity(&app, &key, since(&app, asked.since)?).await?))
}

/// The moment from which on activity is told.
pub(super) fn since(app: &App, asked: Option<Timestamp>) -> Result<Timestamp, Problem> {
    let now = app.now();
    match asked {
        Some(since) if since > now => Err(invalid("since lies in the future.")),
        Some(since) => Ok(since),
        None => Ok(now.plus_secs(-DEFAULT_SPAN_SECS)),
    }
}

/// What was done with a key, what was answered until now among it.
pub(super) async fn activity(app: &App, key: &Key, since: Timestamp) -> Result<KeyActivity, Problem> {
    app.writer.flush().await.map_err(|error| internal(&error))?;
    let until = app.now();
    // The minute that is running belongs to the answer.
    let query = UsageQuery {
        by: GroupBy { api: true, label: true, code: true, ..GroupBy::default() },
        key: Some(key.number),
        limit: MAX_ROWS,
        ..UsageQuery::of((since, until.plus_secs(1)))
    };
    let rows = app.ledger.usage(&query).await.map_err(|error| internal(&error))?;
    let used = app.ledger.address_use(key.number, since, MAX_ADDRESSES).await.map_err(|error| internal(&error))?;
    let mut apis: Vec<u32> = rows.iter().filter_map(|row| row.api).filter(|number| *number != 0).collect();
    apis.sort_unstable();
    apis.dedup();
    let apis = app.catalog.api_ids(&apis).await.map_err(|error| internal(&error))?;

    let mut codes: HashMap<Code, u64> = HashMap::new();
    let mut operations: HashMap<(u32, Option<String>), (u64, u64)> = HashMap::new();
    for row in rows {
        let (code, calls) = (row.code.unwrap_or(Code::Allowed), row.counts.calls);
        *codes.entry(code).or_default() += calls;
        let (allowed, refused) = operations.entry((row.api.unwrap_or(0), row.label)).or_default();
        *(if code.is_refusal() { refused } else { allowed }) += calls;
    }
    let refused = codes.iter().filter(|(code, _)| code.is_refusal()).map(|(_, calls)| calls).sum();
    let all: u64 = codes.values().sum();
    let mut codes: Vec<CodeCount> = codes.into_iter().map(|(code, calls)| CodeCount { code, calls }).collect();
    codes.sort_by_key(|count| (std::cmp::Reverse(count.calls), count.code));
    let mut operations: Vec<OperationCount> = operations
        .into_iter()
        .map(|((api, operation), (allowed, refused))| OperationCount {
            api_id: apis.get(&api).copied(),
            operation,
            allowed,
            refused,
        })
        .collect();
    operations.sort_by(|one, other| {
        let calls = |count: &OperationCount| count.allowed + count.refused;
        calls(other).cmp(&calls(one)).then_with(|| one.operation.cmp(&other.operation))
    });
    let addresses = used.into_iter().map(|used| AddressCount {
        address: used.address,
        calls: used.calls,
        refused: used.refused,
        first_at: used.first_at,
        last_at: used.last_at,
    });
    Ok(KeyActivity { since, until, allowed: all - refused, refused, codes, operations, addresses: addresses.collect() })
}
