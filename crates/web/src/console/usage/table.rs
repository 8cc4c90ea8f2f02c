//! The rows of usage: what they are called, how much of all they are, and how they changed.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::by::By;
use crate::console::model::{Api, Key, List, Project, UsageItem};
use crate::console::visit::Visit;
use crate::ui::form::segment;
use crate::ui::number::{change, exact, micros, percent, short};

/// The percentile that is shown.
pub(super) const PERCENTILE: &str = "95";

/// A page of rows.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Page {
    pub(super) items: Vec<Row>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

/// A row as the API tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) item: UsageItem,
    #[serde(default)]
    latency_percentiles_us: Option<BTreeMap<String, u64>>,
}

impl Row {
    /// The latency that was asked for, in microseconds.
    pub(super) fn latency(&self) -> Option<u64> {
        self.latency_percentiles_us.as_ref()?.get(PERCENTILE).copied()
    }

    /// Calls in the time before.
    pub(super) fn before(&self) -> u64 {
        self.item.before.as_ref().map_or(0, |before| before.calls)
    }
}

/// A row as it is shown.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) detail: String,
    pub(super) page: Option<String>,
    pub(super) only: Option<String>,
    pub(super) calls: String,
    pub(super) exact_calls: String,
    pub(super) part: String,
    pub(super) bar: String,
    pub(super) change: String,
    pub(super) latency: String,
}

/// Names of what has an id.
pub(super) struct Names(HashMap<String, String>);

impl Names {
    /// Of all that these rows are about.
    pub(super) async fn of(visit: &Visit, by: By, rows: &[Row]) -> Self {
        let mut names = HashMap::new();
        match by {
            By::Api => {
                let list: List<Api> = visit.aside("/v1/apis?limit=200").await;
                names.extend(list.items.into_iter().map(|api| (api.id, api.name)));
            }
            By::Consumer => {
                let list: List<Project> = visit.aside("/v1/projects?limit=200").await;
                names.extend(list.items.into_iter().map(|project| (project.id, project.name)));
            }
            By::Key => {
                let list: List<Key> = visit.aside("/v1/keys?limit=200").await;
                names.extend(list.items.into_iter().map(|key| (key.id, key.name)));
                for id in rows.iter().filter_map(|row| by.value(row)) {
                    if names.contains_key(&id) {
                        continue;
                    }
                    if let Ok(key) = visit.get::<Key>(&format!("/v1/keys/{}", segment(&id))).await {
                        names.insert(id, key.name);
                    }
                }
            }
            By::Operation | By::Code | By::StatusClass | By::Country => {}
        }
        Self(names)
    }

    /// What a value is called, and its id if that is another text.
    pub(super) fn told(&self, by: By, value: Option<&str>) -> (String, String) {
        match value {
            None => (by.nothing().to_owned(), String::new()),
            Some(value) => match self.0.get(value) {
                Some(name) => (name.clone(), value.to_owned()),
                None => (value.to_owned(), String::new()),
            },
        }
    }
}

/// The rows of which there was anything, with what each is of all.
pub(super) fn lines(rows: &[Row], by: By, names: &Names, rest: &str) -> Vec<Line> {
    let all: u64 = rows.iter().map(|row| row.item.calls).sum();
    let most = rows.iter().map(|row| row.item.calls).max().unwrap_or(0).max(1);
    let shown = rows.iter().filter(|row| row.item.calls > 0 || row.before() > 0);
    shown
        .map(|row| {
            let value = by.value(row);
            let (name, detail) = names.told(by, value.as_deref());
            let calls = row.item.calls;
            let only = by.filter().zip(value.as_deref());
            Line {
                name,
                detail,
                page: value.as_deref().and_then(|value| by.page(value)),
                only: only.map(|(filter, value)| only_path(rest, filter, value)),
                calls: short(calls),
                exact_calls: exact(calls),
                part: percent(calls, all),
                bar: format!("{:.1}", calls as f64 * 100.0 / most as f64),
                change: change(calls, row.before()).unwrap_or_else(|| "new".to_owned()),
                latency: row.latency().map(micros).unwrap_or_default(),
            }
        })
        .collect()
}

/// The page with one more filter.
fn only_path(rest: &str, filter: &str, value: &str) -> String {
    let own = crate::ui::form::query(&[(filter, value)]);
    if rest.is_empty() { format!("/usage?{own}") } else { format!("/usage?{rest}&{own}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_their_share_and_how_they_changed() {
        let page: Page = serde_json::from_value(serde_json::json!({"items": [
            {"key_id": "key_1", "calls": 75, "before": {"calls": 50}, "latency_percentiles_us": {"95": 4_200}},
            {"key_id": null, "calls": 25, "latency_percentiles_us": null},
            {"key_id": "key_2", "calls": 0, "before": {"calls": 0}},
            {"key_id": "key_3", "calls": 0, "before": {"calls": 9}},
        ]}))
        .unwrap();
        let names = Names(HashMap::from([("key_1".to_owned(), "worker".to_owned())]));
        let lines = lines(&page.items, By::Key, &names, "by=key");
        assert_eq!(lines.len(), 3, "what was never called is left out");
        let one = &lines[0];
        assert_eq!((one.name.as_str(), one.detail.as_str(), one.part.as_str()), ("worker", "key_1", "75.0%"));
        assert_eq!((one.bar.as_str(), one.change.as_str(), one.latency.as_str()), ("100.0", "+50%", "4.2 ms"));
        assert_eq!(one.only.as_deref(), Some("/usage?by=key&key_id=key_1"));
        assert_eq!((lines[1].name.as_str(), lines[1].change.as_str(), &lines[1].page), ("No known key", "new", &None));
        assert_eq!((lines[2].name.as_str(), lines[2].change.as_str()), ("key_3", "-100%"));
    }
}
