//! Roles: permissions under a name, which keys have by naming it. What a key may do is what it was granted itself and
//! what its roles grant.

use crate::id::RoleId;
use crate::name::{Name, Ref};
use crate::permission::{MAX_PERMISSIONS, Permission, PermissionError, checked};

/// Most roles of one key: people give one or two, and a change of a role looks at each policy that names it.
pub const MAX_ROLES: usize = 16;
/// The name of a role, a word such as `reader`.
pub type RoleName = Name<RoleId>;

/// A role as people say which one they mean.
pub type RoleRef = Ref<RoleId>;

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
