//! Opens connections to targets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keystile_core::api::UpstreamProtocol;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::{Target, Upstream};
use crate::tls::UpstreamTls;

/// The least time that an address of several gets to accept a connection.
const LEAST: Duration = Duration::from_millis(250);

/// A connection's stream.
pub type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A connection to a target.
pub struct Dialled {
    /// The connection, encrypted if the upstream's URL says so.
    pub stream: Stream,
    /// Where it leads.
    pub address: SocketAddr,
}

/// What all connections need.
#[derive(Clone)]
pub struct Connector {
    /// How long a target may take to accept one, with its handshake, unless its API says otherwise.
    pub timeout: Duration,
    /// What is spoken with TLS.
    pub tls: Arc<UpstreamTls>,
}

impl Connector {
    /// Opens one, trying the addresses of the target in turn.
    ///
    /// # Errors
    /// If none can be reached in time, or its certificate is not good for the upstream's name.
    pub async fn dial(&self, upstream: &Upstream, target: &Target) -> io::Result<Dialled> {
        let patience = upstream.connect_timeout.unwrap_or(self.timeout);
        timeout(patience, self.dial_patiently(upstream, target, patience)).await.map_err(|_| timed_out())?
    }

    async fn dial_patiently(&self, upstream: &Upstream, target: &Target, patience: Duration) -> io::Result<Dialled> {
        let mut addresses = target.addresses();
        if addresses.is_empty() {
            target.resolve().await?;
            addresses = target.addresses();
        }
        let (stream, address) = connect(&addresses, patience).await?;
        stream.set_nodelay(true)?;
        if !upstream.is_tls() {
            return Ok(Dialled { stream: Either::Left(stream), address });
        }
        let name = ServerName::try_from(upstream.server_name()).map_err(io::Error::other)?.to_owned();
        let stream = TlsConnector::from(upstream.tls_client(&self.tls)).connect(name, stream).await?;
        let agreed = stream.get_ref().1.alpn_protocol();
        if upstream.protocol == UpstreamProtocol::Http2 && agreed != Some(b"h2") {
            return Err(io::Error::other("it does not speak HTTP/2 over TLS (ALPN `h2`)"));
        }
        Ok(Dialled { stream: Either::Right(Box::new(stream)), address })
    }
}

/// Connects to one of these addresses, trying them in turn.
pub(crate) async fn connect(addresses: &[SocketAddr], patience: Duration) -> io::Result<(TcpStream, SocketAddr)> {
    let each = (patience / addresses.len().max(1) as u32).max(LEAST);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, *address)),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = timed_out(),
        }
    }
    Err(failure)
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it accepted no connection in time")
}
