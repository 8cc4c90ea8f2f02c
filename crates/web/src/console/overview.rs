//! `/`: how it goes, and what wants to be looked at.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;

use super::model::{Api, Key, List, Usage};
use super::shell::Place;
use super::traffic::{Range, Stat, Traffic, traffic};
use super::visit::Visit;
use super::{Console, Shown};
use crate::ui::form::query;
use crate::ui::html::Html;
use crate::ui::number::{exact, short};
use crate::ui::time::{Moment, iso, thirty_days_before};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/", get(show))
}

/// The page.
#[derive(Template)]
#[template(path = "console/overview.html")]
struct Overview {
    health: Health,
    steps: Vec<Step>,
    is_begun: bool,
    traffic: Option<Html>,
    attention: Vec<Attention>,
    top: Vec<Top>,
    changes: Vec<Change>,
    may_create: bool,
}

/// Whether the process can do its work.
struct Health {
    tone: &'static str,
    text: String,
}

/// A step of the beginning.
struct Step {
    is_done: bool,
    title: &'static str,
    about: &'static str,
    path: &'static str,
    action: &'static str,
}

/// Something that wants to be looked at.
struct Attention {
    tone: &'static str,
    text: String,
    path: String,
    action: &'static str,
}

/// A key with many calls.
struct Top {
    name: String,
    path: String,
    calls: String,
    share: String,
}

/// Something that was changed.
struct Change {
    at: Moment,
    kind: String,
    actor: String,
    path: String,
}

#[derive(Deserialize, Default)]
struct Ready {
    #[serde(default)]
    status: String,
    #[serde(default)]
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    ok: bool,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    actor: String,
    created_at: Timestamp,
}

#[derive(Deserialize)]
struct Access {
    project_name: String,
    api_name: String,
}

async fn show(visit: Visit) -> Shown {
    let range = Range::read(visit.query.one("range"));
    let ready: Ready = visit.aside("/readyz").await;
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let keys: List<Key> = visit.aside("/v1/keys?limit=200&state=active").await;
    let calls = match visit.may("usage.read") {
        true => Some(traffic(&visit, range, &[]).await?),
        false => None,
    };
    let own: Vec<&Key> = keys.items.iter().filter(|key| key.kind != "management").collect();
    let has_calls = calls.as_ref().is_some_and(|calls| !calls.is_empty);
    let steps = steps(!apis.items.is_empty(), !own.is_empty(), has_calls);
    let content = Overview {
        is_begun: steps.iter().all(|step| step.is_done) || !visit.may("apis.write"),
        steps,
        health: health(ready),
        attention: attention(&visit, &keys.items).await,
        top: top(&visit).await,
        changes: changes(&visit).await,
        may_create: visit.may("keys.write"),
        traffic: calls.map(|calls| with_keys(calls, &keys)),
    };
    Ok(visit.page(Place::Overview, "Overview", &content))
}

/// The figures with how many keys there are.
fn with_keys(mut calls: Traffic, keys: &List<Key>) -> Html {
    let more = if keys.next_cursor.is_some() { "+" } else { "" };
    let value = format!("{}{more}", exact(keys.items.len() as u64));
    calls.stats.insert(0, Stat { name: "Active keys", series: 0, value, aside: String::new(), tone: "" });
    Html::of(&calls)
}

fn health(ready: Ready) -> Health {
    let (tone, text) = match ready.status.as_str() {
        "ready" | "ok" => ("ok", "Everything works".to_owned()),
        "" => ("bad", "The server can't do its work at the moment".to_owned()),
        _ => {
            let wrong = ready.checks.iter().filter(|check| !check.ok);
            let said: Vec<String> =
                wrong.map(|check| check.reason.clone().unwrap_or_else(|| check.name.clone())).collect();
            ("warn", format!("Something wants attention: {}", said.join("; ")))
        }
    };
    Health { tone, text }
}

