//! `/anomalies`: what is unusual for each key will be here; until then, what was refused in a day beside the day before.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::routing::get;
use jiff::ToSpan;
use keystile_core::Code;

use super::model::{Outcome, Usage};
use super::shell::Place;
use super::visit::Visit;
use super::{Console, Shown};
use crate::ui::form::query;
use crate::ui::number::{change, exact};
use crate::ui::time::{before, iso};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/anomalies", get(show))
}

/// The page.
#[derive(Template)]
#[template(path = "console/anomalies.html")]
struct Anomalies {
    rows: Option<Vec<Row>>,
    may_issue: bool,
}

/// Refusals of one kind.
struct Row {
    code: String,
    title: &'static str,
    now: String,
    earlier: String,
    change: String,
    is_more: bool,
}

async fn show(visit: Visit) -> Shown {
    let rows = if visit.may("usage.read") { Some(refusals(&visit).await?) } else { None };
    let content = Anomalies { rows, may_issue: visit.may("keys.write") };
    Ok(visit.page(Place::Anomalies, "Anomalies", &content))
}

async fn refusals(visit: &Visit) -> Result<Vec<Row>, crate::api::Refusal> {
    let from = iso(before(visit.now, 24.hours()));
    let asked = query(&[("from", &from), ("group_by", "code"), ("compare", "previous"), ("limit", "1000")]);
    let usage: Usage = visit.get(&format!("/v1/usage?{asked}")).await?;
    let mut counts: Vec<(String, u64, u64)> = Vec::new();
    for item in usage.items {
        let Some(code) = item.code.filter(|code| Outcome::of(code) != Outcome::Allowed) else { continue };
        counts.push((code, item.calls, item.before.map_or(0, |before| before.calls)));
    }
    counts.retain(|(_, now, earlier)| now + earlier > 0);
    counts.sort_by_key(|(_, now, earlier)| std::cmp::Reverse((*now, *earlier)));
    Ok(counts.into_iter().map(|(code, now, earlier)| row(code, now, earlier)).collect())
}

fn row(code: String, now: u64, earlier: u64) -> Row {
    let title = Code::ALL.iter().find(|known| known.as_str() == code).map_or("", |known| known.title());
    let change = match (now, earlier) {
        (_, 0) => "new".to_owned(),
        (now, earlier) => change(now, earlier).unwrap_or_default(),
    };
    // Twice as many, and not only a handful.
    let is_more = now >= 10 && now >= earlier.saturating_mul(2);
    Row { code, title, now: exact(now), earlier: exact(earlier), change, is_more }
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn twice_as_many_refusals_stand_out_and_a_handful_does_not() {
        let told = |now, earlier| {
            let row = row("key_unknown".into(), now, earlier);
            (row.change, row.is_more)
        };
        assert_eq!(told(5, 0), ("new".into(), false));
        assert_eq!(told(50, 0), ("new".into(), true));
        assert_eq!(told(20, 10), ("+100%".into(), true));
        assert_eq!(told(15, 10), ("+50%".into(), false));
    }
}
