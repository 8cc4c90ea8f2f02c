//! Where a webhook may lead (O-4). Its host is looked up and every address judged, when it is set and again before each
//! attempt; connections then go to those addresses and nowhere else, so that a name which leads elsewhere a moment later
//! is of no use to anybody.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use keystile_core::webhook::{Reach, WebhookUrl};
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long a name may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Judges where webhooks lead.
#[derive(Debug, Clone)]
pub struct Guard(pub(super) Reach);

/// Why a webhook may not lead there. None of them says which address a name has: whoever sets a webhook need not learn
/// the names of the network that the server is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The name can't be looked up, or has no address.
    #[error("the host of the URL can't be looked up; check its name")]
    NoSuchHost,
    /// One of its addresses is not public.
    #[error(
        "the host of the URL does not lead to the public internet; whoever runs the server can allow its network in `networks` of [webhooks]"
    )]
    NotPublic,
    /// It would go in clear.
    #[error(
        "http:// is taken only for networks that whoever runs the server has allowed in `networks` of [webhooks]; use https://"
    )]
    InClear,
}

impl Guard {
    /// The addresses that a webhook leads to.
    ///
    /// # Errors
    /// If one of them is not allowed: a name that leads inside as well as outside is nobody's receiver.
    pub async fn addresses(&self, url: &WebhookUrl) -> Result<Vec<SocketAddr>, Refused> {
        let found = match url.host().parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, url.port())],
            Err(_) => look_up(url).await.map_err(|_| Refused::NoSuchHost)?,
        };
        self.judge(url.is_tls(), &found)?;
        Ok(found.into_iter().take(MAX_ADDRESSES).collect())
    }

    fn judge(&self, is_tls: bool, addresses: &[SocketAddr]) -> Result<(), Refused> {
        if addresses.is_empty() {
            return Err(Refused::NoSuchHost);
        }
        if !addresses.iter().all(|address| self.0.admits(address.ip())) {
            return Err(Refused::NotPublic);
        }
        if !is_tls && !addresses.iter().all(|address| self.0.is_named(address.ip())) {
            return Err(Refused::InClear);
        }
        Ok(())
    }
}

async fn look_up(url: &WebhookUrl) -> io::Result<Vec<SocketAddr>> {
    let looking = lookup_host((url.host(), url.port()));
    let found = timeout(LOOKUP, looking).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(networks: &[&str], is_tls: bool, addresses: &[&str]) -> Result<(), Refused> {
        let guard = Guard(Reach::with(networks.iter().map(|network| network.parse().unwrap()).collect()));
        let addresses: Vec<SocketAddr> =
            addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 443)).collect();
        guard.judge(is_tls, &addresses)
    }

    #[test]
    fn o04_every_address_of_a_name_must_be_allowed() {
        assert_eq!(judged(&[], true, &["8.8.8.8", "2606:4700::1"]), Ok(()));
        assert_eq!(judged(&[], true, &["8.8.8.8", "127.0.0.1"]), Err(Refused::NotPublic));
        assert_eq!(judged(&[], true, &["8.8.8.8", "::ffff:10.0.0.1"]), Err(Refused::NotPublic));
        assert_eq!(judged(&["10.0.0.0/8"], true, &["8.8.8.8", "10.0.0.1"]), Ok(()));
        assert_eq!(judged(&["10.0.0.0/8"], true, &["10.0.0.1", "192.168.0.1"]), Err(Refused::NotPublic));
        assert_eq!(judged(&[], true, &[]), Err(Refused::NoSuchHost));
    }

    #[test]
    fn o04_in_clear_only_to_networks_that_are_named() {
        assert_eq!(judged(&[], false, &["8.8.8.8"]), Err(Refused::InClear));
        assert_eq!(judged(&["10.0.0.0/8"], false, &["10.0.0.1"]), Ok(()));
        assert_eq!(judged(&["10.0.0.0/8"], false, &["10.0.0.1", "8.8.8.8"]), Err(Refused::InClear));
    }

    #[tokio::test]
    async fn o04_a_name_is_judged_by_where_it_leads() {
        let guard = Guard(Reach::default());
        for url in ["https://localhost/", "https://LOCALHOST:8443/a"] {
            assert_eq!(guard.addresses(&url.parse().unwrap()).await, Err(Refused::NotPublic), "{url}");
        }
    }
}
