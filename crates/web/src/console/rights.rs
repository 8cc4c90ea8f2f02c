//! The rights that there are at the management API, as forms offer them: for management tokens and for roles of members.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::visit::Visit;
use crate::api::Asked;
use crate::ui::form::Fields;

/// What `/v1/permissions` says.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Rights {
    /// Every right.
    pub(super) rights: Vec<Right>,
    /// The roles that there are everywhere.
    pub(super) built_in_roles: Vec<BuiltInRole>,
}

/// A right.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Right {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) step_up: bool,
}

/// A role that is built in.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BuiltInRole {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) permissions: Vec<String>,
}

/// A right as a form offers it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) asks: bool,
    pub(super) is_chosen: bool,
}

impl Rights {
    /// Reads them.
    pub(super) async fn of(visit: &Visit) -> Asked<Self> {
        visit.get("/v1/permissions").await
    }

    /// As boxes, with what else was chosen as text: what covers several, such as `keys.*`.
    pub(super) fn offer(&self, chosen: &BTreeSet<String>) -> (Vec<Offered>, String) {
        let known: BTreeSet<&str> = self.rights.iter().map(|right| right.name.as_str()).collect();
        let offered = self.rights.iter().map(|right| Offered {
            name: right.name.clone(),
            description: right.description.clone(),
            asks: right.step_up,
            is_chosen: chosen.contains(&right.name),
        });
        let typed: Vec<&str> = chosen.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
        (offered.collect(), typed.join(", "))
    }

    /// The rights to see, and no other, as far as whoever gives them has them.
    pub(super) fn to_see(&self, may: impl Fn(&str) -> bool) -> BTreeSet<String> {
        // What shows texts of keys or all that is kept about somebody is no mere look.
        let seen =
            self.rights.iter().filter(|right| right.name.ends_with(".read") && !right.step_up && may(&right.name));
        seen.map(|right| right.name.clone()).collect()
    }
}

/// What boxes and text of a form say.
pub(super) fn ticked(form: &Fields) -> BTreeSet<String> {
    form.all("permission").map(str::to_owned).chain(form.words("permissions")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_is_no_single_right_is_text() {
        let rights: Rights = serde_json::from_value(serde_json::json!({"built_in_roles": [], "rights": [
            {"name": "keys.read", "description": "See keys.", "step_up": false},
            {"name": "keys.write", "description": "Issue keys.", "step_up": false},
            {"name": "privacy.read", "description": "Export all.", "step_up": true},
        ]}))
        .unwrap();
        let form = Fields::read(b"permission=keys.read&permissions=webhooks.*%2C+events.*");
        let (offered, typed) = rights.offer(&ticked(&form));
        assert_eq!(offered.iter().map(|one| one.is_chosen).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(typed, "events.*, webhooks.*");
        assert_eq!(rights.to_see(|_| true), set(&["keys.read"]), "an export is no mere look");
        assert_eq!(rights.to_see(|_| false), set(&[]), "nobody gives what they lack");
    }
}
