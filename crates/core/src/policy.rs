//! A policy: everything that a key may do, as one document. Keys with the same policy share it in memory.

use serde::{Deserialize, Serialize};

use crate::id::{PatternId, RoleId};
use crate::limit::{LimitError, LimitRule, Scope};
use crate::pattern::MAX_PATTERNS;
use crate::permission::{MAX_PERMISSIONS, Permission};
use crate::restrict::{Restrictions, Rule};
use crate::role::MAX_ROLES;

/// What a key may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Granted rights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    /// Roles, whose permissions it has as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleId>,
    /// Where and how the key may be used.
    #[serde(default, skip_serializing_if = "Restrictions::is_empty")]
    pub restrictions: Restrictions,
    /// Patterns that its calls must pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<PatternId>,
    /// How often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<LimitRule>,
}

/// The parts don't make a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyError {
    /// Too many permissions.
    Permissions,
    /// Too many roles.
    Roles,
    /// Too many patterns.
    Patterns,
    /// A restriction is to be in shadow that is not there.
    Shadow(Rule),
    /// The limits don't fit together.
    Limits(LimitError),
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Permissions => {
                write!(f, "a key has at most {MAX_PERMISSIONS} permissions; use wildcards such as pets.*")
            }
            Self::Roles => write!(f, "a key has at most {MAX_ROLES} roles; make one that grants what several do"),
            Self::Patterns => {
                write!(f, "a key has at most {MAX_PATTERNS} patterns; make one that says what several do")
            }
            Self::Shadow(Rule::Patterns) => {
                f.write_str("patterns are tried out one by one; say `shadow` of the pattern, not of the key")
            }
            Self::Shadow(Rule::RateLimits) => {
                f.write_str("limits are tried out one by one; say `shadow` of the limit, not of the key")
            }
            Self::Shadow(rule) => {
                write!(f, "shadow names {rule}, which the key does not have; give it that restriction, or leave it out")
            }
            Self::Limits(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// Checks the whole and brings it to its one form: permissions, roles and patterns sorted, none twice.
    ///
    /// # Errors
    /// [`PolicyError`] says which part is out of bounds.
    pub fn checked(mut self) -> Result<Self, PolicyError> {
        self.permissions.sort();
        self.permissions.dedup();
        if self.permissions.len() > MAX_PERMISSIONS {
            return Err(PolicyError::Permissions);
        }
        self.roles.sort();
        self.roles.dedup();
        if self.roles.len() > MAX_ROLES {
            return Err(PolicyError::Roles);
        }
        self.patterns.sort();
        self.patterns.dedup();
        if self.patterns.len() > MAX_PATTERNS {
            return Err(PolicyError::Patterns);
        }
        if let Some(rule) = self.restrictions.shadow.iter().find(|rule| !self.restrictions.has(*rule)) {
            return Err(PolicyError::Shadow(rule));
        }
        LimitRule::check_together(&self.rate_limits, Scope::Key).map_err(PolicyError::Limits)?;
        Ok(self)
    }
}
