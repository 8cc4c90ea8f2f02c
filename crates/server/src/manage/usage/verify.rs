//! `GET /v1/usage/verify`: whether what was counted is what its events come to.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::State;
use keystile_core::code::Code;
use keystile_core::id::{ApiId, KeyId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use utoipa::{IntoParams, ToSchema};

use super::names::{Names, counted_for};
use super::span::span;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadUsage};
use crate::manage::extract::Query;
use crate::manage::problem::{internal, invalid, overloaded};
use crate::problem::Problem;

/// Who counts.
static COUNT: Mutex<()> = Mutex::const_new(());
/// How long anybody waits for that.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most days that are counted at once.
const MAX_DAYS: i64 = 35;

/// Which time.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// From the day (UTC) of this moment on; 24 hours before `until` unless said otherwise.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Until the end of the day that holds this moment, or ends with it; now unless said otherwise. At most 35 days.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
}

/// What counting anew came to.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageVerdict)]
pub(super) struct VerdictView {
    /// Whether every row of usage is what its events come to, and there was a time to count.
    intact: bool,
    /// From when it was counted anew: events from before are not kept any more, or never were. If that is `until`, nothing was
    /// counted.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Events that were counted.
    events: u64,
    /// What they come to.
    #[serde(flatten)]
    recounted: Totals,
    /// Rows of some thousands of events that can't be read, for their bytes were altered.
    damaged: u64,
    /// Rows of minutes, hours and days that say something else.
    differing: u64,
    /// The first 100 of them.
    differences: Vec<DifferenceView>,
}

/// What was counted.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageTotals)]
struct Totals {
    /// Calls.
    calls: u64,
    /// What they cost.
    units: i64,
    /// Bytes of request bodies.
    bytes_in: u64,
    /// Bytes of response bodies.
    bytes_out: u64,
}

impl From<Counts> for Totals {
    fn from(counts: Counts) -> Self {
        let Counts { calls, cost, bytes_in, bytes_out, .. } = counts;
        Self { calls, units: cost, bytes_in, bytes_out }
    }
}

/// A row of usage that is not what its events come to.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageDifference)]
struct DifferenceView {
    /// `minute`, `hour` or `day`; `null` for a row of what was recorded late, of which adjustments are made.
    #[schema(value_type = Option<String>)]
    bucket: Option<Bucket>,
    /// Whether it counts all projects and keys together; then neither of them is said.
    all_keys: bool,
    /// When it begins.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// The API.
    #[schema(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// The project.
    #[schema(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// The key.
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// The operation.
    operation: Option<String>,
    /// The decision.
    #[schema(value_type = String)]
    code: Code,
    /// The status that the client got.
    status: u16,
    /// What the row says.
    counted: Totals,
    /// What its events come to.
    recounted: Totals,
}

/// Count the days of a time anew, of what is counted for one's own APIs, from every event that was kept and everything that was recorded, and compare that with the rows of
/// minutes, hours and days that `/v1/usage` and statements are made of. It reads all events of the time, of which there may be
/// millions.
#[utoipa::path(get, operation_id = "verifyUsage", path = "/v1/usage/verify", tag = "Usage", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = VerdictView), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn verify(
    caller: Caller<ReadUsage>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<VerdictView>, Problem> {
    let (from, until) = span(app.now(), (asked.from, asked.until))?;
    let first = day(from);
    let end = if day(until) == until { until } else { day(until).plus_secs(Bucket::Day.secs()) };
    if end.as_secs().saturating_sub(first.as_secs()) > MAX_DAYS * Bucket::Day.secs() {
        return Err(invalid(format!("At most {MAX_DAYS} days are counted at once; ask for them one after the other.")));
    }
    // One at a time: each of them reads all events of its time.
    let turn = tokio::time::timeout(PATIENCE, COUNT.lock()).await;
    let _turn = turn.map_err(|_| overloaded("Usage is being counted anew for somebody else; ask again later."))?;
    app.writer.flush().await.map_err(|error| internal(&error))?;
    app.ledger.roll_up().await.map_err(|error| internal(&error))?;
    let recount =
        app.ledger.recount((first, end), &counted_for(caller.owner)).await.map_err(|error| internal(&error))?;
    let numbers = recount.differences.iter().map(|row| {
        let of = row.dimensions;
        [Some(of.api), Some(of.project), Some(of.key)]
    });
    let names = Names::of(&app.catalog, numbers).await.map_err(|error| internal(&error))?;
    let labels = app.ledger.labels().await.map_err(|error| internal(&error))?;
    let labels: HashMap<u32, String> = labels.into_iter().map(|label| (label.number, label.text)).collect();
    let differences = recount.differences.iter().map(|row| DifferenceView {
        bucket: row.bucket,
        all_keys: row.is_total,
        start: row.start,
        api_id: names.api(row.dimensions.api),
        project_id: names.project(row.dimensions.project),
        key_id: names.key(row.dimensions.key),
        operation: labels.get(&row.dimensions.label).cloned(),
        code: row.dimensions.code,
        status: row.dimensions.status,
        counted: row.counted.into(),
        recounted: row.recounted.into(),
    });
    let from = first.max(recount.kept_from).min(end);
    Ok(axum::Json(VerdictView {
        intact: recount.differing == 0 && recount.damaged == 0 && from < end,
        from,
        until: end,
        events: recount.events,
        differences: differences.collect(),
        recounted: recount.counts.into(),
        damaged: recount.damaged,
        differing: recount.differing,
    }))
}

fn day(moment: Timestamp) -> Timestamp {
    moment.floor_secs(Bucket::Day.secs())
}
