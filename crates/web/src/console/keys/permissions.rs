//! What a key may be given, as forms offer it: the permissions that the operations of the APIs ask for, those that end in `.read`
//! and `.write` as levels of one row.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::console::model::{Api, List};
use crate::console::visit::Visit;
use crate::ui::form::Fields;

/// Permissions that a form offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// Those with levels.
    pub(super) rows: Vec<Row>,
    /// Those that one has or has not.
    pub(super) single: Vec<Single>,
}

/// One of levels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// What stands before the level: `forecast`.
    pub(super) name: String,
    /// How many operations ask for it.
    pub(super) operations: usize,
    /// Whether there is such a level.
    pub(super) has_read: bool,
    /// The same.
    pub(super) has_write: bool,
    /// `none`, `read`, `write`, as chosen.
    pub(super) level: &'static str,
}

/// One without.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Single {
    /// The permission.
    pub(super) name: String,
    /// How many operations ask for it.
    pub(super) operations: usize,
    /// Whether it is chosen.
    pub(super) is_chosen: bool,
}

#[derive(Deserialize)]
struct Operation {
    permission: Option<String>,
}

/// APIs whose documents are read for a form.
const MAX_APIS: usize = 20;

/// What the APIs of the organization ask for, with what a form has chosen of it.
pub(super) async fn offer(visit: &Visit, chosen: &BTreeSet<String>) -> Offer {
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let mut counts = BTreeMap::new();
    for api in apis.items.iter().filter(|api| api.active && api.document.is_some()).take(MAX_APIS) {
        let operations: List<Operation> = visit.aside(&format!("/v1/apis/{}/operations", api.id)).await;
        for permission in operations.items.into_iter().filter_map(|operation| operation.permission) {
            *counts.entry(permission).or_insert(0) += 1;
        }
    }
    grouped(&counts, chosen)
}

fn grouped(counts: &BTreeMap<String, usize>, chosen: &BTreeSet<String>) -> Offer {
    let mut offer = Offer::default();
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for (permission, operations) in counts {
        let level = permission.rsplit_once('.').filter(|(_, level)| ["read", "write"].contains(level));
        let Some((name, level)) = level else {
            let is_chosen = chosen.contains(permission);
            offer.single.push(Single { name: permission.clone(), operations: *operations, is_chosen });
            continue;
        };
        let row = rows.entry(name).or_insert_with(|| Row {
            name: name.to_owned(),
            operations: 0,
            has_read: false,
            has_write: false,
            level: "none",
        });
        row.operations += operations;
        let is_chosen = chosen.contains(permission);
        if level == "read" {
            row.has_read = true;
            if is_chosen && row.level == "none" {
                row.level = "read";
            }
        } else {
            row.has_write = true;
            if is_chosen {
                row.level = "write";
            }
        }
    }
    offer.rows = rows.into_values().collect();
    offer
}

/// The permissions that a form says: levels, boxes and what was typed. Whoever may write may read, too, where that is a level.
pub(super) fn chosen(form: &Fields) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = form.all("permission").map(str::to_owned).collect();
    all.extend(form.words("permissions"));
    for (name, level) in form.pairs() {
        let Some(row) = name.strip_prefix("level.") else { continue };
        if level == "read" || level == "write" {
            all.insert(format!("{row}.{level}"));
        }
        if level == "write" && form.has(&format!("readable.{row}")) {
            all.insert(format!("{row}.read"));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_operations_ask_for_is_offered_as_levels() {
        let counts = BTreeMap::from([
            ("forecast.read".into(), 3),
            ("forecast.write".into(), 1),
            ("admin".into(), 2),
            ("alerts.write".into(), 1),
        ]);
        let offer = grouped(&counts, &set(&["forecast.read", "admin", "other"]));
        let row = |name: &str, operations, has_read, has_write, level| Row {
            name: name.into(),
            operations,
            has_read,
            has_write,
            level,
        };
        assert_eq!(offer.rows, [row("alerts", 1, false, true, "none"), row("forecast", 4, true, true, "read")]);
        assert_eq!(offer.single, [Single { name: "admin".into(), operations: 2, is_chosen: true }]);
    }

    #[test]
    fn a_form_grants_what_it_shows_and_nothing_else() {
        let form = Fields::read(
            b"level.forecast=write&readable.forecast=1&level.alerts=none&permission=admin&permissions=a.b%2C+c",
        );
        assert_eq!(chosen(&form), set(&["forecast.read", "forecast.write", "admin", "a.b", "c"]));
        assert_eq!(chosen(&Fields::default()), set(&[]));
    }
}
