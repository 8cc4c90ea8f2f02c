//! Carries an allowed call to a target of its upstream and its answer back.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use keystile_core::Code;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::{BodyEnd, Outgoing, Tally};
use super::lease::Lease;
use super::pool::Pool;
use crate::enforce::snapshot::ApiView;
use crate::upstream::{Busy, Resting, Target};

/// How often one call may meet connections that are just being closed.
const MAX_TRIES: u32 = 3;

/// Why there is no answer of the upstream.
pub enum ForwardError {
    /// The client's body ended before its end.
    Body(BodyEnd),
    /// The upstream could not be reached, broke off, or took too long.
    Upstream(Code),
    /// All its targets rest, for so long.
    Resting(Duration),
}

/// Why an exchange brought no answer.
pub(super) enum Fault {
    /// No target may be tried now.
    Resting(Resting),
    /// What the log is told.
    Cause(String),
}

impl From<Resting> for Fault {
    fn from(resting: Resting) -> Self {
        Self::Resting(resting)
    }
}

impl From<&str> for Fault {
    fn from(cause: &str) -> Self {
        Self::Cause(cause.to_owned())
    }
}

impl From<io::Error> for Fault {
    fn from(cause: io::Error) -> Self {
        Self::Cause(cause.to_string())
    }
}

impl From<hyper::Error> for Fault {
    fn from(cause: hyper::Error) -> Self {
        Self::Cause(cause.to_string())
    }
}

/// A call on its way: whom it was sent to last, and the connection that carries it.
pub(super) struct Attempt<'a> {
    pub(super) pool: &'a Rc<Pool>,
    pub(super) api: &'a ApiView,
    pub(super) tally: Option<&'a Tally>,
    target: Option<usize>,
    lease: Option<Lease>,
}

/// Makes the request of a call when there is a connection for it, around this body. A call without a body may be made again.
pub(super) type Make<'a> = dyn Fn(Outgoing) -> Result<Request<Outgoing>, Code> + 'a;

/// Sends a call and waits for the head of the answer.
///
/// # Errors
/// [`ForwardError`] says on which side it failed.
pub(super) async fn forward(
    pool: &Rc<Pool>,
    api: &ApiView,
    tally: Option<&Tally>,
    body: Outgoing,
    make: &Make<'_>,
) -> Result<(Response<Incoming>, Lease), ForwardError> {
    let mut attempt = Attempt::new(pool, api, tally);
    let outcome = within(api, tally, pin!(exchange(&mut attempt, body, make))).await;
    let answer = attempt.conclude(outcome)?;
    let lease = attempt.lease.take().ok_or(ForwardError::Upstream(Code::UpstreamUnreachable))?;
    Ok((answer, lease))
}

