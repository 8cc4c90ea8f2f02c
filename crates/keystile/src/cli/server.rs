//! A running server, as the commands see it: requests with a management key, pages of lists, and failures as
//! [`Fault`]s.
//!
//! Redirects are not followed: the key belongs to the server that was named, not to where it points.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request, Response, Uri};

use super::fault::{Exit, Fault};
use super::secret::Secret;

/// Objects a page: the most that the server gives.
pub(super) const PAGE: usize = 200;
/// Longest answer: a page of usage rows is a few MiB.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take, with its answer: a batch of 100,000 keys on a slow disk is the longest.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a request carries.
pub(super) enum Payload<'a> {
    /// No body.
    Nothing,
    /// A JSON document.
    Json(&'a Value),
    /// JSON documents, one a line.
    Lines(&'a [u8]),
}

/// A server and the key to it.
#[derive(Debug)]
pub(super) struct Server {
    agent: Agent,
    base: String,
    key: Option<Secret>,
}

impl Server {
    /// A server at this URL. Nothing is sent yet.
    pub(super) fn at(url: &str, key: Option<Secret>) -> Result<Self, Fault> {
        let base = url.trim_end_matches('/');
        // The URL itself is not repeated: whatever is wrong with it, it may hold a password.
        let wrong = |why: &str| {
            Fault::usage(
                "the URL of the server can't be used",
                why,
                "write it as http://127.0.0.1:4401, in --server or KEYSTILE_URL",
            )
        };
        let uri: Uri = base.parse().map_err(|_| wrong("it can't be read"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it begins with neither http:// nor https://"));
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(wrong("it has no host, or a name and password in it"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query"));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("keystile/", env!("CARGO_PKG_VERSION")))
            .accept("application/json, application/problem+json");
        if is_loopback(uri.host().unwrap_or_default()) {
            // A proxy of the environment has no business between us and this machine.
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().into(), base: base.to_owned(), key })
    }

    /// Whether what is sent can be read on the way.
    pub(super) fn is_exposed(&self) -> bool {
        let host = self.base.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        self.base.starts_with("http://") && !is_loopback(&host)
    }

    /// Where the server is.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Reads something. `what` is the end of "could not …".
    pub(super) fn get(&self, what: &str, path: &str, query: &[(&str, &str)]) -> Result<Value, Fault> {
        self.send(what, Method::GET, path, query, &Payload::Nothing)
    }

    /// Sends something; `Null` is the answer without a body.
    pub(super) fn send(
        &self,
        what: &str,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        payload: &Payload<'_>,
    ) -> Result<Value, Fault> {
        let answer = self.ask(what, method, path, query, payload, None)?;
        self.understand(what, answer)
    }

    /// Posts lines that may be posted again under the same name: what they do is done once.
    pub(super) fn send_once(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, &str)],
        lines: &[u8],
        name: &str,
    ) -> Result<Value, Fault> {
        let answer =
            self.ask(what, Method::POST, path, query, &Payload::Lines(lines), Some(("idempotency-key", name)))?;
        self.understand(what, answer)
    }

    /// Reads an answer of any length, a line at a time, until `each` wants no more.
    pub(super) fn lines(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, &str)],
        each: &mut dyn FnMut(&str) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        for line in BufReader::new(self.body(what, path, query)?).lines() {
            let broken = |error: std::io::Error| {
                Fault::new(
                    Exit::Network,
                    format!("could not {what}"),
                    format!("the answer broke off: {error}"),
                    "what was written is not all; try again, and look at the server's log",
                )
            };
            if !each(&line.map_err(broken)?)? {
                break;
            }
        }
        Ok(())
    }

    /// An answer of any length, to be read as it comes.
    pub(super) fn body(&self, what: &str, path: &str, query: &[(&str, &str)]) -> Result<Box<dyn Read + Send>, Fault> {
        self.body_with(what, path, query, None)
    }

    /// A stream of events, after the last one that was seen. It breaks off after [`PATIENCE`] at the latest: whoever goes on following
    /// asks again.
    pub(super) fn follow(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, &str)],
        last: Option<&str>,
    ) -> Result<Box<dyn Read + Send>, Fault> {
        self.body_with(what, path, query, last.map(|last| ("last-event-id", last)))
    }

    fn body_with(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, &str)],
        field: Option<(&'static str, &str)>,
    ) -> Result<Box<dyn Read + Send>, Fault> {
        let answer = self.ask(what, Method::GET, path, query, &Payload::Nothing, field)?;
        if answer.status().as_u16() != 200 {
            return self.understand(what, answer).and(Err(not_ours(what)));
        }
        Ok(Box::new(answer.into_body().into_reader()))
    }

    fn ask(
        &self,
        what: &str,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        payload: &Payload<'_>,
        field: Option<(&'static str, &str)>,
    ) -> Result<Response<ureq::Body>, Fault> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}{}", self.base, query_text(query)));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {}", key.expose()));
        }
        let json;
        let (kind, body) = match payload {
            Payload::Nothing => (None, None),
            Payload::Json(value) => {
                json = value.to_string();
                (Some("application/json"), Some(json.as_bytes()))
            }
            Payload::Lines(lines) => (Some("application/x-ndjson"), Some(*lines)),
        };
        if let Some((name, value)) = field {
            request = request.header(name, value);
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let unsound = |_| {
            Fault::new(Exit::Failure, format!("could not {what}"), "the request can't be built", "check the arguments")
        };
        let answer = match body {
            Some(body) => self.agent.run(request.body(body).map_err(unsound)?),
            None => self.agent.run(request.body(()).map_err(unsound)?),
        };
        answer.map_err(|error| self.unreachable(what, &error))
    }

    /// Reads a list page by page, at most `limit` items, until `each` has seen enough.
    pub(super) fn pages(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, &str)],
        page: usize,
        limit: Option<usize>,
        mut each: impl FnMut(Vec<Value>) -> bool,
    ) -> Result<(), Fault> {
        let mut left = limit.unwrap_or(usize::MAX);
        let mut cursor: Option<String> = None;
        while left > 0 {
            let size = left.min(page).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &size));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let mut answer = self.get(what, path, &query)?;
            let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) else {
                return Err(not_ours(what));
            };
            left = left.saturating_sub(items.len());
            let more = each(items);
            let next = answer.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            // A cursor that leads to itself would lead there for ever.
            if !more || next.is_none() || next == cursor {
                break;
            }
            cursor = next;
        }
        Ok(())
    }

    fn understand(&self, what: &str, mut answer: Response<ureq::Body>) -> Result<Value, Fault> {
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_vec()
            .map_err(|error| self.unreachable(what, &error))?;
        let json = serde_json::from_slice::<Value>(&body);
        match (status, json) {
            (200..=299, Ok(value)) => Ok(value),
            (200..=299, Err(_)) if body.is_empty() => Ok(Value::Null),
            (200..=299, Err(_)) => Err(not_ours(what)),
            (300..=399, _) => Err(Fault::new(
                Exit::Failure,
                format!("could not {what}"),
                format!("the server answered {status}, which points elsewhere"),
                "give the final URL in --server or KEYSTILE_URL",
            )),
            (status, json) => {
                Err(Fault::refused(what, status, json.ok().filter(Value::is_object), retry_after.as_deref()))
            }
        }
    }

    fn unreachable(&self, what: &str, error: &ureq::Error) -> Fault {
        let base = &self.base;
        let (why, todo) = match error {
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => (
                format!("nothing listens at {base}"),
                "start the server (`keystile dev` or `keystile serve`), or name another with --server or KEYSTILE_URL",
            ),
            ureq::Error::HostNotFound => {
                (format!("there is no host of the name in {base}"), "check --server or KEYSTILE_URL")
            }
            ureq::Error::Timeout(_) => {
                (format!("{base} took too long to answer"), "try again; look at the server's log")
            }
            other => (format!("the connection to {base} broke: {other}"), "try again; look at the server's log"),
        };
        Fault::new(Exit::Network, format!("could not {what}"), why, todo)
    }
}

