//! `/keys`: the list, and the same as CSV.

use std::collections::HashMap;

use askama::Template;
use jiff::Timestamp;

use super::projects;
use super::status::{SOON_SECS, status};
use crate::api::Asked;
use crate::console::Shown;
use crate::console::lists::next_page;
use crate::console::model::{Key, List, Usage};
use crate::console::shell::Place;
use crate::console::traffic::{Range, Stat, traffic};
use crate::console::visit::Visit;
use crate::ui::chart::Spark;
use crate::ui::csv::Csv;
use crate::ui::form::query;
use crate::ui::html::{Badge, Html};
use crate::ui::number::{exact, short};
use crate::ui::time::{Moment, iso, thirty_days_before};

/// Rows of a page.
const ROWS: &str = "25";
/// Days of the small lines.
const DAYS: i64 = 30;

/// The page.
#[derive(Template)]
#[template(path = "console/keys/list.html")]
struct Keys {
    traffic: Option<Html>,
    search: String,
    states: Vec<Choice>,
    kinds: Vec<Choice>,
    projects: Vec<Choice>,
    is_filtered: bool,
    rows: Vec<Row>,
    next: Option<String>,
    is_first: bool,
    may_write: bool,
    filter: String,
}

/// A choice of a filter.
struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

struct Row {
    id: String,
    name: String,
    about: String,
    hint: String,
    scopes: Vec<String>,
    more_scopes: usize,
    spark: Html,
    calls: String,
    exact_calls: String,
    last_used: Option<Moment>,
    expires: Option<Moment>,
    badge: Badge,
    is_active: bool,
    is_disabled: bool,
    is_revoked: bool,
}

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = &visit.query;
    let list = keys(&visit).await?;
    let known = projects(&visit).await;
    let names: HashMap<&str, &str> = known.iter().map(|project| (project.id.as_str(), project.name.as_str())).collect();
    let mut uses = uses(&visit, &list.items).await;
    let rows = list.items.iter().map(|key| row(&visit, key, &names, uses.remove(&key.id))).collect();
    let choice = |name: &str, value: &str, text: &str| Choice {
        value: value.into(),
        text: text.into(),
        is_chosen: asked.one(name) == value,
    };
    let with_name = |project: &crate::console::model::Project| choice("project_id", &project.id, &project.name);
    let next = list.next_cursor.map(|cursor| next_page("/keys", asked, &cursor));
    let content = Keys {
        traffic: card(&visit, &list.items).await?,
        search: asked.one("q").into(),
        states: [("", "Any status"), ("active", "Active"), ("disabled", "Disabled"), ("revoked", "Revoked")]
            .map(|(value, text)| choice("state", value, text))
            .into(),
        kinds: [("", "Any kind"), ("secret", "Secret"), ("publishable", "Publishable"), ("canary", "Canary")]
            .map(|(value, text)| choice("kind", value, text))
            .into(),
        projects: std::iter::once(choice("project_id", "", "Any consumer"))
            .chain(known.iter().map(with_name))
            .collect(),
        is_filtered: !asked.query_without(&["range", "cursor"]).is_empty(),
        rows,
        next,
        is_first: asked.one("cursor").is_empty(),
        may_write: visit.may("keys.write"),
        filter: asked.query_without(&["range", "cursor"]),
    };
    Ok(visit.page(Place::Keys, "API keys", &content))
}

/// The query of the API for what the address says.
fn filter(visit: &Visit) -> Vec<(&'static str, &str)> {
    let asked = &visit.query;
    let mut pairs = vec![
        ("q", asked.one("q")),
        ("state", asked.one("state")),
        ("kind", asked.one("kind")),
        ("project_id", asked.one("project_id")),
        ("label", asked.one("label")),
    ];
    pairs.retain(|(_, text)| !text.is_empty());
    pairs
}

async fn keys(visit: &Visit) -> Asked<List<Key>> {
    let mut pairs = filter(visit);
    pairs.extend([("limit", ROWS), ("cursor", visit.query.one("cursor"))]);
    visit.get(&format!("/v1/keys?{}", query(&pairs))).await
}

