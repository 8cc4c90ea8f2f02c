//! `keystile usage export`: every event of a time.

use clap::Args;

use super::between;
use crate::cli::csv::{Format, write_all};
use crate::cli::fault::{Exit, Fault};
use crate::cli::session::Session;
use crate::cli::values::{When, when};

/// Which events, and how they are written.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// Those that happened from then on: 7d, 24h, 30m, 2027-01-31 or 2027-01-31T12:00:00Z; 24 hours ago unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
    /// Until when; now unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<When>,
    /// Only those that were recorded from then on: what has come since the last export.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    recorded_since: Option<When>,
    /// Only those of this API, by id or name.
    #[arg(long)]
    api: Option<String>,
    /// Only those of this project, by id or name.
    #[arg(long)]
    project: Option<String>,
    /// Only those with this key, by id or name.
    #[arg(long)]
    key: Option<String>,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
}

pub(super) fn run(ask: Export, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let now = session.now();
    let (since, until) = between(ask.since, ask.until, now)?;
    let api = ask.api.map(|text| session.api(&text)).transpose()?;
    let project = ask.project.map(|text| session.project(&text)).transpose()?;
    let key = ask.key.map(|text| session.key(&text, project)).transpose()?;
    let query = [
        ("from", since),
        ("until", until),
        ("recorded_from", ask.recorded_since.map(|since| since.seen_from(now).to_string())),
        ("api_id", api.map(|id| id.to_string())),
        ("project_id", project.map(|id| id.to_string())),
        ("key_id", key.map(|id| id.to_string())),
    ];
    let query: Vec<(&str, &str)> = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    write_all("export the usage", "/v1/usage/export", &query, (ask.format, &CSV), session)?;
    Ok(Exit::Ok)
}

/// The columns of CSV, by the names that they have in JSON.
const CSV: [&str; 19] = [
    "id",
    "kind",
    "at",
    "recorded_at",
    "api_id",
    "project_id",
    "key_id",
    "operation",
    "code",
    "status",
    "calls",
    "latency_us",
    "bytes_in",
    "bytes_out",
    "units",
    "record_id",
    "corrects",
    "note",
    "recorded_by",
];
