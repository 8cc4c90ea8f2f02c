//! For whom limits are counted apart.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{LimitRule, Scope};
use crate::facts::Facts;
use crate::id::{KeyId, OrganizationId, ProjectId};

/// Most things that one limit is counted by together.
pub const MAX_DIMENSIONS: usize = 4;
/// Longest name of an end user, and longest value of a tag, in bytes.
pub const MAX_SUBJECT_LEN: usize = 256;
/// Most tags of one call.
pub const MAX_TAGS: usize = 16;
/// Longest name of a tag.
const MAX_TAG_NAME_LEN: usize = 32;

/// What a limit is counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The key, all its versions together.
    Key,
    /// Its project.
    Project,
    /// The organization of that project.
    Organization,
    /// Who uses the program that calls, as a verification names it.
    EndUser,
    /// The operation, as usage is counted by it.
    Operation,
    /// Where the call comes from; of IPv6 a network of 64 bits is one, because one client has all of it.
    ClientAddress,
    /// What a verification says under this name.
    Tag(TagName),
}

/// The name of a tag: 1 to 32 of `a-z 0-9 - _ .`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagName(String);

impl TagName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a text is, if it can be one.
    pub fn of(text: &str) -> Option<Self> {
        Self::is_sound(text).then(|| Self(text.to_owned()))
    }

    /// Whether a text can be one.
    pub fn is_sound(text: &str) -> bool {
        (1..=MAX_TAG_NAME_LEN).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    }
}

/// The text names nothing that limits are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchDimension(String);

impl fmt::Display for NoSuchDimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "limits are not counted by `{}`; `by` takes key, project, organization, end_user, operation, client_address and tag:NAME (a name is 1 to {MAX_TAG_NAME_LEN} of a-z, 0-9, `-`, `_` and `.`)",
            self.0.escape_default()
        )
    }
}

impl std::error::Error for NoSuchDimension {}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("key"),
            Self::Project => f.write_str("project"),
            Self::Organization => f.write_str("organization"),
            Self::EndUser => f.write_str("end_user"),
            Self::Operation => f.write_str("operation"),
            Self::ClientAddress => f.write_str("client_address"),
            Self::Tag(name) => write!(f, "tag:{}", name.0),
        }
    }
}

impl FromStr for Dimension {
    type Err = NoSuchDimension;

    fn from_str(text: &str) -> Result<Self, NoSuchDimension> {
        Ok(match text {
            "key" => Self::Key,
            "project" => Self::Project,
            "organization" => Self::Organization,
            "end_user" => Self::EndUser,
            "operation" => Self::Operation,
            "client_address" => Self::ClientAddress,
            _ => match text.strip_prefix("tag:") {
                Some(name) if TagName::is_sound(name) => Self::Tag(TagName(name.to_owned())),
                _ => return Err(NoSuchDimension(text.to_owned())),
            },
        })
    }
}

impl Serialize for Dimension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Dimension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Whom a call is counted for. What is not known of it is one subject, which all such calls share.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The key that was presented.
    pub key: Option<(KeyId, ProjectId, OrganizationId)>,
    /// What is known of the call.
    pub facts: &'a Facts<'a>,
}

impl Subject<'_> {
    /// Puts into a hash what tells this subject of a limit from its others.
    pub fn hash_by<H: Hasher>(&self, dimensions: &[Dimension], hasher: &mut H) {
        for dimension in dimensions {
            match dimension {
                Dimension::Key => self.key.map(|(key, _, _)| key).hash(hasher),
                Dimension::Project => self.key.map(|(_, project, _)| project).hash(hasher),
                Dimension::Organization => self.key.map(|(_, _, organization)| organization).hash(hasher),
                Dimension::EndUser => self.facts.end_user.hash(hasher),
                Dimension::Operation => self.facts.operation.hash(hasher),
                Dimension::ClientAddress => self.facts.client.map(network).hash(hasher),
                Dimension::Tag(name) => self.facts.tag(name.as_str()).hash(hasher),
            }
        }
    }

    /// The limit of a rule for this subject.
    pub fn limit_of(&self, rule: &LimitRule, scope: Scope) -> u32 {
        if rule.overrides.is_empty() {
            return rule.limit;
        }
        let own = rule.overrides.iter().find(|own| match (scope.dimensions(rule).first(), self.key) {
            (Some(Dimension::Key), Some((key, _, _))) => own.names(&key.to_ascii()),
            (Some(Dimension::Project), Some((_, project, _))) => own.names(&project.to_ascii()),
            (Some(Dimension::Organization), Some((_, _, owner))) => own.names(&owner.to_ascii()),
            (Some(Dimension::EndUser), _) => self.facts.end_user.is_some_and(|name| own.names(name.as_bytes())),
            (Some(Dimension::ClientAddress), _) => {
                self.facts.client.is_some_and(|address| own.names_address(address.to_canonical()))
            }
            (Some(Dimension::Tag(name)), _) => {
                self.facts.tag(name.as_str()).is_some_and(|value| own.names(value.as_bytes()))
            }
            (Some(Dimension::Key | Dimension::Project | Dimension::Organization), None) => false,
            (Some(Dimension::Operation) | None, _) => false,
        });
        own.map_or(rule.limit, |own| own.limit())
    }
}

/// What counts as one client.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 | 1 << 127,
    }
}