/// Waits for the head of an answer as long as the API's settings allow: what the client still sends is time that the
/// upstream does not take. `None` if that is over.
pub(super) async fn within<T>(
    api: &ApiView,
    tally: Option<&Tally>,
    mut exchange: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let Some(tally) = tally else {
        let patience = api.total_timeout.map_or(api.upstream_timeout, |total| total.min(api.upstream_timeout));
        return timeout(patience, exchange).await.ok();
    };
    let end = api.total_timeout.map(|total| Instant::now() + total);
    loop {
        let next = tally.moved() + api.upstream_timeout;
        if let Ok(outcome) = timeout_at(end.map_or(next, |end| end.min(next)), exchange.as_mut()).await {
            return Some(outcome);
        }
        let now = Instant::now();
        if tally.moved() + api.upstream_timeout <= now || end.is_some_and(|end| end <= now) {
            return None;
        }
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn new(pool: &'a Rc<Pool>, api: &'a ApiView, tally: Option<&'a Tally>) -> Self {
        Self { pool, api, tally, target: None, lease: None }
    }

    fn target(&self) -> Option<&'a Target> {
        self.target.and_then(|index| self.api.upstream.targets.get(index)).map(|target| &**target)
    }

    /// A target for this call.
    pub(super) fn choose(&mut self) -> Result<Busy, Resting> {
        let busy = self.pool.choose(&self.api.upstream, None)?;
        self.target = Some(busy.index);
        Ok(busy)
    }

    fn failed(&self) {
        if let Some(target) = self.target() {
            target.failed(self.pool.now(), self.api.upstream.breaker_failures);
        }
    }

    /// What the target is held to have done, and what the client hears of it. Without an outcome its time is over.
    pub(super) fn conclude<T>(&self, outcome: Option<Result<T, Fault>>) -> Result<T, ForwardError> {
        let cause = match outcome {
            Some(Ok(answer)) => {
                if let Some(target) = self.target() {
                    target.answered();
                }
                return Ok(answer);
            }
            Some(Err(Fault::Resting(resting))) => {
                return Err(ForwardError::Resting(Duration::from_nanos(resting.nanos)));
            }
            Some(Err(Fault::Cause(cause))) => cause,
            None => {
                self.failed();
                return Err(ForwardError::Upstream(Code::UpstreamTimeout));
            }
        };
        // Where the client broke off nobody can say anything of the target.
        if let Some(end) = self.tally.and_then(Tally::end) {
            return Err(ForwardError::Body(end));
        }
        self.failed();
        let target = self.target().map(|target| target.address.to_string());
        tracing::warn!(api = %self.api.id, target, cause, "the upstream failed");
        Err(ForwardError::Upstream(Code::UpstreamUnreachable))
    }

    /// A connection to a target. If the first one is out of reach another one is tried, once: nothing was sent yet.
    async fn connection(&mut self) -> Result<Lease, Fault> {
        let first = self.choose()?;
        let (busy, error) = match self.pool.take(&self.api.upstream, first).await {
            Ok(lease) => return Ok(lease),
            Err(failure) => failure,
        };
        let tried = self.api.upstream.target(&busy);
        let Ok(another) = self.pool.choose(&self.api.upstream, Some(tried)) else { return Err(error.into()) };
        if another.index == busy.index {
            return Err(error.into());
        }
        tracing::warn!(api = %self.api.id, target = %tried.address, %error, "a target is out of reach; another one takes the call");
        self.failed();
        self.target = Some(another.index);
        Ok(self.pool.take(&self.api.upstream, another).await.map_err(|(_, error)| error)?)
    }
}

async fn exchange(attempt: &mut Attempt<'_>, mut body: Outgoing, make: &Make<'_>) -> Result<Response<Incoming>, Fault> {
    let mut tries = 0;
    let mut unsent = None;
    loop {
        let lease = attempt.connection().await?;
        let lease = attempt.lease.insert(lease);
        // In a block, so that the request is not kept beside its way.
        let (sending, again) = {
            let request = match unsent.take() {
                Some(request) => request,
                None => make(std::mem::replace(&mut body, Outgoing::Empty)).map_err(|code| code.as_str())?,
            };
            // What it may be made again for.
            let again = (lease.may_be_closing() && request.body().is_end_stream()).then(|| request.method().is_safe());
            (lease.send(request), again)
        };
        match sending.await {
            Ok(answer) => match fault_of(&answer) {
                None => return Ok(answer),
                // The connection goes with the lease: where this answer ends is anybody's guess.
                Some(fault) => return Err(fault.into()),
            },
            // The upstream closed the connection while it lay idle, or told its calls to go elsewhere. If nothing of the
            // request was sent or looked at, or it may be sent twice (RFC 9110 §9.2.1), another connection takes it.
            Err(mut error) => {
                unsent = error.take_message();
                let error = error.into_error();
                // An answer that makes no sense is an answer; only silence may be asked again.
                let is_silence = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
                let may_repeat = again.is_some_and(|is_safe| is_untouched(&error) || (is_silence && is_safe));
                if (unsent.is_none() && !may_repeat) || !lease.may_be_closing() || tries >= MAX_TRIES {
                    return Err(error.into());
                }
                lease.retire();
                tries += 1;
            }
        }
    }
}

/// Whether an upstream with HTTP/2 says that it has not looked at the request: it refused the stream, or went away with
/// streams that came later than those it answers (RFC 9113 §8.7).
fn is_untouched(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        cause.is_remote()
            && (cause.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (cause.is_go_away() && cause.reason() == Some(h2::Reason::NO_ERROR)))
    })
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
