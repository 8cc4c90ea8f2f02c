//! How a connection begins: in clear, or with a TLS handshake in its own time.

use std::sync::Arc;
use std::time::Duration;

use keystile_server::gateway::Ending;
use keystile_server::tls::{Tls, TlsError, TlsSettings, fingerprint};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::config::Config;

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

/// What is known of a connection by how it began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Secured {
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The client's certificate, which an accepted authority issued, by its SHA-256.
    pub certificate: Option<[u8; 32]>,
}

impl Security {
    /// Begins a connection; `None` if the client was too slow or could not agree.
    pub async fn shake(&self, stream: TcpStream, patience: Duration) -> Option<(Stream, Secured)> {
        let Self::Tls(tls) = self else { return Some((Either::Left(stream), Secured::default())) };
        let shaking = TlsAcceptor::from(tls.server()).accept(stream);
        // Boxed: it is large, and gone when the connection begins.
        match Box::pin(tokio::time::timeout(patience, shaking)).await {
            Ok(Ok(stream)) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(fingerprint);
                Some((Either::Right(Box::new(stream)), Secured { encrypted: true, certificate }))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => None,
        }
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

/// Takes up certificates that changed, until the process ends.
pub async fn reload_now_and_then(tls: Arc<Tls>, every: Duration, ending: Ending) {
    let mut complaint = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = ending.wait() => return,
        }
        let read = tls.clone();
        match tokio::task::spawn_blocking(move || read.reload()).await {
            Ok(Ok(true)) => {
                complaint.clear();
                tracing::info!("the certificates had changed; new connections use them");
            }
            Ok(Ok(false)) => {}
            // Said once, not every time that it is looked at.
            Ok(Err(error)) if error.to_string() != complaint => {
                complaint = error.to_string();
                tracing::error!("{complaint}; the certificates that were in force stay in force");
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
