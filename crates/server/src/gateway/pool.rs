//! Connections to targets, a pool for each worker: both halves of a call stay on one core, and taking a connection is a
//! pop from a list that nobody else touches. Connections of HTTP/2 are not taken out: calls share them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use keystile_core::api::UpstreamProtocol;
use keystile_core::time::Ticks;

use super::body::Outgoing;
use super::gather::Gathering;
use super::http2::{CONNECTION_WINDOW, OnThisThread, PING_EVERY, PING_PATIENCE, STREAM_WINDOW};
use super::lease::{Lease, Sender, Shared, Stream};
use crate::upstream::{self, Busy, Connector, Resting, Target, Upstream};
use crate::world::Clock;

/// Idle connections that one worker keeps to one target.
const MAX_IDLE: usize = 1_024;
/// How long an idle connection is trusted. Node.js closes after 5 s, the shortest of the common servers; a call on a
/// connection that is just being closed would fail.
const MAX_IDLE_TIME: Duration = Duration::from_secs(4);
/// Largest header block of an answer.
const MAX_ANSWER_HEAD: usize = 64 << 10;
/// Calls on one connection of HTTP/2; further ones get another. What servers usually allow.
const MAX_STREAMS: usize = 100;
/// How often in a row such a connection may be found without a call before it is closed; it is looked at with the
/// others, every other second.
const MAX_QUIET: u32 = 15;

/// A connection, to be polled by somebody.
pub(super) type Connection = http1::Connection<TokioIo<Gathering<upstream::Stream>>, Outgoing>;

/// The connections of one worker that are open.
pub struct Pool {
    idle: RefCell<BTreeMap<u64, Vec<Idle>>>,
    shared: RefCell<HashMap<u64, Vec<Rc<Shared>>>>,
    /// Who opens a connection for all.
    opening: RefCell<HashMap<u64, Rc<tokio::sync::Mutex<()>>>>,
    clock: Arc<dyn Clock>,
    connector: Connector,
    draws: Cell<u32>,
}

struct Idle {
    sender: http1::SendRequest<Outgoing>,
    address: SocketAddr,
    since: Ticks,
}

impl Pool {
    /// An empty pool.
    pub fn new(clock: Arc<dyn Clock>, connector: Connector) -> Self {
        Self {
            idle: RefCell::default(),
            shared: RefCell::default(),
            opening: RefCell::default(),
            clock,
            connector,
            draws: Cell::new(0),
        }
    }

    /// The time, for what is known of targets.
    pub(super) fn now(&self) -> Ticks {
        self.clock.ticks()
    }

    /// Chooses the target for a call that has not tried `but`.
    pub(super) fn choose(&self, upstream: &Upstream, but: Option<&Target>) -> Result<Busy, Resting> {
        // Multiplied by an odd constant: evenly spread, and no two in a row alike.
        let draw = self.draws.get().wrapping_add(0x9E37_79B9);
        self.draws.set(draw);
        upstream.take(|| self.now(), draw, but)
    }

    /// An open connection to a target, the one used last; or a new one. A target that is out of reach comes back with
    /// the reason.
    pub(super) async fn take(&self, upstream: &Upstream, busy: Busy) -> Result<Lease, (Busy, io::Error)> {
        let target = upstream.target(&busy);
        if upstream.protocol == UpstreamProtocol::Http2 {
            return match Box::pin(self.stream(upstream, target)).await {
                Ok((stream, reused)) => Ok(Lease { sender: Sender::Http2(stream), reused, busy }),
                Err(error) => Err((busy, error)),
            };
        }
        while let Some(mut idle) = self.pop(target) {
            // Ready as soon as its task has seen the end of the last answer; an error means that it was closed.
            if target.is_at(&idle.address) && idle.sender.ready().await.is_ok() {
                return Ok(Lease { sender: Sender::Http1(idle.sender, idle.address), reused: true, busy });
            }
        }
        // Boxed: it is large, and most calls find a connection.
        match Box::pin(self.connect(upstream, target)).await {
            Ok(sender) => Ok(Lease { sender, reused: false, busy }),
            Err(error) => Err((busy, error)),
        }
    }

