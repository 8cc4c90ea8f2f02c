//! How a connection begins: in clear, or with a TLS handshake in its own time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use keystile_core::proxy;
use keystile_server::gateway::http2::PREFACE;
use keystile_server::gateway::{Ending, Protocol};
use keystile_server::tls::{ClientCertificate, Reloaded, Tls, TlsError, TlsSettings, UpstreamTls, chose_http2};
use keystile_server::world::Clock;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::config::Config;

/// How often a beginning is looked at that comes in pieces.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A connection that has begun. The one in clear stays what it is: looking which it is costs a branch.
pub type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// What the connections of a listener begin with.
#[derive(Clone)]
pub enum Security {
    /// Nothing.
    Clear,
    /// A handshake.
    Tls(Arc<Tls>),
}

/// Whether a door speaks HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// With TLS, to those who ask for it.
    pub with_tls: bool,
    /// In clear, to those who begin with it.
    pub in_clear: bool,
}

impl Http2 {
    /// No.
    pub const NO: Self = Self { with_tls: false, in_clear: false };
}

/// What is known of a connection by how it began.
#[derive(Debug)]
pub struct Secured {
    /// What is spoken.
    pub speaks: Protocol,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The client's certificate, which an accepted authority issued.
    pub certificate: Option<ClientCertificate>,
}

impl Security {
    /// Begins a connection; `None` if the client was too slow or could not agree.
    pub async fn shake(&self, stream: TcpStream, http2: Http2, patience: Duration) -> Option<(Stream, Secured)> {
        let protocol = |is_http2| if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
        let Self::Tls(tls) = self else {
            let is_http2 = http2.in_clear && Box::pin(timeout(patience, begins_with_http2(&stream))).await.ok()?;
            let secured = Secured { speaks: protocol(is_http2), encrypted: false, certificate: None };
            return Some((Either::Left(stream), secured));
        };
        // Read before they are: authorities that change meanwhile are asked again.
        let version = tls.authorities_version();
        let shaking = TlsAcceptor::from(tls.server(http2.with_tls)).accept(stream);
        // Boxed: it is large, and gone when the connection begins.
        match Box::pin(timeout(patience, shaking)).await {
            Ok(Ok(stream)) => {
                let speaks = protocol(chose_http2(stream.get_ref().1.alpn_protocol()));
                let certificate = ClientCertificate::new(tls, version, stream.get_ref().1.peer_certificates());
                Some((Either::Right(Box::new(stream)), Secured { speaks, encrypted: true, certificate }))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => None,
        }
    }
}

/// Reads the PROXY header with which a connection must begin, and says who is at its other end: `None` if there is no
/// sound one in time. A proxy that speaks for itself is the other end.
pub async fn proxied(stream: &mut TcpStream, peer: IpAddr, patience: Duration) -> Option<IpAddr> {
    let reading = async {
        let mut begun = [0; proxy::MAX_HEADER];
        let mut seen = 0;
        loop {
            let len = stream.peek(&mut begun).await.ok()?;
            match proxy::read(&begun[..len]) {
                proxy::Header::Whole { len, client } => {
                    stream.read_exact(&mut begun[..len]).await.ok()?;
                    return Some(client.unwrap_or(peer));
                }
                proxy::Header::Begun if len > seen => seen = len,
                // The end, or nothing new: what is there stays readable, and nobody tells when the rest comes.
                proxy::Header::Begun if len == 0 => return None,
                proxy::Header::Begun => tokio::time::sleep(LOOK_AGAIN).await,
                proxy::Header::Wrong => return None,
            }
        }
    };
    Box::pin(timeout(patience, reading)).await.ok().flatten()
}

/// Looks, without taking anything, whether a client begins with HTTP/2.
async fn begins_with_http2(stream: &TcpStream) -> bool {
    let mut begun = [0; PREFACE.len()];
    loop {
        let Ok(len) = stream.peek(&mut begun).await else { return false };
        if len == 0 || !PREFACE.starts_with(&begun[..len]) {
            return false;
        }
        if len == PREFACE.len() {
            return true;
        }
        // A beginning of it is there and stays readable: nobody tells when the rest comes.
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The certificates of the settings, if a listener needs them.
///
/// # Errors
/// If one can't be used.
pub fn certificates(config: &Config) -> Result<Option<Arc<Tls>>, TlsError> {
    if config.tls.certificates.is_empty() {
        return Ok(None);
    }
    let settings = TlsSettings {
        certificates: config.tls.certificates.clone(),
        min_version: config.tls.min_version,
        client_authorities: config.tls.client_authorities.clone(),
    };
    Tls::load(settings).map(Arc::new).map(Some)
}

/// Takes up certificates and authorities that changed, and says which certificates have ended, until the process ends.
pub async fn reload_now_and_then(
    tls: Option<Arc<Tls>>,
    upstream: Arc<UpstreamTls>,
    clock: Arc<dyn Clock>,
    every: Duration,
    ending: Ending,
) {
    let (mut complaints, mut warnings) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let ended = tls.as_ref().map_or_else(Vec::new, |tls| tls.warnings(clock.now().wall));
        for warning in newly(&ended, &mut warnings) {
            tracing::warn!("{warning}");
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = ending.wait() => return,
        }
        let (tls, upstream) = (tls.clone(), upstream.clone());
        let read = move || tls.map_or_else(Reloaded::default, |tls| tls.reload()).and(upstream.reload());
        let Ok(reloaded) = tokio::task::spawn_blocking(read).await else { continue };
        if reloaded.changed {
            tracing::info!("certificates or authorities had changed; new connections use them");
        }
        for complaint in newly(&reloaded.faults, &mut complaints) {
            tracing::error!("{complaint}; what was in force of it stays in force");
        }
    }
}

/// What was not wrong when it was looked at last: said once, not every time.
fn newly(faults: &[TlsError], said: &mut BTreeSet<String>) -> Vec<String> {
    let now: BTreeSet<String> = faults.iter().map(ToString::to_string).collect();
    let new = now.difference(said).cloned().collect();
    *said = now;
    new
}
