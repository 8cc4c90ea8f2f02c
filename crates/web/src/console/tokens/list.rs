//! `/tokens`: the list.

use std::collections::HashMap;

use askama::Template;

use crate::console::Shown;
use crate::console::keys::{projects, status};
use crate::console::lists::next_page;
use crate::console::model::{Key, List};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::Badge;
use crate::ui::time::Moment;

/// Rows of a page.
const ROWS: &str = "25";
/// Rights that a row shows.
const SHOWN: usize = 2;

/// The page.
#[derive(Template)]
#[template(path = "console/tokens/list.html")]
struct Tokens {
    states: Vec<(&'static str, &'static str, bool)>,
    projects: Vec<(String, String, bool)>,
    is_filtered: bool,
    rows: Vec<Row>,
    next: Option<String>,
    is_first: bool,
    may_write: bool,
    filter: String,
    everything: usize,
}

struct Row {
    id: String,
    name: String,
    about: String,
    hint: String,
    rights: Vec<String>,
    more: usize,
    last_used: Option<Moment>,
    expires: Option<Moment>,
    badge: Badge,
    is_active: bool,
    is_revoked: bool,
}

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = &visit.query;
    let (state, project) = (asked.one("state"), asked.one("project_id"));
    let pairs = [
        ("kind", "management"),
        ("state", state),
        ("project_id", project),
        ("limit", ROWS),
        ("cursor", asked.one("cursor")),
    ];
    let list: List<Key> = visit.get(&format!("/v1/keys?{}", query(&pairs))).await?;
    let known = projects(&visit).await;
    let names: HashMap<&str, &str> = known.iter().map(|one| (one.id.as_str(), one.name.as_str())).collect();
    let rest = asked.query_without(&["cursor"]);
    let filter = query(&[("kind", "management"), ("state", state), ("project_id", project)]);
    let content = Tokens {
        states: [("", "Any status"), ("active", "Active"), ("disabled", "Disabled"), ("revoked", "Revoked")]
            .map(|(value, text)| (value, text, value == state))
            .into(),
        projects: known.iter().map(|one| (one.id.clone(), one.name.clone(), one.id == project)).collect(),
        is_filtered: !rest.is_empty(),
        everything: list.items.iter().filter(|key| is_everything(key) && key.state == "active").count(),
        rows: list.items.iter().map(|key| row(&visit, key, &names)).collect(),
        next: list.next_cursor.map(|cursor| next_page("/tokens", asked, &cursor)),
        is_first: asked.one("cursor").is_empty(),
        may_write: visit.may("keys.write"),
        filter,
    };
    Ok(visit.page(Place::Tokens, "Management tokens", &content))
}

fn is_everything(key: &Key) -> bool {
    key.permissions.iter().any(|right| right == "*")
}

fn row(visit: &Visit, key: &Key, names: &HashMap<&str, &str>) -> Row {
    Row {
        id: key.id.clone(),
        name: key.name.clone(),
        about: names.get(key.project_id.as_str()).copied().unwrap_or("Another project").to_owned(),
        hint: key.hint.clone(),
        rights: key.permissions.iter().take(SHOWN).cloned().collect(),
        more: key.permissions.len().saturating_sub(SHOWN),
        last_used: key.last_used_at.map(|at| visit.zone.ago(at)),
        expires: key.expires_at.map(|at| visit.zone.day(at)),
        badge: status(key, visit.now),
        is_active: key.state == "active",
        is_revoked: key.state == "revoked",
    }
}
