//! Answers of many lines, a JSON object each, sent as they are read: however many there are, one page of them is in memory.

use std::future::Future;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use hyper::body::Bytes;
use keystile_store::StoreError;
use serde::Serialize;

use super::problem::internal;
use crate::problem::{Problem, causes};

/// Rows read and sent at a time.
pub(super) const PAGE: u32 = 1_000;
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Whoever has the rows.
pub(crate) trait Pages: Send + 'static {
    /// What is read on the way of the rows that are being sent.
    type Row: Serialize;

    /// The next rows, at most [`PAGE`]; none after the last ones.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send;
}

/// All rows, as they come. An answer that breaks off is not all of them.
pub(super) async fn all<P: Pages>(mut pages: P) -> Result<Response, Problem> {
    // The first page before anything is answered: what is wrong with the store is a problem, and no broken answer.
    let first = lines(&pages.next().await.map_err(|error| internal(&error))?);
    let rest = stream::try_unfold((first, pages), async |(ready, mut pages)| {
        let Some(ready) = ready else { return Ok(None) };
        let next = pages.next().await.inspect_err(|error| {
            tracing::error!(cause = causes(error), "an answer of many lines broke off");
        })?;
        Ok::<_, StoreError>(Some((ready, (lines(&next), pages))))
    });
    let mut response = Body::from_stream(rest).into_response();
    response.headers_mut().insert(CONTENT_TYPE, NDJSON);
    Ok(response)
}

fn lines<R: Serialize>(rows: &[R]) -> Option<Bytes> {
    if rows.is_empty() {
        return None;
    }
    let mut lines = Vec::with_capacity(rows.len() * 512);
    for row in rows {
        // Writing to memory can't fail.
        let _ = serde_json::to_writer(&mut lines, row);
        lines.push(b'\n');
    }
    Some(lines.into())
}
