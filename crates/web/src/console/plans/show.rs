//! The page of a plan, with everything that it ever said; and deleting it.

use askama::Template;
use axum::extract::Path;
use http::Method;

use super::words::{cost_line, credits_words, limit_words, price_words, quota_words};
use super::{Plan, Version, plan};
use crate::api::Refusal;
use crate::console::Shown;
use crate::console::access::{Access, Activation, badge_of};
use crate::console::confirm::{Confirm, OTHER_NAME, is_other_name};
use crate::console::history::history;
use crate::console::model::{Api, List};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::{AsCode, Badge, Html, shell};
use crate::ui::number::{exact, of};
use crate::ui::time::Moment;

/// The tabs: the word of the address, what it is called, and the right without which it is left out.
const TABS: [(&str, &str, &str); 3] =
    [("", "Terms", ""), ("projects", "Projects", "activations.read"), ("history", "History", "audit.read")];

/// The frame of all tabs.
#[derive(Template)]
#[template(path = "console/plans/show.html")]
struct Show {
    id: String,
    name: String,
    about: String,
    description: String,
    is_standard: bool,
    tabs: Vec<(String, &'static str, bool)>,
    content: Html,
    may_write: bool,
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let plan = plan(&visit, &id).await?;
    let api = visit.get::<Api>(&format!("/v1/apis/{}", plan.api_id)).await;
    let tab = visit.query.one("tab");
    let content = match tab {
        "" => Html::of(&Terms { versions: versions(&visit, &plan), id: plan.id.clone() }),
        "projects" => projects(&visit, &plan).await?,
        "history" => history(&visit, &plan.id).await?,
        _ => return Err(Refusal::own(404, "No such tab", "A plan has no page of this name.")),
    };
    let path = |word: &str| {
        if word.is_empty() { format!("/plans/{}", plan.id) } else { format!("/plans/{}?tab={word}", plan.id) }
    };
    let tabs = TABS.iter().filter(|(_, _, right)| right.is_empty() || visit.may(right));
    let content = Show {
        about: format!("A plan of {}", api.map_or_else(|_| plan.api_id.clone(), |api| api.name)),
        description: plan.description.clone(),
        is_standard: plan.standard,
        tabs: tabs.map(|(word, text, _)| (path(word), *text, *word == tab)).collect(),
        content,
        may_write: visit.may("plans.write"),
        name: plan.name.clone(),
        id: plan.id.clone(),
    };
    Ok(visit.page(Place::Plans, &plan.name, &content))
}

/// What it said, says and will say.
#[derive(Template)]
#[template(path = "console/plans/terms.html")]
struct Terms {
    versions: Vec<Told>,
    id: String,
}

/// A version in words.
struct Told {
    number: u32,
    badge: Badge,
    from: Moment,
    limits: Vec<String>,
    quotas: Vec<String>,
    price: Option<String>,
    credits: Option<String>,
    costs: Vec<String>,
    zone: String,
}

/// The versions, the last one first.
fn versions(visit: &Visit, plan: &Plan) -> Vec<Told> {
    plan.versions.iter().rev().map(|version| told(visit, plan, version)).collect()
}

fn told(visit: &Visit, plan: &Plan, version: &Version) -> Told {
    let badge = match plan.version {
        Some(number) if number == version.version => Badge::new("ok", "In force"),
        _ if version.from > visit.now => Badge::new("warn", "Later"),
        _ => Badge::new("off", "Before"),
    };
    Told {
        number: version.version,
        badge,
        from: visit.zone.minute(version.from),
        limits: version.rate_limits.iter().map(limit_words).collect(),
        quotas: version.quotas.iter().map(quota_words).collect(),
        price: version.price.as_ref().map(price_words),
        credits: version.credits.as_ref().map(credits_words),
        costs: version.operation_costs.iter().map(cost_line).collect(),
        zone: version.time_zone.clone(),
    }
}

/// Who has it.
#[derive(Template)]
#[template(path = "console/plans/projects.html")]
struct Projects {
    rows: Vec<Holder>,
    has_more: bool,
    api: String,
}

struct Holder {
    id: String,
    project: String,
    organization: String,
    badge: Badge,
    calls: String,
    since: Option<Moment>,
}

async fn projects(visit: &Visit, plan: &Plan) -> Result<Html, Refusal> {
    let asked = query(&[("api_id", &plan.api_id), ("limit", "200")]);
    let links: List<Activation> = visit.get(&format!("/v1/activations?{asked}")).await?;
    let lines: List<Access> = visit.aside(&format!("/v1/access?{asked}")).await;
    let held = links.items.into_iter().filter(|link| link.plan_id.as_deref() == Some(plan.id.as_str()));
    let rows = held.map(|link| {
        let line = lines.items.iter().find(|line| line.id == link.id);
        Holder {
            project: line.map_or_else(|| link.project_id.clone(), |line| line.project_name.clone()),
            organization: line.map(|line| line.project_organization_name.clone()).unwrap_or_default(),
            badge: line.map_or_else(|| crate::console::access::badge(&link.state, false), badge_of),
            calls: line.map(|line| exact(line.calls_30_days)).unwrap_or_default(),
            since: link.plan_since.map(|at| visit.zone.day(at)),
            id: link.id,
        }
    });
    let rows = rows.collect();
    Ok(Html::of(&Projects { rows, has_more: links.next_cursor.is_some(), api: plan.api_id.clone() }))
}

async fn delete_shown(visit: &Visit, plan: &Plan, fault: Option<String>) -> Shown {
    let path = format!("/v1/plans/{}", plan.id);
    // What stands against it is said before a name is typed.
    let tried = visit.send(Method::DELETE, &format!("{path}?dry_run=true"), None).await;
    let fault = fault.or(match tried {
        Ok(_) => None,
        Err(refusal) if refusal.wants_proof() => None,
        Err(refusal) => Some(refusal.detail),
    });
    let (counts, is_part) = super::holders(visit, &format!("&api_id={}", plan.api_id)).await;
    let count = counts.get(&plan.id).copied().unwrap_or(0);
    let more = if is_part { "At least " } else { "" };
    let content = Confirm {
        fault,
        title: format!("Delete {}?", plan.name),
        about: "Only a plan that no project has can be deleted. What it said stays in the audit log.".into(),
        numbers: Some(format!("{more}{} this plan.", of(count, "project has", "projects have"))),
        name: Some(plan.name.clone()),
        path: format!("/plans/{}/delete", plan.id),
        back: format!("/plans/{}", plan.id),
        button: "Delete plan",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile plan delete {}", shell(&plan.id)),
            &visit.origin,
            "DELETE",
            &path,
            None,
        )),
        ..Confirm::default()
    };
    Ok(content.shown(visit, Place::Plans))
}

pub(super) async fn delete_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let plan = plan(&visit, &id).await?;
    delete_shown(&visit, &plan, None).await
}

pub(super) async fn delete(visit: Visit, Path(id): Path<String>) -> Shown {
    let plan = plan(&visit, &id).await?;
    if is_other_name(&visit, &plan.name) {
        return delete_shown(&visit, &plan, Some(OTHER_NAME.into())).await;
    }
    match visit.send(Method::DELETE, &format!("/v1/plans/{}", plan.id), None).await {
        Ok(_) => Ok(visit.go_saying("/plans", &format!("{} is deleted.", plan.name))),
        Err(refusal) => delete_shown(&visit, &plan, Some(refusal.above_form()?)).await,
    }
}
