//! `keystile logs query`: calls of the request log, newest first.

use clap::Args;
use serde_json::Value;

use super::{REQUEST, Which, borrowed};
use crate::cli::csv::cells;
use crate::cli::fault::{Exit, Fault};
use crate::cli::server::PAGE;
use crate::cli::session::Session;
use crate::cli::table::{Column, away, field};
use crate::cli::usage::between;
use crate::cli::values::{When, when};

/// Which calls, and how they are written.
#[derive(Debug, Args)]
pub struct Query {
    #[command(flatten)]
    which: Which,
    /// Only calls from then on: 7d, 24h, 30m, 2027-01-31 or 2027-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
    /// Only calls before.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<When>,
    /// Write CSV, with everything that is known of a call.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub(super) fn run(ask: Query, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let (since, until) = between(ask.since, ask.until, session.now())?;
    let mut query = ask.which.query(session)?;
    query.extend(since.map(|since| ("from", since)));
    query.extend(until.map(|until| ("until", until)));
    if ask.csv { write_csv(&query, session) } else { session.list(REQUEST, &borrowed(&query), &COLUMNS) }
}

fn write_csv(query: &[(&'static str, String)], session: &mut Session<'_>) -> Result<Exit, Fault> {
    let limit = session.global.limit.map(|limit| limit as usize);
    let screen = &mut *session.screen;
    let mut head = Some(CSV.join(",") + "\n");
    session.server.pages("list the requests", REQUEST.path, &borrowed(query), PAGE, limit, |items| {
        let rows = items.iter().map(|item| cells(item, &CSV) + "\n");
        let text: String = head.take().into_iter().chain(rows).collect();
        screen.out(&text);
        !screen.is_closed()
    })?;
    Ok(Exit::Ok)
}

/// Microseconds as milliseconds, to a hundredth.
pub(super) fn millis(object: &Value, name: &str) -> String {
    object.get(name).and_then(Value::as_u64).map_or_else(|| "-".to_owned(), |us| format!("{:.2}", us as f64 / 1e3))
}

const COLUMNS: [Column; 9] = [
    Column::left("ID", |call, _| field(call, "id")),
    Column::left("WHEN", |call, now| away(call, "at", now)),
    Column::left("CODE", |call, _| field(call, "code")),
    Column { title: "STATUS", right: true, cell: |call, _| field(call, "status") },
    Column::left("METHOD", |call, _| field(call, "method")),
    Column::left("PATH", |call, _| field(call, "path")),
    Column::left("KEY", |call, _| field(call, "key_id")),
    Column::left("FROM", |call, _| field(call, "address")),
    Column { title: "MS", right: true, cell: |call, _| millis(call, "latency_us") },
];

/// The columns of CSV, by the names that they have in JSON.
const CSV: [&str; 19] = [
    "id",
    "at",
    "door",
    "method",
    "host",
    "path",
    "address",
    "user_agent",
    "api_id",
    "project_id",
    "key_id",
    "operation",
    "code",
    "status",
    "latency_us",
    "upstream_us",
    "bytes_in",
    "bytes_out",
    "trace_id",
];
