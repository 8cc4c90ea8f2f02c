//! `keystile key verify`: would this key be let through? The key comes from standard input, never from an argument.

use std::io::Read;

use clap::Args;
use keystile_core::Code;
use serde_json::{Value, json};
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::screen::{Screen, harmless};
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
    /// The Content-Type that the call would have.
    #[arg(long, value_name = "TYPE", requires = "path")]
    content_type: Option<String>,
    /// The length of the body that it would have; 0 for none.
    #[arg(long, value_name = "N", requires = "path")]
    body_bytes: Option<u64>,
    /// The Accept that it would have.
    #[arg(long, value_name = "TYPES", requires = "path")]
    accept: Option<String>,
    /// The address that would call.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<std::net::IpAddr>,
    /// The client certificate it would come with, by its SHA-256 in hexadecimal.
    #[arg(long, value_name = "SHA256")]
    certificate: Option<String>,
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
    let mut body = json!({ "key": key.expose() });
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    add("api", ask.api.map(Value::String));
    let operation = ask.method.zip(ask.path).map(|(method, path)| {
        Fields::default()
            .with("method", Some(method.to_uppercase()))
            .with("path", Some(path))
            .with("content_type", ask.content_type)
            .with("body_bytes", ask.body_bytes)
            .with("accept", ask.accept)
            .0
    });
    add("operation", operation.map(Value::Object));
    let mut client = serde_json::Map::new();
    client.extend(ask.ip.map(|ip| ("ip".to_owned(), json!(ip.to_string()))));
    client.extend(ask.certificate.map(|certificate| ("certificate".to_owned(), certificate.into())));
    add("client", (!client.is_empty()).then(|| client.into()));
    add("permissions", ask.permissions.map(Value::String));
    add("explain", ask.explain.then_some(Value::Bool(true)));
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
    let mut text = if allowed {
        "allowed\n".to_owned()
    } else {
        let known = Code::ALL.iter().find(|known| known.as_str() == code);
        let detail = known.map_or("", |code| code.detail());
        format!("refused: {} {detail}\n", harmless(code)).replace(" \n", "\n")
    };
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
    match answer.get("trace") {
        None | Some(Value::Null) => {}
        Some(Value::Array(steps)) => {
            for step in steps {
                text.push_str(&format!("  trace        {}\n", harmless(&step.to_string())));
            }
        }
        Some(trace) => text.push_str(&format!("  trace        {}\n", harmless(&trace.to_string()))),
    }
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
