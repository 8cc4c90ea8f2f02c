//! What the admin listener answers without a key: health, readiness, metrics, and the style of the small pages.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use keystile_core::id::RequestId;
use serde::Serialize;

use super::app::App;
use crate::problem::{PROBLEM_JSON, Problem, Wire};
use crate::telemetry::health::{Check, Status};
use crate::telemetry::metrics::Format;

/// An answer in JSON that is ready already.
pub(super) fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// What a page that asks this API by its script may do.
const SCRIPTED: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                        frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A page that asks this API by its script.
pub(super) fn scripted(html: &'static str) -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, SCRIPTED)], html).into_response()
}

/// The script of a page, a file of its own because its policy allows none inside it.
pub(super) fn script(text: &'static str) -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], text).into_response()
}

/// The style of the small pages, a file of its own because their policy allows no style inside them.
pub(super) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("page.css")).into_response()
}

/// The process lives.
pub(super) async fn health() -> Response {
    json("{\"status\":\"ok\"}".to_owned())
}

/// Whether it can do its work, check by check.
pub(super) async fn ready(State(app): State<App>, Extension(id): Extension<RequestId>) -> Response {
    let health = app.pulse.look().await;
    let status = health.status();
    let seen = Seen { status, revision: app.pulse.revision(), checks: &health.checks };
    if status != Status::NotReady {
        return json(serde_json::to_string(&seen).unwrap_or_default());
    }
    let problem = Problem { status: 503, code: "not_ready", title: "Not ready", detail: health.reasons().into() };
    let body = serde_json::to_vec(&Unready { problem: problem.wire(id), revision: seen.revision, checks: seen.checks })
        .unwrap_or_default();
    (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response()
}

/// What was seen.
#[derive(Serialize)]
struct Seen<'a> {
    status: Status,
    revision: u64,
    checks: &'a [Check],
}

/// A problem that says it too. Its `status` is the number of RFC 9457.
#[derive(Serialize)]
struct Unready<'a> {
    #[serde(flatten)]
    problem: Wire<'a>,
    revision: u64,
    checks: &'a [Check],
}

/// Figures as the scraper asks for them.
pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    // What is asked for holds every call that is complete by now, and what the checks see now.
    app.writer.take();
    app.calls.rename();
    app.pulse.look().await;
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept);
    ([(CONTENT_TYPE, format.media_type())], app.metrics.write(format)).into_response()
}
