//! What was done to a thing, by the audit: a tab of its page.

use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;

use super::model::List;
use super::visit::Visit;
use crate::api::Asked;
use crate::ui::form::query;
use crate::ui::html::Html;
use crate::ui::number::of;
use crate::ui::time::Moment;

/// The tab.
#[derive(Template)]
#[template(path = "console/history.html")]
struct History {
    id: String,
    entries: Vec<Entry>,
    count: String,
    has_more: bool,
}

struct Entry {
    kind: String,
    actor: String,
    address: String,
    at: Moment,
    sequence: u64,
}

#[derive(Deserialize)]
struct AuditEntry {
    sequence: u64,
    #[serde(rename = "type")]
    kind: String,
    actor: String,
    #[serde(default)]
    address: Option<String>,
    created_at: Timestamp,
}

/// Entries about the thing of this id, newest first.
pub(super) async fn history(visit: &Visit, id: &str) -> Asked<Html> {
    let asked = query(&[("subject_id", id), ("limit", "100")]);
    let list: List<AuditEntry> = visit.get(&format!("/v1/audit?{asked}")).await?;
    let count = of(list.items.len() as u64, "entry", "entries");
    let entries = list.items.into_iter().map(|entry| Entry {
        kind: entry.kind,
        actor: entry.actor,
        address: entry.address.unwrap_or_default(),
        at: visit.zone.minute(entry.created_at),
        sequence: entry.sequence,
    });
    Ok(Html::of(&History {
        id: id.to_owned(),
        entries: entries.collect(),
        count,
        has_more: list.next_cursor.is_some(),
    }))
}
