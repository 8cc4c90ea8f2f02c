//! Carries an allowed call to its upstream and its answer back.

use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
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

/// Sends a request and waits for the head of the answer.
///
/// # Errors
/// [`ForwardError`] says on which side it failed.
pub async fn forward(
    pool: &Rc<Pool>,
    api: &ApiView,
    request: Request<Outgoing>,
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
    mut request: Request<Outgoing>,
) -> Result<(Response<Incoming>, SendRequest<Outgoing>), String> {
    loop {
        let upstream: &Arc<_> = &api.upstream;
        let mut lease = pool.take(upstream).await.map_err(|error| error.to_string())?;
        match lease.sender.try_send_request(request).await {
            Ok(answer) => return Ok((answer, lease.sender)),
            // It was closed while it lay idle and nothing of the request was sent: another one takes it.
            Err(mut error) => match error.take_message() {
                Some(unsent) if lease.reused => request = unsent,
                Some(_) | None => return Err(error.into_error().to_string()),
            },
        }
    }
}
