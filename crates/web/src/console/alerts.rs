//! `/alerts`: rules and channels will be here; until then webhooks tell of the same events, and this page says which do.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::routing::get;

use super::model::List;
use super::shell::Place;
use super::visit::Visit;
use super::webhooks::{OF_ALERTS, Webhook, admits};
use super::{Console, Shown};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/alerts", get(show))
}

/// The page.
#[derive(Template)]
#[template(path = "console/alerts.html")]
struct Alerts {
    rows: Vec<Row>,
    may_write: bool,
}

/// An event that somebody wants to be told of, and who is.
struct Row {
    kind: &'static str,
    about: &'static str,
    told: Vec<(String, String)>,
}

async fn show(visit: Visit) -> Shown {
    let webhooks: List<Webhook> = visit.aside("/v1/webhooks?limit=200").await;
    let content = Alerts {
        rows: OF_ALERTS.iter().map(|(kind, about)| row(kind, about, &webhooks.items)).collect(),
        may_write: visit.may("webhooks.write"),
    };
    Ok(visit.page(Place::Alerts, "Alerts", &content))
}

fn row(kind: &'static str, about: &'static str, webhooks: &[Webhook]) -> Row {
    let told = webhooks.iter().filter(|webhook| webhook.active && admits(&webhook.events, kind));
    Row { kind, about, told: told.map(|webhook| (webhook.id.clone(), webhook.url.clone())).collect() }
}
