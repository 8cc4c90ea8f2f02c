//! What must hold. [`Law::arrived`] looks at a request that came to an upstream: it was read as it was sent, it is one
//! that the key may make, and who calls is told by the gateway alone. [`heard`] looks at the answers of a connection:
//! each is the gateway's own refusal, or belongs to a request that stands at its place in what the client sent.

use std::collections::HashMap;

use super::answer::Answer;
use super::parsed::{FIELD, Parsed};
use super::reader::{Message, Reading};
use super::requests::METHODS;

/// What the gateway knows of the caller, and the upstreams must hear from it.
#[derive(Debug)]
pub(super) struct Law {
    /// The text of the key.
    pub key: String,
    /// The key's id.
    pub key_id: String,
    /// The project's id.
    pub project_id: String,
    /// The project's name.
    pub project_name: String,
}

/// A request that came to an upstream and was answered by it.
#[derive(Debug)]
pub(super) struct Arrival {
    /// As it was sent, read by our own reader.
    pub sent: Message,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// Fields that the gateway adds, or frames a message with. They are judged one by one, not against the client's.
const ADDED: [&str; 14] = [
    "connection",
    "upgrade",
    "host",
    "content-length",
    "transfer-encoding",
    "via",
    "x-consumer-environment",
    "x-consumer-id",
    "x-consumer-username",
    "x-credential-identifier",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];

/// Fields of one hop, and those that would make an upstream see another request than the one that was judged.
const KEPT_BACK: [&str; 14] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "http2-settings",
    "expect",
    "forwarded",
    "x-real-ip",
    "x-http-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-prefix",
    "x-api-key",
];

impl Law {
    /// Judges a request that came to the upstream that is addressed as `host`.
    ///
    /// # Errors
    /// If something is not as it must be.
    pub(super) fn arrived(&self, sent: &Message, nth: usize, parsed: &Parsed, host: &str) -> Result<(), String> {
        read_alike(sent, nth, parsed)?;
        let path = sent.meaning();
        if path != b"/open" && !path.starts_with(b"/open/") {
            return Err(format!("the key may not call {}", path.escape_ascii()));
        }
        if !METHODS.iter().any(|method| method.as_bytes() == sent.method) {
            return Err(format!("the key may not call by {}", sent.method.escape_ascii()));
        }
        for (name, value) in [
            ("host", host),
            ("x-consumer-environment", "live"),
            ("x-consumer-id", &self.project_id),
            ("x-consumer-username", &self.project_name),
            ("x-credential-identifier", &self.key_id),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "http"),
        ] {
            if named(sent, name) != [value.as_bytes()] {
                return Err(format!("{name} must be {value} alone: {:?}", shown(&named(sent, name))));
            }
        }
        for name in ["x-request-id", "x-forwarded-host", "via"] {
            if named(sent, name).len() != 1 {
                return Err(format!("{name} must stand there once: {:?}", shown(&named(sent, name))));
            }
        }
        if let Some(name) = KEPT_BACK.iter().find(|name| !named(sent, name).is_empty()) {
            return Err(format!("{name} must not go on"));
        }
        let is_websocket = sent.values("connection").eq([b"Upgrade"]) && sent.values("upgrade").eq([b"websocket"]);
        if !is_websocket && sent.values("connection").chain(sent.values("upgrade")).next().is_some() {
            return Err("connection and upgrade must not go on".into());
        }
        let is_bearer = |value: &[u8]| value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer "));
        if named(sent, "authorization").into_iter().any(is_bearer) {
            return Err("the key must not go on".into());
        }
        Ok(())
    }
}

/// Whether an upstream parsed what was sent.
fn read_alike(sent: &Message, nth: usize, parsed: &Parsed) -> Result<(), String> {
    let other = |what: &str, ours: &[u8], theirs: &[u8]| {
        Err(format!("another {what}: sent {}, parsed {}", ours.escape_ascii(), theirs.escape_ascii()))
    };
    let read = &parsed.message;
    if nth != parsed.nth {
        return Err(format!("request {nth} of the connection is request {} to the upstream", parsed.nth));
    }
    if sent.method != read.method {
        return other("method", &sent.method, &read.method);
    }
    if sent.target != read.target {
        return other("target", &sent.target, &read.target);
    }
    if sent.meaning() != parsed.routed {
        return other("path", &sent.meaning(), &parsed.routed);
    }
    if sent.body != read.body {
        return other("body", &sent.body, &read.body);
    }
    if sent.fields.len() != read.fields.len() {
        return Err(format!("{} fields sent, {} parsed", sent.fields.len(), read.fields.len()));
    }
    for ((name, value), (read_name, read_value)) in sent.fields.iter().zip(&read.fields) {
        // One upstream can't show bytes that are no UTF-8, and shows U+FFFD for them.
        let same = value == read_value || String::from_utf8_lossy(value).as_bytes() == read_value;
        if name != read_name || !same {
            return other("field", &[name, &b": "[..], value].concat(), &[read_name, &b": "[..], read_value].concat());
        }
    }
    Ok(())
}

