//! `keystile usage` alone: what was called, by whom, and how it ended.

use std::collections::HashMap;

use clap::Args;
use keystile_core::usage::Percentile;
use serde_json::{Map, Value, json};

use super::between;
use crate::cli::csv::{Format, cells};
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
    /// What to count apart: api, organization, project, key, operation, code, status-class, status, and one of country, end-user and
    /// tag:NAME, separated by commas. An organization is that of the project.
    #[arg(long, value_name = "WHAT", value_parser = by, value_delimiter = ',', default_value = "api,code")]
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
    /// Only calls that were answered with this status, such as 404, or with one that begins alike: 4xx.
    #[arg(long)]
    status: Option<String>,
    /// Only calls of this operation, such as "GET /pets/{id}".
    #[arg(long)]
    operation: Option<String>,
    /// Only calls from this country, by its code of two letters.
    #[arg(long)]
    country: Option<String>,
    /// Only calls for this end user.
    #[arg(long)]
    end_user: Option<String>,
    /// Only calls with this tag.
    #[arg(long, value_name = "NAME:VALUE")]
    tag: Option<String>,
    /// Only so many rows, those with the most calls first.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    top: Option<u32>,
    /// Rows with the most of this first.
    #[arg(long, value_parser = ["calls", "latency", "bytes_in", "bytes_out", "cost"])]
    order_by: Option<String>,
    /// Percentiles of the latency, separated by commas.
    #[arg(long, value_name = "SHARES", num_args = 0..=1, default_missing_value = "50,95,99")]
    percentiles: Option<String>,
    /// Say as well how many calls there were in the time before, which is as long.
    #[arg(long)]
    compare: bool,
    /// Write rows for programs: a JSON object a line, or CSV.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// What calls can be counted apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct By {
    /// The word in a question.
    word: String,
    /// The field in a row.
    field: &'static str,
}

/// Reads what calls can be counted apart by.
fn by(text: &str) -> Result<By, String> {
    let word = text.replace('-', "_");
    let field = match word.as_str() {
        "api" => "api_id",
        "organization" => "organization_id",
        "project" => "project_id",
        "key" => "key_id",
        "operation" => "operation",
        "code" => "code",
        "status_class" => "status_class",
        "status" => "status",
        _ => match text.starts_with("tag:") {
            true => return Ok(By { word: text.to_owned(), field: "value" }),
            false => match word.as_str() {
                "country" | "end_user" => "value",
                _ => {
                    return Err(
                        "calls are counted by api, organization, project, key, operation, code, status-class, status, country, \
                         end-user and tag:NAME"
                            .to_owned(),
                    );
                }
            },
        },
    };
    Ok(By { word, field })
}

pub(super) fn run(ask: Ask, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let now = session.now();
    let group_by = ask.by.iter().map(|by| by.word.as_str()).collect::<Vec<_>>().join(",");
    let (since, until) = between(ask.since, ask.until, now)?;
    let api = ask.api.map(|text| session.api(&text)).transpose()?;
    let project = ask.project.map(|text| session.project(&text)).transpose()?;
    let key = ask.key.map(|text| session.key(&text, project)).transpose()?;
    let shares = shares(ask.percentiles.as_deref().unwrap_or_default());
    let order_by = ask.order_by.or_else(|| ask.top.map(|_| "calls".to_owned()));
    let query = [
        ("group_by", Some(group_by)),
        ("from", since),
        ("until", until),
        ("bucket", ask.bucket.clone()),
        ("api_id", api.map(|id| id.to_string())),
        ("project_id", project.map(|id| id.to_string())),
        ("key_id", key.map(|id| id.to_string())),
        ("code", ask.code),
        ("status", ask.status),
        ("operation", ask.operation),
        ("country", ask.country),
        ("end_user", ask.end_user),
        ("tag", ask.tag),
        ("percentiles", ask.percentiles),
        ("order_by", order_by),
        ("compare", ask.compare.then(|| "previous".to_owned())),
    ];
    let query: Vec<(&str, &str)> = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let mut rows: Vec<Value> = Vec::new();
    let limit = ask.top.or(session.global.limit).map(|limit| limit as usize);
    session.server.pages("read the usage", "/v1/usage", &query, ROWS, limit, |items| {
        rows.extend(items);
        true
    })?;
    let columns = Columns { by: &ask.by, start: ask.bucket.is_some(), shares, compares: ask.compare };
    match ask.format {
        Some(format) => columns.write(&rows, format, session)?,
        None if session.global.json => session.screen.out(&format!("{}\n", json!({ "items": rows }))),
        None => columns.print(&rows, session),
    }
    Ok(Exit::Ok)
}

/// The names under which these percentiles are told, such as `p99.9`, in their order; what is none the server refuses.
fn shares(asked: &str) -> Vec<String> {
    let mut all: Vec<Percentile> = asked.split(',').filter_map(|share| share.parse().ok()).collect();
    all.sort_unstable();
    all.dedup();
    all.iter().map(|share| format!("p{share}")).collect()
}

const PERCENTILES: &str = "latency_percentiles_us";

/// How rows are shown.
struct Columns<'a> {
    by: &'a [By],
    /// Whether they have a beginning.
    start: bool,
    shares: Vec<String>,
    compares: bool,
}

