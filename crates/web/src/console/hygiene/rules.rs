//! The rules: pure questions about a key and a moment.

use jiff::Timestamp;

use crate::console::model::Key;

const DAY_SECS: i64 = 86_400;
/// A key that nobody used for so long is one that nobody needs.
const UNUSED_DAYS: i64 = 90;
/// A key that was never used is given so long before anybody is told.
const NEW_DAYS: i64 = 7;
/// A secret that is older was seen by more people and machines than anybody knows.
const OLD_DAYS: i64 = 180;

/// A way for a key to be more dangerous than it needs to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Others have seen its secret.
    Leaked,
    /// It never ends.
    NeverExpires,
    /// It may do whatever begins so, or everything.
    Wildcard,
    /// Its secret was not changed for long.
    OldSecret,
    /// It was used once, and not for long.
    Unused,
    /// It was never used.
    NeverUsed,
    /// It can be used from anywhere.
    AnyAddress,
}

impl Rule {
    /// All of them, what is worst first.
    pub(super) const ALL: [Self; 7] = [
        Self::Leaked,
        Self::Wildcard,
        Self::NeverExpires,
        Self::Unused,
        Self::NeverUsed,
        Self::OldSecret,
        Self::AnyAddress,
    ];

    /// As the address says it.
    pub(super) fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.word() == text)
    }

    /// Its word in addresses.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Leaked => "leaked",
            Self::NeverExpires => "never_expires",
            Self::Wildcard => "wildcard",
            Self::OldSecret => "old_secret",
            Self::Unused => "unused",
            Self::NeverUsed => "never_used",
            Self::AnyAddress => "any_address",
        }
    }

    /// What it is called.
    pub(super) fn called(self) -> &'static str {
        match self {
            Self::Leaked => "Seen where others could read it",
            Self::NeverExpires => "Never expires",
            Self::Wildcard => "May do more than it names",
            Self::OldSecret => "Secret older than 180 days",
            Self::Unused => "Not used for 90 days",
            Self::NeverUsed => "Never used",
            Self::AnyAddress => "Can be used from any address",
        }
    }

    /// What to do about it.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Leaked => "Rotate it now without overlap, or disable it: whoever found the secret can call with it.",
            Self::NeverExpires => "Edit it and say when it ends. Whoever holds it is reminded before.",
            Self::Wildcard => "Edit it and name what it needs. Its page tells what its calls needed so far.",
            Self::OldSecret => "Rotate it with overlap: the secret before goes on until every caller has the new one.",
            Self::Unused => "Disable it. If somebody needs it after all, enable it again; else revoke it.",
            Self::NeverUsed => "Disable it, or ask whoever it was made for.",
            Self::AnyAddress => "Edit it and say from which networks it is used. Its page tells from where it was.",
        }
    }

    /// Whether a key is found by it.
    pub(super) fn finds(self, key: &Key, now: Timestamp) -> bool {
        let older = |at: Timestamp, days: i64| now.duration_since(at).as_secs() > days * DAY_SECS;
        match self {
            Self::Leaked => key.exposed_at.is_some(),
            Self::NeverExpires => key.expires_at.is_none(),
            Self::Wildcard => key.permissions.iter().any(|right| right == "*" || right.ends_with(".*")),
            Self::OldSecret => older(key.rotated_at.unwrap_or(key.created_at), OLD_DAYS),
            Self::Unused => key.last_used_at.is_some_and(|at| older(at, UNUSED_DAYS)),
            Self::NeverUsed => key.last_used_at.is_none() && older(key.created_at, NEW_DAYS),
            // A publishable key is in pages and apps, which are anywhere.
            Self::AnyAddress => key.kind != "publishable" && !has_networks(key),
        }
    }
}

/// Whether it says from where the key may be used.
fn has_networks(key: &Key) -> bool {
    let allowed = key.restrictions.pointer("/networks/allow").and_then(|list| list.as_array());
    allowed.is_some_and(|list| !list.is_empty())
}

/// Whether a key is looked at: one that has ended can do no harm, and a canary is there to be found.
pub(super) fn is_examined(key: &Key, now: Timestamp) -> bool {
    key.state == "active" && key.kind != "canary" && key.expires_at.is_none_or(|end| end > now)
}

