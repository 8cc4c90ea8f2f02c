//! `keystile key verify`: would this key be let through? The key comes from standard input, never from an argument.

use std::io::Read;

use clap::Args;
use serde_json::Value;
use ureq::http::Method;

use super::described::{ClientArgs, ContentArgs, SubjectArgs};
use super::fault::{Exit, Fault};
use super::route::{refused, trace};
use super::screen::Screen;
use super::secret::Secret;
use super::server::{Payload, Server};
use super::session::Fields;
use super::table::field;
use super::{Global, management_key};

/// Where checks are answered unless something else is said.
const DEFAULT_CHECK: &str = "http://127.0.0.1:4402";

/// A question about a key.
#[derive(Debug, Args)]
pub struct Ask {
    /// The API that would be called, by id or name.
    #[arg(long)]
    api: Option<String>,
    /// The method that would be called.
    #[arg(long, requires = "path")]
    method: Option<String>,
    /// The path that would be called.
    #[arg(long, requires = "method")]
    path: Option<String>,
    #[command(flatten)]
    content: ContentArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    subject: SubjectArgs,
    /// What it counts against limits; 1 unless said otherwise, 0 to look without counting.
    #[arg(long, value_name = "N")]
    cost: Option<u32>,
    /// A permission question, such as `pets.read AND (pets.write OR admin)`.
    #[arg(long, value_name = "QUESTION")]
    permissions: Option<String>,
    /// Say how the answer came about.
    #[arg(long)]
    explain: bool,
    /// The verification API; else KEYSTILE_CHECK_URL, else http://127.0.0.1:4402.
    #[arg(long, value_name = "URL")]
    check_url: Option<String>,
}

pub(super) fn run(
    ask: Ask,
    global: &Global,
    env: &dyn Fn(&str) -> Option<String>,
    input: Box<dyn Read + Send>,
    screen: &mut Screen,
) -> Result<Exit, Fault> {
    let url = ask.check_url.or_else(|| env("KEYSTILE_CHECK_URL")).unwrap_or_else(|| DEFAULT_CHECK.to_owned());
    // Where checks need a management key, this is the one.
    let server = Server::at(&url, management_key(global, env)?)?;
    if server.is_exposed() {
        screen.note("warning: the key crosses the network unencrypted; use https:// to reach another machine");
    }
    if screen.terminal().input {
        screen.note("Paste the key, then press Enter (it will be visible):");
    }
    let key = Secret::read(FirstLine(input), "standard input")?;
    let body = Fields::default()
        .with("key", Some(key.expose()))
        .with("api", ask.api)
        .with("operation", ask.method.zip(ask.path).map(|(method, path)| ask.content.operation(&method, path)))
        .with("client", ask.client.object())
        .with("permissions", ask.permissions)
        .with("cost", ask.cost)
        .with("explain", ask.explain.then_some(true));
    let body = Value::Object(ask.subject.put(body).0);
    let answer = server.send("verify the key", Method::POST, "/v1/verify", &[], &Payload::Json(&body))?;
    let Some(allowed) = answer.get("allowed").and_then(Value::as_bool) else {
        return Err(Fault::new(
            Exit::Failure,
            "could not verify the key",
            "the answer is not one of a Keystile server",
            "check that the URL is that of its verification API",
        ));
    };
    if global.json {
        screen.out(&format!("{answer}\n"));
    } else if !global.quiet {
        screen.out(&told(&answer, allowed));
    }
    Ok(if allowed { Exit::Ok } else { Exit::Findings })
}

fn told(answer: &Value, allowed: bool) -> String {
    let code = answer.get("code").and_then(Value::as_str).unwrap_or_default();
    let mut text = if allowed { "allowed\n".to_owned() } else { refused(code) };
    for name in ["key_id", "project_id", "environment", "permissions", "expires_at"] {
        let value = field(answer, name);
        if value != "-" {
            text.push_str(&format!("  {:12} {value}\n", name.replace('_', " ")));
        }
    }
    for limit in answer.get("limits").and_then(Value::as_array).into_iter().flatten() {
        let (name, left) = (field(limit, "name"), field(limit, "remaining"));
        text.push_str(&format!("  limit        {name}: {left} of {} left\n", field(limit, "limit")));
    }
    text.push_str(&trace(answer));
    text
}

/// Ends at the end of the first line, so that a person need not close the terminal's input.
struct FirstLine(Box<dyn Read + Send>);

impl Read for FirstLine {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut byte = [0];
        match self.0.read(&mut byte)? {
            1 if byte[0] != b'\n' && !buffer.is_empty() => {
                buffer[0] = byte[0];
                Ok(1)
            }
            _ => Ok(0),
        }
    }
}
