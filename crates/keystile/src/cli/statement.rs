//! `keystile statement`: what projects used in a period, and what that costs by their plans.

use clap::Args;
use keystile_core::id::ActivationId;
use keystile_core::time::Timestamp;
use serde_json::Value;

use super::csv::cells;
use super::fault::{Exit, Fault};
use super::server::PAGE;
use super::session::Session;
use super::table::{Column, field, number};
use super::values::moment;

/// Which statements.
#[derive(Debug, Args)]
pub struct Ask {
    /// Those of the time that holds this moment, such as 2027-01-31; now unless given.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    at: Option<Timestamp>,
    /// Only those of this project, by id or name.
    #[arg(long)]
    project: Option<String>,
    /// Only those of this API, by id or name.
    #[arg(long)]
    api: Option<String>,
    /// Only that of this activation.
    #[arg(long)]
    activation: Option<ActivationId>,
    /// A row a line as CSV (RFC 4180), for whoever writes the invoices.
    #[arg(long)]
    csv: bool,
}

pub(super) fn run(ask: Ask, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let project = ask.project.map(|text| session.project(&text)).transpose()?.map(|id| id.to_string());
    let api = ask.api.map(|text| session.api(&text)).transpose()?.map(|id| id.to_string());
    let (at, activation) = (ask.at.map(|at| at.to_string()), ask.activation.map(|id| id.to_string()));
    let query = [("project_id", &project), ("api_id", &api), ("at", &at), ("activation_id", &activation)];
    let query: Vec<(&str, &str)> = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    if !ask.csv {
        return session.list_at("statements", PATH, &query, &COLUMNS);
    }
    let screen = &mut *session.screen;
    screen.out(&format!("{},{}\n", FIELDS.join(","), LINE_FIELDS.join(",")));
    session.server.pages("list the statements", PATH, &query, PAGE, None, |items| {
        screen.out(&items.iter().map(rows).collect::<String>());
        !screen.is_closed()
    })?;
    Ok(Exit::Ok)
}

const PATH: &str = "/v1/statements";
/// What each row says of its statement.
const FIELDS: [&str; 14] = [
    "activation_id",
    "project_id",
    "api_id",
    "plan_id",
    "plan",
    "version",
    "starts_at",
    "ends_at",
    "closed",
    "calls",
    "currency",
    "unit_price",
    "per_units",
    "total",
];
/// And of its line.
const LINE_FIELDS: [&str; 3] = ["item", "units", "amount"];

/// The lines of a statement, a row each.
fn rows(statement: &Value) -> String {
    let lines = statement["lines"].as_array().map_or(&[][..], Vec::as_slice);
    lines.iter().map(|line| format!("{},{}\n", cells(statement, &FIELDS), cells(line, &LINE_FIELDS))).collect()
}

const COLUMNS: [Column; 9] = [
    Column::left("ACTIVATION", |statement, _| field(statement, "activation_id")),
    Column::left("PROJECT", |statement, _| field(statement, "project_id")),
    Column::left("PLAN", |statement, _| format!("{} ({})", field(statement, "plan"), field(statement, "version"))),
    Column::left("FROM", |statement, _| field(statement, "starts_at")),
    Column::left("UNTIL", |statement, _| field(statement, "ends_at")),
    Column::left("STATE", |statement, _| {
        if statement["closed"] == Value::Bool(true) { "closed".to_owned() } else { "open".to_owned() }
    }),
    Column { title: "UNITS", right: true, cell: |statement, _| number(statement, "units") },
    Column { title: "INCLUDED", right: true, cell: |statement, _| number(statement, "included") },
    Column {
        title: "TOTAL",
        right: true,
        cell: |statement, _| format!("{} {}", field(statement, "total"), field(statement, "currency")),
    },
];