fn not_ours(what: &str) -> Fault {
    Fault::new(
        Exit::Failure,
        format!("could not {what}"),
        "the answer is not one of a Keystile server",
        "check that the URL is that of its management API",
    )
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// `?a=b&c=d`, or nothing.
fn query_text(query: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in query {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded_whatever_is_in_it() {
        assert_eq!(query_text(&[]), "");
        assert_eq!(query_text(&[("a", "b c&d=é"), ("e", "")]), "?a=b%20c%26d%3D%C3%A9&e=");
    }

    #[test]
    fn only_urls_of_servers_are_taken_and_passwords_are_not_repeated() {
        let at = |url| Server::at(url, None);
        for url in ["http://127.0.0.1:4401", "http://127.0.0.1:4401/", "https://keys.example.com/base"] {
            assert!(at(url).is_ok(), "{url}");
        }
        for url in ["", "127.0.0.1:4401", "ftp://x", "http://", "http://x?y=1", "http://me:pa55@x"] {
            let fault = at(url).unwrap_err();
            assert_eq!(fault.exit, Exit::Usage, "{url}");
            assert!(!format!("{fault:?}").contains("pa55"));
        }
        assert!(at("http://keys.example.com").unwrap().is_exposed());
        assert!(!at("https://keys.example.com").unwrap().is_exposed());
        assert!(!at("http://[::1]:1").unwrap().is_exposed());
    }
}