impl Columns<'_> {
    /// For programs: what is in a row within others stands beside them.
    fn write(&self, rows: &[Value], format: Format, session: &mut Session<'_>) -> Result<(), Fault> {
        let mut names: Vec<String> = if self.start { vec!["start".to_owned()] } else { Vec::new() };
        names.extend(self.by.iter().map(|by| by.field.to_owned()));
        let sums = ["calls", "cost", "latency_us", "bytes_in", "bytes_out"];
        names.extend(sums.map(str::to_owned));
        names.extend(self.shares.iter().map(|share| format!("{share}_us")));
        if self.compares {
            names.extend(sums.map(|sum| format!("before_{sum}")));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut text = match format {
            Format::Csv => format!("{}\n", names.join(",")),
            Format::Ndjson => String::new(),
        };
        for row in rows {
            match format {
                Format::Ndjson => text.push_str(&row.to_string()),
                Format::Csv => text.push_str(&cells(&flat(row), &names)),
            }
            text.push('\n');
        }
        session.screen.deliver(&text).map_err(|error| {
            Fault::new(Exit::Failure, "could not write the usage", error.to_string(), "what was written is not all")
        })
    }

    /// For people.
    fn print(&self, rows: &[Value], session: &mut Session<'_>) {
        if rows.is_empty() {
            session.screen.note("no calls in this time");
            return;
        }
        let mut names = HashMap::new();
        for (field, noun) in [("api_id", API), ("project_id", PROJECT)] {
            if self.by.iter().any(|by| by.field == field) {
                names.extend(look_up(noun, session));
            }
        }
        let start = self.start.then(|| ("START".to_owned(), false));
        let groups = self.by.iter().map(|by| (by.word.replace('_', " ").to_uppercase(), by.field == "status"));
        let before = if self.compares { &["BEFORE", "CHANGE"][..] } else { &[] };
        let latencies = if self.shares.is_empty() { vec!["MEAN".to_owned()] } else { self.shares.clone() };
        let counts = ["CALLS"].iter().chain(before).chain(&["COST"]).map(|title| (*title).to_owned());
        let counts = counts.chain(latencies).chain(["IN", "OUT"].map(str::to_owned));
        let counts = counts.map(|title| (title.to_uppercase(), true));
        let mut table = Table::new(start.into_iter().chain(groups).chain(counts));
        let (mut calls, mut lines) = (0_u64, Vec::new());
        for row in rows {
            calls = calls.saturating_add(number(row, "calls"));
            let start = self.start.then(|| field(row, "start"));
            let groups = self.by.iter().map(|by| {
                let value = field(row, by.field);
                names.get(&value).cloned().unwrap_or(value)
            });
            lines.push(start.into_iter().chain(groups).chain(self.counts(row)).collect());
        }
        table.rows(session.screen, &lines);
        session.screen.note(&format!("{} calls in {} rows", thousands(calls), thousands(rows.len() as u64)));
    }

    fn counts(&self, row: &Value) -> Vec<String> {
        let calls = number(row, "calls");
        let mut cells = vec![thousands(calls)];
        if self.compares {
            let before = row.get("before").map_or(0, |before| number(before, "calls"));
            cells.extend([thousands(before), change(before, calls)]);
        }
        cells.push(signed(row.get("cost").and_then(Value::as_i64).unwrap_or(0)));
        if self.shares.is_empty() {
            cells.push(millis(number(row, "latency_us").checked_div(calls)));
        }
        let told = row.get(PERCENTILES);
        cells.extend(self.shares.iter().map(|share| millis(told.and_then(|told| told.get(share)?.as_u64()))));
        cells.extend([bytes(number(row, "bytes_in")), bytes(number(row, "bytes_out"))]);
        cells
    }
}

fn number(row: &Value, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// Microseconds as people read them.
fn millis(micros: Option<u64>) -> String {
    micros.map_or_else(|| "-".to_owned(), |micros| format!("{:.1} ms", micros as f64 / 1_000.0))
}

/// By how much calls have become more or fewer.
fn change(before: u64, now: u64) -> String {
    match before {
        0 if now == 0 => "-".to_owned(),
        0 => "new".to_owned(),
        _ => format!("{:+.0} %", (now as f64 / before as f64 - 1.0) * 100.0),
    }
}

/// A row with what is within others beside them, under names that say where it was.
fn flat(row: &Value) -> Value {
    let mut all = Map::new();
    for (name, value) in row.as_object().into_iter().flatten() {
        match (name.as_str(), value.as_object()) {
            (PERCENTILES, Some(told)) => {
                all.extend(told.iter().map(|(share, micros)| (format!("{share}_us"), micros.clone())));
            }
            ("before", Some(before)) => {
                all.extend(before.iter().map(|(name, value)| (format!("before_{name}"), value.clone())));
            }
            _ => {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(all)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_by_is_written_with_either_dash() {
        let read = |text| by(text).map(|by| (by.word, by.field));
        assert_eq!(read("status-class"), Ok(("status_class".to_owned(), "status_class")));
        assert_eq!(read("end_user"), Ok(("end_user".to_owned(), "value")));
        assert_eq!(read("tag:my-team"), Ok(("tag:my-team".to_owned(), "value")), "names of tags are left as they are");
        assert!(read("keys").unwrap_err().contains("end-user"));
    }

    #[test]
    fn percentiles_and_the_time_before_are_columns_of_their_own() {
        let row = json!({ "code": "allowed", "calls": 4, "latency_percentiles_us": { "p99.9": 7, "p50": 3 },
            "before": { "calls": 2, "cost": -1 } });
        assert_eq!(shares("99.90,50,p5"), ["p50", "p99.9"]);
        assert_eq!(cells(&flat(&row), &["code", "calls", "p50_us", "p99.9_us", "before_cost"]), "allowed,4,3,7,-1");
        assert_eq!([change(0, 0), change(0, 1), change(2, 3), change(4, 1)], ["-", "new", "+50 %", "-75 %"]);
    }
}
