//! The filters of the audit: what the address says, as the API and the command line take it.

use crate::ui::form::Fields;
use crate::ui::html::shell;
use crate::ui::time::{Zone, iso};

/// Filters that are the same in the address and at the API, each with the option of the command line.
const SAME: [(&str, &str); 5] = [
    ("type", "--type"),
    ("subject_id", "--subject"),
    ("actor", "--actor"),
    ("address", "--address"),
    ("request_id", "--request"),
];

/// What of the audit is asked for.
pub(super) type Pairs = Vec<(&'static str, String)>;

/// As the API takes it. Days are those of the visitor, and the last one is in it.
pub(super) fn pairs(asked: &Fields, zone: &Zone) -> Pairs {
    let mut pairs: Pairs = SAME.iter().map(|(name, _)| (*name, asked.one(name).to_owned())).collect();
    for (name, later) in [("from", 0), ("until", 1)] {
        let at = zone.day_start(asked.one(name), later);
        pairs.push((name, at.map(iso).unwrap_or_default()));
    }
    pairs.retain(|(_, text)| !text.is_empty());
    pairs
}

/// The options of the command line that say the same.
pub(super) fn options(pairs: &Pairs) -> String {
    let option = |name: &str| match name {
        "from" => "--since",
        "until" => "--until",
        _ => SAME.iter().find(|(other, _)| *other == name).map_or("", |(_, option)| option),
    };
    pairs.iter().map(|(name, text)| format!(" {} {}", option(name), shell(text))).collect()
}

/// These pairs as a query takes them.
pub(super) fn borrowed(pairs: &Pairs) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_is_in_it_and_days_are_those_of_the_visitor() {
        let asked = Fields::read(b"type=key.*&actor=&from=2026-07-01&until=2026-07-02&entry=aud_1");
        let pairs = pairs(&asked, &Zone::named(Some("Europe/Vienna")));
        assert_eq!(
            borrowed(&pairs),
            [("type", "key.*"), ("from", "2026-06-30T22:00:00Z"), ("until", "2026-07-02T22:00:00Z")]
        );
        assert_eq!(options(&pairs), " --type 'key.*' --since 2026-06-30T22:00:00Z --until 2026-07-02T22:00:00Z");
    }
}
