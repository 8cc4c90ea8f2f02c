//! `/requests/{id}`: what became of a request, and why.

use askama::Template;
use axum::extract::Path;
use keystile_core::Code;

use super::trace::{Asked, trace};
use super::{Request, badge, code};
use crate::console::Shown;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::segment;
use crate::ui::html::Badge;
use crate::ui::number::{bytes, micros};
use crate::ui::time::Moment;

/// The page.
#[derive(Template)]
#[template(path = "console/requests/show.html")]
struct Show {
    id: String,
    title: String,
    badge: Badge,
    at: Moment,
    code: String,
    advice: &'static str,
    status: u16,
    trace: Vec<Asked>,
    facts: Vec<(&'static str, String)>,
    links: Vec<(&'static str, String, String)>,
    took: String,
    own: String,
    upstream: Option<String>,
    share: String,
    shadow: Vec<String>,
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let request: Request = visit.get(&format!("/v1/requests/{}", segment(&id))).await?;
    let known = code(&request.code);
    let upstream = request.upstream_us.map(|micros| micros.min(request.latency_us));
    let share = upstream.map_or(0.0, |micros| micros as f64 * 100.0 / request.latency_us.max(1) as f64);
    let said = |name: &'static str, text: &Option<String>| {
        text.clone().filter(|text| !text.is_empty()).map(|text| (name, text))
    };
    let facts = [
        said("Host", &request.host),
        said("Operation", &request.operation),
        said("Came from", &request.address),
        said("Client", &request.user_agent),
        Some(("Sent", bytes(request.bytes_in))),
        Some(("Answered", bytes(request.bytes_out))),
        Some(("Door", request.door.clone())),
        said("Trace", &request.trace_id),
    ];
    let link =
        |name: &'static str, path: &str, id: &Option<String>| id.clone().map(|id| (name, format!("{path}/{id}"), id));
    let links = [
        link("Key", "/keys", &request.key_id),
        link("Consumer", "/projects", &request.project_id),
        link("API", "/apis", &request.api_id),
    ];
    let title =
        format!("{} {}", request.method.as_deref().unwrap_or("Request"), request.path.as_deref().unwrap_or_default());
    let content = Show {
        badge: badge(&request),
        at: visit.zone.minute(request.at),
        advice: known.map_or("", Code::detail),
        trace: known.map(trace).unwrap_or_default(),
        facts: facts.into_iter().flatten().collect(),
        links: links.into_iter().flatten().collect(),
        took: micros(request.latency_us),
        own: micros(request.latency_us - upstream.unwrap_or(0)),
        upstream: upstream.map(micros),
        share: format!("{share:.1}"),
        status: request.status,
        code: request.code,
        shadow: request.shadow,
        id: request.id,
        title: title.clone(),
    };
    Ok(visit.page(Place::Requests, &title, &content))
}
