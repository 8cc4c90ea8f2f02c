//! From settings to a running process: the store opened, the snapshot filled, one thread a core for
//! the calls, and an orderly end.
//!
//! The control plane (management API, usage writer, snapshot saver, acceptors) has a runtime of its own, which runs
//! [`Process::start`]; [`workers`] have one each, so that both halves of a call stay on one core. Each door has two
//! listeners ([`Listeners`]), in clear and with TLS ([`handshake`]).

pub mod accept;
mod countries;
mod disk;
mod figures;
pub mod handshake;
mod listeners;
pub mod mail;
mod pages;
pub mod workers;
use zeroize::Zeroizing;

use crate::config::root_keys;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use keystile_core::account::SessionLimits;
use keystile_core::webhook::Reach;
use keystile_server::audit_stream::{AuditStream, Sink};
use keystile_server::countries::{CountryFile, CountryFileError, Database};
use keystile_server::enforce::credits;
use keystile_server::enforce::engine::Engine;
use keystile_server::enforce::feed::{Feed, Follower};
use keystile_server::enforce::file::SnapshotFile;
use keystile_server::enforce::in_flight::Bound;
use keystile_server::enforce::maker::Maker;
use keystile_server::enforce::quotas::Keeper;
use keystile_server::enforce::rehash;
use keystile_server::enforce::watch::watch;
use keystile_server::exposure::{Exposures, exposures};
use keystile_server::gateway::wire::Patience;
use keystile_server::gateway::{Ending, TrustedProxies, Via, serve};
use keystile_server::identity::{Identity, IdentitySettings, Pages, ProviderSettings};
use keystile_server::lifecycle::{Lifecycle, Retention};
use keystile_server::manage::{self, App};
use keystile_server::setup::{Developer, Owner, Setup, SetupError, developer};
use keystile_server::telemetry::journal::{Destination, Journal, Logging, NoAccessLog};
use keystile_server::telemetry::metrics::Calls;
use keystile_server::telemetry::pulse::Pulse;
use keystile_server::telemetry::request_log::{Allowance, RequestLog};
use keystile_server::telemetry::trace::{Exporter, Exports, Sampling};
use keystile_server::tls::{Tls, TlsError, UpstreamTls};
use keystile_server::upstream::Connector;
use keystile_server::upstream::watch::look_after_targets;
use keystile_server::usage::{Hours, Queue, Writer};
use keystile_server::usage_files::UsageFiles;
use keystile_server::verify::AskedBy;
use keystile_server::webhooks::Webhooks;
use keystile_server::world::{Clock, Entropy, SystemClock, SystemEntropy, random};
use keystile_store::records::KeyLimits;
use keystile_store::{OpenError, Store, StoreError};
use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{Config, Trace};
use accept::{Admission, accept};
use handshake::Http2;
use listeners::secured;
pub use listeners::{Addresses, Both, Doors, Listeners};
use workers::{Arrival, Door, Jobs, Workers};

/// Where the snapshot is saved in the data folder.
const SNAPSHOT_FILE: &str = "snapshot.keys";
/// Connections of the management API at once; people and programs, not calls.
const MAX_ADMIN_CONNECTIONS: u32 = 1_024;
/// How long the last deliveries to webhooks may take to be noted.
const TELLING_ENDS: Duration = Duration::from_secs(3);
/// For how long whoever comes to the management API waits to be let in when another process takes over: longer than most
/// need for it, so that changes go to the new one, and shorter than a probe waits for an answer.
const SHUT_FOR: Duration = Duration::from_millis(250);

