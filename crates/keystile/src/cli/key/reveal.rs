//! Shows the text of a key, a fresh one or one that is kept: alone on standard output, and about it on standard error.

use serde_json::Value;
use ureq::http::Method;
use zeroize::Zeroizing;

use super::{DEFAULT_SERVER, Exit, Fault, KEY, Session, Which, away, field};
use crate::cli::server::Payload;

const PRINTED: &str = "printed above, this one time; keep it where secrets are kept";
const KEPT: &str = "printed above; `keystile key reveal` shows it again";
const GIVEN_BY_LINK: &str = "behind the link above, which opens once";
const SEND: &str = "send the link to whom the key is for, and to nobody else";

/// Prints a key that was just given a text: made, or rotated. `done` is what became of it, such as "was created".
pub(super) fn reveal(object: &Value, done: &str, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let link = object.get("hand_over").and_then(|link| link.get("path")).and_then(Value::as_str);
    let link = link.map(|path| format!("{}{path}", session.server.base().trim_end_matches('/')));
    let text = object.get("key").and_then(Value::as_str).or(link.as_deref());
    let text = text.map(|text| Zeroizing::new(format!("{text}\n")));
    let id = field(object, "id");
    let printed = if session.global.json {
        session.screen.deliver(&Zeroizing::new(format!("{object}\n")))
    } else {
        text.as_ref().map_or(Ok(()), |text| session.screen.deliver(text))
    };
    if printed.is_err() || text.is_none() {
        return Err(Fault::new(
            Exit::Failure,
            format!("the key {id} {done}, but nobody has its text now"),
            if text.is_none() { "the server did not send it" } else { "it could not be written to standard output" },
            format!("revoke it with `keystile key revoke {id}` and create another, or rotate it once more"),
        ));
    }
    if !session.global.json {
        let next = match field(object, "kind").as_str() {
            "management" => "KEYSTILE_MANAGEMENT_KEY=… keystile api list".to_owned(),
            "canary" => "put it where nobody honest looks for keys, and use it nowhere".to_owned(),
            _ => format!("curl -H \"Authorization: Bearer $KEY\" {}", gateway_of(session.server.base())),
        };
        let expires = match away(object, "expires_at", session.now()) {
            never if never == "-" => "never".to_owned(),
            away => format!("{} ({away})", field(object, "expires_at")),
        };
        let version = field(object, "version");
        let key = if version == "1" { id } else { format!("{id}, version {version}") };
        let is_kept = object.get("recoverable") == Some(&Value::Bool(true));
        let printed = if is_kept { KEPT } else { PRINTED };
        session.screen.note(&boxed(&[
            ("key", &key),
            ("project", &field(object, "project_id")),
            ("expires", &expires),
            ("text", if link.is_some() { GIVEN_BY_LINK } else { printed }),
            ("next", if link.is_some() { SEND } else { &next }),
        ]));
    }
    Ok(Exit::Ok)
}

/// Where the gateway of this server most likely is: the server does not say, but the default ports are neighbours.
fn gateway_of(base: &str) -> &str {
    if base == DEFAULT_SERVER { "http://127.0.0.1:4400/" } else { "https://YOUR-GATEWAY/" }
}

fn boxed(lines: &[(&str, &str)]) -> String {
    let texts: Vec<String> = lines.iter().map(|(name, value)| format!("{name:8} {value}")).collect();
    let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let edge = "─".repeat(width + 2);
    let middle: String = texts.iter().map(|text| format!("│ {text:width$} │\n")).collect();
    format!("╭{edge}╮\n{middle}╰{edge}╯")
}

/// The kept text of a key, once more.
pub(super) fn again(which: &Which, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let id = which.find(session)?;
    let path = format!("{}/{id}/reveal", KEY.path);
    let what = format!("show the text of the key {id}");
    let object = session.server.send(&what, Method::POST, &path, &[], &Payload::Nothing)?;
    let text = object.get("key").and_then(Value::as_str).unwrap_or_default();
    let shown = if session.global.json { object.to_string() } else { text.to_owned() };
    session.screen.deliver(&Zeroizing::new(format!("{shown}\n"))).map_err(|error| {
        Fault::new(Exit::Failure, format!("could not {what}"), error.to_string(), "free the output and ask again")
    })?;
    session.screen.note(&format!("version {} of {id}; that it was shown is written down", field(&object, "version")));
    Ok(Exit::Ok)
}
