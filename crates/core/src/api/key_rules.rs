//! What APIs say of the keys that call them: how they begin, how long they live, how often they are to be rotated, and
//! what becomes of those that nobody uses (PRODUCT.md K7 to K9).

use serde::{Deserialize, Serialize};

use super::ApiSettings;
use crate::key::{DEFAULT_KEY_DAYS, Prefix};
use crate::time::Timestamp;

/// Seconds by which two clocks, or a person who counts days, may be off when an end is compared with the longest life.
const SLACK_SECS: i64 = 3_600;

/// What becomes of keys that were not used for as long as the owner says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnusedKeys {
    /// An event says so.
    #[default]
    Report,
    /// They are disabled as well.
    Disable,
    /// They are disabled, and deleted when they were not used for as long again.
    Delete,
}

/// What holds for the keys of a project, of all the APIs that it may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRules {
    /// What their texts begin with.
    pub prefix: Prefix,
    /// Days until a new one ends.
    pub days: u32,
    /// The most days that one may live.
    pub max_days: Option<u32>,
    /// Days after which a version is to be rotated.
    pub rotate_days: Option<u32>,
    /// Whether texts of keys may be kept, so that they can be had back.
    pub recoverable: bool,
}

impl KeyRules {
    /// The rules of these APIs together: the strictest of each. Prefix and usual life are the API's where there is one,
    /// and the general ones where there are several, which may differ.
    pub fn of<'a>(apis: impl IntoIterator<Item = &'a ApiSettings>) -> Self {
        let mut rules = Self {
            prefix: Prefix::default(),
            days: DEFAULT_KEY_DAYS,
            max_days: None,
            rotate_days: None,
            recoverable: false,
        };
        let stricter = |one: Option<u32>, other: Option<u32>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let mut apis = apis.into_iter().peekable();
        let (mut several, mut is_first) = (false, true);
        while let Some(api) = apis.next() {
            several |= apis.peek().is_some();
            // What one of them forbids is forbidden.
            rules.recoverable = api.recoverable_keys && (rules.recoverable || is_first);
            is_first = false;
            if !several {
                (rules.prefix, rules.days) = (api.key_prefix.clone(), api.key_days);
            }
            rules.max_days = stricter(rules.max_days, api.max_key_days);
            rules.rotate_days = stricter(rules.rotate_days, api.rotate_key_days);
        }
        rules.days = rules.days.min(rules.max_days.unwrap_or(u32::MAX));
        rules
    }

    /// The latest end that a key may have which is made, or gets another end, now.
    pub fn latest_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.max_days.map(|days| now.plus_secs(i64::from(days) * 86_400))
    }

    /// An end that is within the rules: the one wanted, or the latest that there may be.
    pub fn bounded(&self, wanted: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        match (wanted, self.latest_end(now)) {
            (Some(wanted), Some(latest)) => Some(wanted.min(latest)),
            (wanted, latest) => wanted.or(latest),
        }
    }

    /// Whether a key may have this end.
    pub fn allow(&self, end: Option<Timestamp>, now: Timestamp) -> bool {
        let latest = self.latest_end(now).map(|latest| latest.plus_secs(SLACK_SECS));
        latest.is_none_or(|latest| end.is_some_and(|end| end <= latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(prefix: &str, days: u32, max: Option<u32>, rotate: Option<u32>) -> ApiSettings {
        ApiSettings {
            key_prefix: prefix.parse().unwrap(),
            key_days: days,
            max_key_days: max,
            rotate_key_days: rotate,
            ..ApiSettings::new("http://127.0.0.1:1".parse().unwrap())
        }
    }

    #[test]
    fn of_several_apis_the_strictest_rule_of_each_kind_holds() {
        let (one, two) = (api("one", 30, Some(365), None), api("two", 400, Some(60), Some(30)));
        for (apis, prefix, days, max, rotate) in [
            (vec![], "ks", 90, None, None),
            (vec![&one], "one", 30, Some(365), None),
            (vec![&two], "two", 60, Some(60), Some(30)),
            (vec![&one, &two], "ks", 60, Some(60), Some(30)),
            (vec![&one, &one], "ks", 90, Some(365), None),
        ] {
            let rules = KeyRules::of(apis.iter().copied());
            let told = (rules.prefix.as_str(), rules.days, rules.max_days, rules.rotate_days);
            assert_eq!(told, (prefix, days, max, rotate));
        }
    }

    #[test]
    fn k08_no_key_lives_longer_than_the_owner_allows() {
        let now = Timestamp::from_secs(1_000);
        let day = |days: i64| Some(now.plus_secs(days * 86_400));
        let rules = KeyRules::of([&api("a", 5, Some(10), None)]);
        assert_eq!(rules.bounded(None, now), day(10));
        assert_eq!(rules.bounded(day(11), now), day(10));
        assert_eq!(rules.bounded(day(9), now), day(9));
        for (end, allowed) in [(None, false), (day(11), false), (day(10), true), (day(1), true)] {
            assert_eq!(rules.allow(end, now), allowed, "{end:?}");
        }
        assert!(rules.allow(Some(now.plus_secs(10 * 86_400 + 3_600)), now));
        assert!(!rules.allow(Some(now.plus_secs(10 * 86_400 + 3_601)), now));
        let free = KeyRules::of([]);
        assert!(free.allow(None, now) && free.bounded(None, now).is_none());
    }
}