/// What a connection showed, judged.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// Answers of the upstream.
    pub forwarded: u64,
    /// Refusals of the gateway, by code.
    pub refused: HashMap<String, u64>,
    /// What is wrong.
    pub faults: Vec<String>,
}

/// Judges the answers to what a client sent. `arrival` takes what came to the upstream under this request id.
pub(super) fn heard(
    reading: &Reading,
    answers: &[Answer],
    mut arrival: impl FnMut(&[u8]) -> Option<Arrival>,
) -> Judgement {
    let mut judgement = Judgement::default();
    if answers.is_empty() && !reading.messages.is_empty() {
        judgement.faults.push("the first request is whole, and has no answer".into());
    }
    for (index, answer) in answers.iter().enumerate() {
        let found = match answer.one(FIELD) {
            None => own_answer(answer).map(|code| *judgement.refused.entry(code).or_default() += 1),
            Some(_) => {
                judgement.forwarded += 1;
                let arrival = answer.one("x-request-id").and_then(&mut arrival);
                forwarded(reading.messages.get(index), arrival)
            }
        };
        if let Err(fault) = found {
            judgement.faults.push(format!("answer {}: {fault}", index + 1));
        }
    }
    judgement
}

/// The code of a refusal.
fn own_answer(answer: &Answer) -> Result<String, String> {
    let is_problem = answer.one("content-type") == Some(b"application/problem+json");
    let Some(id) = answer.one("x-request-id").filter(|_| is_problem) else {
        return Err(format!("status {}, which is neither a problem nor what an upstream parsed", answer.status));
    };
    // 501 and 508 are refusals too; the others mean that something broke.
    if matches!(answer.status, 500 | 502..=504) {
        return Err(format!("{}: {}", answer.status, answer.body.escape_ascii()));
    }
    if answer.body.is_empty() {
        return Ok("(to HEAD)".into());
    }
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    match (problem["code"].as_str(), problem["request_id"].as_str()) {
        (Some(code), Some(own)) if own.as_bytes() == id => Ok(code.to_owned()),
        _ => Err(format!("a problem without its code or request id: {problem}")),
    }
}

fn forwarded(asked: Option<&Message>, arrival: Option<Arrival>) -> Result<(), String> {
    let arrival = arrival.ok_or("no request of this id came to the upstream")?;
    if let Some(fault) = arrival.fault {
        return Err(fault);
    }
    let asked = asked.ok_or("nothing at this place of what the client sent is a request")?;
    asked_for(asked, &arrival.sent)
}

/// Whether the request that was sent on is the one that the client made.
fn asked_for(asked: &Message, sent: &Message) -> Result<(), String> {
    let shown = |what: &str, asked: &[u8], sent: &[u8]| {
        Err(format!("another {what}: the client's is {}, sent on was {}", asked.escape_ascii(), sent.escape_ascii()))
    };
    if asked.method != sent.method {
        return shown("method", &asked.method, &sent.method);
    }
    if asked.meaning() != sent.meaning() {
        return shown("path", &asked.meaning(), &sent.meaning());
    }
    if asked.path_and_query().1 != sent.path_and_query().1 {
        return shown("query", &asked.target, &sent.target);
    }
    if asked.body != sent.body {
        return shown("body", &asked.body, &sent.body);
    }
    let host = asked.one("host").unwrap_or_default();
    if sent.one("x-forwarded-host") != Some(host) {
        return shown("host", host, sent.one("x-forwarded-host").unwrap_or_default());
    }
    // Each field that was sent on is one of the client's, and no more often than there.
    let mut own: Vec<_> = asked.fields.iter().collect();
    for (name, value) in &sent.fields {
        if ADDED.iter().any(|added| name.eq_ignore_ascii_case(added.as_bytes())) {
            continue;
        }
        match own.iter().position(|(own, said)| own.eq_ignore_ascii_case(name) && said == value) {
            Some(at) => drop(own.swap_remove(at)),
            None => return shown("field", b"missing", &[name, &b": "[..], value].concat()),
        }
    }
    Ok(())
}

