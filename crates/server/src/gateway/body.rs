//! Bodies on their way through: the request's, counted and bounded; the answer's, which counts the call when it ends.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use keystile_core::Code;
use tokio::time::{Instant, Sleep};

use super::grpc::Messages;
use super::headers::strip_trailers;
use super::lease::Lease;
use super::pauses::Pause;
use super::pool::Pool;
use super::wire::Exchange;
use crate::usage::Pending;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is known of a request body while it streams; shared with the handler, which answers when it breaks.
pub struct Tally {
    received: Cell<u64>,
    /// When something came last.
    moved: Cell<Instant>,
    is_complete: Cell<bool>,
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

    /// When something came last; at first, when the call began.
    pub(super) fn moved(&self) -> Instant {
        self.moved.get()
    }

    /// Whether all of it has come.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete.get()
    }

    /// How it ended early, if it did.
    pub fn end(&self) -> Option<BodyEnd> {
        self.end.get()
    }
}

/// How long a request body may be.
pub(super) enum BodyBound {
    /// So many bytes in all.
    Whole(u64),
    /// Each of its messages.
    Messages(Box<Messages>),
}

impl BodyBound {
    /// So many bytes a message.
    pub(super) fn messages(limit: u64) -> Self {
        Self::Messages(Box::new(Messages::of(limit)))
    }

    /// Whether a body that says so early how long it is may come.
    pub(super) fn allows(&self, length: u64) -> bool {
        match self {
            Self::Whole(room) => length <= *room,
            Self::Messages(_) => true,
        }
    }

    /// Takes the next bytes, if there is room for them.
    fn take(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Whole(room) => match room.checked_sub(bytes.len() as u64) {
                Some(left) => {
                    *room = left;
                    true
                }
                None => false,
            },
            Self::Messages(messages) => messages.take(bytes),
        }
    }
}

/// A request body on its way to the upstream.
pub(super) enum Outgoing {
    /// None.
    Empty,
    /// The client's, as it comes.
    Stream {
        /// The client's body.
        incoming: Incoming,
        /// What it may still have.
        bound: BodyBound,
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
    pub(super) fn new(incoming: Incoming, bound: BodyBound, patience: Option<Duration>) -> (Self, Option<Rc<Tally>>) {
        if incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let tally = Rc::new(Tally {
            received: Cell::new(0),
            moved: Cell::new(Instant::now()),
            is_complete: Cell::new(false),
            end: Cell::new(None),
        });
        let stall = patience.map(|patience| Box::new(Stall { patience, over: None }));
        (Self::Stream { incoming, bound, tally: tally.clone(), stall }, Some(tally))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self::Stream { incoming, bound, tally, stall } = self.get_mut() else { return Poll::Ready(None) };
        let frame = Pin::new(&mut *incoming).poll_frame(cx);
        let is_end_stream = incoming.is_end_stream();
        let Poll::Ready(frame) = frame else {
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
            None => {
                tally.is_complete.set(true);
                return Poll::Ready(None);
            }
        };
        let Ok(data) = frame.into_data() else {
            // Trailers: the wire guard refuses them; nothing else is passed on.
            tally.is_complete.set(true);
            return Poll::Ready(None);
        };
        tally.is_complete.set(is_end_stream);
        let len = data.len() as u64;
        tally.received.set(tally.received.get() + len);
        tally.moved.set(Instant::now());
        if bound.take(&data) {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        tally.end.set(Some(BodyEnd::TooLarge));
        Poll::Ready(Some(Err("the request body is too large".into())))
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
    /// The upstream's. Boxed: an answer is moved a dozen times until it is sent, and that costs more than the box.
    Upstream(Box<Streamed>),
}

/// An upstream's body. Its end counts the call and gives the connection back; its drop before the end counts the call
/// as one whose client went away, and lets the connection go.
struct Streamed {
    incoming: Incoming,
    pending: Pending,
    tally: Option<Rc<Tally>>,
    /// Bytes of the request when nothing came of the answer last.
    received: u64,
    pause: Pause,
    lease: Option<(Lease, Rc<Pool>)>,
}

impl Answer {
    /// The gateway's own answer.
    pub fn own(body: Vec<u8>, exchange: Exchange) -> Self {
        Self { content: Content::Own((!body.is_empty()).then(|| body.into())), _exchange: exchange }
    }

    /// An upstream's answer.
    pub(super) fn streamed(
        incoming: Incoming,
        pending: Pending,
        tally: Option<Rc<Tally>>,
        pause: Pause,
        lease: (Lease, Rc<Pool>),
        exchange: Exchange,
    ) -> Self {
        let mut streamed = Box::new(Streamed { incoming, pending, tally, received: 0, pause, lease: Some(lease) });
        if streamed.incoming.is_end_stream() {
            streamed.complete();
        }
        Self { content: Content::Upstream(streamed), _exchange: exchange }
    }
}

impl Streamed {
    fn complete(&mut self) {
        self.note_received();
        let at = self.pending.finish_allowed();
        // A connection on which some of the request is still owed is nobody else's: it goes with the lease.
        let is_sent = self.tally.as_ref().is_none_or(|tally| tally.is_complete());
        if let Some((lease, pool)) = self.lease.take().filter(|_| is_sent) {
            pool.give_back(lease, at);
        }
    }

    fn break_off(&mut self, code: Code) {
        self.lease = None;
        self.note_received();
        self.pending.finish_broken(code);
    }

    /// Whether the upstream, from which nothing came, has paused for too long. A client that goes on sending (a stream
    /// in both directions) keeps it from that.
    fn is_over(&mut self, cx: &Context<'_>) -> bool {
        let received = self.tally.as_ref().map_or(0, |tally| tally.received());
        if received != self.received {
            self.received = received;
            self.pause.moved();
        }
        self.pause.is_over(cx)
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
            Content::Upstream(streamed) => match Pin::new(&mut streamed.incoming).poll_frame(cx) {
                Poll::Pending if streamed.is_over(cx) => {
                    streamed.break_off(Code::UpstreamTimeout);
                    Poll::Ready(Some(Err("the answer of the upstream stopped coming".into())))
                }
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(mut frame))) => {
                    if let Some(data) = frame.data_ref() {
                        streamed.pending.sent(data.len() as u64);
                        streamed.pause.moved();
                    }
                    if let Some(trailers) = frame.trailers_mut() {
                        strip_trailers(trailers);
                    }
                    // Counted with the last bytes, so that whoever has the whole answer finds it counted.
                    if streamed.incoming.is_end_stream() {
                        streamed.complete();
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
                Poll::Ready(Some(Err(error))) => {
                    streamed.break_off(Code::UpstreamUnreachable);
                    Poll::Ready(Some(Err(error.into())))
                }
                Poll::Ready(None) => {
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
