//! `GET /v1/requests`

use axum::extract::State;
use data_encoding::BASE64URL_NOPAD;
use keystile_core::id::RequestId;
use keystile_core::time::Timestamp;
use keystile_store::{RequestsAt, RequestsPage};

use super::show::is_visible;
use super::view::{RequestView, Viewer};
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadRequests};
use crate::manage::extract::Query;
use crate::manage::list::{List, limit};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

asked! {
    /// Which calls, and which page of them.
    struct Asked {
        /// Rows of the page, 1 to 200; 50 unless said otherwise. A page may have fewer, even none, and be followed by another one.
        limit: Option<u32>,
        /// `next_cursor` of the page before.
        cursor: Option<String>,
        /// Only calls that began from this moment on.
        #[param(value_type = Option<String>)]
        from: Option<Timestamp>,
        /// Only calls that began before this moment.
        #[param(value_type = Option<String>)]
        until: Option<Timestamp>,
        /// Only the call of this id.
        #[param(value_type = Option<String>)]
        request_id: Option<RequestId>,
    }
}

/// The request log: single calls, refused ones and unknown keys too, newest first. It is kept for a while, as `[retention]` says; of
/// a flood of calls so many a second are in it, as `[request_log]` says, and the counts of `/v1/usage` are of all of them. A call is
/// in it within about a second.
#[utoipa::path(get, operation_id = "listRequests", path = "/v1/requests", tag = "Requests", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<RequestView>), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn list(
    caller: Caller<ReadRequests>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<RequestView>>, Problem> {
    let shown = limit(asked.limit)?;
    let before = asked.cursor.as_deref().map(read_cursor).transpose()?;
    let span = (asked.from, asked.until);
    if span.0.zip(span.1).is_some_and(|(from, until)| from >= until) {
        return Err(invalid("from is not before until."));
    }
    let query = asked.query(&app, &caller).await?;
    // What can't be written at the moment can be searched all the same.
    let _ = app.requests.flush().await;
    let viewer = Viewer::new(&app, caller.owner);
    let query = match asked.request_id {
        None => query,
        Some(id) => query.of_request(id),
    };
    let mut page = app.ledger.requests(&query, span, before, shown).await.map_err(|error| internal(&error))?;
    if asked.request_id.is_some() {
        // Found by its id alone, whoever's it is.
        let mut seen = Vec::new();
        for call in page.requests {
            seen.extend(is_visible(&app, &caller, &call).await?.then_some(call));
        }
        page = RequestsPage { requests: seen, next: None };
    }
    let next_cursor = page.next.map(cursor);
    let items = viewer.views(page.requests).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(List { items, next_cursor }))
}

fn cursor(at: RequestsAt) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&at.at.as_micros().to_be_bytes());
    bytes[8..].copy_from_slice(&at.sequence.to_be_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

fn read_cursor(text: &str) -> Result<RequestsAt, Problem> {
    let read = || {
        let bytes: [u8; 16] = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()?;
        let both = u128::from_be_bytes(bytes);
        let sequence = i64::try_from(both as u64).ok()?.cast_unsigned();
        Some(RequestsAt { at: Timestamp::from_micros((both >> 64) as u64 as i64), sequence })
    };
    read().ok_or_else(|| invalid("cursor is no next_cursor of this list; leave it out to begin anew."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for (micros, sequence) in [(0, 0), (1_800_000_000_000_000, 7), (-5, 1), (i64::MAX, u64::MAX >> 1)] {
            let at = RequestsAt { at: Timestamp::from_micros(micros), sequence };
            assert_eq!(read_cursor(&cursor(at)).unwrap(), at);
        }
        for text in ["", "x", "AAAA", &cursor(RequestsAt { at: Timestamp::from_micros(0), sequence: u64::MAX })] {
            assert!(read_cursor(text).is_err(), "{text}");
        }
    }
}
