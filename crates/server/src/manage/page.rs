//! What the admin listener answers without a key: the front page, health, readiness and metrics.

use std::fmt::Write;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};

use super::app::App;
use crate::problem::Problem;

/// How long the snapshot may take to learn of a change before the node is not ready.
const CATCH_UP: Duration = Duration::from_secs(1);
const PAGE: &str = include_str!("page.html");
const POLICY: &str =
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// An answer in JSON that is ready already.
pub(super) fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// The front page: what runs here and how to go on. It holds nothing of the installation.
pub(super) async fn front() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE).into_response()
}

/// The style of the front page, a file of its own because the page's policy allows no style inside it.
pub(super) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("page.css")).into_response()
}

/// The process lives.
pub(super) async fn health() -> Response {
    json("{\"status\":\"ok\"}".to_owned())
}

/// The store answers and the snapshot is current.
pub(super) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    let newest = app.catalog.revision().await.map_err(|error| super::problem::internal(&error))?;
    // A commit of this very moment is on its way; a feed that is stuck is not ready.
    let _ = tokio::time::timeout(CATCH_UP, app.feed.catch_up(newest)).await;
    let held = app.feed.revision();
    if held < newest {
        return Err(Problem::of(keystile_core::Code::Stale));
    }
    Ok(json(format!("{{\"status\":\"ready\",\"revision\":{held}}}")))
}

/// Figures in the Prometheus text format.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let snapshot = &app.feed.engine().snapshot;
    let mut text = String::new();
    let mut figure = |name: &str, kind: &str, help: &str, value: u64| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    };
    figure("keystile_snapshot_keys", "gauge", "Keys held in memory.", u64::from(snapshot.keys.len()));
    figure("keystile_snapshot_revision", "gauge", "The catalogue's revision that is in force.", app.feed.revision());
    figure(
        "keystile_usage_batches_total",
        "counter",
        "Usage batches acknowledged by the ledger.",
        app.writer.batches(),
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
