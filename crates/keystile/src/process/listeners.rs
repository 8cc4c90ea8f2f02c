//! The doors of an installation and their listeners: bound, or taken over from another process.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use keystile_server::tls::Tls;
use tokio::net::TcpListener;

use super::StartError;
use super::handshake::Security;
use crate::config::Config;
use crate::handover::predecessor::Predecessor;

/// What is in clear, and the same with TLS; what is off is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Both<T> {
    /// In clear.
    pub clear: Option<T>,
    /// With TLS.
    pub tls: Option<T>,
}

/// The doors of an installation.
#[derive(Debug, Clone, Copy)]
pub struct Doors<T> {
    /// The gateway.
    pub gateway: Both<T>,
    /// The management API.
    pub admin: Both<T>,
    /// Verification.
    pub check: Both<T>,
}

/// Where the listeners are.
pub type Addresses = Doors<SocketAddr>;

/// The listeners, bound and silent: a port that is taken is found before anything is made that is shown only once.
/// Whoever connects meanwhile waits.
pub struct Listeners(pub(super) Doors<TcpListener>);

impl Listeners {
    /// Binds those that are not off, or takes them over from a running process.
    ///
    /// # Errors
    /// If one can't be bound.
    pub(crate) async fn bind(config: &Config, mut running: Option<&mut Predecessor>) -> Result<Self, StartError> {
        let (gateway, admin, check) = (&config.gateway, &config.admin, &config.check);
        let mut bind = async |name, clear, tls| {
            let clear = listen(name, false, clear, running.as_deref_mut()).await?;
            let tls = listen(name, true, tls, running.as_deref_mut()).await?;
            Ok::<_, StartError>(Both { clear, tls })
        };
        Ok(Self(Doors {
            gateway: bind("gateway", gateway.listen, gateway.tls_listen).await?,
            admin: bind("admin", admin.listen, admin.tls_listen).await?,
            check: bind("check", check.listen, check.tls_listen).await?,
        }))
    }

    /// All of them once more, by name.
    pub(super) fn copies(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let Doors { gateway, admin, check } = &self.0;
        let mut copies = Vec::new();
        for (name, both) in [("gateway", gateway), ("admin", admin), ("check", check)] {
            for (is_tls, listener) in [(false, &both.clear), (true, &both.tls)] {
                if let Some(listener) = listener {
                    copies.push((listener_name(name, is_tls), listener.as_fd().try_clone_to_owned()?));
                }
            }
        }
        Ok(copies)
    }

    pub(super) fn addresses(&self) -> Addresses {
        let of = |both: &Both<TcpListener>| {
            let address = |listener: &Option<TcpListener>| listener.as_ref()?.local_addr().ok();
            Both { clear: address(&both.clear), tls: address(&both.tls) }
        };
        Doors { gateway: of(&self.0.gateway), admin: of(&self.0.admin), check: of(&self.0.check) }
    }
}

fn listener_name(door: &str, is_tls: bool) -> String {
    format!("{door}{}", if is_tls { "_tls" } else { "" })
}

async fn listen(
    name: &'static str,
    is_tls: bool,
    address: Option<SocketAddr>,
    running: Option<&mut Predecessor>,
) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let taken = running.and_then(|running| running.listener(&listener_name(name, is_tls), address));
    let bound = match taken {
        Some(listener) => listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener)),
        None => TcpListener::bind(address).await,
    };
    bound.map(Some).map_err(|cause| StartError::Listen { name, address, cause })
}

/// The listeners of a door, each with what its connections begin with.
pub(super) fn secured(both: Both<TcpListener>, tls: Option<&Arc<Tls>>) -> Vec<(TcpListener, Security)> {
    let clear = both.clear.map(|listener| (listener, Security::Clear));
    // The settings allow no listener with TLS where there are no certificates.
    let tls = both.tls.zip(tls.cloned()).map(|(listener, tls)| (listener, Security::Tls(tls)));
    clear.into_iter().chain(tls).collect()
}
