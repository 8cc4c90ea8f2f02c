//! Bodies on their way through: the request's, counted and bounded; the answer's, which counts the call when it ends.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use tokio::time::Sleep;

use super::pool::Pool;
use super::wire::Exchange;
use crate::enforce::snapshot::Upstream;
use crate::usage::Pending;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is known of a request body while it streams; shared with the handler, which answers when it breaks.
#[derive(Default)]
pub struct Tally {
    received: Cell<u64>,
    end: Cell<Option<BodyEnd>>,
}

/// How a request body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// It passed the API's bound.
    TooLarge,
    /// It stopped coming.
    Stalled,
    /// Its framing broke, or its client left.
    Broken,
}

impl Tally {
    /// Bytes that have come.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// How it ended early, if it did.
    pub fn end(&self) -> Option<BodyEnd> {
        self.end.get()
    }
}

/// A request body on its way to the upstream.
pub enum Outgoing {
    /// None.
    Empty,
    /// The client's, as it comes.
    Stream {
        /// The client's body.
        incoming: Incoming,
        /// Bytes that it may still have.
        room: u64,
        /// What is known of it.
        tally: Rc<Tally>,
        /// Ends it when it pauses for too long, if nobody else does.
        stall: Option<Box<Stall>>,
    },
}

/// A pause of a body.
pub struct Stall {
    patience: Duration,
    /// Set while it pauses.
    over: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience;
        self.over.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience))).as_mut().poll(cx)
    }
}

impl Outgoing {
    /// A client's body; without one nothing is allocated.
    pub fn new(incoming: Incoming, limit: u64, patience: Option<Duration>) -> (Self, Option<Rc<Tally>>) {
        if incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let tally = Rc::new(Tally::default());
        let stall = patience.map(|patience| Box::new(Stall { patience, over: None }));
        (Self::Stream { incoming, room: limit, tally: tally.clone(), stall }, Some(tally))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self::Stream { incoming, room, tally, stall } = self.get_mut() else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else {
            let Some(stall) = stall else { return Poll::Pending };
            std::task::ready!(stall.poll_over(cx));
            tally.end.set(Some(BodyEnd::Stalled));
            return Poll::Ready(Some(Err("the request body stopped coming".into())));
        };
        if let Some(stall) = stall {
            stall.over = None;
        }
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                tally.end.set(Some(BodyEnd::Broken));
                return Poll::Ready(Some(Err(error.into())));
            }
            None => return Poll::Ready(None),
        };
        let Ok(data) = frame.into_data() else {
            // Trailers: the wire guard refuses them; nothing else is passed on.
            return Poll::Ready(None);
        };
        let len = data.len() as u64;
        tally.received.set(tally.received.get() + len);
        match room.checked_sub(len) {
            Some(left) => {
                *room = left;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            None => {
                tally.end.set(Some(BodyEnd::TooLarge));
                Poll::Ready(Some(Err("the request body is too large".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream { incoming, .. } => incoming.size_hint(),
        }
    }
}

/// An answer's body on its way to the client.
pub struct Answer {
    content: Content,
    /// Held until the answer is out: the guard measures patience by it.
    _exchange: Exchange,
}

enum Content {
    /// The gateway's own.
    Own(Option<Bytes>),
    /// The upstream's.
    Upstream(Streamed),
}

/// An upstream's body. Its end counts the call and gives the connection back; its drop before the end counts the call
/// as one whose client went away, and lets the connection go.
struct Streamed {
    incoming: Incoming,
    pending: Pending,
    tally: Option<Rc<Tally>>,
    lease: Option<(SendRequest<Outgoing>, Arc<Upstream>, Rc<Pool>)>,
}

impl Answer {
    /// The gateway's own answer.
    pub fn own(body: Vec<u8>, exchange: Exchange) -> Self {
        Self { content: Content::Own((!body.is_empty()).then(|| body.into())), _exchange: exchange }
    }

    /// An upstream's answer.
    pub fn streamed(
        incoming: Incoming,
        pending: Pending,
        tally: Option<Rc<Tally>>,
        lease: (SendRequest<Outgoing>, Arc<Upstream>, Rc<Pool>),
        exchange: Exchange,
    ) -> Self {
        let mut streamed = Streamed { incoming, pending, tally, lease: Some(lease) };
        if streamed.incoming.is_end_stream() {
            streamed.complete();
        }
        Self { content: Content::Upstream(streamed), _exchange: exchange }
    }
}

impl Streamed {
    fn complete(&mut self) {
        self.note_received();
        self.pending.finish_allowed();
        if let Some((sender, upstream, pool)) = self.lease.take() {
            pool.give_back(&upstream, sender);
        }
    }

    fn note_received(&mut self) {
        if let Some(tally) = &self.tally {
            self.pending.received(tally.received());
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.note_received();
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().content {
            Content::Own(body) => Poll::Ready(body.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Upstream(streamed) => match std::task::ready!(Pin::new(&mut streamed.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        streamed.pending.sent(data.len() as u64);
                    }
                    // Counted with the last bytes, so that whoever has the whole answer finds it counted.
                    if streamed.incoming.is_end_stream() {
                        streamed.complete();
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
                Some(Err(error)) => {
                    streamed.lease = None;
                    streamed.note_received();
                    streamed.pending.finish_broken();
                    Poll::Ready(Some(Err(error.into())))
                }
                None => {
                    streamed.complete();
                    Poll::Ready(None)
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(body) => body.is_none(),
            Content::Upstream(streamed) => streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Content::Upstream(streamed) => streamed.incoming.size_hint(),
        }
    }
}
