//! Patterns: filters under a name, which the owner of keys assigns to some of them or to whole projects (PRODUCT.md K16).
//!
//! A pattern lists what it allows and what it denies, each as conditions that a call meets together. A call passes if it
//! meets nothing that is denied and, where anything is allowed, one of those. What can't be told goes against the call.
//! All patterns of a key and of its project must let it pass, so that one more never widens what a key may do.

mod conditions;
mod headers;
#[cfg(test)]
mod tests;

pub use conditions::{Conditions, NoConditions};
pub use headers::{Headers, HeadersError, SECRET_FIELDS};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::facts::Facts;
use crate::id::PatternId;
use crate::name::{Name, Ref};

/// Most patterns of one key, and of one project: the check is a walk over them.
pub const MAX_PATTERNS: usize = 16;
/// Most alternatives of one pattern, allowed and denied together.
pub const MAX_ALTERNATIVES: usize = 32;

/// The name of a pattern, a word such as `office`.
pub type PatternName = Name<PatternId>;

/// A pattern as people say which one they mean.
pub type PatternRef = Ref<PatternId>;

/// What a pattern lets pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Filter {
    allow: Vec<Conditions>,
    deny: Vec<Conditions>,
    /// Whether it is only tried out: it is judged and told, but it refuses nothing.
    shadow: bool,
}

/// The wire form.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow: Vec<Conditions>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deny: Vec<Conditions>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
}

/// A filter allows and denies nothing, or more than [`MAX_ALTERNATIVES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterError;

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a pattern has 1 to {MAX_ALTERNATIVES} alternatives in `allow` and `deny`; one without any would mean nothing"
        )
    }
}

impl std::error::Error for FilterError {}

impl TryFrom<Parts> for Filter {
    type Error = FilterError;

    fn try_from(parts: Parts) -> Result<Self, FilterError> {
        let Parts { allow, deny, shadow } = parts;
        let count = allow.len() + deny.len();
        if (1..=MAX_ALTERNATIVES).contains(&count) { Ok(Self { allow, deny, shadow }) } else { Err(FilterError) }
    }
}

impl From<Filter> for Parts {
    fn from(filter: Filter) -> Self {
        Self { allow: filter.allow, deny: filter.deny, shadow: filter.shadow }
    }
}

impl Filter {
    /// One of these parts, each as it is written in JSON.
    ///
    /// # Errors
    /// If together they are none or too many.
    pub fn new(allow: Vec<Conditions>, deny: Vec<Conditions>, shadow: bool) -> Result<Self, FilterError> {
        Parts { allow, deny, shadow }.try_into()
    }

    /// One that lets nothing pass.
    pub fn closed() -> Self {
        Self { allow: Vec::new(), deny: vec![Conditions::always()], shadow: false }
    }

    /// What it allows, if not everything that it does not deny.
    pub fn allow(&self) -> &[Conditions] {
        &self.allow
    }

    /// What it denies.
    pub fn deny(&self) -> &[Conditions] {
        &self.deny
    }

    /// Whether it is only tried out.
    pub const fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// Whether a call passes.
    pub fn passes(&self, facts: &Facts<'_>) -> bool {
        let is_allowed = self.allow.is_empty() || self.allow.iter().any(|one| one.are_met(facts) == Some(true));
        is_allowed && self.deny.iter().all(|one| one.are_met(facts) == Some(false))
    }
}

/// A pattern as it is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Its id.
    pub id: PatternId,
    /// Its name.
    pub name: PatternName,
    /// What it lets pass.
    pub filter: Filter,
}

/// What one pattern says of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PatternSaid {
    /// Which one.
    pub id: PatternId,
    /// Its name.
    pub name: PatternName,
    /// Allowed, or the code with which it refuses.
    pub code: Code,
    /// Whether it is only tried out.
    pub shadow: bool,
}

impl Pattern {
    /// What it says of a call.
    pub fn say(&self, facts: &Facts<'_>) -> PatternSaid {
        let code = if self.filter.passes(facts) { Code::Allowed } else { Code::PatternForbidden };
        PatternSaid { id: self.id, name: self.name.clone(), code, shadow: self.filter.shadow }
    }
}
