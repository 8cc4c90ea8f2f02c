//! `/requests`: the log, which script follows as it grows.

use askama::Template;

use super::rows;
use crate::console::Shown;
use crate::console::lists::next_page;
use crate::console::model::{Api, List};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::Html;

/// The filters of the API that the address may name.
const FILTERS: [&str; 9] =
    ["api_id", "project_id", "key_id", "code", "status", "method", "path", "operation", "address"];

/// The page.
#[derive(Template)]
#[template(path = "console/requests/list.html")]
struct Requests {
    rows: Html,
    is_empty: bool,
    apis: Vec<(String, String, bool)>,
    outcomes: Vec<(&'static str, &'static str, bool)>,
    path: String,
    key: String,
    address: String,
    live: String,
    next: Option<String>,
    is_filtered: bool,
    gateway: String,
}

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = &visit.query;
    let status = asked.one("status");
    let pairs: Vec<(&str, &str)> =
        FILTERS.iter().map(|name| (*name, asked.one(name))).filter(|(_, text)| !text.is_empty()).collect();
    let mut page = pairs.clone();
    page.extend([("limit", "50"), ("cursor", asked.one("cursor"))]);
    let (rows, next) = rows(&visit, &page).await?;
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let picked = asked.one("api_id");
    let content = Requests {
        is_empty: rows.is_empty(),
        rows: Html::of(&rows),
        apis: apis
            .items
            .into_iter()
            .map(|api| (api.id == picked, api))
            .map(|(is, api)| (api.id, api.name, is))
            .collect(),
        outcomes: [("", "Any status"), ("2xx", "2xx"), ("4xx", "4xx"), ("429", "429"), ("5xx", "5xx")]
            .map(|(value, text)| (value, text, value == status))
            .into(),
        path: asked.one("path").into(),
        key: asked.one("key_id").into(),
        address: asked.one("address").into(),
        live: query(&pairs),
        next: next.map(|cursor| next_page("/requests", asked, &cursor)),
        is_filtered: !pairs.is_empty(),
        gateway: visit.gateway().to_owned(),
    };
    Ok(visit.page(Place::Requests, "Live requests", &content))
}
