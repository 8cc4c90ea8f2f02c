//! The operations of an API: what each asks for and how often it was called, and calls that no operation is known for.

use std::collections::HashMap;

use askama::Template;
use serde::Deserialize;

use crate::api::Asked;
use crate::console::model::{Api, List, Usage};
use crate::console::visit::Visit;
use crate::ui::chart::Spark;
use crate::ui::form::query;
use crate::ui::html::Html;
use crate::ui::number::short;
use crate::ui::time::{Moment, iso, thirty_days_before};

/// The tab.
#[derive(Template)]
#[template(path = "console/apis/operations.html")]
struct Operations {
    id: String,
    rows: Vec<Row>,
    unknown: Vec<Unknown>,
    is_documented: bool,
    unknown_operations: String,
    asks: String,
    may_write: bool,
}

struct Row {
    method: String,
    path: String,
    permission: Option<String>,
    cost: u64,
    is_open: bool,
    calls: String,
    spark: Html,
}

struct Unknown {
    method: String,
    path: String,
    calls: String,
    refused: String,
    last: Moment,
}

#[derive(Deserialize)]
struct Operation {
    method: String,
    path: String,
    permission: Option<String>,
}

#[derive(Deserialize)]
struct UnknownOperation {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: Option<String>,
    calls: u64,
    refused_calls: u64,
    last_seen_at: jiff::Timestamp,
}

/// Days of the small lines, today among them.
const DAYS: usize = 31;

pub(super) async fn operations(visit: &Visit, api: &Api) -> Asked<Html> {
    let list: List<Operation> = visit.get(&format!("/v1/apis/{}/operations", api.id)).await?;
    let from = thirty_days_before(visit.now);
    let from_text = iso(from);
    let asked = query(&[
        ("api_id", &api.id),
        ("from", &from_text),
        ("bucket", "day"),
        ("group_by", "operation"),
        ("limit", "10000"),
    ]);
    let usage: Usage =
        if visit.may("usage.read") { visit.aside(&format!("/v1/usage?{asked}")).await } else { Usage::default() };
    let first_day = from.as_second().div_euclid(86_400);
    let mut by_operation: HashMap<&str, Vec<&super::UsageItem>> = HashMap::new();
    for item in &usage.items {
        by_operation.entry(item.operation.as_deref().unwrap_or_default()).or_default().push(item);
    }
    let rows = list.items.into_iter().map(|operation| {
        let name = format!("{} {}", operation.method, operation.path);
        let own = by_operation.get(name.as_str()).into_iter().flatten().copied();
        let counts = super::by_day(own, first_day, DAYS);
        Row {
            cost: api.operation_costs.iter().find(|cost| cost.operation == name).map_or(1, |cost| cost.cost),
            is_open: api.open_operations.contains(&name),
            calls: short(counts.iter().sum()),
            spark: Html::of(&Spark::new(&counts)),
            method: operation.method,
            path: operation.path,
            permission: operation.permission,
        }
    });
    let rows = rows.collect();
    let unknown: List<UnknownOperation> = visit
        .aside(&format!("/v1/apis/{}/unknown_operations?{}", api.id, query(&[("limit", "20"), ("from", &from_text)])))
        .await;
    let unknown = unknown.items.into_iter().map(|one| Unknown {
        method: one.method.unwrap_or_default(),
        path: one.path.unwrap_or_else(|| "(others)".into()),
        calls: short(one.calls),
        refused: short(one.refused_calls),
        last: visit.zone.ago(one.last_seen_at),
    });
    Ok(Html::of(&Operations {
        id: api.id.clone(),
        rows,
        unknown: unknown.collect(),
        is_documented: api.document.is_some(),
        unknown_operations: api.unknown_operations.clone(),
        asks: api.operation_permissions.clone(),
        may_write: visit.may("apis.write"),
    }))
}
