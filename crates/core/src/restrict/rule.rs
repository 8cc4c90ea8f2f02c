//! The restrictions by name, and sets of those names.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A restriction by its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// All of them, in the order in which they are asked.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name as it is written everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

rules! {
    /// From which addresses.
    Networks = "networks",
    /// From which countries.
    Countries = "countries",
    /// At what times.
    Times = "times",
    /// From which origins.
    Origins = "origins",
    /// From which pages.
    Referrers = "referrers",
    /// From which apps.
    Apps = "apps",
    /// Which methods.
    Methods = "methods",
    /// Which paths.
    Paths = "paths",
    /// With which certificates.
    Certificates = "certificates",
    /// What content.
    Formats = "formats",
    /// Patterns, by that name together: each is tried out by itself.
    Patterns = "patterns",
    /// Rate limits, by that name together: each is tried out by itself.
    RateLimits = "rate_limits",
}

impl Rule {
    /// Whether it stands beside the restrictions of a key, where each of its kind is tried out by itself.
    pub const fn stands_beside(self) -> bool {
        matches!(self, Self::Patterns | Self::RateLimits)
    }
}

impl Rule {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is the name of no restriction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchRule(String);

impl fmt::Display for NoSuchRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
        write!(f, "`{}` is the name of no restriction; they are {}", self.0.escape_default(), all.join(", "))
    }
}

impl std::error::Error for NoSuchRule {}

impl FromStr for Rule {
    type Err = NoSuchRule;

    fn from_str(text: &str) -> Result<Self, NoSuchRule> {
        Self::ALL.iter().copied().find(|rule| rule.as_str() == text).ok_or_else(|| NoSuchRule(text.to_owned()))
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Some of them, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules(u16);

impl Rules {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether this is one of them.
    pub const fn contains(self, rule: Rule) -> bool {
        self.0 & rule.bit() != 0
    }

    /// These and one more.
    #[must_use]
    pub const fn and(self, rule: Rule) -> Self {
        Self(self.0 | rule.bit())
    }

    /// One by one, in the order of [`Rule::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.iter().copied().filter(move |rule| self.contains(*rule))
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        rules.into_iter().fold(Self::NONE, Self::and)
    }
}

impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| name.parse()).collect::<Result<_, NoSuchRule>>().map_err(D::Error::custom)
    }
}
