//! `/plans`: the plans of each API, with what they say and how many projects have them.

use std::collections::HashMap;

use askama::Template;

use super::terms::PRESETS;
use super::words::{cost_line, credits_words, limit_words, price_words, quota_words};
use super::{Plan, holders};
use crate::api::Asked;
use crate::console::Shown;
use crate::console::lists::next_page;
use crate::console::model::{Api, List};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::csv::Csv;
use crate::ui::form::query;
use crate::ui::number::exact;
use crate::ui::time::iso;

/// The page.
#[derive(Template)]
#[template(path = "console/plans/list.html")]
struct Plans {
    apis: Vec<(String, String, bool)>,
    groups: Vec<Group>,
    presets: Vec<(String, &'static str, &'static str)>,
    has_apis: bool,
    is_filtered: bool,
    next: Option<String>,
    may_write: bool,
    filter: String,
}

/// The plans of an API.
struct Group {
    id: String,
    name: String,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    about: String,
    is_standard: bool,
    limits: String,
    quotas: String,
    price: String,
    credits: String,
    costs: usize,
    holders: String,
}

async fn plans(visit: &Visit, cursor: &str) -> Asked<List<Plan>> {
    let asked = &visit.query;
    let pairs = [("api_id", asked.one("api_id")), ("name", asked.one("name")), ("limit", "100"), ("cursor", cursor)];
    visit.get(&format!("/v1/plans?{}", query(&pairs))).await
}

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = &visit.query;
    let list = plans(&visit, asked.one("cursor")).await?;
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let (counts, is_part) = holders(&visit, "").await;
    let picked = asked.one("api_id");
    let rest = asked.query_without(&["cursor"]);
    let mut groups: Vec<Group> = Vec::new();
    for plan in &list.items {
        let row = row(plan, &counts, is_part);
        if let Some(group) = groups.iter_mut().find(|group| group.id == plan.api_id) {
            group.rows.push(row);
            continue;
        }
        let name = apis.items.iter().find(|api| api.id == plan.api_id).map_or(&plan.api_id, |api| &api.name);
        groups.push(Group { id: plan.api_id.clone(), name: name.clone(), rows: vec![row] });
    }
    groups.sort_by_key(|group| group.name.to_lowercase());
    let link = |word: &str| format!("/plans/new?{}", query(&[("preset", word), ("api_id", picked)]));
    let content = Plans {
        has_apis: !apis.items.is_empty(),
        presets: PRESETS.iter().map(|(word, name, _, _, about)| (link(word), *name, *about)).collect(),
        apis: apis
            .items
            .into_iter()
            .map(|one| (one.id == picked, one))
            .map(|(is, one)| (one.id, one.name, is))
            .collect(),
        groups,
        is_filtered: !rest.is_empty(),
        next: list.next_cursor.map(|cursor| next_page("/plans", asked, &cursor)),
        may_write: visit.may("plans.write"),
        filter: rest,
    };
    Ok(visit.page(Place::Plans, "Plans & limits", &content))
}

/// Texts of a list, as a line.
fn line<T>(list: &[T], words: impl Fn(&T) -> String) -> String {
    list.iter().map(words).collect::<Vec<_>>().join("; ")
}

fn row(plan: &Plan, counts: &HashMap<String, u64>, is_part: bool) -> Row {
    let version = plan.in_force();
    let count = counts.get(&plan.id).copied().unwrap_or(0);
    Row {
        id: plan.id.clone(),
        name: plan.name.clone(),
        about: plan.description.lines().next().unwrap_or_default().to_owned(),
        is_standard: plan.standard,
        limits: version.map(|version| line(&version.rate_limits, limit_words)).unwrap_or_default(),
        quotas: version.map(|version| line(&version.quotas, quota_words)).unwrap_or_default(),
        price: version.and_then(|version| version.price.as_ref()).map(price_words).unwrap_or_default(),
        credits: version.and_then(|version| version.credits.as_ref()).map(credits_words).unwrap_or_default(),
        costs: version.map_or(0, |version| version.operation_costs.len()),
        holders: format!("{}{}", exact(count), if is_part { "+" } else { "" }),
    }
}

/// All plans of a filter, with what is in force of them.
pub(super) async fn export(visit: Visit) -> Shown {
    let columns = [
        "id",
        "name",
        "api_id",
        "standard",
        "version",
        "rate_limits",
        "quotas",
        "price",
        "credits",
        "operation_costs",
        "created_at",
    ];
    let mut csv = Csv::new(&columns);
    let mut cursor = String::new();
    loop {
        let page = plans(&visit, &cursor).await?;
        for plan in &page.items {
            let row = row(plan, &HashMap::new(), false);
            let costs = plan.in_force().map(|version| line(&version.operation_costs, cost_line)).unwrap_or_default();
            csv.line(&[
                &row.id,
                &row.name,
                &plan.api_id,
                if row.is_standard { "true" } else { "false" },
                &plan.version.map(|version| version.to_string()).unwrap_or_default(),
                &row.limits,
                &row.quotas,
                &row.price,
                &row.credits,
                &costs,
                &iso(plan.created_at),
            ]);
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => return Ok(csv.file("plans.csv")),
        }
    }
}
