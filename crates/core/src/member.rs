//! Members: people of an organization, and what their role lets them do at the management API.
//!
//! A role is one of those that every organization has, or one that an organization made for itself out of the same rights.
//! What a member may do is what the role says, within what organizations of its kind can do at all: one that only calls APIs
//! publishes none, whatever a role of its says.
//!
//! Not here: what a key may do ([`crate::role`]).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::MemberRoleId;
use crate::name::{Name, Ref};
use crate::permission::{Permission, Rights};

/// The name of a role that an organization made for its members.
pub type MemberRoleName = Name<MemberRoleId>;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $noun:literal: $($(#[$of:meta])* $one:ident = $word:literal,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of])* $one,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$one,)*];

            /// Its word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$one => $word,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = NoSuchWord;

            fn from_str(text: &str) -> Result<Self, NoSuchWord> {
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                found.ok_or(NoSuchWord { noun: $noun, words: &[$($word,)*] })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The text is none of a list of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchWord {
    noun: &'static str,
    words: &'static [&'static str],
}

impl fmt::Display for NoSuchWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is one of {}", self.noun, self.words.join(", "))
    }
}

impl std::error::Error for NoSuchWord {}

words! {
    /// What an organization is there for.
    OrganizationKind, "the kind of an organization":
    /// It publishes APIs.
    Owner = "owner",
    /// It has projects that call the APIs of others.
    Consumer = "consumer",
}

words! {
    /// A role that every organization of a kind has.
    BuiltInRole, "a role that is built in":
    /// May do everything.
    Owner = "owner",
    /// May do everything but change what secrets are encrypted under and which organizations there are.
    Admin = "admin",
    /// Publishes APIs and issues keys.
    Developer = "developer",
    /// Sees what concerns those who call.
    Support = "support",
    /// Sees everything and changes nothing.
    Auditor = "auditor",
    /// Does all that an organization that calls APIs can do.
    ConsumerAdmin = "consumer_admin",
    /// Has projects and keys.
    ConsumerDeveloper = "consumer_developer",
}

/// What an organization that calls APIs can do at all.
const CONSUMER: &[&str] = &[
    "projects.*",
    "activations.*",
    "access.*",
    "keys.*",
    "roles.*",
    "patterns.*",
    "usage.read",
    "requests.read",
    "webhooks.*",
    "events.*",
    "audit.*",
    "members.*",
    "privacy.*",
    "credits.read",
    "organizations.read",
];

impl OrganizationKind {
    /// The role without which nobody could let others in: one member at least has it.
    pub const fn leading(self) -> BuiltInRole {
        match self {
            Self::Owner => BuiltInRole::Owner,
            Self::Consumer => BuiltInRole::ConsumerAdmin,
        }
    }

    /// What somebody in such an organization may do of what a role says.
    pub fn within(self, granted: &[Permission]) -> Vec<Permission> {
        match self {
            Self::Owner => granted.to_vec(),
            Self::Consumer => Rights::new(granted, Some(&list(CONSUMER))).list().into_owned(),
        }
    }
}

impl BuiltInRole {
    /// The organizations that have it.
    pub const fn kind(self) -> OrganizationKind {
        match self {
            Self::Owner | Self::Admin | Self::Developer | Self::Support | Self::Auditor => OrganizationKind::Owner,
            Self::ConsumerAdmin | Self::ConsumerDeveloper => OrganizationKind::Consumer,
        }
    }

    /// What it lets its holders do.
    pub fn permissions(self) -> Vec<Permission> {
        list(match self {
            Self::Owner => &["*"],
            Self::Admin => &[
                "apis.*",
                "projects.*",
                "activations.*",
                "access.*",
                "keys.*",
                "roles.*",
                "patterns.*",
                "plans.*",
                "credits.*",
                "usage.*",
                "requests.read",
                "webhooks.*",
                "events.*",
                "audit.*",
                "members.*",
                "privacy.read",
                "organizations.read",
                "encryption.read",
            ],
            Self::Developer => &[
                "apis.*",
                "projects.*",
                "activations.*",
                "access.read",
                "keys.read",
                "keys.write",
                "roles.*",
                "patterns.*",
                "plans.*",
                "credits.read",
                "usage.read",
                "requests.read",
                "webhooks.read",
                "events.read",
                "members.read",
                "organizations.read",
            ],
            Self::Support => &[
                "apis.read",
                "projects.read",
                "activations.read",
                "access.read",
                "keys.read",
                "roles.read",
                "patterns.read",
                "plans.read",
                "credits.read",
                "usage.read",
                "requests.read",
                "events.read",
                "members.read",
                "organizations.read",
            ],
            Self::Auditor => &[
                "apis.read",
                "projects.read",
                "activations.read",
                "access.read",
                "keys.read",
                "roles.read",
                "patterns.read",
                "plans.read",
                "credits.read",
                "usage.read",
                "requests.read",
                "webhooks.read",
                "events.read",
                "audit.read",
                "members.read",
                "organizations.read",
                "encryption.read",
            ],
            Self::ConsumerAdmin => CONSUMER,
            Self::ConsumerDeveloper => &[
                "projects.*",
                "activations.*",
                "access.read",
                "keys.read",
                "keys.write",
                "roles.read",
                "patterns.read",
                "credits.read",
                "usage.read",
                "requests.read",
                "events.read",
                "members.read",
                "organizations.read",
            ],
        })
    }
}

