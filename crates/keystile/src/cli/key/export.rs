//! `keystile key export`: all keys, without their texts, as they come.

use clap::Args;
use keystile_core::key::KeyKind;

use super::{Exit, Fault, KEY, Session};
use crate::cli::csv::{Format, write_all};

/// Which keys, and how they are written.
#[derive(Debug, Args)]
pub struct Ask {
    /// Only those of this project, by id or name.
    #[arg(long)]
    project: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = ["active", "disabled", "revoked"])]
    state: Option<String>,
    /// Only those of this kind.
    #[arg(long, value_name = "secret|publishable|management|canary")]
    kind: Option<KeyKind>,
    /// Those that were deleted and can be brought back.
    #[arg(long)]
    deleted: bool,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
}

/// The columns of CSV, by the names that they have in JSON.
const COLUMNS: [&str; 24] = [
    "id",
    "project_id",
    "name",
    "kind",
    "environment",
    "hint",
    "state",
    "state_since",
    "exposed_at",
    "expires_at",
    "permissions",
    "roles",
    "patterns",
    "restrictions",
    "rate_limits",
    "labels",
    "metadata",
    "recoverable",
    "version",
    "rotated_at",
    "last_used_at",
    "created_at",
    "updated_at",
    "deleted_at",
];

pub(super) fn run(ask: &Ask, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let project = ask.project.as_deref().map(|text| session.project(text)).transpose()?.map(|id| id.to_string());
    let query = [
        ("project_id", project.as_deref()),
        ("state", ask.state.as_deref()),
        ("kind", ask.kind.map(KeyKind::as_str)),
        ("deleted", ask.deleted.then_some("true")),
    ];
    let query: Vec<(&str, &str)> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let path = format!("{}/export", KEY.path);
    write_all("export the keys", &path, &query, (ask.format, &COLUMNS), session)?;
    Ok(Exit::Ok)
}
