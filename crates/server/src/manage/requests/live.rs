//! `GET /v1/requests/live`: the request log as it grows, as Server-Sent Events.
//!
//! An event's id is its row's sequence, and rows become visible in the order of their sequences, so whoever comes back with the last
//! id that they have goes on right there. The first thing that is said is the place at which the stream begins, as an id without an
//! event: whoever loses the connection before the first event loses nothing either.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::Bytes;
use keystile_core::time::Ticks;
use keystile_store::{RequestsQuery, StoreError};
use tokio::sync::watch;

use super::view::{RequestView, Viewer};
use crate::manage::app::App;
use crate::manage::authenticate::authenticate;
use crate::manage::caller::{Caller, ReadRequests};
use crate::manage::extract::Query;
use crate::manage::problem::{internal, invalid, overloaded};
use crate::problem::{Problem, causes};
use crate::telemetry::request_log::Place;

/// How long nothing is said at most: proxies end connections on which nothing comes.
const HEARTBEAT_SECS: u64 = 15;
/// How often it is asked whether whoever follows still may.
const ASK_AGAIN_SECS: u64 = 1;
/// How often the store is asked for what others wrote.
const LOOK: Duration = Duration::from_secs(1);
/// Events that are read and sent at a time.
const EVENTS: u32 = 200;
/// How long a client waits before it comes back, in milliseconds.
const COME_BACK_MS: u32 = 2_000;
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// For proxies that would gather the events and send them together.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

asked! {
    /// Which calls.
    struct Asked {}
}

/// The request log as it grows: Server-Sent Events, one named `request` for each call, whose `data` is what `GET /v1/requests/{id}`
/// answers. Whoever comes back with `Last-Event-ID` gets what came meanwhile, as far as it is still kept. It ends within a second
/// or two when whoever follows may not any more, and when the server does.
#[utoipa::path(get, operation_id = "followRequests", path = "/v1/requests/live", tag = "Requests",
    params(Asked, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen: the stream goes on after it.")),
    security(("management_key" = [])),
    responses((status = 200, body = RequestView, content_type = "text/event-stream"), (status = 400), (status = 401), (status = 403), (status = 404), (status = 503)))]
pub(super) async fn live(
    caller: Caller<ReadRequests>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<Response, Problem> {
    let query = asked.query(&app, &caller).await?;
    let (parts, _) = request.into_parts();
    let last_seen = last_event_id(&parts.headers)?;
    let place = app.requests.enter(caller.owner).ok_or_else(|| {
        overloaded(
            "So many follow the request log already that there is no place for one more; end a stream, or come back.",
        )
    })?;
    let follows = app.requests.follow();
    let newest = app.ledger.last_request().await.map_err(|error| internal(&error))?;
    // An id from before a restore may be of a time to come.
    let after = last_seen.map_or(newest, |seen| seen.min(newest));
    let now = app.clock.ticks();
    let stream = Stream {
        viewer: Viewer::new(&app, caller.owner),
        app,
        owner: caller.owner,
        parts,
        query,
        follows,
        after,
        has_begun: false,
        asked_at: now,
        said_at: now,
        _place: place,
    };
    let said = stream::unfold(stream, |mut stream| async move {
        let said = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(said), stream))
    });
    let mut response = Body::from_stream(said).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UNBUFFERED.0, UNBUFFERED.1);
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(said) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let read = said.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let read = read.and_then(|text| text.parse::<i64>().ok());
    let read =
        read.ok_or_else(|| invalid("Last-Event-ID is the id of no event of this stream; leave it out to begin anew."))?;
    Ok(Some(read.cast_unsigned()))
}

/// What is still to be said.
struct Stream {
    app: App,
    viewer: Viewer,
    /// The number of the organization.
    owner: u32,
    /// What the request said, by which it is asked again.
    parts: Parts,
    query: RequestsQuery,
    follows: watch::Receiver<u64>,
    /// The sequence up to which all was said.
    after: u64,
    has_begun: bool,
    /// When it was last asked whether whoever follows still may.
    asked_at: Ticks,
    /// When anything was said last.
    said_at: Ticks,
    _place: Place,
}

impl Stream {
    /// What is said next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(format!("retry: {COME_BACK_MS}\nid: {}\n\n", self.after).into());
        }
        loop {
            if self.has_passed(self.asked_at, ASK_AGAIN_SECS) {
                self.asked_at = self.app.clock.ticks();
                let asker = authenticate::<ReadRequests>(&mut self.parts, &self.app).await.ok()?;
                // Somebody who is logged in may have gone over to another organization.
                if asker.owner != self.owner {
                    return None;
                }
            }
            match self.events().await {
                Ok(Some(events)) => {
                    self.said_at = self.app.clock.ticks();
                    return Some(events);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(cause = causes(&error), "a stream of the request log broke off");
                    return None;
                }
            }
            if self.has_passed(self.said_at, HEARTBEAT_SECS) {
                self.said_at = self.app.clock.ticks();
                return Some(Bytes::from_static(b":\n\n"));
            }
            // Ends with the process, whose half is dropped then.
            if let Ok(Err(_)) = tokio::time::timeout(LOOK, self.follows.changed()).await {
                return None;
            }
        }
    }

    fn has_passed(&self, since: Ticks, secs: u64) -> bool {
        self.app.clock.ticks().nanos_since(since) >= secs * 1_000_000_000
    }

    /// The next events, if there are any.
    async fn events(&mut self) -> Result<Option<Bytes>, StoreError> {
        let newest = self.app.ledger.last_request().await?;
        if newest <= self.after {
            return Ok(None);
        }
        let calls = self.app.ledger.requests_after(&self.query, (self.after, newest), EVENTS).await?;
        let sequences: Vec<u64> = calls.iter().map(|kept| kept.sequence).collect();
        // Where there are so many, there may be more.
        self.after = match sequences.last() {
            Some(last) if calls.len() == EVENTS as usize => *last,
            _ => newest,
        };
        if calls.is_empty() {
            return Ok(None);
        }
        let views = self.viewer.views(calls).await?;
        Ok(Some(sequences.into_iter().zip(&views).map(|(id, view)| event(id, view)).collect::<String>().into()))
    }
}

/// An event. JSON has no line end outside of its texts, and in them it is escaped.
fn event(id: u64, view: &RequestView) -> String {
    let data = serde_json::to_string(view).unwrap_or_default();
    format!("id: {id}\nevent: request\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_an_event_is_a_number_and_nothing_else() {
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(LAST_EVENT_ID, HeaderValue::from_str(text).unwrap())]);
            last_event_id(&headers).ok().flatten()
        };
        assert_eq!((read("0"), read("17"), read("9223372036854775807")), (Some(0), Some(17), Some(i64::MAX as u64)));
        for text in ["", "-1", "+1", "1a", "9223372036854775808", " "] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(matches!(last_event_id(&HeaderMap::new()), Ok(None)));
    }
}
