//! A connection to a target, as long as a call uses it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};

use super::body::Outgoing;
use crate::upstream::Busy;

/// A connection in use.
pub(super) struct Lease {
    pub(super) sender: Sender,
    /// Whether it has carried a call before.
    pub(super) reused: bool,
    /// The target that is busy as long as it is.
    pub(super) busy: Busy,
}

/// Where requests are put.
pub(super) enum Sender {
    /// A connection that is this call's alone, and its other end.
    Http1(http1::SendRequest<Outgoing>, SocketAddr),
    /// A stream of a connection that others use too.
    Http2(Stream),
}

impl Lease {
    /// Whether its connection may be closed by the other end while a request is on its way: it has carried others.
    pub(super) fn may_be_closing(&self) -> bool {
        self.reused || matches!(self.sender, Sender::Http2(_))
    }

    /// Its connection takes no further calls.
    pub(super) fn retire(&self) {
        if let Sender::Http2(stream) = &self.sender {
            stream.0.retired.set(true);
        }
    }

    /// Sends a request; one that was not sent comes back with the error. (No `async fn`: that would keep the request
    /// twice.)
    pub(super) fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>> + use<> {
        match &mut self.sender {
            Sender::Http1(sender, _) => Either::Left(sender.try_send_request(request)),
            Sender::Http2(stream) => Either::Right(stream.0.sender.clone().try_send_request(request)),
        }
    }
}

/// A connection that carries many calls at once (RFC 9113).
pub(super) struct Shared {
    pub(super) sender: http2::SendRequest<Outgoing>,
    pub(super) address: SocketAddr,
    pub(super) streams: Cell<usize>,
    /// How often in a row it was found without one.
    pub(super) quiet: Cell<u32>,
    /// Whether its other end takes no further ones.
    pub(super) retired: Cell<bool>,
}

/// One of its calls.
pub(super) struct Stream(Rc<Shared>);

impl Stream {
    pub(super) fn of(shared: &Rc<Shared>) -> Self {
        shared.streams.set(shared.streams.get() + 1);
        shared.quiet.set(0);
        Self(shared.clone())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
    }
}
