//! Who asks, for whom, from where: a management key or a person, and what both may hand down.

use std::net::IpAddr;

use keystile_core::Code;
use keystile_core::id::{AccountId, OrganizationId, RequestId, SessionId};
use keystile_core::permission::Permission;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use keystile_store::records::{Membership, Session};
use keystile_store::{Actor, Conditions, Who};

use super::condition::Seen;
use super::problem::{invalid, session_required, step_up_required};
use super::rights::Right;
use crate::problem::Problem;

/// The number of the organization that runs the installation: it was made at the first start.
const FIRST_ORGANIZATION: u32 = 1;

/// Who asks.
pub(super) struct Asker {
    /// The tenant.
    pub(super) organization: OrganizationId,
    /// The number of the tenant.
    pub(super) owner: u32,
    /// The management key or the person.
    pub(super) who: Who,
    /// The person's session.
    pub(super) session: Option<Box<Person>>,
    /// What it may do, and from where.
    pub(super) policy: Policy,
    /// When it ends, if it does.
    pub(super) expires_at: Option<Timestamp>,
    /// The address.
    pub(super) address: Option<IpAddr>,
    /// The request.
    pub(super) request: RequestId,
    /// SHA-256 of `Idempotency-Key`, if one was sent.
    pub(super) idempotency_key: Option<[u8; 32]>,
    /// On which conditions it is carried out.
    pub(super) conditions: Conditions,
    /// What it found, for whoever finishes the answer.
    pub(super) seen: Seen,
}

/// A person who is logged in.
pub(super) struct Person {
    /// The session.
    pub(super) session: Session,
    /// What the person is here.
    pub(super) membership: Membership,
    /// Whether the person proved just now who it is.
    pub(super) is_just_proven: bool,
    /// Whether the session came in a cookie, as browsers send it.
    pub(super) in_cookie: bool,
}

impl Person {
    /// The session.
    pub(super) fn id(&self) -> SessionId {
        self.session.id
    }

    /// Who.
    pub(super) fn account(&self) -> AccountId {
        self.session.account.id
    }
}

impl Asker {
    pub(super) fn actor(&self) -> Actor {
        Actor { organization: self.organization, who: self.who, address: self.address, request: Some(self.request) }
    }

    /// The person; programs have no account that they could change.
    pub(super) fn person(&self) -> Result<&Person, Problem> {
        self.session.as_deref().ok_or_else(session_required)
    }

    /// Refuses a person who did not prove just now who they are: somebody else may sit there. A management key is
    /// proven with each request.
    pub(super) fn proven(&self) -> Result<(), Problem> {
        match &self.session {
            Some(person) if !person.is_just_proven => Err(step_up_required()),
            _ => Ok(()),
        }
    }

    /// Refuses to try what can only be done: what leaves this process can't be taken back.
    pub(super) fn refuse_dry_run(&self) -> Result<(), Problem> {
        if self.conditions.dry_run {
            return Err(invalid(
                "This can't be tried with dry_run: what leaves the server can't be taken back. Leave it out.",
            ));
        }
        Ok(())
    }

    /// Refuses conditions where what is done is about the asker alone and can't be taken back.
    pub(super) fn refuse_conditions(&self) -> Result<(), Problem> {
        if self.conditions.expected.is_some() {
            return Err(invalid("This can't be made dependent on a state; leave If-Match out."));
        }
        self.refuse_dry_run()
    }

    /// Refuses what is the whole installation's business to all but the organization that runs it, its first one.
    pub(super) fn runs_the_installation(&self) -> Result<(), Problem> {
        if self.owner == FIRST_ORGANIZATION {
            return Ok(());
        }
        Err(Problem::of(Code::PermissionMissing)
            .because("This concerns the whole installation; use a management key of the organization that runs it."))
    }

    /// Refuses what needs this right besides the one of its route.
    pub(super) fn needs<R: Right>(&self) -> Result<(), Problem> {
        if self.policy.permissions.iter().any(|own| own.covers(R::NAME)) { Ok(()) } else { Err(lacks::<R>()) }
    }

    /// Refuses to give a person permissions that the asker lacks: rights over this API are handed down, never made (K-14). A
    /// person's have no end and hold from everywhere, so a key that is bounded in either gives none.
    pub(super) fn hands_down(&self, permissions: &[Permission]) -> Result<(), Problem> {
        self.reaches(permissions)?;
        let policy = Policy { permissions: permissions.to_vec(), ..Policy::default() };
        self.may_hand_down(&policy, None).map_err(|why| {
            Problem::of(Code::PermissionMissing).because(format!("Nobody gives more than they have themselves: {why}."))
        })
    }

    /// Refuses to take from whoever has permissions that the asker lacks.
    pub(super) fn reaches(&self, permissions: &[Permission]) -> Result<(), Problem> {
        self.lacked(permissions).map_or(Ok(()), |beyond| {
            Err(Problem::of(Code::PermissionMissing).because(format!(
                "Nobody gives or takes more than they have themselves; you lack {}.",
                beyond.as_str()
            )))
        })
    }

    fn lacked<'a>(&self, permissions: &'a [Permission]) -> Option<&'a Permission> {
        let covered = |wanted: &Permission| self.policy.permissions.iter().any(|own| own.contains(wanted));
        permissions.iter().find(|wanted| !covered(wanted))
    }

    /// Whether another management key may have this policy and this end: no more than the asker's own, in rights, in
    /// places and in time. Rights over this API are handed down, never made (K-14).
    pub(super) fn may_hand_down(&self, policy: &Policy, expires_at: Option<Timestamp>) -> Result<(), String> {
        if let Some(beyond) = self.lacked(&policy.permissions) {
            return Err(format!("yours lacks {}", beyond.as_str()));
        }
        if let Some(rule) = policy.restrictions.beyond(&self.policy.restrictions) {
            return Err(format!("yours is restricted in {rule}; the other must be so too, in the same way or more"));
        }
        match (self.expires_at, expires_at) {
            (Some(own), Some(wanted)) if wanted.as_secs() > own.as_secs() => Err(format!("yours ends at {own}")),
            (Some(own), None) => Err(format!("yours ends at {own}")),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// A right is missing.
pub(super) fn lacks<R: Right>() -> Problem {
    Problem::of(Code::PermissionMissing)
        .because(format!("This needs the permission {}; use a management key or a role that has it.", R::NAME))
}
