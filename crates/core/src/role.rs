//! Roles: permissions under a name, which keys have by naming it. What a key may do is what it was granted itself and
//! what its roles grant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::RoleId;
use crate::permission::{MAX_PERMISSIONS, Permission, PermissionError, checked};

/// Most roles of one key: people give one or two, and a change of a role looks at each policy that names it.
pub const MAX_ROLES: usize = 16;
/// Longest name of a role: it is a word that people type.
pub const MAX_ROLE_NAME_LEN: usize = 64;

/// The name of a role, a word such as `reader`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RoleName(String);

impl RoleName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no name of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARoleName;

impl fmt::Display for NotARoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a role's name is a word of a-z, A-Z, 0-9, `_`, `-`, `.` and `:`, at most {MAX_ROLE_NAME_LEN} characters, that \
             does not begin with {}",
            RoleId::PREFIX
        )
    }
}

impl std::error::Error for NotARoleName {}

impl FromStr for RoleName {
    type Err = NotARoleName;

    fn from_str(text: &str) -> Result<Self, NotARoleName> {
        let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
        // Wherever a role is named its id will do too, so no name looks like one.
        let sound = (1..=MAX_ROLE_NAME_LEN).contains(&text.len()) && is_word && !text.starts_with(RoleId::PREFIX);
        if sound { Ok(Self(text.to_owned())) } else { Err(NotARoleName) }
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A role as people say which one they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleRef {
    /// By its id.
    Id(RoleId),
    /// By its name.
    Name(RoleName),
}

impl fmt::Display for RoleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl FromStr for RoleRef {
    type Err = NotARoleName;

    fn from_str(text: &str) -> Result<Self, NotARoleName> {
        text.parse().map(Self::Id).or_else(|_| text.parse().map(Self::Name))
    }
}

impl<'de> Deserialize<'de> for RoleRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// All that a key may do: its own permissions and those of its roles, sorted, none twice.
///
/// # Errors
/// If together they are more than [`MAX_PERMISSIONS`].
pub fn effective<'a>(
    own: &'a [Permission],
    roles: impl IntoIterator<Item = &'a [Permission]>,
) -> Result<Vec<Permission>, PermissionError> {
    let all = roles.into_iter().chain([own]).flatten().cloned();
    // Lists that are full each are still bounded: so many roles of so many permissions.
    checked(all.take(MAX_PERMISSIONS * (MAX_ROLES + 1)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;
    use crate::permission::PermissionQuery;

    fn list(texts: &[&str]) -> Vec<Permission> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_role_is_named_by_a_word_or_by_its_id() {
        let id = RoleId::from_entropy([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(RoleRef::Id(id)));
        for name in ["reader", "Pets.Reader", "a", "team:ops-1", &"x".repeat(64)] {
            assert_eq!(name.parse(), Ok(RoleRef::Name(RoleName(name.to_owned()))), "{name}");
        }
        for none in ["", " reader", "a b", "ä", "rol_", "rol_x", &id.to_string()[..25], &"x".repeat(65), "a/b", "a\n"]
        {
            assert!(none.parse::<RoleRef>().is_err(), "{none:?}");
        }
    }

    #[test]
    fn together_they_are_sorted_and_none_comes_twice() {
        let (own, reader) = (list(&["pets.write", "a"]), list(&["pets.read", "a"]));
        assert_eq!(effective(&own, [&reader[..], &reader]).unwrap(), list(&["a", "pets.read", "pets.write"]));
        assert_eq!(effective(&[], []).unwrap(), []);
    }

    #[test]
    fn there_are_no_more_than_one_key_may_have() {
        let many = |from: usize, count: usize| -> Vec<Permission> {
            (from..from + count).map(|n| format!("p{n}").parse().unwrap()).collect()
        };
        assert_eq!(effective(&many(0, 200), [&many(200, 56)[..]]).unwrap().len(), MAX_PERMISSIONS);
        assert!(effective(&many(0, 200), [&many(200, 57)[..]]).is_err());
        assert!(effective(&many(0, 200), [&many(0, 200)[..]]).is_ok(), "what is the same counts once");
    }

    proptest! {
        #[test]
        fn a_right_is_held_if_the_key_or_one_of_its_roles_holds_it(
            own in some(), roles in prop::collection::vec(some(), 0..4), asked in "[ab](\\.[ab]){0,2}",
        ) {
            let all = effective(&own, roles.iter().map(Vec::as_slice)).unwrap();
            let question = PermissionQuery::Has(asked);
            let any = question.allows(&own) || roles.iter().any(|role| question.allows(role));
            prop_assert_eq!(question.allows(&all), any);
            prop_assert!(all.is_sorted());
        }
    }

    fn some() -> impl Strategy<Value = Vec<Permission>> {
        let one = "[ab](\\.[ab]){0,2}(\\.\\*)?|\\*".prop_map(|text| text.parse().unwrap());
        prop::collection::vec(one, 0..4)
    }
}