fn steps(has_api: bool, has_key: bool, has_calls: bool) -> Vec<Step> {
    vec![
        Step { is_done: true, title: "Sign in", about: "You are in.", path: "/", action: "" },
        Step {
            is_done: has_api,
            title: "Publish an API",
            about: "Say where it is, or bring its OpenAPI document.",
            path: "/apis/new",
            action: "Add API",
        },
        Step {
            is_done: has_key,
            title: "Create a key",
            about: "Its secret is shown once, with a call that works.",
            path: "/keys/new",
            action: "Create key",
        },
        Step {
            is_done: has_calls,
            title: "Make the first call",
            about: "Watch it arrive, with the reason for its answer.",
            path: "/first-call",
            action: "Make a call",
        },
    ]
}

/// Keys that end within two weeks are told of.
const SOON_SECS: i64 = 14 * 86_400;

async fn attention(visit: &Visit, keys: &[Key]) -> Vec<Attention> {
    let mut all = Vec::new();
    for key in keys.iter().filter(|key| key.exposed_at.is_some()) {
        all.push(Attention {
            tone: "bad",
            text: format!("{} was seen where others could read it.", key.name),
            path: format!("/keys/{}", key.id),
            action: "Look at it",
        });
    }
    let ends_soon = |key: &&Key| key.expires_at.is_some_and(|end| end.duration_since(visit.now).as_secs() < SOON_SECS);
    let ending: Vec<&Key> = keys.iter().filter(ends_soon).collect();
    match ending.as_slice() {
        [] => {}
        [key] => all.push(Attention {
            tone: "warn",
            text: format!("{} ends soon.", key.name),
            path: format!("/keys/{}", key.id),
            action: "Look at it",
        }),
        many => all.push(Attention {
            tone: "warn",
            text: format!("{} keys end within two weeks.", many.len()),
            path: "/keys?state=active".into(),
            action: "Review keys",
        }),
    }
    if visit.may("activations.read") {
        let waiting: List<Access> = visit.aside("/v1/access?state=requested&limit=3").await;
        match waiting.items.as_slice() {
            [] => {}
            [one] => all.push(Attention {
                tone: "info",
                text: format!("{} asks for access to {}.", one.project_name, one.api_name),
                path: "/access".into(),
                action: "Answer",
            }),
            _ => all.push(Attention {
                tone: "info",
                text: "Projects ask for access to your APIs.".into(),
                path: "/access".into(),
                action: "Answer",
            }),
        }
    }
    all
}

async fn top(visit: &Visit) -> Vec<Top> {
    if !visit.may("usage.read") {
        return Vec::new();
    }
    let from = iso(thirty_days_before(visit.now));
    let asked = query(&[("from", &from), ("group_by", "key"), ("order_by", "calls"), ("limit", "6")]);
    let usage: Usage = visit.aside(&format!("/v1/usage?{asked}")).await;
    let most = usage.items.iter().map(|item| item.calls).max().unwrap_or(1).max(1);
    let mut rows = Vec::new();
    for item in usage.items.iter().filter(|item| item.calls > 0).take(5) {
        let (name, path) = match &item.key_id {
            None => ("No known key".to_owned(), "/requests?code=key_unknown".to_owned()),
            Some(id) => match visit.get::<Key>(&format!("/v1/keys/{id}")).await {
                Ok(key) => (key.name, format!("/keys/{id}")),
                Err(_) => (id.clone(), format!("/keys/{id}")),
            },
        };
        let share = format!("{:.1}", item.calls as f64 * 100.0 / most as f64);
        rows.push(Top { name, path, calls: short(item.calls), share });
    }
    rows
}

async fn changes(visit: &Visit) -> Vec<Change> {
    if !visit.may("audit.read") {
        return Vec::new();
    }
    let entries: List<Entry> = visit.aside("/v1/audit?limit=6").await;
    let shown = entries.items.into_iter().map(|entry| Change {
        at: visit.zone.ago(entry.created_at),
        kind: entry.kind,
        actor: entry.actor,
        path: format!("/audit?entry={}", entry.id),
    });
    shown.collect()
}
