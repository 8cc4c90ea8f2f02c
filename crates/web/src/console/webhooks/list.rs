//! `/webhooks`: the list.

use askama::Template;

use super::Webhook;
use crate::console::Shown;
use crate::console::model::List;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::Badge;
use crate::ui::time::Moment;

/// The page.
#[derive(Template)]
#[template(path = "console/webhooks/list.html")]
struct Webhooks {
    rows: Vec<Row>,
    next: Option<String>,
    is_first: bool,
    may_write: bool,
}

struct Row {
    id: String,
    url: String,
    description: String,
    events: String,
    badge: Badge,
    since: Option<Moment>,
    created: Moment,
}

pub(super) async fn list(visit: Visit) -> Shown {
    let cursor = visit.query.one("cursor");
    let asked = query(&[("limit", "50"), ("cursor", cursor)]);
    let list: List<Webhook> = visit.get(&format!("/v1/webhooks?{asked}")).await?;
    let rows = list.items.into_iter().map(|webhook| Row {
        badge: webhook.badge(),
        events: webhook.events_text(),
        since: webhook.failing_since.map(|at| visit.zone.ago(at)),
        created: visit.zone.day(webhook.created_at),
        id: webhook.id,
        url: webhook.url,
        description: webhook.description,
    });
    let content = Webhooks {
        rows: rows.collect(),
        next: list.next_cursor.map(|cursor| format!("/webhooks?{}", query(&[("cursor", &cursor)]))),
        is_first: cursor.is_empty(),
        may_write: visit.may("webhooks.write"),
    };
    Ok(visit.page(Place::Webhooks, "Webhooks", &content))
}
