//! `keystile api unknown-operations`: what was called and is not in an API's OpenAPI document.

use clap::Args;
use serde_json::Value;

use super::fault::{Exit, Fault};
use super::session::{API, Session};
use super::table::{Column, away, field};
use super::usage::between;
use super::values::{When, thousands, when};

/// Of which API, and when.
#[derive(Debug, Args)]
pub struct Ask {
    /// Its id or name.
    api: String,
    /// From when: 7d, 24h, 30m, 2027-01-31 or 2027-01-31T12:00:00Z; 30 days ago unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
    /// Until when; now unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<When>,
}

pub(super) fn run(ask: &Ask, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let (from, until) = between(ask.since, ask.until, session.now())?;
    let id = session.api(&ask.api)?;
    let query = [("from", from), ("until", until)];
    let query: Vec<(&str, &str)> = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    session.list_at("unknown operations", &format!("{}/{id}/unknown_operations", API.path), &query, &COLUMNS)
}

fn number(operation: &Value, name: &str) -> String {
    thousands(operation.get(name).and_then(Value::as_u64).unwrap_or(0))
}

const COLUMNS: [Column; 5] = [
    Column::left("METHOD", |operation, _| field(operation, "method")),
    Column::left("PATH", |operation, _| match field(operation, "path") {
        none if none == "-" => "(others)".to_owned(),
        path => path,
    }),
    Column { title: "CALLS", right: true, cell: |operation, _| number(operation, "calls") },
    Column { title: "REFUSED", right: true, cell: |operation, _| number(operation, "refused_calls") },
    Column::left("SEEN LAST", |operation, now| away(operation, "last_seen_at", now)),
];