/// The values of a field in every spelling that some server takes for it.
fn named<'a>(message: &'a Message, name: &str) -> Vec<&'a [u8]> {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let is = |own: &[u8]| own.len() == name.len() && own.iter().zip(name.bytes()).all(|(a, b)| plain(*a) == b);
    message.fields.iter().filter(|(own, _)| is(own)).map(|(_, value)| &**value).collect()
}

fn shown(values: &[&[u8]]) -> Vec<String> {
    values.iter().map(|value| value.escape_ascii().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::reader::read;
    use super::*;

    const HOST: &str = "127.0.0.1:9";

    fn law() -> Law {
        let [key, key_id, project_id, project_name] = ["ks", "key_1", "prj_1", "hostile"].map(str::to_owned);
        Law { key, key_id, project_id, project_name }
    }

    fn sound() -> String {
        format!(
            "POST /open/a HTTP/1.1\r\nhost: {HOST}\r\nx-custom: 1\r\nx-consumer-id: prj_1\r\nx-consumer-username: hostile\r\n\
             x-consumer-environment: live\r\n\
             x-credential-identifier: key_1\r\nx-request-id: req_1\r\nx-forwarded-for: 127.0.0.1\r\nx-forwarded-host: h\r\n\
             x-forwarded-proto: http\r\nvia: 1.1 keystile-1\r\ncontent-length: 2\r\n\r\nhi"
        )
    }

    /// Sent, and parsed alike.
    fn arrived(sent: &str) -> Result<(), String> {
        let [message] = &read(sent.as_bytes()).messages[..] else { panic!("{sent}") };
        let parsed = Parsed { nth: 1, message: message.clone(), routed: message.meaning() };
        law().arrived(message, 1, &parsed, HOST)
    }

    #[test]
    fn a_sound_request_may_arrive_and_no_other() {
        assert_eq!(arrived(&sound()), Ok(()));
        for (from, to) in [
            ("/open/a", "/closed"),
            ("/open/a", "/opening"),
            ("POST", "DELETE"),
            ("key_1", "forged"),
            ("x-consumer-id: prj_1", "x-consumer: prj_1"),
            ("x-custom: 1", "x-consumer-id: prj_1"),
            ("x-custom: 1", "X_Consumer_Id: forged"),
            ("x-custom: 1", "x-forwarded-for: 1.2.3.4"),
            ("x-custom: 1", "te: trailers"),
            ("x-custom: 1", "connection: x"),
            ("x-custom: 1", "authorization: Bearer ks"),
            ("x-custom: 1", "x-api-key: ks"),
            (HOST, "other"),
        ] {
            assert!(arrived(&sound().replacen(from, to, 1)).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn what_an_upstream_parsed_otherwise_is_found() {
        let message = read(sound().as_bytes()).messages.remove(0);
        let parsed = |change: fn(&mut Parsed)| {
            let mut parsed = Parsed { nth: 1, message: message.clone(), routed: message.meaning() };
            change(&mut parsed);
            law().arrived(&message, 1, &parsed, HOST)
        };
        assert_eq!(parsed(|_| {}), Ok(()));
        let changes: [fn(&mut Parsed); 7] = [
            |parsed| parsed.nth = 2,
            |parsed| parsed.message.method = b"GET".to_vec(),
            |parsed| parsed.message.target = b"/open/b".to_vec(),
            |parsed| parsed.routed = b"/closed".to_vec(),
            |parsed| parsed.message.body.truncate(1),
            |parsed| drop(parsed.message.fields.pop()),
            |parsed| parsed.message.fields[1].1 = b"2".to_vec(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            assert!(parsed(change).is_err(), "{index}");
        }
    }

    #[test]
    fn what_was_sent_on_must_be_what_was_asked_for() {
        let sent = read(sound().as_bytes()).messages.remove(0);
        let asked = |request: &str| asked_for(&read(request.as_bytes()).messages[0], &sent);
        let same = "POST //%6Fpen/a HTTP/1.1\r\nHost: h\r\nX-Custom: 1\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(asked(same), Ok(()));
        for (from, to) in [("POST", "PUT"), ("//", "/x/"), ("/a", "/a?"), (": 1", ": 2"), ("hi", "ho"), (": h", ": i")]
        {
            assert!(asked(&same.replacen(from, to, 1)).is_err(), "{from} {to}");
        }
    }
}
