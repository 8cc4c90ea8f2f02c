//! `keystile key compromised` and `activity`: what to do about a key that others know, and what was done with it.

use clap::Args;
use keystile_core::id::KeyId;
use serde_json::{Map, Value};
use ureq::http::Method;

use super::reveal::reveal;
use super::{Exit, Fault, Fields, HandOver, KEY, Session, Which, field};
use crate::cli::server::Payload;
use crate::cli::table::{away, number};
use crate::cli::values::{When, when};

/// Rows of each list that people are shown; `--json` has all.
const SHOWN: usize = 10;

/// A key that others know.
#[derive(Debug, Args)]
pub struct Compromised {
    #[command(flatten)]
    which: Which,
    /// Since when others may have used it: 7d, 24h, 2027-01-31; 30 days ago unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
    /// What happened, for the audit.
    #[arg(long)]
    reason: Option<String>,
    /// Make no other key in its place.
    #[arg(long)]
    no_replacement: bool,
    #[command(flatten)]
    hand_over: HandOver,
}

/// What was done with a key.
#[derive(Debug, Args)]
pub struct Activity {
    #[command(flatten)]
    which: Which,
    /// Since when: 7d, 24h, 2027-01-31; 30 days ago unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
}

pub(super) fn compromised(ask: Compromised, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let id = ask.which.find(session)?;
    refuse_replacement(&ask.which.key, session)?;
    session.confirm(&format!("Revoke the key {id}? Its calls are refused from now on, for good."))?;
    let since = ask.since.map(|since| since.seen_from(session.now()).to_string());
    let body = Fields(Map::new())
        .with("since", since)
        .with("reason", ask.reason)
        .with("hand_over_hours", ask.hand_over.hand_over_hours)
        .with("replace", ask.no_replacement.then_some(false));
    let path = format!("{}/{id}/compromised", KEY.path);
    let what = format!("end the key {id}");
    let done = session.server.send(&what, Method::POST, &path, &[], &Payload::Json(&Value::Object(body.0)))?;
    if session.global.json {
        session.screen.out(&format!("{done}\n"));
        return Ok(Exit::Ok);
    }
    session.screen.note(&format!("revoked {id}"));
    tell(done.get("activity").unwrap_or(&Value::Null), session);
    match done.get("replacement") {
        Some(replacement) if replacement.is_object() => reveal(replacement, "takes its place", session),
        _ => Ok(Exit::Ok),
    }
}

/// The replacement of a key has its name: whoever repeats the command by that name would end what was just handed out.
fn refuse_replacement(text: &str, session: &Session<'_>) -> Result<(), Fault> {
    if text.parse::<KeyId>().is_ok() {
        return Ok(());
    }
    let what = format!("end the key `{text}`");
    let mut ended = None;
    session.server.pages(&what, KEY.path, &[("name", text), ("state", "revoked")], 1, None, |items| {
        ended = items.first().map(|item| field(item, "id"));
        false
    })?;
    let Some(ended) = ended else { return Ok(()) };
    Err(Fault::usage(
        format!("could not {what}"),
        format!("{ended} had this name too and is revoked; the other one may be what took its place"),
        "look at `keystile key list`, and say the id of the key that is to end",
    ))
}

pub(super) fn activity(ask: &Activity, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let id = ask.which.find(session)?;
    let since = ask.since.map(|since| since.seen_from(session.now()).to_string());
    let query: Vec<(&str, &str)> = since.as_deref().map(|since| ("since", since)).into_iter().collect();
    let told = session.server.get(&format!("read what {id} did"), &format!("{}/{id}/activity", KEY.path), &query)?;
    if session.global.json {
        session.screen.out(&format!("{told}\n"));
    } else {
        let text = lines(&told, session);
        session.screen.out(&text);
    }
    Ok(Exit::Ok)
}

/// What was done with a key, as a remark.
fn tell(activity: &Value, session: &mut Session<'_>) {
    let text = lines(activity, session);
    session.screen.note(text.trim_end());
}

fn lines(activity: &Value, session: &Session<'_>) -> String {
    let now = session.now();

    let items = |name: &str| activity.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut text = format!(
        "since {}: {} calls let through, {} refused\n",
        field(activity, "since"),
        number(activity, "allowed"),
        number(activity, "refused")
    );
    for operation in items("operations").iter().take(SHOWN) {
        let (allowed, refused) = (number(operation, "allowed"), number(operation, "refused"));
        text += &format!("  {}: {allowed} let through, {refused} refused\n", field(operation, "operation"));
    }
    for address in items("addresses").iter().take(SHOWN) {
        let (calls, refused) = (number(address, "calls"), number(address, "refused"));
        let last = away(address, "last_at", now);
        text += &format!("  from {}: {calls} calls, {refused} refused, the last {last}\n", field(address, "address"));
    }
    text
}
