//! `/access`: those who wait first, then whoever was judged, a tab for each state; and all of it as CSV.

use std::collections::HashMap;

use askama::Template;

use super::{Access, Activation, badge_of, permissions_text};
use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::lists::next_page;
use crate::console::model::{Api, List};
use crate::console::plans::Plan;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::csv::Csv;
use crate::ui::form::query;
use crate::ui::html::Badge;
use crate::ui::number::{exact, short};
use crate::ui::time::{Moment, iso};

/// Rows of a page.
const ROWS: &str = "25";

/// The tabs: the state, what it is called, and what is said when there is none.
const STATES: [(&str, &str, &str, &str); 4] = [
    (
        "requested",
        "Waiting",
        "Nothing waiting",
        "Projects of others that ask for one of your APIs stand here until you answer.",
    ),
    (
        "approved",
        "Approved",
        "Nobody has access",
        "A project calls an API once it is linked to it, by your own hand or at its request.",
    ),
    (
        "suspended",
        "Suspended",
        "Nobody is suspended",
        "Access that you take back for now stands here until you give it back.",
    ),
    (
        "refused",
        "Refused",
        "Nobody was refused",
        "Requests that you turn down stay here, with the reason that you gave.",
    ),
];

/// The page.
#[derive(Template)]
#[template(path = "console/access/list.html")]
struct Queue {
    state: &'static str,
    tabs: Vec<(String, &'static str, bool)>,
    apis: Vec<(String, String, bool)>,
    rows: Vec<Row>,
    empty: (&'static str, &'static str),
    is_filtered: bool,
    filter: String,
    next: Option<String>,
    is_first: bool,
    may_judge: bool,
}

struct Row {
    id: String,
    project: String,
    about: String,
    api: String,
    note: String,
    plan: String,
    permissions: String,
    calls: String,
    exact_calls: String,
    keys: String,
    since: Moment,
    badge: Badge,
    is_ours: bool,
}

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = &visit.query;
    let picked = if asked.one("state").is_empty() { "requested" } else { asked.one("state") };
    let Some((state, _, title, about)) = STATES.into_iter().find(|(state, ..)| *state == picked) else {
        return Err(Refusal::own(404, "No such state", "Access is waiting, approved, suspended or refused."));
    };
    let list = lines(&visit, state, ROWS, asked.one("cursor")).await?;
    let links = links(&visit, state, &list.items).await;
    let plans: List<Plan> = visit.aside("/v1/plans?limit=200").await;
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let api = asked.one("api_id");
    let tab = |(word, text, ..): &(&'static str, &'static str, &str, &str)| {
        (format!("/access?{}", query(&[("state", word), ("api_id", api)])), *text, *word == state)
    };
    let content = Queue {
        state,
        tabs: STATES.iter().map(tab).collect(),
        apis: apis.items.into_iter().map(|one| (one.id == api, one)).map(|(is, one)| (one.id, one.name, is)).collect(),
        rows: list.items.into_iter().map(|line| row(&visit, line, &links, &plans.items)).collect(),
        empty: (title, about),
        is_filtered: !asked.query_without(&["cursor", "state"]).is_empty(),
        filter: query(&[("state", state), ("api_id", api), ("project_id", asked.one("project_id"))]),
        next: list.next_cursor.map(|cursor| next_page("/access", asked, &cursor)),
        is_first: asked.one("cursor").is_empty(),
        may_judge: visit.may("activations.write"),
    };
    Ok(visit.page(Place::Access, "Access requests", &content))
}

async fn lines(visit: &Visit, state: &str, limit: &str, cursor: &str) -> Asked<List<Access>> {
    let asked = &visit.query;
    let pairs = [
        ("state", state),
        ("api_id", asked.one("api_id")),
        ("project_id", asked.one("project_id")),
        ("limit", limit),
        ("cursor", cursor),
    ];
    visit.get(&format!("/v1/access?{}", query(&pairs))).await
}

/// The links behind these lines: those of the state at once, others one by one.
async fn links(visit: &Visit, state: &str, lines: &[Access]) -> HashMap<String, Activation> {
    if lines.is_empty() {
        return HashMap::new();
    }
    let asked = &visit.query;
    let pairs = [("state", state), ("api_id", asked.one("api_id")), ("limit", "200")];
    let list: List<Activation> = visit.aside(&format!("/v1/activations?{}", query(&pairs))).await;
    let mut links: HashMap<_, _> = list.items.into_iter().map(|link| (link.id.clone(), link)).collect();
    for line in lines {
        if !links.contains_key(&line.id)
            && let Ok(link) = super::activation(visit, &line.id).await
        {
            links.insert(link.id.clone(), link);
        }
    }
    links
}

fn row(visit: &Visit, line: Access, links: &HashMap<String, Activation>, plans: &[Plan]) -> Row {
    let link = links.get(&line.id);
    let is_ours = line.api_organization_id == visit.who.organization_id;
    let own = line.project_organization_id == visit.who.organization_id;
    let test = if line.environment == "test" { " · test" } else { "" };
    Row {
        about: if own { format!("own{test}") } else { format!("{}{test}", line.project_organization_name) },
        api: line.api_name.clone(),
        note: link
            .map(
                |link| {
                    if link.is_granted() || link.state == "refused" { link.reason.clone() } else { link.note.clone() }
                },
            )
            .unwrap_or_default(),
        plan: link.map(|link| plan_text(link, plans)).unwrap_or_default(),
        permissions: link.map(permissions_text).unwrap_or_default(),
        calls: short(line.calls_30_days),
        exact_calls: exact(line.calls_30_days),
        keys: exact(line.active_keys),
        since: visit.zone.ago(line.since),
        badge: badge_of(&line),
        project: line.project_name,
        id: line.id,
        is_ours,
    }
}

/// The plan that it has, or that it would like.
fn plan_text(link: &Activation, plans: &[Plan]) -> String {
    if link.is_granted() {
        return link.plan.clone().unwrap_or_else(|| "None".into());
    }
    match &link.requested_plan_id {
        None => "Whichever you give".into(),
        Some(id) => plans.iter().find(|plan| plan.id == *id).map_or_else(|| id.clone(), |plan| plan.name.clone()),
    }
}

/// All lines of a filter.
pub(super) async fn export(visit: Visit) -> Shown {
    let mut csv = Csv::new(&[
        "id",
        "state",
        "project",
        "project_id",
        "organization",
        "environment",
        "api",
        "api_id",
        "since",
        "judged_by",
        "active_keys",
        "calls_30_days",
        "last_used_at",
    ]);
    let mut cursor = String::new();
    loop {
        let page = lines(&visit, visit.query.one("state"), "200", &cursor).await?;
        for line in &page.items {
            csv.line(&[
                &line.id,
                &line.state,
                &line.project_name,
                &line.project_id,
                &line.project_organization_name,
                &line.environment,
                &line.api_name,
                &line.api_id,
                &iso(line.since),
                line.judged_by.as_deref().unwrap_or_default(),
                &line.active_keys.to_string(),
                &line.calls_30_days.to_string(),
                &line.last_used_at.map(iso).unwrap_or_default(),
            ]);
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => return Ok(csv.file("access.csv")),
        }
    }
}
