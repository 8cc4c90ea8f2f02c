//! `/projects`: the list, and the same as CSV.

use std::collections::HashMap;

use askama::Template;

use super::Project;
use crate::api::Asked;
use crate::console::Shown;
use crate::console::access::{Access, badge_of};
use crate::console::lists::next_page;
use crate::console::model::{Key, List, Usage};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::chart::Spark;
use crate::ui::csv::Csv;
use crate::ui::form::query;
use crate::ui::html::{Badge, Html};
use crate::ui::number::{exact, short};
use crate::ui::time::{iso, thirty_days_before};

/// Rows of a page.
const ROWS: &str = "25";
/// Days of the small lines, the one that runs included.
const DAYS: usize = 31;

/// The page.
#[derive(Template)]
#[template(path = "console/projects/list.html")]
struct Projects {
    name: String,
    label: String,
    filter: String,
    is_filtered: bool,
    rows: Vec<Row>,
    others: Vec<Other>,
    next: Option<String>,
    is_first: bool,
    may_write: bool,
}

/// A project of the organization.
struct Row {
    id: String,
    name: String,
    about: String,
    is_test: bool,
    contact: String,
    keys: Option<String>,
    spark: Html,
    calls: String,
    exact_calls: String,
    badge: Badge,
}

/// A project of another organization that calls one of our APIs.
struct Other {
    id: String,
    name: String,
    organization: String,
    api: String,
    keys: String,
    calls: String,
    badge: Badge,
}

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = &visit.query;
    let list = match projects(&visit, ROWS, asked.one("cursor")).await {
        // A text that can be no label is one that nothing has.
        Err(refusal) if matches!(refusal.status, 400 | 422) && !asked.one("label").is_empty() => List::default(),
        other => other?,
    };
    let keys = keys_of_each(&visit).await;
    let mut uses = uses(&visit).await;
    let rows = list.items.iter().map(|project| row(project, keys.as_ref(), uses.remove(&project.id)));
    let rest = asked.query_without(&["cursor"]);
    let content = Projects {
        name: asked.one("name").into(),
        label: asked.one("label").into(),
        filter: rest.clone(),
        is_filtered: !rest.is_empty(),
        rows: rows.collect(),
        others: if rest.is_empty() && asked.one("cursor").is_empty() { others(&visit).await } else { Vec::new() },
        next: list.next_cursor.map(|cursor| next_page("/projects", asked, &cursor)),
        is_first: asked.one("cursor").is_empty(),
        may_write: visit.may("projects.write"),
    };
    Ok(visit.page(Place::Consumers, "Consumers", &content))
}

async fn projects(visit: &Visit, limit: &str, cursor: &str) -> Asked<List<Project>> {
    let asked = &visit.query;
    let pairs = [("name", asked.one("name")), ("label", asked.one("label")), ("limit", limit), ("cursor", cursor)];
    visit.get(&format!("/v1/projects?{}", query(&pairs))).await
}

/// How many keys in force projects have; `None` if there are more of them than a page tells.
async fn keys_of_each(visit: &Visit) -> Option<HashMap<String, u64>> {
    let keys: List<Key> = visit.get("/v1/keys?state=active&limit=200").await.ok()?;
    if keys.next_cursor.is_some() {
        return None;
    }
    let mut counts = HashMap::new();
    for key in keys.items {
        *counts.entry(key.project_id).or_insert(0) += 1;
    }
    Some(counts)
}

/// Calls of projects by day, for thirty days.
async fn uses(visit: &Visit) -> HashMap<String, Vec<u64>> {
    if !visit.may("usage.read") {
        return HashMap::new();
    }
    let from = thirty_days_before(visit.now);
    let asked = query(&[("from", &iso(from)), ("bucket", "day"), ("group_by", "project"), ("limit", "10000")]);
    let usage: Usage = visit.aside(&format!("/v1/usage?{asked}")).await;
    let first_day = from.as_second().div_euclid(86_400);
    let mut uses: HashMap<String, Vec<u64>> = HashMap::new();
    for item in usage.items {
        let (Some(id), Some(start)) = (item.project_id, item.start) else { continue };
        let at = usize::try_from(start.as_second().div_euclid(86_400) - first_day).unwrap_or(usize::MAX);
        if let Some(day) = uses.entry(id).or_insert_with(|| vec![0; DAYS]).get_mut(at) {
            *day += item.calls;
        }
    }
    uses
}

fn row(project: &Project, keys: Option<&HashMap<String, u64>>, uses: Option<Vec<u64>>) -> Row {
    let uses = uses.unwrap_or_else(|| vec![0; DAYS]);
    let calls: u64 = uses.iter().sum();
    let about = if project.labels.is_empty() { project.description.clone() } else { project.labels.join(", ") };
    Row {
        id: project.id.clone(),
        name: project.name.clone(),
        about: about.lines().next().unwrap_or_default().chars().take(80).collect(),
        is_test: project.environment == "test",
        contact: project.contact.lines().next().unwrap_or_default().to_owned(),
        keys: keys.map(|keys| exact(keys.get(&project.id).copied().unwrap_or(0))),
        spark: Html::of(&Spark::new(&uses)),
        calls: short(calls),
        exact_calls: exact(calls),
        badge: project.badge(),
    }
}

/// Who calls our APIs from elsewhere.
async fn others(visit: &Visit) -> Vec<Other> {
    if !visit.may("access.read") {
        return Vec::new();
    }
    let lines: List<Access> = visit.aside("/v1/access?limit=200").await;
    let foreign = lines.items.into_iter().filter(|line| line.project_organization_id != visit.who.organization_id);
    foreign
        .map(|line| Other {
            badge: badge_of(&line),
            id: line.id,
            name: line.project_name,
            organization: line.project_organization_name,
            api: line.api_name,
            keys: exact(line.active_keys),
            calls: short(line.calls_30_days),
        })
        .collect()
}

/// All projects of a filter, a line each.
pub(super) async fn export(visit: Visit) -> Shown {
    let mut csv = Csv::new(&["id", "name", "environment", "state", "contact", "labels", "description", "created_at"]);
    let mut cursor = String::new();
    loop {
        let page = projects(&visit, "200", &cursor).await?;
        for project in &page.items {
            csv.line(&[
                &project.id,
                &project.name,
                &project.environment,
                &project.state,
                &project.contact,
                &project.labels.join(" "),
                &project.description,
                &iso(project.created_at),
            ]);
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => return Ok(csv.file("projects.csv")),
        }
    }
}
