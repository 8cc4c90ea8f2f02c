//! The threads that carry calls: one a core, each with a runtime, a pool of upstream connections and a buffer of
//! counts of its own. A connection goes to the thread that has the fewest and stays there.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http::HeaderValue;
use keystile_server::enforce::engine::Engine;
use keystile_server::enforce::in_flight::Bound;
use keystile_server::exposure::Exposures;
use keystile_server::gateway::wire::Patience;
use keystile_server::gateway::{Caller, Ending, Pool, TrustedProxies, Via, Worker, serve};
use keystile_server::telemetry::journal::Journal;
use keystile_server::upstream::Connector;
use keystile_server::usage::{Buffer, Recorder};
use keystile_server::verify::AskedBy;
use keystile_server::world::Clock;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use super::accept::Permit;
use super::handshake::{Http2, Secured, Security, proxied};

/// How often idle upstream connections are looked through.
const REAP_EVERY_SECONDS: u64 = 2;

/// How often an ending thread looks whether its connections have ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Through which listener a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The gateway's.
    Gateway,
    /// Verification's.
    Check,
}

/// What the threads work with.
pub struct Jobs {
    /// Decides.
    pub engine: Arc<Engine>,
    /// A buffer of counts for each.
    pub buffers: Vec<Arc<Buffer>>,
    /// A random number for each.
    pub seeds: Vec<u64>,
    /// Where exposed keys are reported.
    pub exposures: Exposures,
    /// What browsers are told over TLS.
    pub hsts: Option<HeaderValue>,
    /// What the process is called by those it passes calls on to.
    pub via: Via,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How many calls there may be at once, if not as many as come.
    pub bound: Option<Bound>,
    /// Whose word about the caller's address counts.
    pub proxies: TrustedProxies,
    /// Opens connections to upstreams.
    pub connector: Connector,
    /// Writes down single calls, if that is asked for.
    pub journal: Option<Arc<Journal>>,
    /// Who may ask for verification.
    pub asked_by: AskedBy,
    /// Whether connections of the gateway begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Whether the gateway speaks HTTP/2.
    pub http2: Http2,
    /// How long to wait for clients.
    pub patience: Patience,
    /// How long calls that are being answered may take to their end.
    pub drain: Duration,
}

/// A connection that was accepted.
pub struct Arrival {
    /// Where it came in.
    pub door: Door,
    /// What it begins with.
    pub security: Security,
    /// Its socket.
    pub stream: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// Its right to be in.
    pub permit: Permit,
}

/// The same on its way to another thread, which has a runtime of its own.
struct Handed {
    stream: std::net::TcpStream,
    door: Door,
    security: Security,
    peer: SocketAddr,
    permit: Permit,
}

/// The running threads.
pub struct Workers {
    hands: Hands,
    threads: Vec<JoinHandle<()>>,
}

/// Where connections are handed over.
#[derive(Clone)]
pub struct Hands(Arc<Vec<Hand>>);