    fn pop(&self, target: &Target) -> Option<Idle> {
        self.idle.borrow_mut().get_mut(&target.number)?.pop()
    }

    async fn connect(&self, upstream: &Upstream, target: &Target) -> io::Result<Sender> {
        let (sender, connection, address) = self.dial(upstream, target).await?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection ended");
            }
        });
        Ok(Sender::Http1(sender, address))
    }

    /// A new connection that is nobody else's.
    ///
    /// # Errors
    /// If the target can't be reached in time.
    pub(super) async fn dial(
        &self,
        upstream: &Upstream,
        target: &Target,
    ) -> io::Result<(http1::SendRequest<Outgoing>, Connection, SocketAddr)> {
        let dialled = self.connector.dial(upstream, target).await?;
        let stream = TokioIo::new(Gathering(dialled.stream));
        let (sender, connection) =
            http1::Builder::new().max_buf_size(MAX_ANSWER_HEAD).handshake(stream).await.map_err(io::Error::other)?;
        Ok((sender, connection, dialled.address))
    }

    /// A stream of a connection that has room, and whether it was open already.
    async fn stream(&self, upstream: &Upstream, target: &Target) -> io::Result<(Stream, bool)> {
        if let Some(shared) = self.with_room(target) {
            return Ok((Stream::of(&shared), true));
        }
        // One connection for all that wait for one, not one each.
        let opening = self.opening.borrow_mut().entry(target.number).or_default().clone();
        let _turn = opening.lock().await;
        if let Some(shared) = self.with_room(target) {
            return Ok((Stream::of(&shared), true));
        }
        let shared = Rc::new(self.share(upstream, target).await?);
        self.shared.borrow_mut().entry(target.number).or_default().push(shared.clone());
        Ok((Stream::of(&shared), false))
    }

    fn with_room(&self, target: &Target) -> Option<Rc<Shared>> {
        let all = self.shared.borrow();
        let has_room = |shared: &&Rc<Shared>| {
            !shared.sender.is_closed()
                && !shared.retired.get()
                && shared.streams.get() < MAX_STREAMS
                && target.is_at(&shared.address)
        };
        all.get(&target.number)?.iter().find(has_room).cloned()
    }

    async fn share(&self, upstream: &Upstream, target: &Target) -> io::Result<Shared> {
        let dialled = self.connector.dial(upstream, target).await?;
        let (sender, connection) = http2::Builder::new(OnThisThread)
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_ANSWER_HEAD as u32)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_PATIENCE)
            .handshake(TokioIo::new(dialled.stream))
            .await
            .map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection ended");
            }
        });
        Ok(Shared {
            sender,
            address: dialled.address,
            streams: Cell::new(0),
            quiet: Cell::new(0),
            retired: Cell::new(false),
        })
    }

    /// Takes back a connection whose answer was read to its end, at this time.
    pub(super) fn give_back(&self, lease: Lease, at: Ticks) {
        let Lease { sender: Sender::Http1(sender, address), busy, .. } = lease else { return };
        if sender.is_closed() {
            return;
        }
        let idle = Idle { sender, address, since: at };
        let mut all = self.idle.borrow_mut();
        let list = all.entry(busy.number).or_default();
        if list.len() < MAX_IDLE {
            list.push(idle);
        }
    }

    /// Closes connections that were idle too long, and forgets targets without any. To be called now and then.
    pub fn reap(&self) {
        let now = self.clock.ticks();
        let fresh = |idle: &Idle| u128::from(now.nanos_since(idle.since)) < MAX_IDLE_TIME.as_nanos();
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|idle| fresh(idle) && !idle.sender.is_closed());
            !list.is_empty()
        });
        let in_use = |shared: &Rc<Shared>| {
            shared.quiet.set(if shared.streams.get() == 0 { shared.quiet.get() + 1 } else { 0 });
            !shared.sender.is_closed() && !shared.retired.get() && shared.quiet.get() <= MAX_QUIET
        };
        self.shared.borrow_mut().retain(|_, list| {
            list.retain(in_use);
            !list.is_empty()
        });
        self.opening.borrow_mut().retain(|_, opening| Rc::strong_count(opening) > 1);
    }
}
