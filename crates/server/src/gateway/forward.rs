//! Carries an allowed call to its upstream and its answer back.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use keystile_core::Code;

use super::body::{BodyEnd, Outgoing, Tally};
use super::pool::Pool;
use crate::enforce::snapshot::ApiView;

/// Why there is no answer of the upstream.
pub enum ForwardError {
    /// The client's body ended before its end.
    Body(BodyEnd),
    /// The upstream could not be reached, broke off, or took too long.
    Upstream(Code),
}

/// Sends a request, which is taken out of its place, and waits for the head of the answer.
///
/// # Errors
/// [`ForwardError`] says on which side it failed.
pub async fn forward(
    pool: &Rc<Pool>,
    api: &ApiView,
    request: &mut Option<Request<Outgoing>>,
    tally: Option<&Tally>,
) -> Result<(Response<Incoming>, SendRequest<Outgoing>), ForwardError> {
    match tokio::time::timeout(api.upstream_timeout, exchange(pool, api, request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(cause)) => match tally.and_then(Tally::end) {
            Some(end) => Err(ForwardError::Body(end)),
            None => {
                tracing::warn!(api = %api.id, upstream = %api.upstream.host, cause, "the upstream failed");
                Err(ForwardError::Upstream(Code::UpstreamUnreachable))
            }
        },
        Err(_) => Err(ForwardError::Upstream(Code::UpstreamTimeout)),
    }
}

async fn exchange(
    pool: &Rc<Pool>,
    api: &ApiView,
    request: &mut Option<Request<Outgoing>>,
) -> Result<(Response<Incoming>, SendRequest<Outgoing>), String> {
    let upstream: &Arc<_> = &api.upstream;
    loop {
        let mut lease = pool.take(upstream).await.map_err(|error| error.to_string())?;
        let Some(sending) = request.take() else { return Err("the request was sent already".to_owned()) };
        // Kept for another try where that can do no harm.
        let again = if lease.reused { copy_of(&sending) } else { None };
        match lease.sender.try_send_request(sending).await {
            Ok(answer) => match fault_of(&answer) {
                None => return Ok((answer, lease.sender)),
                // The connection goes with the lease: where this answer ends is anybody's guess.
                Some(fault) => return Err(fault.to_owned()),
            },
            // The upstream closed the connection while it lay idle. If nothing of the request was sent, or it may be
            // sent twice, another connection takes it.
            Err(mut error) => {
                let unsent = error.take_message();
                let error = error.into_error();
                // An answer that makes no sense is an answer; only silence may be asked again.
                let is_silence = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
                match unsent.or(again.filter(|_| is_silence)) {
                    Some(request_again) if lease.reused => *request = Some(request_again),
                    Some(_) | None => return Err(error.to_string()),
                }
            }
        }
    }
}

/// A copy of a request that may be sent twice: a safe method (RFC 9110 §9.2.1) without a body.
fn copy_of(request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
    if !request.method().is_safe() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Outgoing::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// What makes an answer one that two readers could understand differently. hyper takes these; a client behind us may
/// read them in another way than we did (RFC 9112 §6.3).
pub(super) fn fault_of<B>(answer: &Response<B>) -> Option<&'static str> {
    let headers = answer.headers();
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Some("it switches protocols, and nobody asked for that");
    }
    let one_length = headers.get_all(CONTENT_LENGTH).iter().nth(1).is_none()
        && headers.get(CONTENT_LENGTH).is_none_or(|length| length.as_bytes().iter().all(u8::is_ascii_digit));
    if !one_length {
        return Some("it has more than one Content-Length");
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    // Without one the length, or the end of the connection, is the end.
    let coding = codings.next()?;
    if headers.contains_key(CONTENT_LENGTH) {
        return Some("it has both Content-Length and Transfer-Encoding");
    }
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Some("its Transfer-Encoding is not just chunked");
    }
    None
}
