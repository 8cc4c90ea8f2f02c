//! `keystile usage record`: usage that is no call answered here, and corrections.

use clap::Args;
use http::Method;
use keystile_core::id::ActivationId;
use serde_json::{Value, json};

use crate::cli::fault::{Exit, Fault};
use crate::cli::screen::harmless;
use crate::cli::server::Payload;
use crate::cli::session::{Fields, Session};
use crate::cli::values::{When, signed, when};

/// What was used, by whom, and when.
#[derive(Debug, Args)]
pub(super) struct Record {
    /// An id of yours, another one for everything that is recorded: said again, it is recorded once.
    id: String,
    /// The activation: who used what.
    #[arg(long, value_name = "ID")]
    activation: ActivationId,
    /// How many units it costs; below 0 to take back.
    #[arg(long, allow_negative_numbers = true)]
    units: i64,
    /// How many calls that were; none unless given.
    #[arg(long)]
    calls: Option<u64>,
    /// When: 7d, 24h, 30m ago, 2027-01-31 or 2027-01-31T12:00:00Z; now unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    at: Option<When>,
    /// The id of a record that this corrects.
    #[arg(long, value_name = "ID")]
    corrects: Option<String>,
    /// What people on both sides read, such as an invoice's number.
    #[arg(long)]
    note: Option<String>,
}

pub(super) fn run(ask: Record, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let now = session.now();
    let fields = Fields::default()
        .with("id", Some(ask.id))
        .with("activation_id", Some(ask.activation.to_string()))
        .with("units", Some(ask.units))
        .with("calls", ask.calls)
        .with("at", ask.at.map(|at| at.seen_from(now).to_string()))
        .with("corrects", ask.corrects)
        .with("note", ask.note);
    let body = json!({ "usage": [fields.0] });
    let answer =
        session.server.send("record the usage", Method::POST, "/v1/usage/record", &[], &Payload::Json(&body))?;
    let record = &answer["usage"][0];
    if session.global.json {
        session.screen.out(&format!("{record}\n"));
        return Ok(Exit::Ok);
    }
    let is = |name: &str| record[name] == Value::Bool(true);
    let again = if is("repeated") { ", as it was before" } else { "" };
    let units = signed(record["units"].as_i64().unwrap_or(0));
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    session.screen.out(&format!("recorded{again}: {units} units at {}, as {}\n", text("at"), harmless(text("id"))));
    if is("late") {
        session.screen.note("the statement of that time may be closed; then it is an adjustment of a later one");
    }
    Ok(Exit::Ok)
}
