//! `keystile route test`: what would become of a call, and why, without making it. Nothing is counted, and it needs the id
//! or name of a key instead of its text.

use clap::{Args, Subcommand};
use keystile_core::Code;
use keystile_core::time::Timestamp;
use serde_json::Value;
use ureq::http::Method;

use super::described::{ClientArgs, ContentArgs, SubjectArgs};
use super::fault::{Exit, Fault};
use super::screen::harmless;
use super::server::Payload;
use super::session::{Fields, KEY, Session};
use super::table::field;
use super::values::moment;

/// What to do with routes.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what would become of a call, and what each rule says of it.
    Test(Box<Test>),
}

/// A call that nobody makes.
#[derive(Debug, Args)]
pub struct Test {
    /// The method that would be called.
    method: String,
    /// The path that would be called, as clients of the gateway write it; with --api, one of the API's own.
    path: String,
    /// The key that would be shown, by id or name.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Look for the name of the key in this project only.
    #[arg(long)]
    project: Option<String>,
    /// The API that would be called, by id or name; else the one that the gateway finds by host and path.
    #[arg(long, conflicts_with = "host")]
    api: Option<String>,
    /// The host that would be called.
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    content: ContentArgs,
    #[command(flatten)]
    subject: SubjectArgs,
    /// A permission question, such as `pets.read AND (pets.write OR admin)`, besides what the operation needs.
    #[arg(long, value_name = "QUESTION")]
    permissions: Option<String>,
    /// When, such as 2027-01-31 or 2027-01-31T12:00:00Z; else now.
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    at: Option<Timestamp>,
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let Verb::Test(ask) = verb;
    let project = ask.project.as_deref().map(|text| session.project(text)).transpose()?;
    let key = session.key(&ask.key, project)?;
    let body = Fields::default()
        .with("api", ask.api)
        .with("host", ask.host)
        .with("operation", Some(ask.content.operation(&ask.method, ask.path)))
        .with("client", ask.client.object())
        .with("permissions", ask.permissions)
        .with("at", ask.at.map(|moment| moment.to_string()));
    let path = format!("{}/{key}/explain", KEY.path);
    let body = Value::Object(ask.subject.put(body).0);
    let answer = session.server.send("test the call", Method::POST, &path, &[], &Payload::Json(&body))?;
    let Some(allowed) = answer.get("allowed").and_then(Value::as_bool) else {
        return Err(Fault::new(
            Exit::Failure,
            "could not test the call",
            "the answer is not understood",
            "use a client of the server's version",
        ));
    };
    if session.global.json {
        session.screen.out(&format!("{answer}\n"));
    } else if !session.global.quiet {
        session.screen.out(&told(&answer, allowed));
    }
    Ok(if allowed { Exit::Ok } else { Exit::Findings })
}

fn told(answer: &Value, allowed: bool) -> String {
    let mut text = if allowed { "allowed\n".to_owned() } else { refused(&field(answer, "code")) };
    for (title, name) in [("api", "api_id"), ("path", "path"), ("lacks", "missing_permissions")] {
        let value = field(answer, name);
        if value != "-" {
            text.push_str(&format!("  {title:14} {value}\n"));
        }
    }
    text.push_str(&trace(answer));
    text
}

/// A refusal in words.
pub(super) fn refused(code: &str) -> String {
    let known = Code::ALL.iter().find(|known| known.as_str() == code);
    let detail = known.map_or("", |code| code.detail());
    format!("refused: {} {detail}\n", harmless(code)).replace(" \n", "\n")
}

/// The questions of a decision with their answers, and below one the restrictions or patterns with theirs.
pub(super) fn trace(answer: &Value) -> String {
    let items = |of: &Value, name: &str| of.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut text = String::new();
    for step in items(answer, "trace") {
        text.push_str(&format!("  {:14} {}\n", field(&step, "step"), field(&step, "code")));
        for (list, name) in [("restrictions", "rule"), ("patterns", "name")] {
            for said in items(&step, list) {
                let shadow = if said.get("shadow") == Some(&Value::Bool(true)) { " (in shadow)" } else { "" };
                text.push_str(&format!("    {:12} {}{shadow}\n", field(&said, name), field(&said, "code")));
            }
        }
    }
    text
}
