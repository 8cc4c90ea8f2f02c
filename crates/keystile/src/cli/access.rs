//! `keystile access`: which project may call which API, since when, granted by whom, last used.

use clap::Args;
use serde_json::Value;

use super::fault::{Exit, Fault};
use super::session::Session;
use super::table::{Column, away, field, number};

/// Which lines of the overview.
#[derive(Debug, Args)]
pub struct Ask {
    /// Only those of this project, by id or name.
    #[arg(long)]
    project: Option<String>,
    /// Only those of this API, by id or name.
    #[arg(long)]
    api: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = ["requested", "approved", "suspended", "refused"])]
    state: Option<String>,
}

pub(super) fn run(ask: Ask, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let project = ask.project.map(|text| session.project(&text)).transpose()?.map(|id| id.to_string());
    let api = ask.api.map(|text| session.api(&text)).transpose()?.map(|id| id.to_string());
    let query = [("project_id", &project), ("api_id", &api), ("state", &ask.state)];
    let query: Vec<(&str, &str)> = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    session.list_at("activations", "/v1/access", &query, &COLUMNS)
}

const COLUMNS: [Column; 10] = [
    Column::left("PROJECT", |line, _| field(line, "project_name")),
    Column::left("ENVIRONMENT", |line, _| field(line, "environment")),
    Column::left("API", |line, _| field(line, "api_name")),
    Column::left("STATE", |line, _| match line.get("project_suspended") {
        Some(Value::Bool(true)) => format!("{}; project suspended", field(line, "state")),
        Some(_) | None => field(line, "state"),
    }),
    Column::left("SINCE", |line, now| away(line, "since", now)),
    Column::left("BY", |line, _| field(line, "judged_by")),
    Column::left("PERMISSIONS", |line, _| match line.get("granted_permissions") {
        Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
        Some(Value::Array(_)) => field(line, "granted_permissions"),
        Some(_) | None => "any".to_owned(),
    }),
    Column { title: "KEYS", right: true, cell: |line, _| number(line, "active_keys") },
    Column::left("LAST USED", |line, now| match line.get("last_used_at") {
        Some(Value::String(_)) => away(line, "last_used_at", now),
        Some(_) | None => "never".to_owned(),
    }),
    Column { title: "CALLS, 30 DAYS", right: true, cell: |line, _| number(line, "calls_30_days") },
];
