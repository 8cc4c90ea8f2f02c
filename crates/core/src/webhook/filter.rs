//! Of which events a webhook tells: their types, or all that begin like `key.*`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most patterns of one webhook: there are fewer types of events.
pub const MAX_PATTERNS: usize = 64;
/// Longest pattern.
const MAX_PATTERN_BYTES: usize = 64;

/// A type of events such as `key.revoke`, or with `*` at its end all that begin so, such as `key.*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventPattern(String);

/// The text is no pattern of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAPattern(String);

impl fmt::Display for NotAPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no type of events; write one such as key.revoke, or key.* for all of a kind", self.0)
    }
}

impl std::error::Error for NotAPattern {}

impl EventPattern {
    /// Whether an event of this type is meant.
    pub fn admits(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => kind == self.0,
        }
    }

    /// What the types begin with, if many are meant; it ends with a dot.
    pub fn prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*')
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventPattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let words = text.strip_suffix(".*").unwrap_or(text);
        let sound = text.len() <= MAX_PATTERN_BYTES && words.split('.').all(is_word);
        if sound { Ok(Self(text.to_owned())) } else { Err(NotAPattern(text.chars().take(MAX_PATTERN_BYTES).collect())) }
    }
}

impl Serialize for EventPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The type of what tells of usage, hour by hour. It is no change, may be much, and is another's concern than changes are: it is
/// told to whoever names it and to nobody else.
pub const USAGE_HOUR: &str = "usage.hour";

/// The events of which a webhook tells. There are two ways to say it, so that no list that became empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<EventPattern>", into = "Vec<EventPattern>")]
pub enum EventFilter {
    /// All of them, those too that come with later versions; written as an empty list. Not what has to be named
    /// ([`USAGE_HOUR`]).
    #[default]
    All,
    /// Those that one of these means; never an empty list.
    Some(Vec<EventPattern>),
}

impl EventFilter {
    /// Whether it tells of an event of this type.
    pub fn admits(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(patterns) => patterns.iter().any(|pattern| pattern.admits(kind)),
        }
    }

    /// Whether it names this very type. Whoever wants all, or all of a kind, names none.
    pub fn names(&self, kind: &str) -> bool {
        match self {
            Self::All => false,
            Self::Some(patterns) => patterns.iter().any(|pattern| pattern.as_str() == kind),
        }
    }
}

impl TryFrom<Vec<EventPattern>> for EventFilter {
    type Error = String;

    fn try_from(patterns: Vec<EventPattern>) -> Result<Self, String> {
        match patterns.len() {
            0 => Ok(Self::All),
            1..=MAX_PATTERNS => Ok(Self::Some(patterns)),
            _ => Err(format!("events takes at most {MAX_PATTERNS} types")),
        }
    }
}

impl From<EventFilter> for Vec<EventPattern> {
    fn from(filter: EventFilter) -> Self {
        match filter {
            EventFilter::All => Self::new(),
            EventFilter::Some(patterns) => patterns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_means_itself_and_a_star_all_that_begin_so() {
        let patterns = || ["key.revoke", "api.*"].map(|text| text.parse::<EventPattern>().unwrap()).to_vec();
        let filter = EventFilter::try_from(patterns()).unwrap();
        for (kind, admitted) in [
            ("key.revoke", true),
            ("key.revoked", false),
            ("key.create", false),
            ("api.update", true),
            ("api.secret.set", true),
            ("apis.update", false),
        ] {
            assert_eq!(filter.admits(kind), admitted, "{kind}");
            assert!(EventFilter::All.admits(kind));
        }
        assert_eq!(EventFilter::try_from(Vec::new()), Ok(EventFilter::All));
        assert_eq!(Vec::from(filter), patterns());
    }

    #[test]
    fn whoever_wants_all_names_none() {
        let some = |texts: &[&str]| {
            let patterns: Vec<EventPattern> = texts.iter().map(|text| text.parse().unwrap()).collect();
            EventFilter::try_from(patterns).unwrap()
        };
        for (texts, named) in
            [(&[][..], false), (&["key.*"], false), (&["usage.hour"], true), (&["key.*", "usage.*"], false)]
        {
            assert_eq!(some(texts).names(USAGE_HOUR), named, "{texts:?}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in ["", "*", ".*", "key.", "key*", "key.*.x", "Key.revoke", "key revoke", "key..x", "key.revoke*"] {
            assert!(text.parse::<EventPattern>().is_err(), "{text}");
        }
        for text in ["key.*", "api.secret.*", "webhook.rotate_secret", "key"] {
            assert!(text.parse::<EventPattern>().is_ok(), "{text}");
        }
        let many = vec!["key.*".parse::<EventPattern>().unwrap(); MAX_PATTERNS + 1];
        assert!(EventFilter::try_from(many).is_err());
    }
}
