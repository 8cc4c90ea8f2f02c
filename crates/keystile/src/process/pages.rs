//! The pages in front of the management API.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use keystile_server::manage::{self, App};
use keystile_web::Site;

use super::listeners::Addresses;
use crate::config::Config;

/// The console before the management API.
pub(super) fn before(app: &App, api: Router, config: &Config, addresses: &Addresses) -> Router {
    let clock = app.clock.clone();
    let site =
        Site { api: api.clone(), now: Arc::new(move || clock.now().wall), gateway: gateway_url(config, addresses) };
    manage::with_pages(app.clone(), api, keystile_web::console(site))
}

/// Where clients reach the gateway: as the settings say, else where it listens.
fn gateway_url(config: &Config, addresses: &Addresses) -> String {
    if let Some(url) = &config.gateway.url {
        return url.to_string().trim_end_matches('/').to_owned();
    }
    match (addresses.gateway.tls, addresses.gateway.clear) {
        (Some(address), _) => format!("https://{}", reachable(address)),
        (None, Some(address)) => format!("http://{}", reachable(address)),
        (None, None) => String::new(),
    }
}

/// An address that one can connect to, where a listener has all of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}
