//! The page of a project, a tab at a time.

use askama::Template;
use axum::extract::Path;

use super::{Project, project};
use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::access::{Access, Activation, badge_of, permissions_text, standing};
use crate::console::history::history;
use crate::console::keys::status;
use crate::console::model::{Api, Key, List, Usage};
use crate::console::shell::Place;
use crate::console::traffic::{Range, traffic};
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::{Badge, Html};
use crate::ui::number::{exact, percent, short};
use crate::ui::time::{Moment, iso, thirty_days_before};

/// The tabs: the word of the address, what it is called, and the right without which it is left out.
const TABS: [(&str, &str, &str); 5] = [
    ("", "Overview", ""),
    ("keys", "Keys", "keys.read"),
    ("access", "Access", "activations.read"),
    ("usage", "Usage", "usage.read"),
    ("history", "History", "audit.read"),
];

/// The frame of all tabs.
#[derive(Template)]
#[template(path = "console/projects/show.html")]
struct Show {
    id: String,
    name: String,
    about: String,
    badge: Badge,
    suspended: Option<(Moment, String)>,
    tabs: Vec<(String, &'static str, bool)>,
    content: Html,
    may_write: bool,
    may_issue: bool,
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let project = project(&visit, &id).await?;
    let tab = visit.query.one("tab");
    let content = match tab {
        "" => overview(&visit, &project).await?,
        "keys" => keys(&visit, &project).await?,
        "access" => access(&visit, &project).await?,
        "usage" => usage(&visit, &project).await?,
        "history" => history(&visit, &project.id).await?,
        _ => return Err(Refusal::own(404, "No such tab", "A consumer has no page of this name.")),
    };
    let id = &project.id;
    let path =
        |word: &str| if word.is_empty() { format!("/projects/{id}") } else { format!("/projects/{id}?tab={word}") };
    let tabs = TABS.iter().filter(|(_, _, right)| right.is_empty() || visit.may(right));
    let contact = if project.contact.is_empty() { String::new() } else { format!(" · {}", project.contact) };
    let content = Show {
        badge: project.badge(),
        about: format!("{}{contact}", project.environment),
        suspended: project.suspended_at.map(|at| (visit.zone.minute(at), project.suspended_reason.clone())),
        tabs: tabs.map(|(word, text, _)| (path(word), *text, *word == tab)).collect(),
        content,
        may_write: visit.may("projects.write"),
        may_issue: visit.may("keys.write"),
        name: project.name.clone(),
        id: project.id.clone(),
    };
    Ok(visit.page(Place::Consumers, &project.name, &content))
}

/// The first tab.
#[derive(Template)]
#[template(path = "console/projects/overview.html")]
struct Overview {
    traffic: Option<Html>,
    id: String,
    description: String,
    environment: String,
    contact: String,
    labels: Vec<(String, String)>,
    patterns: Vec<String>,
    max_keys: Option<String>,
    created: Moment,
}

async fn overview(visit: &Visit, project: &Project) -> Asked<Html> {
    let calls = match visit.may("usage.read") {
        true => Some(traffic(visit, Range::read(visit.query.one("range")), &[("project_id", &project.id)]).await?),
        false => None,
    };
    Ok(Html::of(&Overview {
        traffic: calls.map(|calls| Html::of(&calls)),
        id: project.id.clone(),
        description: project.description.clone(),
        environment: project.environment.clone(),
        contact: project.contact.clone(),
        labels: project
            .labels
            .iter()
            .map(|label| (label.clone(), format!("/projects?{}", query(&[("label", label)]))))
            .collect(),
        patterns: project.patterns.clone(),
        max_keys: project.max_keys.map(exact),
        created: visit.zone.minute(project.created_at),
    }))
}

/// Its keys.
#[derive(Template)]
#[template(path = "console/projects/keys.html")]
struct Keys {
    project: String,
    rows: Vec<KeyRow>,
    has_more: bool,
    may_write: bool,
}

struct KeyRow {
    id: String,
    name: String,
    kind: String,
    hint: String,
    last_used: Option<Moment>,
    expires: Option<Moment>,
    badge: Badge,
}

async fn keys(visit: &Visit, project: &Project) -> Asked<Html> {
    let asked = query(&[("project_id", &project.id), ("limit", "50")]);
    let list: List<Key> = visit.get(&format!("/v1/keys?{asked}")).await?;
    let rows = list.items.into_iter().map(|key| KeyRow {
        badge: status(&key, visit.now),
        last_used: key.last_used_at.map(|at| visit.zone.ago(at)),
        expires: key.expires_at.map(|at| visit.zone.day(at)),
        id: key.id,
        name: key.name,
        kind: key.kind,
        hint: key.hint,
    });
    Ok(Html::of(&Keys {
        project: project.id.clone(),
        rows: rows.collect(),
        has_more: list.next_cursor.is_some(),
        may_write: visit.may("keys.write"),
    }))
}

/// What it may call.
#[derive(Template)]
#[template(path = "console/projects/access.html")]
struct Calls {
    project: String,
    rows: Vec<Link>,
    offered: Vec<(String, String)>,
    may_write: bool,
}

/// An API that it has to do with.
struct Link {
    id: String,
    api: String,
    api_id: String,
    badge: Badge,
    plan: Option<(String, String)>,
    permissions: String,
    calls: String,
    last_used: Option<Moment>,
    reason: String,
    standing: Option<Html>,
}

/// How many activations are asked for their quotas.
const ASKED: usize = 20;

async fn access(visit: &Visit, project: &Project) -> Asked<Html> {
    let asked = query(&[("project_id", &project.id), ("limit", "200")]);
    let links: List<Activation> = visit.get(&format!("/v1/activations?{asked}")).await?;
    let lines: List<Access> = visit.aside(&format!("/v1/access?{asked}")).await;
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let mut rows = Vec::new();
    for (at, link) in links.items.into_iter().enumerate() {
        let line = lines.items.iter().find(|line| line.id == link.id);
        let standing = match link.state == "approved" && at < ASKED {
            true => standing(visit, &link.id).await.ok().map(|standing| Html::of(&standing)),
            false => None,
        };
        rows.push(Link {
            api: line.map_or_else(|| link.api_id.clone(), |line| line.api_name.clone()),
            badge: line.map_or_else(|| crate::console::access::badge(&link.state, false), badge_of),
            plan: link.plan.clone().zip(link.plan_id.clone()),
            permissions: permissions_text(&link),
            calls: line.map(|line| exact(line.calls_30_days)).unwrap_or_default(),
            last_used: line.and_then(|line| line.last_used_at).map(|at| visit.zone.ago(at)),
            reason: link.reason,
            api_id: link.api_id,
            id: link.id,
            standing,
        });
    }
    let is_new = |api: &Api| api.active && !rows.iter().any(|row| row.api_id == api.id);
    let offered = apis.items.into_iter().filter(is_new).map(|api| (api.id, api.name)).collect();
    Ok(Html::of(&Calls { project: project.id.clone(), rows, offered, may_write: visit.may("activations.write") }))
}

/// What it called.
#[derive(Template)]
#[template(path = "console/projects/usage.html")]
struct Used {
    traffic: Html,
    operations: Vec<Count>,
    keys: Vec<Count>,
    codes: Vec<Count>,
    id: String,
}

/// How often something was, and how much of all that is.
struct Count {
    name: String,
    path: Option<String>,
    calls: String,
    exact: String,
    share: String,
}

async fn usage(visit: &Visit, project: &Project) -> Asked<Html> {
    let calls = traffic(visit, Range::read(visit.query.one("range")), &[("project_id", &project.id)]).await?;
    let keys: List<Key> =
        visit.aside(&format!("/v1/keys?{}", query(&[("project_id", &project.id), ("limit", "200")]))).await;
    let named = |item: &crate::console::model::UsageItem| {
        let id = item.key_id.clone()?;
        let name = keys.items.iter().find(|key| key.id == id).map_or_else(|| id.clone(), |key| key.name.clone());
        Some((name, Some(format!("/keys/{id}"))))
    };
    Ok(Html::of(&Used {
        traffic: Html::of(&calls),
        operations: counts(visit, project, "operation", |item| Some((item.operation.clone()?, None))).await,
        keys: counts(visit, project, "key", named).await,
        codes: counts(visit, project, "code", |item| {
            let code = item.code.clone()?;
            let path = format!("/requests?{}", query(&[("project_id", &project.id), ("code", &code)]));
            Some((code, Some(path)))
        })
        .await,
        id: project.id.clone(),
    }))
}

/// The most of thirty days, told apart by this.
async fn counts(
    visit: &Visit,
    project: &Project,
    by: &str,
    named: impl Fn(&crate::console::model::UsageItem) -> Option<(String, Option<String>)>,
) -> Vec<Count> {
    let from = iso(thirty_days_before(visit.now));
    let pairs = [
        ("project_id", project.id.as_str()),
        ("from", &from),
        ("group_by", by),
        ("order_by", "calls"),
        ("limit", "10"),
    ];
    let usage: Usage = visit.aside(&format!("/v1/usage?{}", query(&pairs))).await;
    let all: u64 = usage.items.iter().map(|item| item.calls).sum();
    let told = usage.items.iter().filter(|item| item.calls > 0).map(|item| {
        let (name, path) = named(item).unwrap_or_else(|| ("Not known".into(), None));
        Count { name, path, calls: short(item.calls), exact: exact(item.calls), share: percent(item.calls, all) }
    });
    told.collect()
}
