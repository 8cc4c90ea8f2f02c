//! `keystile logs tail`: calls as they are answered, a line each. The stream may break off (a proxy in between, a server that is
//! replaced by another one); whoever follows comes back with the id of the last event, and misses nothing.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;

use super::query::millis;
use super::{Which, borrowed};
use crate::cli::fault::{Exit, Fault};
use crate::cli::session::Session;
use crate::cli::table::field;

const WHAT: &str = "follow the request log";
const PATH: &str = "/v1/requests/live";
/// How long is waited before each time that the server is asked again, and how often, while it is not there: some two minutes.
const PAUSE: Duration = Duration::from_secs(2);
const MAX_TRIES: u32 = 60;
/// Longest line of an event: a call is some kilobytes.
const MAX_LINE_BYTES: u64 = 1 << 20;

pub(super) fn run(which: Which, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let query = which.query(session)?;
    let mut left = session.global.limit;
    let mut last: Option<String> = None;
    let mut tries = 0;
    loop {
        match session.server.follow(WHAT, PATH, &borrowed(&query), last.as_deref()) {
            Ok(body) => {
                tries = 0;
                if let Some(exit) = tell(body, &mut last, &mut left, session) {
                    return Ok(exit);
                }
            }
            // Only where it was there before is it waited for.
            Err(fault) if fault.exit == Exit::Network && last.is_some() && tries < MAX_TRIES => {
                if tries == 0 {
                    session.screen.note("the server can't be reached; trying again");
                }
                tries += 1;
            }
            Err(fault) => return Err(fault),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Prints what comes until the stream breaks off; how the command ends, if it does.
fn tell(
    body: Box<dyn Read + Send>,
    last: &mut Option<String>,
    left: &mut Option<u32>,
    session: &mut Session<'_>,
) -> Option<Exit> {
    let mut events = Events::new(body);
    while let Some(event) = events.next() {
        if let Some(call) = event.data.as_deref().and_then(|data| serde_json::from_str::<Value>(data).ok()) {
            let text = if session.global.json {
                format!("{call}\n")
            } else if session.global.quiet {
                format!("{}\n", field(&call, "id"))
            } else {
                line(&call)
            };
            session.screen.out(&text);
            if session.screen.is_closed() {
                return Some(Exit::Ok);
            }
            if let Some(left) = left {
                *left -= 1;
                if *left == 0 {
                    return Some(Exit::Ok);
                }
            }
        }
        // Only now: what was not printed comes once more.
        if event.id.is_some() {
            *last = event.id;
        }
    }
    None
}

/// A call for people: when, how it was decided, what was called, with what, and how long it took.
fn line(call: &Value) -> String {
    let what = if field(call, "path") == "-" { field(call, "operation") } else { field(call, "path") };
    format!(
        "{}  {:<20} {:>3}  {:<7} {}  {}  {} ms\n",
        field(call, "at"),
        field(call, "code"),
        field(call, "status"),
        field(call, "method"),
        what,
        field(call, "key_id"),
        millis(call, "latency_us"),
    )
}

/// Server-Sent Events, as they come.
struct Events {
    reader: BufReader<Box<dyn Read + Send>>,
}

/// An event, as far as anything was said of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    data: Option<String>,
}

impl Events {
    fn new(body: Box<dyn Read + Send>) -> Self {
        Self { reader: BufReader::new(body) }
    }

    /// The next event, when all of it is there; `None` if the stream broke off.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = Vec::new();
            let read = self.reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).ok()?;
            if read == 0 || line.pop() != Some(b'\n') {
                return None;
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line.is_empty() {
                return Some(event);
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match name {
                "id" => event.id = Some(value),
                "data" => event.data = Some(value),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_when_they_are_whole_and_comments_are_none() {
        let text = "retry: 2000\nid: 4\n\n:\n\nid: 5\r\nevent: request\r\ndata: {\"a\":1}\r\n\r\nid: 6\ndata: {\"a\"";
        let mut events = Events::new(Box::new(text.as_bytes()));
        let event = |id: Option<&str>, data: Option<&str>| {
            Some(Event { id: id.map(str::to_owned), data: data.map(str::to_owned) })
        };
        assert_eq!(events.next(), event(Some("4"), None));
        assert_eq!(events.next(), event(None, None), "a heartbeat says nothing");
        assert_eq!(events.next(), event(Some("5"), Some("{\"a\":1}")));
        assert_eq!(events.next(), None, "half an event is none");
    }
}
