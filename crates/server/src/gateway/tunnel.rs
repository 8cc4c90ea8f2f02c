//! An upgrade from its `101` on, a WebSocket or another: bytes both ways, unread. The call was decided and counted before;
//! what may end it afterwards is looked at every second: the key's revocation or end, the API's, its activation, the
//! protocol's place on the API's list (G-19).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use keystile_core::api::{Access, UpgradeProtocol};
use keystile_core::facts::Facts;
use keystile_core::method::Method;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout};

use super::body::Outgoing;
use super::caller::Caller;
use super::content::{Unread, carries_anything};
use super::ending::Ending;
use super::forward::{Attempt, Fault, ForwardError, within};
use super::lease::{Lease, Sender};
use super::pool::Pool;
use super::source::RequestSource;
use super::upgrade;
use crate::enforce::engine::{Engine, Recognised};
use crate::enforce::in_flight::Places;
use crate::enforce::snapshot::ApiView;
use crate::upstream::{Busy, Stream};
use crate::world::Clock;

/// How often a tunnel is looked at: a revocation is in force that much later at most (SECURITY.md G-19 allows 5 s).
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long nothing may come either way. Whoever keeps a WebSocket pings it more often, and so must others.
const MAX_SILENCE: Duration = Duration::from_secs(600);
/// What is on its way at once, in each direction.
const BUFFER: usize = 16 << 10;

/// What an upstream answered to a request for another protocol.
pub(super) enum Asked {
    /// Something else.
    Plain(Response<Incoming>, Lease),
    /// It switched: the head of its answer, and its end of the tunnel.
    Switched(Response<Incoming>, Far),
}

/// The upstream's end.
pub(super) struct Far {
    stream: Stream,
    /// What it sent right behind its answer.
    early: Bytes,
    /// It has one call more as long as the tunnel lasts.
    _busy: Busy,
}

/// Asks an upstream for a protocol, on a connection of its own.
pub(super) async fn ask(
    pool: &Rc<Pool>,
    api: &ApiView,
    protocol: &UpgradeProtocol,
    mut request: Request<Outgoing>,
) -> Result<Asked, ForwardError> {
    upgrade::put(protocol, request.headers_mut());
    let mut attempt = Attempt::new(pool, api, None);
    let outcome = within(api, None, pin!(exchange(&mut attempt, protocol, request))).await;
    attempt.conclude(outcome)
}

async fn exchange(
    attempt: &mut Attempt<'_>,
    protocol: &UpgradeProtocol,
    request: Request<Outgoing>,
) -> Result<Asked, Fault> {
    let busy = attempt.choose()?;
    let (mut sender, mut connection, address) =
        attempt.pool.dial(&attempt.api.upstream, attempt.api.upstream.target(&busy)).await?;
    let response = {
        let mut answer = pin!(sender.send_request(request));
        let mut is_over = false;
        poll_fn(|cx| {
            is_over = is_over || Pin::new(&mut connection).poll(cx).is_ready();
            answer.as_mut().poll(cx)
        })
        .await?
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        return match super::forward::fault_of(&response) {
            None => {
                let lease = Lease { sender: Sender::Http1(sender, address), reused: false, busy };
                Ok(Asked::Plain(response, lease))
            }
            Some(fault) => Err(fault.into()),
        };
    }
    if !upgrade::is_granted(protocol, response.headers()) {
        return Err("it switches to a protocol that nobody asked for".into());
    }
    // The engine has nothing more to do: what it read too far and the stream come back.
    let parts = connection.into_parts();
    Ok(Asked::Switched(response, Far { stream: parts.io.into_inner().0, early: parts.read_buf, _busy: busy }))
}

/// What is needed to see whether a tunnel may go on.
pub(super) struct Watch {
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) protocol: UpgradeProtocol,
    pub(super) api: u32,
    /// `None` where the API is open.
    pub(super) key: Option<Recognised>,
    pub(super) caller: Rc<Caller>,
    /// Those of the request, without secrets.
    pub(super) headers: HeaderMap,
    pub(super) client: std::net::IpAddr,
    pub(super) method: Method,
    pub(super) path: Box<str>,
    pub(super) encrypted: bool,
}

impl Watch {
    fn allows(&self) -> bool {
        let Some(api) = self.engine.snapshot.apis.get(self.api).clone() else { return false };
        let now = self.clock.now();
        let certificate = self.caller.certificate_at(now.wall);
        let is_as_it_must_be = api.active
            && (self.encrypted || !api.require_tls)
            && (certificate.is_some() || !api.require_client_certificate)
            && api.upgrades.contains(&self.protocol)
            && carries_anything(&api);
        let Some(key) = &self.key else {
            let is_open = api.access == Access::Open || api.open.find(self.method, &self.path).is_some();
            return is_as_it_must_be && is_open;
        };
        let (headers, countries) = (&self.headers, &self.engine.countries);
        let source = RequestSource { headers, client: Some(self.client), countries, key_places: &api.key_places };
        let facts = Facts {
            client: Some(self.client),
            certificate,
            method: Some(self.method),
            path: Some(&self.path),
            content: Some(&Unread),
            source: Some(&source),
            ..Facts::at(now)
        };
        is_as_it_must_be && self.engine.still_allows(key, &api, &facts)
    }

    async fn until_over(&self, moved: &Cell<Instant>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if !self.allows() || moved.get().elapsed() > MAX_SILENCE {
                return;
            }
        }
    }
}

/// A tunnel that is granted and has not begun: the connection of the client is still the engine's.
pub(super) struct Tunnel {
    pub(super) far: Far,
    pub(super) watch: Watch,
    /// It is a call that is being answered as long as it lasts.
    pub(super) places: Places,
}

/// Where a connection leaves its tunnel.
#[derive(Default)]
pub struct Slot(RefCell<Option<Tunnel>>);

impl Slot {
    pub(super) fn put(&self, tunnel: Tunnel) {
        *self.0.borrow_mut() = Some(tunnel);
    }

    pub(super) fn is_taken(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(super) fn take(&self) -> Option<Tunnel> {
        self.0.borrow_mut().take()
    }
}

impl Tunnel {
    /// Carries bytes both ways until both ends have ended, or one must. `early` is what the client sent too early; an end
    /// that takes nothing of what is sent for as long as `patience` says is left.
    pub(super) async fn run<S: AsyncRead + AsyncWrite>(
        self,
        client: S,
        early: Bytes,
        patience: Duration,
        ending: Ending,
    ) {
        let _places = self.places;
        let (client_reads, client_writes) = tokio::io::split(client);
        let (far_reads, far_writes) = tokio::io::split(self.far.stream);
        let moved = Cell::new(Instant::now());
        let both = async {
            tokio::try_join!(
                carry(early, client_reads, far_writes, patience, &moved),
                carry(self.far.early, far_reads, client_writes, patience, &moved)
            )
        };
        tokio::select! {
            _ = both => {}
            () = self.watch.until_over(&moved) => {}
            () = ending.wait() => {}
        }
    }
}

async fn carry<A: AsyncRead, B: AsyncWrite>(
    early: Bytes,
    mut from: ReadHalf<A>,
    mut to: WriteHalf<B>,
    patience: Duration,
    moved: &Cell<Instant>,
) -> io::Result<()> {
    timeout(patience, to.write_all(&early)).await??;
    let mut buffer = vec![0; BUFFER];
    loop {
        let len = from.read(&mut buffer).await?;
        moved.set(Instant::now());
        if len == 0 {
            return to.shutdown().await;
        }
        timeout(patience, to.write_all(&buffer[..len])).await??;
        timeout(patience, to.flush()).await??;
    }
}
