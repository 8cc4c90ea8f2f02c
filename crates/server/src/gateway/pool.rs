//! Connections to upstreams, a pool for each worker: both halves of a call stay on one core, and taking a connection
//! is a pop from a list that nobody else touches.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use keystile_core::time::Ticks;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::body::Outgoing;
use super::gather::Gathering;
use crate::enforce::snapshot::Upstream;
use crate::tls::UpstreamTls;
use crate::world::Clock;

/// Idle connections that one worker keeps to one upstream.
const MAX_IDLE: usize = 1_024;
/// How long an idle connection is trusted. Node.js closes after 5 s, the shortest of the common servers; a call on a
/// connection that is just being closed would fail.
const MAX_IDLE_TIME: Duration = Duration::from_secs(4);
/// Largest header block of an answer.
const MAX_ANSWER_HEAD: usize = 64 << 10;

/// A connection's stream.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;
/// A connection, to be polled by somebody.
pub(super) type Connection = http1::Connection<TokioIo<Gathering<Stream>>, Outgoing>;

/// The idle connections of one worker.
pub struct Pool {
    idle: RefCell<HashMap<Arc<Upstream>, Vec<Idle>>>,
    clock: Arc<dyn Clock>,
    connect_timeout: Duration,
    tls: Arc<UpstreamTls>,
}

struct Idle {
    sender: SendRequest<Outgoing>,
    since: Ticks,
}

/// A connection in use.
pub struct Lease {
    /// Where requests are put.
    pub sender: SendRequest<Outgoing>,
    /// Whether it has carried a call before.
    pub reused: bool,
}

impl Pool {
    /// An empty pool.
    pub fn new(clock: Arc<dyn Clock>, connect_timeout: Duration, tls: Arc<UpstreamTls>) -> Self {
        Self { idle: RefCell::default(), clock, connect_timeout, tls }
    }

    /// An idle connection, the one used last; or a new one.
    ///
    /// # Errors
    /// If the upstream can't be reached in time.
    pub async fn take(&self, upstream: &Arc<Upstream>) -> io::Result<Lease> {
        while let Some(mut idle) = self.pop(upstream) {
            // Ready as soon as its task has seen the end of the last answer; an error means that it was closed.
            if idle.sender.ready().await.is_ok() {
                return Ok(Lease { sender: idle.sender, reused: true });
            }
        }
        // Boxed: it is large, and most calls find a connection.
        let connecting = Box::pin(tokio::time::timeout(self.connect_timeout, connect(upstream, &self.tls)));
        let sender = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Lease { sender, reused: false })
    }

    /// A new connection that is nobody else's.
    ///
    /// # Errors
    /// If the upstream can't be reached in time.
    pub(super) async fn dial(&self, upstream: &Upstream) -> io::Result<(SendRequest<Outgoing>, Connection)> {
        let dialling = tokio::time::timeout(self.connect_timeout, dial(upstream, &self.tls));
        dialling.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    fn pop(&self, upstream: &Arc<Upstream>) -> Option<Idle> {
        self.idle.borrow_mut().get_mut(upstream)?.pop()
    }

    /// Takes back a connection whose answer was read to its end.
    pub fn give_back(&self, upstream: &Arc<Upstream>, sender: SendRequest<Outgoing>) {
        if sender.is_closed() {
            return;
        }
        let idle = Idle { sender, since: self.clock.ticks() };
        let mut all = self.idle.borrow_mut();
        match all.get_mut(upstream) {
            Some(list) if list.len() < MAX_IDLE => list.push(idle),
            Some(_) => {}
            None => {
                all.insert(upstream.clone(), vec![idle]);
            }
        }
    }

    /// Closes connections that were idle too long, and forgets upstreams without any. To be called now and then.
    pub fn reap(&self) {
        let now = self.clock.ticks();
        let fresh = |idle: &Idle| u128::from(now.nanos_since(idle.since)) < MAX_IDLE_TIME.as_nanos();
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|idle| fresh(idle) && !idle.sender.is_closed());
            !list.is_empty()
        });
    }
}

async fn connect(upstream: &Upstream, tls: &UpstreamTls) -> io::Result<SendRequest<Outgoing>> {
    let (sender, connection) = dial(upstream, tls).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream connection ended");
        }
    });
    Ok(sender)
}

async fn dial(upstream: &Upstream, tls: &UpstreamTls) -> io::Result<(SendRequest<Outgoing>, Connection)> {
    let stream = match upstream.host.parse() {
        Ok(address) => TcpStream::connect(SocketAddr::new(address, upstream.port)).await?,
        Err(_) => TcpStream::connect((&*upstream.host, upstream.port)).await?,
    };
    stream.set_nodelay(true)?;
    let stream = if upstream.is_tls {
        let name = ServerName::try_from(&*upstream.host).map_err(io::Error::other)?.to_owned();
        Either::Right(Box::new(TlsConnector::from(tls.client()).connect(name, stream).await?))
    } else {
        Either::Left(stream)
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_ANSWER_HEAD);
    builder.handshake(TokioIo::new(Gathering(stream))).await.map_err(io::Error::other)
}