struct Hand {
    arrivals: mpsc::UnboundedSender<Handed>,
    open: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts so many threads.
    ///
    /// # Errors
    /// If the system can't start one.
    pub fn start(count: usize, jobs: Jobs, ending: &Ending) -> io::Result<Self> {
        let jobs = Arc::new(jobs);
        let (mut hands, mut threads) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for index in 0..count {
            // Not bounded: admission bounds how many connections there are.
            let (arrivals, arriving) = mpsc::unbounded_channel();
            let open = Arc::new(AtomicUsize::new(0));
            let (jobs, counted, ending) = (jobs.clone(), open.clone(), ending.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            threads.push(thread.spawn(move || run(index, &jobs, arriving, &counted, &ending))?);
            hands.push(Hand { arrivals, open });
        }
        Ok(Self { hands: Hands(Arc::new(hands)), threads })
    }

    /// Where connections are handed over.
    pub fn hands(&self) -> Hands {
        self.hands.clone()
    }

    /// Waits until every thread has ended, which each does when `ending` says so.
    pub fn end(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl Hands {
    /// Gives a connection to the thread that has the fewest.
    pub fn hand_over(&self, arrival: Arrival) {
        let Arrival { door, security, stream, peer, permit } = arrival;
        let Some(hand) = self.0.iter().min_by_key(|hand| hand.open.load(Ordering::Relaxed)) else { return };
        let Ok(stream) = stream.into_std() else { return };
        hand.open.fetch_add(1, Ordering::Relaxed);
        let _ = hand.arrivals.send(Handed { stream, door, security, peer, permit });
    }
}

fn run(
    index: usize,
    jobs: &Arc<Jobs>,
    mut arriving: mpsc::UnboundedReceiver<Handed>,
    open: &Arc<AtomicUsize>,
    ending: &Ending,
) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a worker could not start");
            return;
        }
    };
    let worker = Rc::new(Worker {
        engine: jobs.engine.clone(),
        recorder: Rc::new(Recorder {
            buffer: jobs.buffers[index].clone(),
            clock: jobs.clock.clone(),
            observer: jobs.journal.as_ref().and_then(|journal| journal.observer(index, jobs.seeds[index])),
        }),
        pool: Rc::new(Pool::new(jobs.clock.clone(), jobs.connector.clone())),
        pauses: Rc::default(),
        places: jobs.bound.as_ref().map(Bound::share),
        proxies: jobs.proxies.clone(),
        exposures: jobs.exposures.clone(),
        hsts: jobs.hsts.clone(),
        via: jobs.via.clone(),
        body_patience: jobs.patience.body,
        request_seed: jobs.seeds[index],
        requests: Cell::new(0),
    });
    let (open, drain) = (open.clone(), jobs.drain);
    runtime.block_on(async move {
        let (pool, pauses) = (worker.pool.clone(), worker.pauses.clone());
        tokio::task::spawn_local(async move {
            for second in 1_u64.. {
                tokio::time::sleep(Duration::from_secs(1)).await;
                pauses.tick();
                if second.is_multiple_of(REAP_EVERY_SECONDS) {
                    pool.reap();
                }
            }
        });
        loop {
            let arrival = tokio::select! {
                biased;
                arrival = arriving.recv() => arrival,
                () = ending.wait() => None,
            };
            let Some(arrival) = arrival else { break };
            let (jobs, worker, open, ending) = (jobs.clone(), worker.clone(), open.clone(), ending.clone());
            tokio::task::spawn_local(async move {
                carry(arrival, &jobs, worker, ending).await;
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
        // Calls that are being answered go on to their end, within reason; then the runtime is dropped with the rest.
        let finished = async {
            while open.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _ = tokio::time::timeout(drain, finished).await;
    });
}

async fn carry(handed: Handed, jobs: &Jobs, worker: Rc<Worker>, ending: Ending) {
    let Handed { stream, door, security, peer, permit } = handed;
    let mut stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%error, "a connection could not be taken over"),
    };
    let mut client = peer.ip();
    if door == Door::Gateway && jobs.proxy_protocol {
        // Whoever else can reach the port could claim to be anybody.
        let proxied = match jobs.proxies.trusts(client.to_canonical()) {
            true => proxied(&mut stream, client, jobs.patience.head).await,
            false => None,
        };
        let Some(address) = proxied else {
            return tracing::debug!(%peer, "a connection did not begin with the PROXY header of a trusted proxy");
        };
        client = address;
    }
    let http2 = match door {
        Door::Gateway => jobs.http2,
        Door::Check => Http2::NO,
    };
    let Some((stream, secured)) = security.shake(stream, http2, jobs.patience.head).await else { return };
    match door {
        Door::Gateway => {
            let Secured { speaks, encrypted, certificate } = secured;
            let caller = Caller::new(client, speaks, encrypted, certificate);
            serve::gateway(stream, caller, worker, jobs.patience, ending).await;
        }
        Door::Check => serve::check(stream, peer.ip(), worker, jobs.asked_by, jobs.patience, ending).await,
    }
    drop(permit);
}
