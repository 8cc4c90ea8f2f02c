//! Single requests: the log, followed as it grows, and one by itself with the reason for its answer.

mod list;
mod show;
mod trace;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::routing::get;
use jiff::Timestamp;
use keystile_core::Code;
use serde::Deserialize;

use super::Console;
use super::model::{List, Outcome};
use super::visit::Visit;
use crate::api::Asked;
use crate::ui::form::query;
use crate::ui::html::Badge;
use crate::ui::number::micros;
use crate::ui::time::Moment;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/requests", get(list::list)).route("/requests/{id}", get(show::show))
}

/// A request, as the API tells of it.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    id: String,
    at: Timestamp,
    door: String,
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    operation: Option<String>,
    status: u16,
    code: String,
    latency_us: u64,
    upstream_us: Option<u64>,
    address: Option<String>,
    user_agent: Option<String>,
    api_id: Option<String>,
    project_id: Option<String>,
    key_id: Option<String>,
    trace_id: Option<String>,
    bytes_in: u64,
    bytes_out: u64,
    shadow: Vec<String>,
}

/// A request as a row.
struct Line {
    id: String,
    at: Moment,
    method: String,
    path: String,
    status: u16,
    badge: Badge,
    code: String,
    key: Option<String>,
    address: String,
    took: String,
}

/// Requests as a table.
#[derive(Template)]
#[template(path = "console/requests/rows.html")]
pub(super) struct Rows {
    lines: Vec<Line>,
}

impl Rows {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// A code by its word.
fn code(word: &str) -> Option<Code> {
    Code::ALL.iter().copied().find(|code| code.as_str() == word)
}

/// How a request went, by colour and in words.
fn badge(request: &Request) -> Badge {
    let title = match code(&request.code) {
        Some(code) => code.title(),
        None => request.code.as_str(),
    };
    match (Outcome::of(&request.code), request.status) {
        (Outcome::Allowed, 500..) => Badge::new("bad", if request.code == "allowed" { "Failed" } else { title }),
        (Outcome::Allowed, 400..) => Badge::new("warn", title),
        (Outcome::Allowed, _) => Badge::new("ok", title),
        (Outcome::Limited, _) => Badge::new("warn", title),
        (Outcome::Rejected, _) => Badge::new("bad", title),
    }
}

fn line(visit: &Visit, request: Request) -> Line {
    Line {
        at: visit.zone.clock(request.at),
        badge: badge(&request),
        method: request.method.unwrap_or_default(),
        path: request.path.unwrap_or_else(|| request.door.clone()),
        status: request.status,
        code: request.code,
        key: request.key_id,
        address: request.address.unwrap_or_default(),
        took: micros(request.latency_us),
        id: request.id,
    }
}

/// Requests, newest first, and where the next page begins.
pub(super) async fn rows(visit: &Visit, of: &[(&str, &str)]) -> Asked<(Rows, Option<String>)> {
    let list: List<Request> = visit.get(&format!("/v1/requests?{}", query(of))).await?;
    Ok((Rows { lines: list.items.into_iter().map(|request| line(visit, request)).collect() }, list.next_cursor))
}
