//! Plans and who has them.

use keystile_core::id::{ApiId, OrganizationId, PlanId};
use keystile_core::plan::{PlanName, PlanTerms, in_force};
use keystile_core::time::Timestamp;

/// The plan that a project has at an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The plan.
    pub plan: PlanId,
    /// Its name.
    pub name: PlanName,
    /// Since when: billing periods begin on this day of the month.
    pub since: Timestamp,
}

/// What a project had from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Had {
    /// From when.
    pub since: Timestamp,
    /// The number of the plan, if it had one, and from which day its billing periods are counted.
    pub plan: Option<(u32, Timestamp)>,
}

/// A plan: what an API's owner offers to those who call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// Its number.
    pub number: u32,
    /// The API.
    pub api: ApiId,
    /// The number of the API.
    pub api_number: u32,
    /// Who publishes the API.
    pub organization: OrganizationId,
    /// Its name; no other plan of the API has it.
    pub name: PlanName,
    /// What it is for.
    pub description: String,
    /// Whether projects get it unless something else is said.
    pub standard: bool,
    /// Everything that it ever said or will say, in the order in which it is in force.
    pub versions: Vec<PlanVersion>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

impl Plan {
    /// What it says at a moment.
    pub fn at(&self, now: Timestamp) -> Option<&PlanVersion> {
        in_force(&self.versions, |version| version.from, now)
    }
}

/// What a plan says from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanVersion {
    /// Its number, from 1 in the order in which they were made.
    pub version: u32,
    /// What it says.
    pub terms: PlanTerms,
    /// From when.
    pub from: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}