/// Why the process can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first things could not be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A listener can't be bound.
    #[error("{name} can't listen on {address}: {cause}")]
    Listen {
        /// Which listener.
        name: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The management key did not get out.
    #[error("the management key could not be shown ({0}); it was revoked, and the next start makes another")]
    NotShown(io::Error),
    /// A certificate can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file of countries can't be used.
    #[error(transparent)]
    Countries(#[from] CountryFileError),
    /// The access log can't be opened.
    #[error(transparent)]
    AccessLog(#[from] NoAccessLog),
    /// The secret of the client at the identity provider can't be read.
    #[error("oidc.client_secret_file: {} can't be read: {cause}", .path.display())]
    ClientSecret {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Letters can't be sent.
    #[error(transparent)]
    Mail(#[from] mail::NoMail),
    /// A thread can't be started.
    #[error("a worker can't be started: {0}")]
    Worker(io::Error),
    /// The system has no randomness.
    #[error(transparent)]
    Entropy(#[from] keystile_server::world::NoEntropy),
}

/// A running installation.
pub struct Process {
    store: Store,
    app: App,
    snapshot: Arc<SnapshotFile>,
    ending: Ending,
    workers: Workers,
    admission: Arc<Admission>,
    guests: Arc<Admission>,
    /// How long calls that are being answered may take to their end when the process ends.
    drain: Duration,
    /// Writes down single calls, if that is asked for.
    journal: Option<Arc<Journal>>,
    /// Tells webhooks of events, until the end.
    telling: JoinHandle<()>,
    /// Whether the management API takes connections in.
    lets_guests_in: watch::Sender<bool>,
    /// The listeners once more, by name, for another process to take over. As long as they are here, they are open.
    listeners: Mutex<Vec<(String, OwnedFd)>>,
    data: PathBuf,
    /// Where the listeners really are.
    pub addresses: Addresses,
    /// The owner, with a management key if it was made just now.
    pub owner: Owner,
}

/// An installation that is opened and answers nobody yet.
pub struct Opened {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tls: Option<Arc<Tls>>,
    upstream_tls: Arc<UpstreamTls>,
    countries: Option<(CountryFile, Arc<Database>)>,
    /// Whether links that letters would hold go into the log if no mail server is set up.
    pub shows_links: bool,
    /// The owner, with a management key if it was made just now.
    pub owner: Owner,
}

impl Opened {
    /// Reads the certificates, opens the data that the settings name, and makes the owner if there is none.
    ///
    /// # Errors
    /// If the data or its root key can't be used.
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        // First of all: what is wrong with a certificate leaves no trace.
        let tls = handshake::certificates(config)?;
        let upstream_tls = Arc::new(UpstreamTls::new(config.gateway.upstream_authorities.clone())?);
        let countries = config.gateway.country_database.as_deref().map(CountryFile::open).transpose()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let source = entropy.clone();
        let mut fill = move |bytes: &mut [u8]| source.fill(bytes).map_err(|_| OpenError::NoEntropy);
        let root_keys = root_keys(&config.root_key, config.previous_root_key.as_ref()).map_err(OpenError::from)?;
        let (data, at) = (&config.data, clock.now().wall);
        let store = match &config.database {
            None => Store::open(data, root_keys, at, &mut fill).await?,
            Some(url) => Store::open_database(url, data, root_keys, at, &mut fill).await?,
        };
        store.catalog.limit_keys(KeyLimits {
            per_project: config.admin.max_keys_per_project,
            per_organization: config.admin.max_keys_per_organization,
        });
        let owner = setup(&store, &*entropy, &*clock).owner().await?;
        for place in [Some(&config.root_key), config.previous_root_key.as_ref()].into_iter().flatten() {
            if let Some(name) = place.variable() {
                tracing::warn!(
                    "the root key is in the environment variable {name}: whoever may look at this process may read it; a file of mode 0400 or a credential of systemd is safer"
                );
            }
        }
        Ok(Self { store, clock, entropy, tls, upstream_tls, countries, shows_links: false, owner })
    }

    /// Makes things before anybody is answered.
    pub fn setup(&self) -> Setup<'_> {
        setup(&self.store, &*self.entropy, &*self.clock)
    }
}

/// Where the audit is told to.
fn sinks(config: &Config) -> impl Iterator<Item = Sink> {
    let file = config.audit.file.clone().map(Sink::File);
    file.into_iter().chain(config.audit.syslog.clone().map(Sink::Syslog))
}

/// What logging in is like.
fn identity_settings(config: &Config) -> Result<IdentitySettings, StartError> {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let sessions = SessionLimits {
        idle_secs: seconds(config.login.idle),
        lifetime_secs: seconds(config.login.lifetime),
        proven_secs: seconds(config.login.step_up),
    };
    let doors = [config.admin.listen, config.admin.tls_listen];
    let pages = match &config.login.origin {
        Some(origin) => Pages::At(origin.clone()),
        None if doors.iter().flatten().all(|door| door.ip().to_canonical().is_loopback()) => Pages::Here,
        None => Pages::Unknown,
    };
    Ok(IdentitySettings {
        sessions,
        breached: config.login.breached.clone(),
        pages,
        provider: provider(config)?,
        links: None,
    })
}

/// The identity provider, if there is one.
fn provider(config: &Config) -> Result<Option<ProviderSettings>, StartError> {
    let (Some(issuer), Some(origin)) = (&config.oidc.issuer, &config.login.origin) else { return Ok(None) };
    let secret = |path: &PathBuf| {
        let text =
            std::fs::read_to_string(path).map_err(|cause| StartError::ClientSecret { path: path.clone(), cause })?;
        let text = Zeroizing::new(text);
        Ok::<_, StartError>(Zeroizing::new(text.trim().to_owned()))
    };
    Ok(Some(ProviderSettings {
        issuer: issuer.to_string(),
        client_id: config.oidc.client_id.clone(),
        client_secret: config.oidc.client_secret_file.as_ref().map(secret).transpose()?,
        name: config.oidc.name.clone(),
        origin: origin.to_string(),
    }))
}

fn setup<'a>(store: &'a Store, entropy: &'a dyn Entropy, clock: &dyn Clock) -> Setup<'a> {
    Setup { catalog: &store.catalog, entropy, at: clock.now().wall }
}

impl Process {
    /// Fills the snapshot and begins to answer. A `follower` is told of every change from the first one on.
    ///
    /// # Errors
    /// If the store fails or a thread can't be started.
    pub async fn start(
        opened: Opened,
        listeners: Listeners,
        config: &Config,
        follower: Option<Follower>,
    ) -> Result<Self, StartError> {
        let Opened { store, clock, entropy, owner, tls, upstream_tls, countries, shows_links } = opened;
        let mail = mail::mailer(config, shows_links, (&clock, &entropy))?;
        let snapshot = Arc::new(SnapshotFile::new(config.data.join(SNAPSHOT_FILE), &store.catalog));
        let feed = Arc::new(Feed::start(&store, Some(&snapshot), clock.now().wall).await?);
        if let Some(follower) = follower {
            feed.followed_by(follower).await;
        }
        let engine = feed.engine().clone();
        if let Some((file, database)) = countries {
            engine.countries.follow(database);
            tokio::spawn(countries::reload_now_and_then(file, engine.clone(), config.tls.reload));
        }
        let queue = Arc::new(Queue::default());
        let node = u64::from_le_bytes(random(&*entropy)?);
        let labels = engine.snapshot.labels.clone();
        let calls = Arc::new(Calls::new(engine.clone()));
        // SQLite keeps whole numbers of 63 bits.
        let ledger = store.ledger.clone();
        let counted = (calls.clone(), engine.countries.clone());
        let writer = Writer::new(queue.clone(), ledger, labels, counted, clock.clone(), node >> 1);
        let writer = Arc::new(writer);
        let pulse = Arc::new(Pulse::new(store.catalog.clone(), feed.clone(), writer.clone(), clock.clone()));
        let (exposures, reports) = exposures();
        tokio::spawn(reports.write_down(store.catalog.clone(), clock.clone()));
        let reach = Reach::with(config.webhooks.networks.clone());
        let (catalog, tls_out) = (store.catalog.clone(), upstream_tls.clone());
        let webhooks = Webhooks::new(catalog, reach, tls_out, clock.clone(), entropy.clone());
        let addresses = listeners.addresses();
        let links = mail::links(config, &mail, addresses.admin);
        let people = IdentitySettings { links, ..identity_settings(config)? };
        let sessions = people.sessions;
        let identity = Arc::new(Identity::new(store.catalog.clone(), clock.clone(), entropy.clone(), people));
        let requests = Arc::new(RequestLog::new(store.ledger.clone(), writer.clone(), clock.clone()));
        let app = App {
            webhooks: Arc::new(webhooks),
            catalog: store.catalog.clone(),
            ledger: store.ledger.clone(),
            feed: feed.clone(),
            writer: writer.clone(),
            requests: requests.clone(),
            metrics: Arc::default(),
            calls,
            pulse: pulse.clone(),
            clock: clock.clone(),
            exposures: exposures.clone(),
            identity,
            mail,
            undelete: config.keys.undelete,
            entropy: entropy.clone(),
        };

        let lifecycle = Lifecycle {
            catalog: store.catalog.clone(),
            ledger: store.ledger.clone(),
            feed: feed.clone(),
            clock: clock.clone(),
            sessions,
            retention: Retention {
                audit_days: config.retention.audit_days,
                address_days: config.retention.address_days,
                facet_days: config.retention.facet_days,
                event_days: config.retention.event_days,
                event_bytes: config.retention.event_megabytes.map(|mebibytes| u64::from(mebibytes) << 20),
                request_days: config.retention.request_days,
                request_bytes: config.retention.request_megabytes.map(|mebibytes| u64::from(mebibytes) << 20),
            },
        };
        tokio::spawn(lifecycle.run(config.keys.round));
        tokio::spawn(Keeper::new(feed.clone(), store.ledger.clone(), clock.clone()).run());
        tokio::spawn(credits::Keeper::new(engine.clone(), store.ledger.clone(), clock.clone()).run());
        tokio::spawn(credits::Refills::new(feed.clone(), clock.clone()).run());
        let kept = (store.catalog.clone(), store.ledger.clone());
        tokio::spawn(credits::Notices::new(feed.clone(), kept, clock.clone()).run());
        tokio::spawn(rehash::write_down(feed.clone(), store.catalog.clone(), clock.clone()));

        let ending = Ending::new();
        let copies = listeners.copies().map_err(StartError::Worker)?;
        let Listeners(Doors { gateway, admin, check }) = listeners;
        let patience = patience(config);
        let connector = Connector { timeout: config.gateway.connect, tls: upstream_tls.clone() };
        tokio::spawn(look_after_targets(engine.clone(), connector.clone()));
        let exporter = exports(config).map(Exporter::start);
        let logging = config.request_log.enabled.then(|| Logging {
            log: requests.clone(),
            allowance: Arc::new(Allowance::new(config.request_log.per_second)),
        });
        let journal = Journal::start(&config.log.access, exporter, logging, config.gateway.worker_count(), &engine)?;
        let jobs = jobs(config, &engine, &queue, (&clock, &entropy), exposures, connector)?;
        let jobs = Jobs { journal: journal.clone(), ..jobs };
        let workers = Workers::start(config.gateway.worker_count(), jobs, &ending).map_err(StartError::Worker)?;
        let admission =
            Arc::new(Admission::new(config.gateway.max_connections, config.gateway.max_connections_per_address));
        for (both, door) in [(gateway, Door::Gateway), (check, Door::Check)] {
            for (listener, security) in secured(both, tls.as_ref()) {
                let hands = workers.hands();
                let carry = move |stream, peer, permit| {
                    hands.hand_over(Arrival { door, security: security.clone(), stream, peer, permit });
                };
                // Nobody shuts these.
                let is_open = watch::channel(true).1;
                tokio::spawn(accept(listener, admission.clone(), is_open, ending.clone(), carry));
            }
        }
        let (lets_guests_in, is_open) = watch::channel(true);
        let guests = Arc::new(Admission::new(MAX_ADMIN_CONNECTIONS, MAX_ADMIN_CONNECTIONS));
        figures::declare(&app, [("calls", admission.clone()), ("admin", guests.clone())], tls.as_ref());
        disk::declare(&app.metrics, config.data.clone());
        let api = manage::router(app.clone());
        let router = pages::before(&app, api, config, &addresses);
        for (listener, security) in secured(admin, tls.as_ref()) {
            let (router, admin_ending) = (router.clone(), ending.clone());
            let carry = move |stream, peer: SocketAddr, permit| {
                let (router, ending, security) = (router.clone(), admin_ending.clone(), security.clone());
                tokio::spawn(async move {
                    if let Some((stream, secured)) = security.shake(stream, Http2::NO, patience.head).await {
                        let peer = (peer.ip(), secured.encrypted);
                        serve::admin(stream, peer, router, patience, ending).await;
                    }
                    drop(permit);
                });
            };
            tokio::spawn(accept(listener, guests.clone(), is_open.clone(), ending.clone(), carry));
        }
        if let Some(journal) = &journal {
            journal.declare(&app.metrics);
            if let Destination::File(_) = config.log.access {
                tokio::spawn(reopen_when_told(
                    journal.clone(),
                    signal(SignalKind::hangup()).map_err(StartError::Worker)?,
                ));
            }
        }
        let reload = config.tls.reload;
        tokio::spawn(handshake::reload_now_and_then(tls, upstream_tls, clock.clone(), reload, ending.clone()));
        feed.engine().counters.bound(config.limits.subjects as usize);
        tokio::spawn(watch(feed.clone(), writer.clone(), clock, config.gateway.max_staleness));
        tokio::spawn(writer.run(config.usage.flush));
        tokio::spawn(requests.run());
        let stream = |sink| AuditStream::new(store.catalog.clone(), feed.clone(), sink, &config.data);
        let streams: Vec<AuditStream> = sinks(config).map(stream).collect();
        AuditStream::declare(&streams, &app.metrics);
        for stream in streams {
            tokio::spawn(stream.run(ending.clone()));
        }
        let hours = Hours::new(store.ledger.clone(), app.writer.clone(), app.feed.clone(), app.clock.clone());
        if let Some(folder) = config.usage_files.folder.clone() {
            let to = (folder, config.usage_files.format);
            let files = UsageFiles::new(store.catalog.clone(), hours.clone(), to);
            files.declare(&app.metrics);
            tokio::spawn(files.run(ending.clone()));
        }
        let telling_usage = tokio::spawn(app.webhooks.clone().tell_usage(hours, feed.clone(), ending.clone()));
        let telling = app.webhooks.clone().run(feed.clone(), ending.clone());
        let telling = tokio::spawn(async move {
            telling.await;
            let _ = telling_usage.await;
        });
        tokio::spawn(save_now_and_then(snapshot.clone(), feed, pulse, config.snapshot.save, ending.clone()));
        let (listeners, data) = (Mutex::new(copies), config.data.clone());
        let drain = config.gateway.drain;
        Ok(Self {
            store,
            app,
            snapshot,
            ending,
            workers,
            admission,
            guests,
            drain,
            journal,
            telling,
            lets_guests_in,
            listeners,
            data,
            addresses,
            owner,
        })
    }

    /// The first member of an installation that somebody tries out, and a link that lets it in.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn developer(&self) -> Result<Option<Developer>, SetupError> {
        developer(&self.app, &self.owner).await
    }

    /// A management key that was made just now is kept if it was shown, and taken back if not: nobody has its text, and
    /// as long as it is in force no other one would be made.
    ///
    /// # Errors
    /// If it was not shown; the process should end.
    pub async fn hand_over_the_key(&self, shown: io::Result<()>) -> Result<(), StartError> {
        let Err(cause) = shown else { return Ok(()) };
        let Some((id, _)) = &self.owner.management_key else { return Ok(()) };
        setup(&self.store, &*self.app.entropy, &*self.app.clock).take_back(self.owner.organization, *id).await?;
        Err(StartError::NotShown(cause))
    }

    /// The listeners by name, for another process.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub(crate) fn listeners(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        self.listeners.lock().iter().map(|(name, listener)| Ok((name.clone(), listener.try_clone()?))).collect()
    }

    /// Lets another process take over, which is what `handing` does. Changes wait until it is done. If it takes long,
    /// whoever else comes to the management API is answered meanwhile.
    pub(crate) async fn without_changes<T>(&self, handing: impl Future<Output = T>) -> T {
        self.app.feed.makers.hand_to(Maker::Undecided);
        self.lets_guests_in.send_replace(false);
        let mut handing = pin!(handing);
        if let Ok(handed) = tokio::time::timeout(SHUT_FOR, &mut handing).await {
            return handed;
        }
        self.lets_guests_in.send_replace(true);
        handing.await
    }

    /// Prepares for another process to take over: what was counted is written, and the folder is free. Calls are
    /// answered as before.
    ///
    /// # Errors
    /// If something can't be written. [`Process::go_on`] then undoes it.
    pub(crate) async fn pause(&self) -> Result<(), StoreError> {
        // The other process goes on with the numbers that the ledger has.
        self.app.feed.engine().snapshot.labels.freeze(true);
        self.app.writer.flush().await?;
        // What can't be written waits on; that is no reason to stay.
        let _ = self.app.requests.flush().await;
        self.store.catalog.hand_over(&self.store.ledger).await?;
        save(self.snapshot.clone(), self.app.feed.clone()).await;
        Ok(())
    }

    /// Takes the folder again that was let go.
    ///
    /// # Errors
    /// If the other process has it.
    pub(crate) async fn take_back(&self) -> Result<(), OpenError> {
        self.store.catalog.take_back(&self.data, &self.store.ledger).await
    }

    /// Takes changes in again.
    pub(crate) async fn go_on(&self) {
        // Whatever the other process did until it failed.
        if let Err(error) = self.app.feed.catch_up(u64::MAX).await {
            tracing::error!(cause = ?error, "the catalogue can't be read");
        }
        self.app.feed.engine().snapshot.labels.freeze(false);
        self.app.feed.makers.hand_to(Maker::Here);
        self.lets_guests_in.send_replace(true);
    }

    /// The other process serves: nobody is let in here any more, and who is in leaves with the next answer.
    pub(crate) fn leave(&self) {
        self.listeners.lock().clear();
        self.ending.leave();
        self.app.requests.close();
        self.app.feed.makers.hand_to(Maker::Elsewhere);
    }

    /// Learns of the other process's changes.
    ///
    /// # Errors
    /// If they can't be read.
    pub(crate) async fn catch_up(&self, revision: u64) -> Result<(), StoreError> {
        self.app.feed.catch_up(revision).await
    }

    /// Waits until everybody has left.
    pub(crate) async fn until_empty(&self) {
        self.admission.until_empty().await;
        self.guests.until_empty().await;
    }

    /// Ends: no new connection or call begins, those that run are finished or cut off after some seconds, what was
    /// counted and the snapshot are written.
    pub async fn end(self) {
        let is_replaced = self.ending.is_leaving();
        self.listeners.lock().clear();
        self.ending.begin();
        self.app.requests.close();
        if tokio::time::timeout(self.drain, self.until_empty()).await.is_err() {
            tracing::warn!("some connections were cut off; they took too long to end");
        }
        self.workers.end();
        if let Some(journal) = self.journal {
            journal.end();
        }
        // It ends by itself, but not while the store keeps it waiting; what it could not note is sent once more.
        let _ = tokio::time::timeout(TELLING_ENDS, self.telling).await;
        self.app.mail.end().await;
        if let Err(error) = self.app.writer.flush().await {
            tracing::error!(cause = ?error, "the last counts could not be written");
        }
        if let Err(error) = self.app.requests.flush().await {
            tracing::error!(cause = ?error, "the last calls could not be written into the request log");
        }
        if let Err(error) = self.app.feed.engine().quotas.settle(&self.store.ledger).await {
            tracing::error!(cause = ?error, "what was taken for quotas and not used could not be given back");
        }
        if let Err(error) = self.app.feed.engine().credits.settle(&self.store.ledger).await {
            tracing::error!(cause = ?error, "credits that were taken and not used could not be given back");
        }
        if !is_replaced {
            save(self.snapshot, self.app.feed).await;
        }
        self.store.ledger.close().await;
        self.store.catalog.close().await;
    }
}

fn patience(config: &Config) -> Patience {
    Patience {
        idle: config.gateway.idle,
        head: config.gateway.head,
        body: config.gateway.body_stall,
        write: config.gateway.write_stall,
    }
}

fn jobs(
    config: &Config,
    engine: &Arc<Engine>,
    queue: &Arc<Queue>,
    (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
    exposures: Exposures,
    connector: Connector,
) -> Result<Jobs, StartError> {
    let workers = config.gateway.worker_count();
    let seeds: Result<Vec<u64>, _> = (0..workers).map(|_| random(&**entropy).map(u64::from_le_bytes)).collect();
    Ok(Jobs {
        engine: engine.clone(),
        buffers: (0..workers).map(|_| queue.buffer()).collect(),
        seeds: seeds?,
        exposures,
        hsts: (config.tls.hsts > 0)
            .then(|| HeaderValue::try_from(format!("max-age={}", config.tls.hsts)).expect("digits are visible")),
        via: Via::new(random(&**entropy).map(u64::from_le_bytes)?),
        clock: clock.clone(),
        bound: config.gateway.max_concurrent_calls.map(|most| Bound::new(most, workers)),
        proxies: TrustedProxies::new(config.gateway.trusted_proxies.clone()),
        connector,
        journal: None,
        asked_by: if config.check.require_key { AskedBy::KeyHolders } else { AskedBy::Anybody },
        proxy_protocol: config.gateway.proxy_protocol,
        http2: Http2 { with_tls: config.gateway.http2, in_clear: config.gateway.h2c },
        patience: patience(config),
        drain: config.gateway.drain,
    })
}

async fn save_now_and_then(
    file: Arc<SnapshotFile>,
    feed: Arc<Feed>,
    pulse: Arc<Pulse>,
    every: Duration,
    ending: Ending,
) {
    let mut saved = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = ending.left() => return,
        }
        if feed.revision() != saved {
            saved = feed.revision();
            pulse.note_save(save(file.clone(), feed.clone()).await);
        }
    }
}

