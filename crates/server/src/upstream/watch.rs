//! Looks after targets in the background: looks their names up anew, and asks them whether they are well where an API
//! has a health check. Calls never wait for it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keystile_core::api::{CheckPath, HealthCheck, UpstreamProtocol};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Connector, Dialled, Target, Upstream};
use crate::enforce::engine::Engine;

/// How often names are looked up. The system's resolver does not say how long an answer holds.
const RESOLVE_EVERY_SECONDS: u64 = 10;
/// Looks at targets at once: each may take a thread of the resolver.
const MOST_AT_ONCE: usize = 32;
const AGENT: HeaderValue = HeaderValue::from_static("keystile-health-check");

/// When a target was looked at last, in seconds of the watch.
#[derive(Default)]
struct Looked {
    resolved: Option<u64>,
    checked: Option<u64>,
    resolving: Option<JoinHandle<()>>,
    checking: Option<JoinHandle<()>>,
}

/// Looks after the targets of all APIs, as long as the process runs.
pub async fn look_after_targets(engine: Arc<Engine>, connector: Connector) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let turns = Arc::new(Semaphore::new(MOST_AT_ONCE));
    let mut known: HashMap<u64, Looked> = HashMap::new();
    for second in 0.. {
        seconds.tick().await;
        let mut seen = HashMap::with_capacity(known.len());
        for api in engine.snapshot.router.load().apis() {
            for target in &api.upstream.targets {
                let mut looked = known.remove(&target.number).unwrap_or_default();
                look(&mut looked, second, &api.upstream, target, &connector, &turns);
                seen.insert(target.number, looked);
            }
        }
        known = seen;
    }
}

fn look(
    looked: &mut Looked,
    second: u64,
    upstream: &Arc<Upstream>,
    target: &Arc<Target>,
    connector: &Connector,
    turns: &Arc<Semaphore>,
) {
    if is_due(looked.resolved, second, RESOLVE_EVERY_SECONDS) && is_over(looked.resolving.as_ref()) {
        looked.resolved = Some(second);
        let (target, turns) = (target.clone(), turns.clone());
        looked.resolving = Some(tokio::spawn(async move {
            let _turn = turns.acquire().await;
            if let Err(error) = target.resolve().await {
                tracing::warn!(target = %target.address, %error, "the name of a target can't be looked up; what was known of it stays");
            }
        }));
    }
    let Some(check) = &upstream.health_check else { return };
    if is_due(looked.checked, second, check.interval_seconds.into()) && is_over(looked.checking.as_ref()) {
        looked.checked = Some(second);
        let (upstream, target, check) = (upstream.clone(), target.clone(), check.clone());
        let (connector, turns) = (connector.clone(), turns.clone());
        looked.checking = Some(tokio::spawn(async move {
            let _turn = turns.acquire().await;
            let outcome = ask(&connector, &upstream, &target, &check).await;
            if let Err(error) = &outcome {
                tracing::debug!(target = %target.address, %error, "a health check failed");
            }
            target.checked(outcome.is_ok(), &check);
        }));
    }
}

fn is_due(last: Option<u64>, second: u64, every: u64) -> bool {
    last.is_none_or(|last| second >= last + every)
}

fn is_over(task: Option<&JoinHandle<()>>) -> bool {
    task.is_none_or(JoinHandle::is_finished)
}

async fn ask(connector: &Connector, upstream: &Upstream, target: &Target, check: &HealthCheck) -> io::Result<()> {
    let asking = async {
        let dialled = connector.dial(upstream, target).await?;
        let Some(path) = &check.path else { return Ok(()) };
        let status = get(dialled, upstream, path).await.map_err(io::Error::other)?;
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        Err(io::Error::other(format!("it answers {status}")))
    };
    let patience = Duration::from_secs(check.timeout_seconds.into());
    timeout(patience, asking).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn get(dialled: Dialled, upstream: &Upstream, path: &CheckPath) -> Result<StatusCode, hyper::Error> {
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = Uri::try_from(path.to_string()).unwrap_or_default();
    request.headers_mut().insert(USER_AGENT, AGENT);
    let stream = TokioIo::new(dialled.stream);
    let response = match upstream.protocol {
        UpstreamProtocol::Http1 => {
            request.headers_mut().insert(HOST, upstream.host_header.clone());
            let (mut sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        }
        UpstreamProtocol::Http2 => {
            *request.uri_mut() = upstream.absolute(request.uri());
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        }
    };
    Ok(response.status())
}
