//! What roles grant, put into the policies that name them: a call finds all that its key may do in one list, and looks
//! nothing up. A role that changes makes those policies anew, which the [feed](super::feed) puts in place.

use std::collections::{BTreeMap, HashMap};

use keystile_core::id::RoleId;
use keystile_core::policy::Policy;
use keystile_store::records::Role;

use super::snapshot::PolicyView;

/// The roles that are known, and the policies that name any.
#[derive(Default)]
pub(super) struct Roles {
    known: HashMap<RoleId, Role>,
    /// Of all that were ever known: revisions name them by number, those that are gone too.
    ids: HashMap<u32, RoleId>,
    naming: BTreeMap<u32, Policy>,
}

impl Roles {
    /// Takes over all that there are.
    pub(super) fn restore(&mut self, roles: Vec<Role>) {
        self.ids.extend(roles.iter().map(|role| (role.number, role.id)));
        self.known = roles.into_iter().map(|role| (role.id, role)).collect();
    }

    /// Whether all roles of a policy are known.
    pub(super) fn know(&self, policy: &Policy) -> bool {
        policy.roles.iter().all(|id| self.known.contains_key(id))
    }

    /// A policy as a call needs it.
    pub(super) fn view(&mut self, number: u32, policy: Policy) -> PolicyView {
        if policy.roles.is_empty() {
            return PolicyView::new(policy);
        }
        self.naming.insert(number, policy.clone());
        self.made(policy)
    }

    /// A role as it is now, or that it is gone: the policies that mean something else with it.
    pub(super) fn learn(&mut self, number: u32, role: Option<Role>) -> Vec<(u32, PolicyView)> {
        if let Some(role) = &role {
            self.ids.insert(number, role.id);
        }
        let Some(id) = self.ids.get(&number).copied() else { return Vec::new() };
        match role {
            Some(role) => self.known.insert(id, role),
            None => self.known.remove(&id),
        };
        let concerned = self.naming.iter().filter(|(_, policy)| policy.roles.contains(&id));
        concerned.map(|(number, policy)| (*number, self.made(policy.clone()))).collect()
    }

    /// A role that is gone grants nothing.
    fn made(&self, policy: Policy) -> PolicyView {
        let roles: Vec<&Role> = policy.roles.iter().filter_map(|id| self.known.get(id)).collect();
        PolicyView::with_roles(policy, roles.iter().map(|role| (&role.name, &*role.permissions)))
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::id::OrganizationId;
    use keystile_core::time::Timestamp;

    use super::*;

    fn role(n: u8, permissions: &[&str]) -> Role {
        Role {
            id: RoleId::from_entropy([n; 16]),
            number: u32::from(n),
            organization: OrganizationId::from_entropy([1; 16]),
            name: format!("role-{n}").parse().unwrap(),
            description: String::new(),
            permissions: permissions.iter().map(|text| text.parse().unwrap()).collect(),
            created_at: Timestamp::from_secs(1),
            updated_at: Timestamp::from_secs(1),
            revision: 1,
        }
    }

    fn held(view: &PolicyView) -> (Vec<&str>, Vec<&str>) {
        let permissions = view.policy.permissions.iter().map(|one| one.as_str()).collect();
        (permissions, view.roles.iter().map(|name| name.as_str()).collect())
    }

    #[test]
    fn a_role_that_changes_makes_the_policies_anew_that_name_it_and_no_others() {
        let mut roles = Roles::default();
        roles.restore(vec![role(1, &["a"]), role(2, &["b"])]);
        let of = |ids: &[u8]| Policy {
            permissions: vec!["own".parse().unwrap()],
            roles: ids.iter().map(|n| RoleId::from_entropy([*n; 16])).collect(),
            ..Policy::default()
        };
        assert!(roles.know(&of(&[1, 2])) && !roles.know(&of(&[1, 3])));
        assert_eq!(held(&roles.view(7, of(&[1, 2]))), (vec!["a", "b", "own"], vec!["role-1", "role-2"]));
        assert_eq!(held(&roles.view(8, of(&[2]))), (vec!["b", "own"], vec!["role-2"]));
        assert_eq!(held(&roles.view(9, of(&[]))), (vec!["own"], vec![]));
        let anew = roles.learn(1, Some(role(1, &["c", "d"])));
        assert_eq!(anew.len(), 1);
        assert_eq!((anew[0].0, held(&anew[0].1).0), (7, vec!["b", "c", "d", "own"]));
        let anew = roles.learn(2, None);
        assert_eq!(anew.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(held(&anew[1].1), (vec!["own"], vec![]));
        assert!(roles.learn(3, None).is_empty(), "one that nobody names");
        // One that was gone already when all were read, before its revision was.
        roles.learn(2, Some(role(2, &["b"])));
        roles.restore(vec![role(1, &["c"])]);
        assert_eq!(held(&roles.learn(2, None)[1].1), (vec!["own"], vec![]));
    }
}