/// What keys of a page were used for in thirty days: calls by day.
async fn uses(visit: &Visit, keys: &[Key]) -> HashMap<String, Vec<u64>> {
    if keys.is_empty() || !visit.may("usage.read") {
        return HashMap::new();
    }
    let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
    let from = thirty_days_before(visit.now);
    let (ids, from_text) = (ids.join(","), iso(from));
    let asked =
        query(&[("key_id", &ids), ("from", &from_text), ("bucket", "day"), ("group_by", "key"), ("limit", "10000")]);
    let usage: Usage = visit.aside(&format!("/v1/usage?{asked}")).await;
    let first_day = from.as_second().div_euclid(86_400);
    let mut uses: HashMap<String, Vec<u64>> = HashMap::new();
    for item in usage.items {
        let (Some(id), Some(start)) = (item.key_id, item.start) else { continue };
        let at = usize::try_from(start.as_second().div_euclid(86_400) - first_day).unwrap_or(usize::MAX);
        let days = uses.entry(id).or_insert_with(|| vec![0; usize::try_from(DAYS + 1).unwrap_or_default()]);
        if let Some(day) = days.get_mut(at) {
            *day += item.calls;
        }
    }
    uses
}

async fn card(visit: &Visit, keys: &[Key]) -> Asked<Option<Html>> {
    if !visit.may("usage.read") || (keys.is_empty() && visit.query.query_without(&[]).is_empty()) {
        return Ok(None);
    }
    let project = visit.query.one("project_id");
    let of: &[(&str, &str)] = if project.is_empty() { &[] } else { &[("project_id", project)] };
    let mut calls = traffic(visit, Range::read(visit.query.one("range")), of).await?;
    let active: List<Key> = visit
        .get(&format!("/v1/keys?{}", query(&[("state", "active"), ("limit", "200"), ("project_id", project)])))
        .await?;
    let soon = active.items.iter().filter(|key| ends_soon(key, visit.now)).count();
    let more = if active.next_cursor.is_some() { "+" } else { "" };
    let aside = if soon == 0 { String::new() } else { format!("{soon} ending soon") };
    let value = format!("{}{more}", exact(active.items.len() as u64));
    calls.stats.insert(0, Stat { name: "Active keys", series: 0, value, aside, tone: "" });
    Ok(Some(Html::of(&calls)))
}

fn ends_soon(key: &Key, now: Timestamp) -> bool {
    key.expires_at.is_some_and(|end| (0..SOON_SECS).contains(&end.duration_since(now).as_secs()))
}

fn row(visit: &Visit, key: &Key, names: &HashMap<&str, &str>, uses: Option<Vec<u64>>) -> Row {
    let project = names.get(key.project_id.as_str()).copied().unwrap_or("Another project");
    let kind = if key.kind == "secret" { String::new() } else { format!(" · {}", key.kind) };
    let test = if key.environment == "test" { " · test" } else { "" };
    let uses = uses.unwrap_or_else(|| vec![0; usize::try_from(DAYS + 1).unwrap_or_default()]);
    let calls: u64 = uses.iter().sum();
    const SHOWN: usize = 1;
    Row {
        id: key.id.clone(),
        name: key.name.clone(),
        about: format!("{project}{kind}{test}"),
        hint: key.hint.clone(),
        scopes: key.permissions.iter().take(SHOWN).cloned().collect(),
        more_scopes: key.permissions.len().saturating_sub(SHOWN),
        spark: Html::of(&Spark::new(&uses)),
        calls: short(calls),
        exact_calls: exact(calls),
        last_used: key.last_used_at.map(|at| visit.zone.ago(at)),
        expires: key.expires_at.map(|at| visit.zone.day(at)),
        badge: status(key, visit.now),
        is_active: key.state == "active",
        is_disabled: key.state == "disabled",
        is_revoked: key.state == "revoked",
    }
}

/// All keys of a filter, a line each.
pub(super) async fn export(visit: Visit) -> Shown {
    let mut file = Csv::new(&[
        "id",
        "name",
        "project_id",
        "kind",
        "environment",
        "state",
        "hint",
        "created_at",
        "expires_at",
        "last_used_at",
    ]);
    let moment = |at: Option<Timestamp>| at.map(iso).unwrap_or_default();
    let mut cursor = String::new();
    loop {
        let mut pairs = filter(&visit);
        pairs.extend([("limit", "200"), ("cursor", &cursor)]);
        let page: List<Key> = visit.get(&format!("/v1/keys?{}", query(&pairs))).await?;
        for key in &page.items {
            let moments = [moment(Some(key.created_at)), moment(key.expires_at), moment(key.last_used_at)];
            let [created, expires, used] = moments.each_ref().map(String::as_str);
            file.line(&[
                &key.id,
                &key.name,
                &key.project_id,
                &key.kind,
                &key.environment,
                &key.state,
                &key.hint,
                created,
                expires,
                used,
            ]);
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => return Ok(file.file("keys.csv")),
        }
    }
}
