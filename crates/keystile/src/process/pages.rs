//! The pages in front of the management API.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Extensions, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use keystile_server::manage::{self, App, Encrypted, PeerAddress};
use keystile_web::{Calls, Site};
use tokio::net::TcpStream;

use super::listeners::Addresses;
use crate::config::Config;

/// How long a call that a page makes may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is read of its answer: pages show the beginning.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// The console before the management API.
pub(super) fn before(app: &App, api: Router, config: &Config, addresses: &Addresses) -> Router {
    let clock = app.clock.clone();
    let site = Site {
        api: api.clone(),
        now: Arc::new(move || clock.now().wall),
        gateway: gateway_url(config, addresses),
        calls: calls(addresses),
        connection,
    };
    manage::with_pages(app.clone(), api, keystile_web::console(site))
}

/// What the acceptor noted of a connection. Nothing else of a request goes on: what a router noted is about the page.
fn connection(noted: &Extensions) -> Extensions {
    let mut kept = Extensions::new();
    if let Some(address) = noted.get::<PeerAddress>() {
        kept.insert(*address);
    }
    if let Some(encrypted) = noted.get::<Encrypted>() {
        kept.insert(*encrypted);
    }
    kept
}

/// Carries calls to the gateway's listener in clear. Whatever host they name, they go nowhere else.
fn calls(addresses: &Addresses) -> Calls {
    let listener = addresses.gateway.clear.map(reachable);
    Arc::new(move |request| {
        Box::pin(async move {
            let listener = listener.ok_or("The gateway listens with TLS alone; send the call from a terminal.")?;
            let called = tokio::time::timeout(PATIENCE, call(listener, request)).await;
            called.map_err(|_| "It did not answer in time.".to_owned())?
        })
    })
}

async fn call(listener: SocketAddr, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let stream = TcpStream::connect(listener).await.map_err(|error| said(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    let carried = tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    let host = parts.uri.authority().map_or_else(|| listener.to_string(), ToString::to_string);
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).parse();
    parts.headers.insert(HOST, host.parse().map_err(|_| "The address names no host.".to_owned())?);
    parts.uri = path.map_err(|_| "The address is none.".to_owned())?;
    let answer =
        sender.send_request(Request::from_parts(parts, Full::new(body))).await.map_err(|error| said(&error))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| said(&*error))?.to_bytes();
    carried.abort();
    Ok(Response::from_parts(head, body))
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
