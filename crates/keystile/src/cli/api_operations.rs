//! `keystile api operations` and `unknown-operations`: what an API's OpenAPI document has, with the permissions that it
//! asks of keys; and what was called and is not in it.

use clap::Args;

use super::fault::{Exit, Fault};
use super::session::{API, Session};
use super::table::{Column, away, field, number};
use super::usage::between;
use super::values::{When, when};

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

/// What the document has.
pub(super) fn documented(api: &str, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let id = session.api(api)?;
    session.list_at("operations", &format!("{}/{id}/operations", API.path), &[], &DOCUMENTED)
}

const DOCUMENTED: [Column; 3] = [
    Column::left("METHOD", |operation, _| field(operation, "method")),
    Column::left("PATH", |operation, _| field(operation, "path")),
    Column::left("PERMISSION", |operation, _| field(operation, "permission")),
];

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
