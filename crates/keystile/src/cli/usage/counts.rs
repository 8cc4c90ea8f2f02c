//! `keystile usage` alone: what was called, by whom, and how it ended.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::between;
use crate::cli::fault::{Exit, Fault};
use crate::cli::server::PAGE;
use crate::cli::session::{API, Noun, PROJECT, Session};
use crate::cli::table::{Table, field};
use crate::cli::values::{When, bytes, signed, thousands, when};

/// Rows a page: the most that the server gives.
const ROWS: usize = 10_000;
/// Most names that are looked up to stand where ids stood.
const MAX_NAMES: usize = 1_000;

/// What to count, and by what.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// What to count apart, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "api,code")]
    by: Vec<By>,
    /// From when: 7d, 24h, 30m, 2027-01-31 or 2027-01-31T12:00:00Z; 24 hours ago unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
    /// Until when; now unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<When>,
    /// A row for each of these, too.
    #[arg(long, value_parser = ["minute", "hour", "day"])]
    bucket: Option<String>,
    /// Only calls of this API, by id or name.
    #[arg(long)]
    api: Option<String>,
    /// Only calls of this project, by id or name.
    #[arg(long)]
    project: Option<String>,
    /// Only calls with this key, by id or name.
    #[arg(long)]
    key: Option<String>,
    /// Only calls that ended with this code, such as rate_limited.
    #[arg(long)]
    code: Option<String>,
}

/// What calls can be counted apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// The API.
    Api,
    /// The project.
    Project,
    /// The key.
    Key,
    /// The operation.
    Operation,
    /// How the decision went.
    Code,
    /// The HTTP status.
    Status,
}

impl By {
    /// The word in a question, and the field in a row.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Api => ("api", "api_id"),
            Self::Project => ("project", "project_id"),
            Self::Key => ("key", "key_id"),
            Self::Operation => ("operation", "operation"),
            Self::Code => ("code", "code"),
            Self::Status => ("status", "status"),
        }
    }
}

pub(super) fn run(ask: Ask, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let now = session.now();
    let group_by = ask.by.iter().map(|by| by.names().0).collect::<Vec<_>>().join(",");
    let (since, until) = between(ask.since, ask.until, now)?;
    let api = ask.api.map(|text| session.api(&text)).transpose()?;
    let project = ask.project.map(|text| session.project(&text)).transpose()?;
    let key = ask.key.map(|text| session.key(&text, project)).transpose()?;
    let query = [
        ("group_by", Some(group_by)),
        ("from", since),
        ("until", until),
        ("bucket", ask.bucket.clone()),
        ("api_id", api.map(|id| id.to_string())),
        ("project_id", project.map(|id| id.to_string())),
        ("key_id", key.map(|id| id.to_string())),
        ("code", ask.code),
    ];
    let query: Vec<(&str, &str)> = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let mut rows: Vec<Value> = Vec::new();
    let limit = session.global.limit.map(|limit| limit as usize);
    session.server.pages("read the usage", "/v1/usage", &query, ROWS, limit, |items| {
        rows.extend(items);
        true
    })?;
    if session.global.json {
        session.screen.out(&format!("{}\n", json!({ "items": rows })));
    } else {
        print(&ask.by, ask.bucket.is_some(), &rows, session);
    }
    Ok(Exit::Ok)
}

fn print(by: &[By], with_start: bool, rows: &[Value], session: &mut Session<'_>) {
    if rows.is_empty() {
        session.screen.note("no calls in this time");
        return;
    }
    let mut names = HashMap::new();
    for (dimension, noun) in [(By::Api, API), (By::Project, PROJECT)] {
        if by.contains(&dimension) {
            names.extend(look_up(noun, session));
        }
    }
    let start = with_start.then(|| ("START".to_owned(), false));
    let groups = by.iter().map(|by| (by.names().0.to_uppercase(), *by == By::Status));
    let counts = ["CALLS", "COST", "MEAN", "IN", "OUT"].map(|title| (title.to_owned(), true));
    let mut table = Table::new(start.into_iter().chain(groups).chain(counts));
    let number = |row: &Value, name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (mut calls, mut lines) = (0_u64, Vec::new());
    for row in rows {
        let row_calls = number(row, "calls");
        calls = calls.saturating_add(row_calls);
        let mut line = Vec::new();
        if with_start {
            line.push(field(row, "start"));
        }
        for by in by {
            let value = field(row, by.names().1);
            line.push(names.get(&value).cloned().unwrap_or(value));
        }
        let mean_us = number(row, "latency_us").checked_div(row_calls).unwrap_or(0);
        line.extend([
            thousands(row_calls),
            signed(row.get("cost").and_then(Value::as_i64).unwrap_or(0)),
            format!("{:.1} ms", mean_us as f64 / 1_000.0),
            bytes(number(row, "bytes_in")),
            bytes(number(row, "bytes_out")),
        ]);
        lines.push(line);
    }
    table.rows(session.screen, &lines);
    session.screen.note(&format!("{} calls in {} rows", thousands(calls), thousands(rows.len() as u64)));
}

/// Names by id. Names are a courtesy: where they can't be had, or two are alike, ids stand for themselves.
fn look_up(noun: Noun, session: &Session<'_>) -> HashMap<String, String> {
    let mut names = HashMap::new();
    let _ = session.server.pages("read names", noun.path, &[], PAGE, Some(MAX_NAMES), |items| {
        names.extend(items.iter().map(|item| (field(item, "id"), field(item, "name"))));
        true
    });
    let mut seen: HashMap<String, u32> = HashMap::new();
    for name in names.values() {
        *seen.entry(name.clone()).or_default() += 1;
    }
    names.retain(|_, name| seen.get(name) == Some(&1));
    names
}
