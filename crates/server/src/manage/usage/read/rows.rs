//! The rows of usage as they are answered: ids where the ledger has numbers.

use keystile_core::code::Code;
use keystile_core::id::{ApiId, KeyId, OrganizationId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Latencies, Percentile};
use keystile_store::{StoreError, UsageRow};
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::ToSchema;

use super::super::names::Names;
use super::compare::Before;
use crate::manage::app::App;

/// A row of usage. What rows are told apart by is there, `null` where a call had none (an unknown key, say).
#[derive(serde::Serialize, ToSchema)]
pub(super) struct UsageItem {
    /// The start of its minute, hour or day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start: Option<Timestamp>,
    /// The API.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    api_id: Option<Option<ApiId>>,
    /// The organization of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    organization_id: Option<Option<OrganizationId>>,
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
    /// The class of the status that the client got, such as `4xx`.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_class: Option<String>,
    /// The status that the client got.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The country that calls came from, the end user, or the value of the tag, whichever was asked for. `null`: none is known, or it
    /// is beyond the 1,000 of a key (and 32 names of tags) that are told apart on a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Option<String>>,
    /// What was counted.
    #[serde(flatten)]
    sums: Sums,
    /// What it was in the time before, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Sums>,
}

/// What was counted.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = UsageSums)]
pub(super) struct Sums {
    /// Calls.
    calls: u64,
    /// Microseconds from the head of the request to the end of the answer, summed.
    latency_us: u64,
    /// Percentiles of these microseconds, if they were asked for, each within 2 % of itself: of all of these calls but those that were
    /// counted before percentiles were, or recorded by hand. `null`: nothing is known, as of the row of which no country, end user or
    /// tag is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, u64>>)]
    latency_percentiles_us: Option<Option<Percentiles>>,
    /// Bytes of request bodies.
    bytes_in: u64,
    /// Bytes of response bodies.
    bytes_out: u64,
    /// What calls cost that were let through and answered: 1 each, unless the API's settings, a verification or a report
    /// say otherwise.
    cost: i64,
}

impl Sums {
    fn new(counts: Counts, latencies: Option<&Latencies>, asked: &[Percentile]) -> Self {
        let told = |latencies: &Latencies| {
            Percentiles(asked.iter().filter_map(|share| Some((*share, latencies.at(*share)?))).collect())
        };
        Self {
            calls: counts.calls,
            latency_us: counts.latency_us,
            latency_percentiles_us: (!asked.is_empty()).then(|| latencies.map(told)),
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            cost: counts.cost,
        }
    }
}

/// Percentiles by their names, such as `p99.9`.
struct Percentiles(Vec<(Percentile, u64)>);

impl Serialize for Percentiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (share, micros) in &self.0 {
            map.serialize_entry(&format!("p{share}"), micros)?;
        }
        map.end()
    }
}

/// Puts ids where the ledger has numbers.
pub(super) async fn named(
    app: &App,
    rows: Vec<UsageRow>,
    percentiles: &[Percentile],
    before: Option<Before>,
) -> Result<Vec<UsageItem>, StoreError> {
    let names = Names::of(&app.catalog, rows.iter().map(|row| [row.api, row.project, row.key])).await?;
    let mut consumers: Vec<u32> = rows.iter().filter_map(|row| row.consumer).filter(|number| *number != 0).collect();
    consumers.sort_unstable();
    consumers.dedup();
    let consumers = app.catalog.organization_ids(&consumers).await?;
    let item = |row: UsageRow| {
        let before = before.as_ref().map(|before| {
            let (counts, latencies) = before.of(&row);
            Sums::new(counts, latencies, percentiles)
        });
        UsageItem {
            start: row.start,
            api_id: row.api.map(|number| names.api(number)),
            organization_id: row.consumer.map(|number| consumers.get(&number).copied()),
            project_id: row.project.map(|number| names.project(number)),
            key_id: row.key.map(|number| names.key(number)),
            operation: row.label,
            code: row.code,
            status_class: row.class.map(|class| format!("{class}xx")),
            status: row.status,
            value: row.value,
            sums: Sums::new(row.counts, row.latencies.as_ref(), percentiles),
            before,
        }
    };
    Ok(rows.into_iter().map(item).collect())
}
