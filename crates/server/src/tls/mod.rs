//! TLS as the listeners speak it, and to upstreams (`upstream`): certificates from files, chosen by the name that the client asks for (SNI), read anew
//! while the process runs.
//!
//! What an owner sees: `certificates` in `[tls]` names files or folders. A file holds the chain and the private key as
//! PEM; a folder is one that certbot, Kubernetes or cert-manager writes ([`source`]). The first certificate is for
//! clients that ask for no name, or for one that none of them has. A file that changed is taken up within
//! `reload_seconds`; one that can't be used any more is complained about, and the last good ones stay in force.
//!
//! [`Tls::server`] is what new connections use; connections that are open keep what they began with, but for what their
//! client's certificate is worth ([`ClientCertificate`]). Protocols below TLS 1.2 do not exist here (RFC 8996), the cipher
//! suites are rustls' own choice. Whoever issues certificates by itself (ACME, RFC 8555) writes them into such a folder.
//!
//! Not here: sockets and handshakes, which are the binary's.

mod client;
mod expiry;
mod names;
mod source;
mod upstream;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use keystile_core::time::Timestamp;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};
use sha2::{Digest, Sha256};

use crate::telemetry::metrics::{Kind, Registry};
use crate::world::Clock;
pub use client::ClientCertificate;
use names::ByName;
use source::Source;
pub use upstream::{Identity, Trust, UpstreamTls};

/// Protocols that a client may choose from (RFC 7301).
const HTTP_1_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";

/// The oldest protocol version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2 (RFC 5246) and 1.3.
    Tls12,
    /// TLS 1.3 (RFC 8446) alone.
    Tls13,
}

/// What to speak TLS with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Files and folders of certificates; at least one.
    pub certificates: Vec<PathBuf>,
    /// The oldest version.
    pub min_version: MinVersion,
    /// A PEM file of the authorities whose client certificates are accepted; without it clients are not asked for one.
    pub client_authorities: Option<PathBuf>,
}

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct TlsError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it, and what would be right.
    pub what: String,
}

impl TlsError {
    fn new(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }
}

/// The certificates in force.
pub struct Tls {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
    /// How often the authorities of clients have changed.
    authorities_version: AtomicU64,
}

/// What was read, with its digest: what is unchanged is not taken up again.
type Kept<T> = (Digested, Arc<T>);
type Digested = [u8; 32];

struct Current {
    certificates: Vec<Kept<CertifiedKey>>,
    authorities: Option<Kept<RootCertStore>>,
    client_verifier: Option<Arc<dyn ClientCertVerifier>>,
    server: Arc<ServerConfig>,
    server_with_http2: Arc<ServerConfig>,
}

/// What came of reading the files again.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// Whether something had changed and is in force now.
    pub changed: bool,
    /// What could not be used; of each the last good one stays in force.
    pub faults: Vec<TlsError>,
}

impl Tls {
    /// Reads the certificates.
    ///
    /// # Errors
    /// For the first file that can't be used.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let certificates =
            settings.certificates.iter().map(|path| certificate(path, &provider)).collect::<Result<Vec<_>, _>>()?;
        let authorities = settings.client_authorities.as_deref().map(trusted).transpose()?;
        let current = Current::new(&settings, &provider, certificates, authorities)?;
        Ok(Self { settings, provider, current: ArcSwap::from_pointee(current), authorities_version: AtomicU64::new(0) })
    }

    /// Reads them again, each for itself: one that broke keeps none of the others.
    pub fn reload(&self) -> Reloaded {
        let mut reloaded = Reloaded::default();
        let was = self.current.load();
        let certificates = self.settings.certificates.iter().zip(&was.certificates);
        let certificates =
            certificates.map(|(path, old)| reloaded.take(certificate(path, &self.provider), old)).collect();
        let authorities = self.settings.client_authorities.as_ref().zip(was.authorities.as_ref());
        let authorities = authorities.map(|(path, old)| reloaded.take(trusted(path), old));
        if reloaded.changed {
            match Current::new(&self.settings, &self.provider, certificates, authorities) {
                Ok(current) => {
                    let digest = |current: &Current| current.authorities.as_ref().map(|(digest, _)| *digest);
                    let changed = digest(&current) != digest(&was);
                    self.current.store(Arc::new(current));
                    // After them: whoever reads the new version finds the new authorities.
                    self.authorities_version.fetch_add(u64::from(changed), Ordering::Release);
                }
                Err(fault) => {
                    reloaded.changed = false;
                    reloaded.faults.push(fault);
                }
            }
        }
        reloaded
    }

    /// The certificates in force: where each lies, the first name in it, and when it ends in seconds since 1970.
    pub fn endings(&self) -> Vec<(String, String, i64)> {
        let current = self.current.load();
        let certificates = self.settings.certificates.iter().zip(&current.certificates);
        certificates
            .filter_map(|(path, (_, certified))| {
                let leaf = certified.end_entity_cert().ok()?;
                let name = names::first(leaf).unwrap_or_default();
                Some((path.display().to_string(), name, expiry::not_after(leaf)?))
            })
            .collect()
    }

    /// What is wrong at this moment with the times of the certificates in force: they are shown all the same.
    pub fn warnings(&self, now: Timestamp) -> Vec<TlsError> {
        let current = self.current.load();
        let certificates = self.settings.certificates.iter().zip(&current.certificates);
        certificates
            .filter_map(|(path, (_, certified))| {
                let (begin, end) = expiry::validity(certified.end_entity_cert().ok()?)?;
                let (verb, moment, until) = if now.as_secs() > end {
                    ("ended", end, "it is replaced")
                } else if now.as_secs() < begin {
                    ("begins", begin, "then; is the clock right?")
                } else {
                    return None;
                };
                let moment = Timestamp::from_secs(moment);
                Some(TlsError::new(
                    path,
                    format!("the certificate {verb} at {moment}; clients refuse it until {until}"),
                ))
            })
            .collect()
    }

    /// Declares when certificates end.
    pub fn declare(self: &Arc<Self>, registry: &Registry, clock: Arc<dyn Clock>) {
        let (tls, help) = (self.clone(), "Seconds until a certificate in force ends; below 0 when it has ended.");
        registry.family(Kind::Gauge, "keystile_tls_certificate_expires_in_seconds", help, move |samples| {
            let now = clock.now().wall.as_secs();
            // A file that is named twice is one.
            let endings: BTreeSet<_> = tls.endings().into_iter().collect();
            for (path, name, end) in endings {
                samples.put(&[("certificate", &path), ("name", &name)], (end - now) as f64);
            }
        });
    }

    /// How often the authorities of clients have changed: what was said of a certificate before is to be asked again.
    pub fn authorities_version(&self) -> u64 {
        self.authorities_version.load(Ordering::Acquire)
    }

    /// Who says whether a client's certificate is accepted; `None` if clients are not asked for one.
    fn client_verifier(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        self.current.load().client_verifier.clone()
    }

    /// What a new connection speaks, at a door that offers HTTP/2 or at one that does not.
    pub fn server(&self, offers_http2: bool) -> Arc<ServerConfig> {
        let current = self.current.load();
        if offers_http2 { current.server_with_http2.clone() } else { current.server.clone() }
    }
}

