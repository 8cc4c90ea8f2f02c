//! `/usage`: the page, and its table as CSV.

use askama::Template;
use jiff::ToSpan;

use super::by::{By, filters, option};
use super::month::month;
use super::table::{Line, Names, PERCENTILE, Page, lines};
use crate::api::Asked;
use crate::console::Shown;
use crate::console::model::{Api, List, Project};
use crate::console::shell::Place;
use crate::console::traffic::{Range, Traffic, traffic};
use crate::console::visit::Visit;
use crate::ui::csv::Csv;
use crate::ui::form::query;
use crate::ui::html::{AsCode, Html, shell};
use crate::ui::time::{before, iso};

/// Rows of the table.
const ROWS: &str = "50";
/// Rows of a page of CSV.
const CSV_ROWS: &str = "10000";

/// The page.
#[derive(Template)]
#[template(path = "console/usage/show.html")]
struct Show {
    fault: Option<String>,
    traffic: Option<Html>,
    is_empty: bool,
    is_filtered: bool,
    ways: Vec<(String, &'static str, bool)>,
    by: By,
    range: Range,
    apis: Vec<(String, String, bool)>,
    projects: Vec<(String, String, bool)>,
    key: String,
    code: String,
    has_latency: bool,
    lines: Vec<Line>,
    has_more: bool,
    filter: String,
    heat: Option<Html>,
    as_code: AsCode,
    gateway: String,
}

pub(super) async fn show(visit: Visit) -> Shown {
    let asked = &visit.query;
    let (range, by) = (Range::read(asked.one("range")), By::read(asked.one("by")));
    let of = filters(&visit);
    let has_latency = asked.has("p95");
    // A filter that makes no sense, or names nothing that there is, is said so above the filters.
    let (card, page, heat, fault) = match read(&visit, range, &of).await {
        Ok((card, page, heat)) => (Some(card), page, Some(heat), None),
        Err(refusal) if [400, 404].contains(&refusal.status) => (None, Page::default(), None, Some(refusal.detail)),
        Err(refusal) => return Err(refusal),
    };
    let names = Names::of(&visit, by, &page.items).await;
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let projects: List<Project> = visit.aside("/v1/projects?limit=200").await;
    let (api, project) = (asked.one("api_id"), asked.one("project_id"));
    let rest = asked.query_without(&["by", "cursor"]);
    let way = |one: By| {
        let path = if rest.is_empty() { String::new() } else { format!("&{rest}") };
        (format!("/usage?by={}{path}", one.word()), one.called(), one == by)
    };
    let narrowed = asked.query_without(&["cursor", by.filter().unwrap_or_default()]);
    let content = Show {
        fault,
        is_empty: card.as_ref().is_none_or(|card| card.is_empty) && page.items.is_empty(),
        traffic: card.map(|card| Html::of(&card)),
        is_filtered: !of.is_empty(),
        ways: By::ALL.into_iter().map(way).collect(),
        by,
        range,
        apis: apis.items.into_iter().map(|one| (one.id == api, one)).map(|(is, one)| (one.id, one.name, is)).collect(),
        projects: projects
            .items
            .into_iter()
            .map(|one| (one.id == project, one))
            .map(|(is, one)| (one.id, one.name, is))
            .collect(),
        key: asked.one("key_id").into(),
        code: asked.one("code").into(),
        has_latency,
        lines: lines(&page.items, by, &names, &narrowed),
        has_more: page.next_cursor.is_some(),
        filter: asked.query_without(&["cursor"]),
        heat,
        as_code: as_code(&visit, by, range, &of, has_latency),
        gateway: visit.gateway().to_owned(),
    };
    Ok(visit.page(Place::Usage, "Usage", &content))
}

/// All that the page shows.
async fn read(visit: &Visit, range: Range, of: &[(&str, &str)]) -> Asked<(Traffic, Page, Html)> {
    Ok((traffic(visit, range, of).await?, page(visit, ROWS, "").await?, month(visit, of).await?))
}

/// Hours of a range.
fn hours(range: Range) -> i64 {
    match range {
        Range::Day => 24,
        Range::Week => 7 * 24,
        Range::Month => 30 * 24,
    }
}

/// The rows that the address asks for.
async fn page(visit: &Visit, limit: &str, cursor: &str) -> Asked<Page> {
    let asked = &visit.query;
    let from = iso(before(visit.now, hours(Range::read(asked.one("range"))).hours()));
    let mut pairs = vec![
        ("from", from.as_str()),
        ("group_by", By::read(asked.one("by")).group()),
        ("order_by", "calls"),
        ("compare", "previous"),
        ("limit", limit),
        ("cursor", cursor),
    ];
    if asked.has("p95") {
        pairs.push(("percentiles", PERCENTILE));
    }
    pairs.extend(filters(visit));
    visit.get(&format!("/v1/usage?{}", query(&pairs))).await
}

fn as_code(visit: &Visit, by: By, range: Range, of: &[(&str, &str)], has_latency: bool) -> AsCode {
    let word = by.group().replace('_', "-");
    let mut command = format!("keystile usage --by {word} --since {} --order-by calls --compare", range.word());
    let from = iso(before(visit.now, hours(range).hours()));
    let mut pairs =
        vec![("from", from.as_str()), ("group_by", by.group()), ("order_by", "calls"), ("compare", "previous")];
    if has_latency {
        command.push_str(&format!(" --percentiles {PERCENTILE}"));
        pairs.push(("percentiles", PERCENTILE));
    }
    for (name, text) in of {
        command.push_str(&format!(" {} {}", option(name), shell(text)));
        pairs.push((name, text));
    }
    AsCode::new(command, &visit.origin, "GET", &format!("/v1/usage?{}", query(&pairs)), None)
}

/// All rows of the table, a line each.
pub(super) async fn export(visit: Visit) -> Shown {
    let by = By::read(visit.query.one("by"));
    let mut file = Csv::new(&[by.word(), "name", "calls", "calls_before", "latency_p95_us"]);
    let mut cursor = String::new();
    loop {
        let page = page(&visit, CSV_ROWS, &cursor).await?;
        let names = Names::of(&visit, by, &[]).await;
        for row in &page.items {
            let value = by.value(row);
            let (name, detail) = names.told(by, value.as_deref());
            let name = if detail.is_empty() && value.is_some() { String::new() } else { name };
            let latency = row.latency().map(|latency| latency.to_string()).unwrap_or_default();
            file.line(&[
                value.as_deref().unwrap_or_default(),
                &name,
                &row.item.calls.to_string(),
                &row.before().to_string(),
                &latency,
            ]);
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => break,
        }
    }
    Ok(file.file(&format!("usage-by-{}.csv", by.word())))
}