fn list(texts: &[&str]) -> Vec<Permission> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The role that a member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRole {
    /// One that every organization of the kind has.
    BuiltIn(BuiltInRole),
    /// One that the organization made.
    Custom(MemberRoleId),
}

impl fmt::Display for MemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(role) => role.fmt(f),
            Self::Custom(id) => id.fmt(f),
        }
    }
}

impl Serialize for MemberRole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A role of members as people say which one they mean: the word of a built-in one, or the name or id of one that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberRoleRef {
    /// A built-in one.
    BuiltIn(BuiltInRole),
    /// One that the organization made.
    Custom(Ref<MemberRoleId>),
}

impl fmt::Display for MemberRoleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(role) => role.fmt(f),
            Self::Custom(role) => role.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for MemberRoleRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if let Ok(role) = text.parse() {
            return Ok(Self::BuiltIn(role));
        }
        text.parse().map(Self::Custom).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::PermissionQuery;

    fn may(permissions: &[Permission], right: &str) -> bool {
        PermissionQuery::Has(right.to_owned()).allows(permissions)
    }

    #[test]
    fn every_permission_of_a_built_in_role_is_one() {
        for role in BuiltInRole::ALL {
            assert!(!role.permissions().is_empty(), "{role}");
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        let error = "boss".parse::<BuiltInRole>().unwrap_err().to_string();
        assert!(error.contains("is one of owner, admin") && error.ends_with("consumer_developer"), "{error}");
        assert_eq!(list(CONSUMER).len(), CONSUMER.len());
    }

    #[test]
    fn an_organization_that_calls_apis_publishes_none_whatever_a_role_says() {
        let everything = BuiltInRole::Owner.permissions();
        let within = OrganizationKind::Consumer.within(&everything);
        assert!(may(&within, "keys.write") && may(&within, "members.write"));
        for beyond in ["apis.write", "apis.read", "encryption.read", "organizations.write"] {
            assert!(!may(&within, beyond), "{beyond}");
            assert!(may(&OrganizationKind::Owner.within(&everything), beyond));
        }
        for role in [BuiltInRole::ConsumerAdmin, BuiltInRole::ConsumerDeveloper] {
            let mut own = role.permissions();
            own.sort();
            assert_eq!(OrganizationKind::Consumer.within(&own), own, "{role} is within what its kind can do");
        }
    }

    #[test]
    fn built_in_roles_do_what_their_names_say() {
        for role in [BuiltInRole::Support, BuiltInRole::Auditor] {
            assert!(role.permissions().iter().all(|one| one.as_str().ends_with(".read")), "{role} changes nothing");
        }
        let admin = BuiltInRole::Admin.permissions();
        assert!(may(&admin, "members.write") && may(&admin, "keys.reveal"));
        assert!(!may(&admin, "encryption.write") && !may(&admin, "organizations.write"));
        let developer = BuiltInRole::Developer.permissions();
        assert!(!may(&developer, "members.write") && !may(&developer, "keys.reveal"));
    }

    #[test]
    fn a_role_is_meant_by_its_word_its_name_or_its_id() {
        let read = |text: &str| serde_json::from_value::<MemberRoleRef>(text.into());
        assert_eq!(read("auditor").unwrap(), MemberRoleRef::BuiltIn(BuiltInRole::Auditor));
        let id = MemberRoleId::from_entropy([7; 16]);
        assert_eq!(read(&id.to_string()).unwrap(), MemberRoleRef::Custom(Ref::Id(id)));
        assert!(matches!(read("night-shift").unwrap(), MemberRoleRef::Custom(Ref::Name(_))));
        assert!(read("a b").is_err());
    }
}