/// The rules that find a key.
pub(super) fn findings(key: &Key, now: Timestamp) -> Vec<Rule> {
    Rule::ALL.into_iter().filter(|rule| rule.finds(key, now)).collect()
}

/// In a hundred keys, how many no rule finds. Without keys nothing is wrong.
pub(super) fn score(clean: usize, all: usize) -> u64 {
    if all == 0 {
        return 100;
    }
    // What is not whole is never told to be.
    (clean as u64 * 100) / all as u64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-27T12:00:00Z";

    fn key(change: Value) -> Key {
        let mut value = json!({
            "id": "key_1", "project_id": "prj_1", "name": "a", "kind": "secret", "state": "active", "environment": "live",
            "hint": "ks_live_", "permissions": ["forecast.read"], "labels": [], "rate_limits": [],
            "restrictions": {"networks": {"allow": ["10.0.0.0/8"], "deny": null}}, "version": 1,
            "created_at": "2026-11-20T12:00:00Z", "expires_at": "2027-01-01T00:00:00Z",
            "last_used_at": "2026-11-27T11:00:00Z", "rotated_at": null, "exposed_at": null,
        });
        value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_rule_finds_what_it_is_about_and_nothing_else() {
        let now: Timestamp = NOW.parse().unwrap();
        for (change, found) in [
            (json!({}), vec![]),
            (json!({"exposed_at": "2026-11-27T00:00:00Z"}), vec![Rule::Leaked]),
            (json!({"expires_at": null}), vec![Rule::NeverExpires]),
            (json!({"permissions": ["forecast.*"]}), vec![Rule::Wildcard]),
            (json!({"permissions": ["*"]}), vec![Rule::Wildcard]),
            (json!({"permissions": ["a*"]}), vec![]),
            (json!({"last_used_at": "2026-08-29T11:59:00Z"}), vec![Rule::Unused]),
            (json!({"last_used_at": "2026-08-29T12:01:00Z"}), vec![]),
            (json!({"last_used_at": null}), vec![]),
            (json!({"last_used_at": null, "created_at": "2026-11-20T11:59:00Z"}), vec![Rule::NeverUsed]),
            (json!({"created_at": "2026-05-01T00:00:00Z"}), vec![Rule::OldSecret]),
            (json!({"created_at": "2026-05-01T00:00:00Z", "rotated_at": "2026-10-01T00:00:00Z"}), vec![]),
            (json!({"restrictions": {}}), vec![Rule::AnyAddress]),
            (json!({"restrictions": {"networks": {"allow": null, "deny": ["10.0.0.0/8"]}}}), vec![Rule::AnyAddress]),
            (json!({"restrictions": {}, "kind": "publishable"}), vec![]),
            (
                json!({"exposed_at": "2026-11-27T00:00:00Z", "expires_at": null, "permissions": ["*"]}),
                vec![Rule::Leaked, Rule::Wildcard, Rule::NeverExpires],
            ),
        ] {
            assert_eq!(findings(&key(change.clone()), now), found, "{change}");
        }
    }

    #[test]
    fn what_can_do_no_harm_is_not_looked_at() {
        let now: Timestamp = NOW.parse().unwrap();
        for (change, is) in [
            (json!({}), true),
            (json!({"expires_at": null}), true),
            (json!({"expires_at": "2026-11-27T12:00:00Z"}), false),
            (json!({"state": "disabled"}), false),
            (json!({"kind": "canary"}), false),
            (json!({"kind": "management"}), true),
        ] {
            assert_eq!(is_examined(&key(change.clone()), now), is, "{change}");
        }
    }

    #[test]
    fn a_score_is_whole_only_if_every_key_is() {
        for (clean, all, told) in [(0, 0, 100), (0, 5, 0), (5, 5, 100), (1_999, 2_000, 99), (1, 3, 33)] {
            assert_eq!(score(clean, all), told, "{clean} of {all}");
        }
    }

    #[test]
    fn a_rule_is_found_by_its_word() {
        for rule in Rule::ALL {
            assert_eq!(Rule::read(rule.word()), Some(rule));
        }
        assert_eq!(Rule::read("none"), None);
    }
}
