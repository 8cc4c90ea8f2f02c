//! Credits and what was done with them.

use keystile_core::credit::{CreditHolder, CreditKind, EntryState};
use keystile_core::id::{CreditGrantId, OrganizationId, PlanId, ProjectId};
use keystile_core::plan::Span;
use keystile_core::time::Timestamp;

/// Credits that were granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditGrant {
    /// Its id.
    pub id: CreditGrantId,
    /// Its number.
    pub number: u32,
    /// Who granted them: they are spent at its APIs.
    pub organization: OrganizationId,
    /// Whose they are.
    pub holder: CreditHolder,
    /// The organization of that, or that itself.
    pub holder_organization: OrganizationId,
    /// Why they were granted.
    pub kind: CreditKind,
    /// How many.
    pub amount: u64,
    /// What was said of them.
    pub note: String,
    /// The plan that they came with, and its number.
    pub plan: Option<(PlanId, u32)>,
    /// From when they can be spent.
    pub starts_at: Timestamp,
    /// Until when; `None` for ever.
    pub ends_at: Option<Timestamp>,
    /// When what was left of them was taken back.
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

impl CreditGrant {
    /// When they can be spent.
    pub fn span(&self) -> Span {
        match self.revoked_at {
            // Never again, whatever clocks say.
            Some(at) => Span { start: at, end: at },
            None => Span { start: self.starts_at, end: self.ends_at.unwrap_or(Timestamp::from_micros(i64::MAX)) },
        }
    }
}

/// Which grants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CreditFilter {
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those that this organization holds itself.
    pub organization: Option<OrganizationId>,
    /// Only those of this kind.
    pub kind: Option<CreditKind>,
}

/// A charge, or credits that are or were reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditEntry {
    /// Its id, which whoever asked for it chose.
    pub id: String,
    /// Whose credits.
    pub holder: CreditHolder,
    /// The project that was charged.
    pub project: ProjectId,
    /// How many were asked for.
    pub amount: u64,
    /// How many of them were spent; `None` while they are reserved.
    pub posted: Option<u64>,
    /// How far it has come.
    pub state: EntryState,
    /// When it was made.
    pub made_at: Timestamp,
    /// Until when they are reserved; `None` for a charge.
    pub ends_at: Option<Timestamp>,
    /// When it was posted, voided or given up.
    pub settled_at: Option<Timestamp>,
}
