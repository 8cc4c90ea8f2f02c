//! HTTP/2 to clients (RFC 9113). The engine frames what HTTP/1.1 leaves to be guessed, so there is no guard over the bytes
//! as in [`wire`](super::wire); what a request may say is judged when it is whole ([`sound`], G-15), and from there on it
//! is a call like every other.
//!
//! What a connection may cost is bounded: streams at once, the bytes of a head, what waits to be sent, how long it may
//! be idle ([`patience`]), and how many streams it may take back before they are answered (G-14, CVE-2023-44487). Streams
//! of one connection are tasks of its thread.
//!
//! Left out on purpose: server push, priorities (RFC 9113 deprecates both), extended CONNECT.

mod patience;
mod sound;
mod taking;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

use super::ending::Ending;
use super::wire::{Exchange, Exchanges, MAX_HEAD_BYTES, Patience};
use patience::{Idleness, Patient};
use taking::Waiting;

/// What a connection begins with that speaks HTTP/2 without having agreed on it (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams of one connection at once.
const MAX_STREAMS: u32 = 100;
/// What may be on its way to us: for one stream, and for all of them.
pub(super) const STREAM_WINDOW: u32 = 256 << 10;
pub(super) const CONNECTION_WINDOW: u32 = 1 << 20;
/// What waits to be taken, for each stream.
const MAX_SEND_BUFFER: usize = 64 << 10;
/// Streams that a client may take back before they are answered, beyond as many as were answered.
const MAX_ABANDONED: u64 = 100;
/// How long one may take to leave that was sent away for that.
const ABUSERS_LEAVE_IN: Duration = Duration::from_millis(100);
/// How often it is looked whether answers are taken, in parts of the time that they may wait.
const LOOKS: u32 = 4;
/// How long a peer may be silent before it is asked whether it is there, and how long it has for its answer.
pub(super) const PING_EVERY: Duration = Duration::from_secs(30);
pub(super) const PING_PATIENCE: Duration = Duration::from_secs(20);

/// Serves a connection until it ends, or until the process does or leaves its place to another: then the client is told
/// to go elsewhere with new streams (GOAWAY), and those that are there are answered.
pub(super) async fn serve<S, F, A, B>(stream: S, patience: Patience, ending: Ending, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Exchange, Request<Incoming>) -> A,
    A: Future<Output = Response<B>> + 'static,
    B: hyper::body::Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let exchanges = Exchanges::default();
    let (tally, waiting) = (Rc::new(Tally::default()), Rc::new(Waiting::default()));
    let service = service_fn(|request| {
        let (exchange, request) = sound::judge(exchanges.begin(), request);
        let answering = Answering { tally: tally.clone(), is_answered: false };
        let (answered, waiting) = (answer(exchange, request), waiting.clone());
        async move {
            let mut answering = answering;
            let response = answered.await;
            answering.is_answered = true;
            Ok::<_, Infallible>(response.map(|body| waiting.watch(body)))
        }
    });
    let mut builder = http2::Builder::new(OnThisThread);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Patient::new(stream, patience.write)), service));
    let mut told = ending.left();
    let mut idleness = Idleness::new(patience);
    // Until it ends, or has to.
    let mut look = pin!(sleep(patience.write / LOOKS));
    let mut takes_nothing = false;
    let ended = poll_fn(|cx| {
        while look.as_mut().poll(cx).is_ready() {
            takes_nothing = takes_nothing || waiting.is_longer_than(patience.write);
            look.as_mut().reset(Instant::now() + patience.write / LOOKS);
        }
        if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        let must_end = takes_nothing
            || tally.is_abused()
            || Pin::new(&mut told).poll(cx).is_ready()
            || idleness.poll_over(cx, exchanges.begun(), exchanges.is_idle()).is_ready();
        if must_end { Poll::Ready(None) } else { Poll::Pending }
    })
    .await;
    let outcome = match ended {
        Some(outcome) => outcome,
        // There is no use in waiting for it to take the rest.
        None if takes_nothing => Ok(()),
        None => {
            connection.as_mut().graceful_shutdown();
            // Whoever does not leave then is left: soon, if it goes on to take streams back, which cost as long as they are
            // read. When the process ends, that is sooner.
            let patience = if tally.is_abused() { ABUSERS_LEAVE_IN.min(patience.write) } else { patience.write };
            tokio::time::timeout(patience, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "an HTTP/2 connection ended early");
    }
}

/// Streams become tasks of the thread that has the connection.
#[derive(Clone, Copy)]
pub(super) struct OnThisThread;

impl<F: Future + 'static> Executor<F> for OnThisThread {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(async move {
            stream.await;
        });
    }
}

/// How the streams of a connection ended.
#[derive(Default)]
struct Tally {
    answered: Cell<u64>,
    abandoned: Cell<u64>,
}

impl Tally {
    fn is_abused(&self) -> bool {
        self.abandoned.get() > self.answered.get() + MAX_ABANDONED
    }
}

/// A stream until there is an answer to it.
struct Answering {
    tally: Rc<Tally>,
    is_answered: bool,
}

impl Drop for Answering {
    fn drop(&mut self) {
        let count = if self.is_answered { &self.tally.answered } else { &self.tally.abandoned };
        count.set(count.get() + 1);
    }
}
