//! `keystile key rotate`, `versions`, `end-version` and `extend-version`: another text for a key, and the end of those
//! before.

use clap::Args;
use serde_json::Value;
use ureq::http::Method;

use super::reveal::reveal;
use super::{Exit, Expiry, Fault, Fields, HandOver, KEY, Session, Which, away, field};
use crate::cli::server::Payload;
use crate::cli::table::{Column, number};
use crate::cli::values::seconds_of;

/// How a key is rotated.
#[derive(Debug, Args)]
pub struct Rotate {
    #[command(flatten)]
    which: Which,
    /// How long the text before stays good: 0, 90s, 30m, 12h or 7d, which is the most; a day unless given.
    #[arg(long, value_name = "TIME", value_parser = seconds_of)]
    overlap: Option<u32>,
    #[command(flatten)]
    hand_over: HandOver,
    #[command(flatten)]
    expiry: Expiry,
    /// Whether the new text can be had back; as it was, unless given.
    #[arg(long, value_name = "true|false")]
    recoverable: Option<bool>,
    /// What the new text begins with; what the one before does, unless given.
    #[arg(long)]
    prefix: Option<keystile_core::key::Prefix>,
}

/// A former version of a key.
#[derive(Debug, Args)]
pub struct Former {
    #[command(flatten)]
    which: Which,
    /// Which version: its number in `keystile key versions`.
    #[arg(value_name = "VERSION")]
    number: u16,
}

/// How much longer a former version is good.
#[derive(Debug, Args)]
pub struct Extend {
    #[command(flatten)]
    former: Former,
    /// For how long from now: 90s, 30m, 12h or 7d, which is the most; a day unless given.
    #[arg(long, value_name = "TIME", value_parser = seconds_of)]
    overlap: Option<u32>,
}

pub(super) fn rotate(ask: Rotate, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let id = ask.which.find(session)?;
    if ask.overlap == Some(0) {
        session.confirm(&format!(
            "Rotate the key {id} without an overlap? Calls with its present text are refused from now on."
        ))?;
    }
    let fields = Fields(serde_json::Map::new())
        .with("overlap_seconds", ask.overlap)
        .with("hand_over_hours", ask.hand_over.hand_over_hours)
        .with("recoverable", ask.recoverable)
        .with("prefix", ask.prefix.map(|prefix| prefix.as_str().to_owned()));
    let body = Value::Object(ask.expiry.put(fields).0);
    let path = format!("{}/{id}/rotate", KEY.path);
    let object =
        session.server.send(&format!("rotate the key {id}"), Method::POST, &path, &[], &Payload::Json(&body))?;
    reveal(&object, "was rotated", session)
}

pub(super) fn list(which: &Which, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let id = which.find(session)?;
    session.list_at("versions", &format!("{}/{id}/versions", KEY.path), &[], &COLUMNS)
}

pub(super) fn end(former: &Former, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let (id, version) = (former.which.find(session)?, former.number);
    session.confirm(&format!("End version {version} of the key {id}? Calls with its text are refused from now on."))?;
    session.act(KEY, &format!("{id}/versions/{version}"), "end", None)
}

pub(super) fn extend(ask: &Extend, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let (id, version) = (ask.former.which.find(session)?, ask.former.number);
    let body = Value::Object(Fields(serde_json::Map::new()).with("overlap_seconds", ask.overlap).0);
    session.act(KEY, &format!("{id}/versions/{version}"), "extend", Some(body))
}

const COLUMNS: [Column; 7] = [
    Column { title: "VERSION", right: true, cell: |version, _| field(version, "version") },
    Column::left("STATE", |version, _| field(version, "state")),
    Column::left("HINT", |version, _| field(version, "hint")),
    Column::left("ENDS", |version, now| away(version, "ends_at", now)),
    Column { title: "CALLS", right: true, cell: |version, _| number(version, "calls") },
    Column { title: "REFUSED", right: true, cell: |version, _| number(version, "refused") },
    Column::left("USED LAST", |version, now| away(version, "last_used_at", now)),
];
