//! `/apis`: a card each.

use askama::Template;

use super::{by_day, entrance};
use crate::console::Shown;
use crate::console::model::{Api, List, Usage};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::chart::Spark;
use crate::ui::form::query;
use crate::ui::html::{Badge, Html};
use crate::ui::number::{of, short};
use crate::ui::time::{iso, thirty_days_before};

/// The page.
#[derive(Template)]
#[template(path = "console/apis/list.html")]
struct Apis {
    cards: Vec<Card>,
    next: Option<String>,
    may_write: bool,
    gateway: String,
}

struct Card {
    id: String,
    name: String,
    upstream: String,
    entrance: String,
    about: String,
    badge: Badge,
    spark: Html,
    calls: String,
}

/// Days of the small lines, today among them.
const DAYS: usize = 31;

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = query(&[("limit", "50"), ("cursor", visit.query.one("cursor"))]);
    let list: List<Api> = visit.get(&format!("/v1/apis?{asked}")).await?;
    let from = thirty_days_before(visit.now);
    let usage: Usage = match visit.may("usage.read") && !list.items.is_empty() {
        true => {
            let from = iso(from);
            visit
                .aside(&format!(
                    "/v1/usage?{}",
                    query(&[("from", &from), ("bucket", "day"), ("group_by", "api"), ("limit", "10000")])
                ))
                .await
        }
        false => Usage::default(),
    };
    let first_day = from.as_second().div_euclid(86_400);
    let cards = list.items.iter().map(|api| {
        let own = usage.items.iter().filter(|item| item.api_id.as_deref() == Some(&api.id));
        let counts = by_day(own, first_day, DAYS);
        Card {
            id: api.id.clone(),
            name: api.name.clone(),
            upstream: api.upstream.clone(),
            entrance: entrance(api),
            about: match &api.document {
                Some(document) => of(document.operations, "operation", "operations"),
                None => "No document".into(),
            },
            badge: if api.active { Badge::new("ok", "Active") } else { Badge::new("off", "Switched off") },
            calls: short(counts.iter().sum()),
            spark: Html::of(&Spark::new(&counts)),
        }
    });
    let content = Apis {
        cards: cards.collect(),
        next: list.next_cursor.map(|cursor| format!("/apis?{}", query(&[("cursor", &cursor)]))),
        may_write: visit.may("apis.write"),
        gateway: visit.gateway().to_owned(),
    };
    Ok(visit.page(Place::Apis, "APIs", &content))
}