impl Reloaded {
    /// What came of both.
    pub fn and(mut self, other: Self) -> Self {
        self.faults.extend(other.faults);
        Self { changed: self.changed || other.changed, ..self }
    }

    /// What was read, or what was there if that can't be used.
    fn take<T>(&mut self, read: Result<Kept<T>, TlsError>, old: &Kept<T>) -> Kept<T> {
        match read {
            Ok(new) if new.0 != old.0 => {
                self.changed = true;
                new
            }
            Ok(_) => old.clone(),
            Err(fault) => {
                self.faults.push(fault);
                old.clone()
            }
        }
    }
}

impl Current {
    fn new(
        settings: &TlsSettings,
        provider: &Arc<CryptoProvider>,
        certificates: Vec<Kept<CertifiedKey>>,
        authorities: Option<Kept<RootCertStore>>,
    ) -> Result<Self, TlsError> {
        let mut by_name = ByName::default();
        for (path, (_, certified)) in settings.certificates.iter().zip(&certificates) {
            by_name.add(path, certified.clone())?;
        }
        let versions: &[&SupportedProtocolVersion] = match settings.min_version {
            MinVersion::Tls12 => &[&TLS13, &TLS12],
            MinVersion::Tls13 => &[&TLS13],
        };
        let unusable = |error: rustls::Error| TlsError::new("TLS", error.to_string());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).map_err(unusable)?;
        let mut client_verifier = None;
        let mut server = match &authorities {
            None => {
                let mut server = builder.with_no_client_auth().with_cert_resolver(Arc::new(by_name));
                server.ticketer = ring::Ticketer::new().map_err(unusable)?;
                server
            }
            Some((_, authorities)) => {
                // Who needs a certificate is decided by API, when the call is known.
                let verifier = WebPkiClientVerifier::builder_with_provider(authorities.clone(), provider.clone())
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| TlsError::new("client_authorities", error.to_string()))?;
                client_verifier = Some(verifier.clone());
                let mut server = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(by_name));
                // A session that is taken up again is not asked for its certificate, which may have ended since.
                server.session_storage = Arc::new(NoServerSessionStorage {});
                server.send_tls13_tickets = 0;
                server
            }
        };
        server.alpn_protocols = vec![HTTP_1_1.to_vec()];
        let mut with_http2 = server.clone();
        with_http2.alpn_protocols.insert(0, HTTP_2.to_vec());
        Ok(Self {
            certificates,
            authorities,
            client_verifier,
            server: Arc::new(server),
            server_with_http2: Arc::new(with_http2),
        })
    }
}

fn certificate(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Kept<CertifiedKey>, TlsError> {
    let source = Source::read(path)?;
    Ok((source.digest(), Arc::new(source.certified(path, provider)?)))
}

fn trusted(path: &Path) -> Result<Kept<RootCertStore>, TlsError> {
    let text = source::read_file(path)?;
    let mut store = RootCertStore::empty();
    for certificate in source::certificates(path, &text)? {
        store
            .add(certificate)
            .map_err(|error| TlsError::new(path, format!("it holds an authority that can't be used: {error}")))?;
    }
    Ok((Sha256::digest(&text).into(), Arc::new(store)))
}

/// Whether the client chose HTTP/2 of what it was offered.
pub fn chose_http2(alpn: Option<&[u8]>) -> bool {
    alpn == Some(HTTP_2)
}
