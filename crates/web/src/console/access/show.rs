//! The page of a link between a project and an API: how it stands, what it may, and how much of that is used.

use askama::Template;
use axum::extract::Path;

use super::credits::credits;
use super::{Access, Activation, Quotas, Used, activation, badge, badge_of, listed};
use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::history::history;
use crate::console::model::List;
use crate::console::plans::{limit_words, of_period, quota_words};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::chart::Meter;
use crate::ui::form::query;
use crate::ui::html::{Badge, Html};
use crate::ui::number::{exact, percent};
use crate::ui::time::Moment;

/// The tabs: the word of the address, what it is called, and the right without which it is left out.
const TABS: [(&str, &str, &str); 3] =
    [("", "Standing", ""), ("credits", "Credits", "credits.read"), ("history", "History", "audit.read")];

/// How much of its quotas a project has used.
#[derive(Template)]
#[template(path = "console/access/standing.html")]
pub(in crate::console) struct Standing {
    limits: Vec<String>,
    quotas: Vec<Share>,
    credits: Option<String>,
}

/// How much of one.
struct Share {
    name: String,
    of: &'static str,
    meter: Html,
    used: String,
    limit: String,
    percent: String,
    left: String,
    is_beyond: bool,
    ends: Moment,
}

/// What the API tells of a link now.
pub(in crate::console) async fn standing(visit: &Visit, id: &str) -> Asked<Standing> {
    let told: Quotas = visit.get(&format!("/v1/activations/{id}/quotas")).await?;
    Ok(Standing {
        limits: told.rate_limits.iter().map(limit_words).collect(),
        quotas: told.quotas.iter().map(|quota| share(visit, quota)).collect(),
        credits: told.credits.map(exact),
    })
}

fn share(visit: &Visit, quota: &Used) -> Share {
    let what = if quota.counts == "calls" { " calls" } else { "" };
    Share {
        name: quota.name.clone(),
        of: if quota.of == "plan" { "of the plan" } else { "of the project's own" },
        meter: Html::of(&Meter::new(quota.used, quota.limit)),
        used: exact(quota.used),
        limit: format!("{}{what} {}", exact(quota.limit), of_period(&quota.period)),
        percent: percent(quota.used, quota.limit),
        left: exact(quota.remaining),
        is_beyond: quota.on_exhausted == "allow",
        ends: visit.zone.minute(quota.ends_at),
    }
}

/// The page.
#[derive(Template)]
#[template(path = "console/access/show.html")]
struct Show {
    link: Activation,
    project: String,
    about: String,
    is_our_project: bool,
    api: String,
    badge: Badge,
    tabs: Vec<(String, &'static str, bool)>,
    tab: Option<Html>,
    standing: Option<Html>,
    asked: String,
    granted: String,
    ceilings: Vec<String>,
    calls: Option<String>,
    keys: Option<String>,
    last_used: Option<Moment>,
    created: Moment,
    judged: Option<Moment>,
    plan_since: Option<Moment>,
    may_judge: bool,
    may_bound: bool,
    may_remove: bool,
}

/// What is told of both sides of a link.
pub(super) async fn line_of(visit: &Visit, link: &Activation) -> Option<Access> {
    let asked = query(&[("project_id", &link.project_id), ("api_id", &link.api_id), ("limit", "10")]);
    let lines: List<Access> = visit.aside(&format!("/v1/access?{asked}")).await;
    lines.items.into_iter().find(|line| line.id == link.id)
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    let line = line_of(&visit, &link).await;
    let tab = visit.query.one("tab");
    if !TABS.iter().any(|(word, ..)| *word == tab) {
        return Err(Refusal::own(404, "No such tab", "Access has no page of this name."));
    }
    let own = |organization: fn(&Access) -> &String| {
        line.as_ref().is_none_or(|line| *organization(line) == visit.who.organization_id)
    };
    let (is_our_api, is_our_project) =
        (own(|line| &line.api_organization_id), own(|line| &line.project_organization_id));
    let may_write = visit.may("activations.write");
    let path = |word: &str| {
        if word.is_empty() { format!("/access/{}", link.id) } else { format!("/access/{}?tab={word}", link.id) }
    };
    let tabs = TABS.iter().filter(|(_, _, right)| right.is_empty() || visit.may(right));
    let name =
        |of: fn(&Access) -> &String, id: &str| line.as_ref().map_or_else(|| id.to_owned(), |line| of(line).clone());
    let (project, api) = (name(|line| &line.project_name, &link.project_id), name(|line| &line.api_name, &link.api_id));
    let content = Show {
        badge: line.as_ref().map_or_else(|| badge(&link.state, false), badge_of),
        about: match &line {
            Some(line) if !is_our_project => format!("Of {}.", line.project_organization_name),
            Some(_) => "One of your own projects.".into(),
            None => String::new(),
        },
        is_our_project,
        tabs: tabs.map(|(word, text, _)| (path(word), *text, *word == tab)).collect(),
        tab: match tab {
            "credits" => Some(credits(&visit, &link, visit.may("credits.write") && is_our_api).await?),
            "history" => Some(history(&visit, &link.id).await?),
            _ => None,
        },
        standing: match tab.is_empty() && link.is_granted() {
            true => standing(&visit, &link.id).await.ok().map(|standing| Html::of(&standing)),
            false => None,
        },
        asked: listed(link.requested_permissions.as_deref()),
        granted: listed(link.granted_permissions.as_deref()),
        ceilings: link.ceilings.iter().map(quota_words).collect(),
        calls: line.as_ref().map(|line| exact(line.calls_30_days)),
        keys: line.as_ref().map(|line| exact(line.active_keys)),
        last_used: line.as_ref().and_then(|line| line.last_used_at).map(|at| visit.zone.ago(at)),
        created: visit.zone.minute(link.created_at),
        judged: link.judged_at.map(|at| visit.zone.minute(at)),
        plan_since: link.plan_since.map(|at| visit.zone.day(at)),
        may_judge: may_write && is_our_api,
        may_bound: may_write && is_our_project,
        may_remove: may_write,
        project: project.clone(),
        api: api.clone(),
        link,
    };
    Ok(visit.page(Place::Access, &format!("{project} at {api}"), &content))
}
