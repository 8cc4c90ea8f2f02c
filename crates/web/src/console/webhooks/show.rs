//! The page of a webhook: how it stands, and what was sent.

use askama::Template;
use axum::extract::Path;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Webhook, webhook};
use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::history::history;
use crate::console::model::List;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::{Badge, Html};
use crate::ui::number::exact;
use crate::ui::time::Moment;

/// The tabs: the word of the address, what it is called, and the right without which it is left out.
const TABS: [(&str, &str, &str); 3] =
    [("", "Deliveries", ""), ("facts", "Facts", ""), ("history", "History", "audit.read")];

/// The states that the list is filtered by.
const STATES: [(&str, &str); 4] =
    [("", "Any state"), ("pending", "Still to be sent"), ("delivered", "Delivered"), ("failed", "Failed")];

/// The frame of all tabs.
#[derive(Template)]
#[template(path = "console/webhooks/show.html")]
struct Show {
    id: String,
    host: String,
    url: String,
    badge: Badge,
    is_active: bool,
    disabled: Option<String>,
    failing: Option<Moment>,
    tabs: Vec<(String, &'static str, bool)>,
    content: Html,
    may_write: bool,
    may_replay: bool,
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    let tab = visit.query.one("tab");
    let content = match tab {
        "" => deliveries(&visit, &webhook).await?,
        "facts" => facts(&visit, &webhook),
        "history" => history(&visit, &webhook.id).await?,
        _ => return Err(Refusal::own(404, "No such tab", "A webhook has no page of this name.")),
    };
    let id = &webhook.id;
    let path =
        |word: &str| if word.is_empty() { format!("/webhooks/{id}") } else { format!("/webhooks/{id}?tab={word}") };
    let tabs = TABS.iter().filter(|(_, _, right)| right.is_empty() || visit.may(right));
    let content = Show {
        host: webhook.host().to_owned(),
        badge: webhook.badge(),
        is_active: webhook.active,
        disabled: webhook.disabled_reason.clone().filter(|_| !webhook.active),
        failing: webhook.failing_since.filter(|_| webhook.active).map(|at| visit.zone.ago(at)),
        tabs: tabs.map(|(word, text, _)| (path(word), *text, *word == tab)).collect(),
        content,
        may_write: visit.may("webhooks.write"),
        may_replay: visit.may("webhooks.write") && visit.may("events.read"),
        url: webhook.url.clone(),
        id: webhook.id.clone(),
    };
    Ok(visit.page(Place::Webhooks, &content.host, &content))
}

/// What was sent, and what is still to be.
#[derive(Template)]
#[template(path = "console/webhooks/deliveries.html")]
struct Deliveries {
    id: String,
    rows: Vec<Row>,
    states: Vec<(&'static str, &'static str, bool)>,
    is_filtered: bool,
    is_first: bool,
    next: Option<String>,
    may_write: bool,
}

struct Row {
    event: String,
    kind: String,
    badge: Badge,
    answer: String,
    attempts: String,
    created: Moment,
    last: Option<Moment>,
    next: Option<Moment>,
}

#[derive(Deserialize)]
struct Delivery {
    event_id: String,
    #[serde(rename = "type")]
    kind: String,
    state: String,
    attempts: u64,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    error: Option<String>,
    created_at: Timestamp,
    #[serde(default)]
    last_at: Option<Timestamp>,
    #[serde(default)]
    next_at: Option<Timestamp>,
}

async fn deliveries(visit: &Visit, webhook: &Webhook) -> Asked<Html> {
    let asked = &visit.query;
    let state = asked.one("state");
    let pairs = [("state", state), ("limit", "50"), ("cursor", asked.one("cursor"))];
    let list: List<Delivery> = visit.get(&format!("/v1/webhooks/{}/deliveries?{}", webhook.id, query(&pairs))).await?;
    let rows = list.items.into_iter().map(|one| Row {
        badge: match one.state.as_str() {
            "delivered" => Badge::new("ok", "Delivered"),
            "failed" => Badge::new("bad", "Failed"),
            _ if one.attempts > 0 => Badge::new("warn", "Tried again"),
            _ => Badge::new("off", "Waiting"),
        },
        answer: answer(one.status, one.error.as_deref()),
        attempts: exact(one.attempts),
        created: visit.zone.minute(one.created_at),
        last: one.last_at.map(|at| visit.zone.ago(at)),
        next: one.next_at.map(|at| visit.zone.ago(at)),
        event: one.event_id,
        kind: one.kind,
    });
    Ok(Html::of(&Deliveries {
        rows: rows.collect(),
        states: STATES.map(|(value, text)| (value, text, value == state)).into(),
        is_filtered: !state.is_empty(),
        is_first: asked.one("cursor").is_empty(),
        next: list
            .next_cursor
            .map(|cursor| format!("/webhooks/{}?{}", webhook.id, query(&[("state", state), ("cursor", &cursor)]))),
        may_write: visit.may("webhooks.write"),
        id: webhook.id.clone(),
    }))
}

/// What came of the last attempt.
fn answer(status: Option<u16>, error: Option<&str>) -> String {
    match (status, error) {
        (None, None) => String::new(),
        (Some(status), None) => status.to_string(),
        (None, Some(error)) => error.to_owned(),
        (Some(status), Some(error)) => format!("{status}: {error}"),
    }
}

/// What it is.
#[derive(Template)]
#[template(path = "console/webhooks/facts.html")]
struct Facts {
    id: String,
    url: String,
    description: String,
    events: String,
    created: Moment,
    old_secret: Option<Moment>,
    usage: Option<Usage>,
}

/// How far it was told of usage.
struct Usage {
    sent_until: Moment,
    next: Moment,
    attempts: String,
    error: Option<String>,
    missed: Option<Moment>,
}

fn facts(visit: &Visit, webhook: &Webhook) -> Html {
    Html::of(&Facts {
        id: webhook.id.clone(),
        url: webhook.url.clone(),
        description: webhook.description.clone(),
        events: webhook.events_text(),
        created: visit.zone.minute(webhook.created_at),
        old_secret: webhook.old_secret_until.filter(|at| *at > visit.now).map(|at| visit.zone.minute(at)),
        usage: webhook.usage.as_ref().map(|usage| Usage {
            sent_until: visit.zone.minute(usage.sent_until),
            next: visit.zone.ago(usage.next_at),
            attempts: exact(usage.attempts),
            error: usage.error.clone(),
            missed: usage.missed_from.map(|at| visit.zone.minute(at)),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn what_came_of_an_attempt_is_told_in_a_line() {
        assert_eq!(answer(None, None), "");
        assert_eq!(answer(Some(204), None), "204");
        assert_eq!(answer(None, Some("no such host")), "no such host");
        assert_eq!(answer(Some(500), Some("refused")), "500: refused");
    }
}