/// Where traces go, if they do.
fn exports(config: &Config) -> Option<Exports> {
    let Trace { endpoint, service_name, sample, follow_clients } = config.trace.clone();
    let endpoint = endpoint?;
    // Said without a path it is a collector's base, as OpenTelemetry's own variables have it.
    let path = if endpoint.base_path().is_empty() { "/v1/traces" } else { "" };
    let endpoint = format!("{endpoint}{path}");
    let sampling = Sampling { sample, follows_clients: follow_clients };
    Some(Exports { endpoint, service: service_name, sampling })
}

/// Opens the access log anew for whoever moves it away (SIGHUP).
async fn reopen_when_told(journal: Arc<Journal>, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        journal.reopen();
    }
}

/// Whether it was saved.
async fn save(file: Arc<SnapshotFile>, feed: Arc<Feed>) -> bool {
    let revision = feed.revision();
    let written = match feed.history().await {
        Ok(history) => {
            let write = move || file.save(&feed.engine().snapshot.keys, revision, &history);
            tokio::task::spawn_blocking(write).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
        }
        Err(error) => Err(std::io::Error::other(error)),
    };
    if let Err(error) = &written {
        tracing::warn!(%error, "the snapshot could not be saved; the next start reads the keys from the catalogue");
    }
    written.is_ok()
}
