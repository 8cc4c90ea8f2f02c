//! `/palette`: what the palette offers for what is typed.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::routing::get;

use super::model::{Api, Key, List, Project};
use super::shell::places;
use super::visit::Visit;
use super::{Console, Shown};
use crate::ui::form::query;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/palette", get(show))
}

/// Rows of each kind at most.
const SHOWN: &str = "5";

/// The rows.
#[derive(Template)]
#[template(path = "console/palette.html")]
struct Palette {
    rows: Vec<Row>,
}

struct Row {
    icon: &'static str,
    text: String,
    about: String,
    path: String,
}

/// Things that can be begun from anywhere, with the right for each.
const ACTIONS: [(&str, &str, &str, &str); 6] = [
    ("Create key", "/keys/new", "plus", "keys.write"),
    ("Add API", "/apis/new", "plus", "apis.write"),
    ("New plan", "/plans/new", "plus", "plans.write"),
    ("New consumer", "/projects/new", "plus", "projects.write"),
    ("Invite to the team", "/team/invite", "user-plus", "members.write"),
    ("Make a first call", "/first-call", "send", "keys.write"),
];

async fn show(visit: Visit) -> Shown {
    let typed = visit.query.one("q").to_owned();
    let wanted = typed.to_lowercase();
    let matches = |text: &str| text.to_lowercase().contains(&wanted);
    let mut rows = Vec::new();
    if !typed.is_empty() {
        rows.extend(found(&visit, &typed).await);
    }
    for (text, path, icon, right) in ACTIONS {
        if matches(text) && visit.may(right) {
            rows.push(Row { icon, text: text.into(), about: "Action".into(), path: path.into() });
        }
    }
    for (text, path, icon) in places(&visit) {
        if matches(text) {
            rows.push(Row { icon, text: text.into(), about: "Go to".into(), path: path.into() });
        }
    }
    Ok(visit.part(&Palette { rows }))
}

/// Keys, projects and APIs of this name or id.
async fn found(visit: &Visit, typed: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    if visit.may("keys.read") {
        let keys: List<Key> = visit.aside(&format!("/v1/keys?{}", query(&[("q", typed), ("limit", SHOWN)]))).await;
        rows.extend(keys.items.into_iter().map(|key| Row {
            icon: "key-round",
            text: key.name,
            about: format!("Key · {}", key.hint),
            path: format!("/keys/{}", key.id),
        }));
    }
    if visit.may("projects.read") {
        let projects: List<Project> = visit.aside(&format!("/v1/projects?{}", query(&[("limit", "200")]))).await;
        let own = projects
            .items
            .into_iter()
            .filter(|project| project.name.to_lowercase().contains(&typed.to_lowercase()) || project.id == typed);
        rows.extend(own.take(5).map(|project| Row {
            icon: "users",
            text: project.name,
            about: "Consumer".into(),
            path: format!("/projects/{}", project.id),
        }));
    }
    if visit.may("apis.read") {
        let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
        let own = apis
            .items
            .into_iter()
            .filter(|api| api.name.to_lowercase().contains(&typed.to_lowercase()) || api.id == typed);
        rows.extend(own.take(5).map(|api| Row {
            icon: "layers",
            text: api.name,
            about: "API".into(),
            path: format!("/apis/{}", api.id),
        }));
    }
    rows
}
