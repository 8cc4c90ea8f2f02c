//! The decision: `admit` → charge → `settle`. Both ends are pure; the charge between them is the one effect, and
//! somebody else's.
//!
//! `admit` asks whether the call may happen at all. Whoever keeps the counters charges the limits that it must pass, all
//! or nothing. `settle` turns what the counters said into the answer.

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::api::Environments;
use crate::code::Code;
use crate::content::is_taken;
use crate::facts::Facts;
use crate::id::OrganizationId;
use crate::key::{Environment, KeyKind, Standing};
use crate::limit::{MAX_RULES, Reading, Weighed};
use crate::media::MediaTypes;
use crate::pattern::Pattern;
use crate::permission::{Permission, PermissionQuery, Rights};
use crate::policy::Policy;
use crate::restrict::{Rule, Rules};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// What a key is at the moment of a call.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// What was done to it.
    pub standing: Standing,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// What it is for.
    pub kind: KeyKind,
    /// Whose project it belongs to.
    pub organization: OrganizationId,
    /// Where its project and it live.
    pub environment: Environment,
    /// Whether its project as a whole is suspended.
    pub suspended: bool,
    /// What it may do.
    pub policy: &'a Policy,
    /// The patterns that were assigned to it and to its project.
    pub patterns: &'a [Arc<Pattern>],
}

/// What is being called with it.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// An API, through the gateway or named in a verification.
    Api {
        /// Who publishes it.
        organization: OrganizationId,
        /// Whether its owner has it switched on.
        active: bool,
        /// The environments whose keys it takes.
        environments: Environments,
        /// The link of the key's project to it.
        activation: Option<Activation<'a>>,
        /// The types of bodies that it takes; `None` for all.
        request_types: Option<&'a MediaTypes>,
        /// What the operation that is called asks of the key; `None` for nothing.
        needs: Option<&'a PermissionQuery>,
        /// Whether the operation is open to publishable keys.
        publishable: bool,
    },
    /// The management API of this installation.
    Management,
    /// Nothing in particular: a verification that names no API asks about the key alone.
    KeyAlone,
}

/// The link of a project to an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation<'a> {
    /// How far it has come.
    pub state: ActivationState,
    /// What keys of the project may do at this API at most; `None` bounds nothing.
    pub permissions: Option<&'a [Permission]>,
}

impl Activation<'_> {
    /// One that bounds nothing.
    pub const fn of(state: ActivationState) -> Self {
        Self { state, permissions: None }
    }
}

/// How far a project has come with an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationState {
    /// Asked for.
    Requested,
    /// In force.
    Approved,
    /// Taken back for now.
    Suspended,
    /// Not granted.
    Refused,
}

impl ActivationState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Requested, Self::Approved, Self::Suspended, Self::Refused];

    /// The word on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Suspended => "suspended",
            Self::Refused => "refused",
        }
    }
}

impl std::str::FromStr for ActivationState {
    type Err = crate::key::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = "requested, approved, suspended, refused";
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(crate::key::UnknownWord { allowed })
    }
}

/// The questions that a decision asks, in this order. The names are what a trace shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Is it revoked, disabled?
    State,
    /// Is it past its end?
    Expiry,
    /// Is it of the kind that opens this?
    Kind,
    /// Is its project in force, the API switched on, and activated for the project?
    Activation,
    /// Does the API take keys of its environment?
    Environment,
    /// Does the API take what the call sends?
    Formats,
    /// Do its restrictions allow the call?
    Restrictions,
    /// Do its patterns, and those of its project, let the call pass?
    Patterns,
    /// Does it have the permissions?
    Permissions,
    /// Do its limits leave room?
    Limits,
}

/// The questions that [`admit`] asks, in order.
const QUESTIONS: [Step; 9] = [
    Step::State,
    Step::Expiry,
    Step::Kind,
    Step::Activation,
    Step::Environment,
    Step::Formats,
    Step::Restrictions,
    Step::Patterns,
    Step::Permissions,
];

/// May this call happen, as far as the key and its rules are concerned?
///
/// If so, it happens if its limits leave room; what is returned are the restrictions in shadow that would have refused it.
/// All questions are asked, whatever the first answers are: the time of a refusal must not tell which one it was (K-8).
///
/// # Errors
/// The code of the first question that was answered with no.
pub fn admit(key: &Key<'_>, target: Target<'_>, facts: &Facts<'_>) -> Result<Rules, Code> {
    let mut first = Code::Allowed;
    for step in QUESTIONS {
        let answer = judge(step, key, target, facts);
        first = if first.is_allowed() { answer } else { first };
    }
    if !first.is_allowed() {
        return Err(first);
    }
    let mut shadow = key.policy.restrictions.would_refuse(facts);
    if asks_patterns(target) && refuse(key.patterns, true, facts) {
        shadow = shadow.and(Rule::Patterns);
    }
    Ok(shadow)
}

/// Every question with its answer, up to the first no; what `explain` shows. Limits are not asked.
pub fn trace(key: &Key<'_>, target: Target<'_>, facts: &Facts<'_>) -> ArrayVec<(Step, Code), 9> {
    let mut steps = ArrayVec::new();
    for step in QUESTIONS {
        let answer = judge(step, key, target, facts);
        steps.push((step, answer));
        if !answer.is_allowed() {
            break;
        }
    }
    steps
}

/// The answer to one question.
fn judge(step: Step, key: &Key<'_>, target: Target<'_>, facts: &Facts<'_>) -> Code {
    match step {
        Step::State => match key.standing {
            // Whoever presents it is not told that it is none.
            _ if key.kind == KeyKind::Canary => Code::KeyRevoked,
            Standing::Active => Code::Allowed,
            Standing::Disabled => Code::KeyDisabled,
            Standing::Revoked => Code::KeyRevoked,
        },
        Step::Expiry => match key.expires_at {
            Some(end) if end <= facts.at.wall => Code::KeyExpired,
            Some(_) | None => Code::Allowed,
        },
        Step::Kind => match (key.kind, target) {
            (KeyKind::Secret, Target::Api { .. } | Target::KeyAlone)
            | (KeyKind::Publishable, Target::Api { publishable: true, .. } | Target::KeyAlone)
            | (KeyKind::Management, Target::Management) => Code::Allowed,
            (KeyKind::Secret | KeyKind::Publishable, Target::Management)
            | (KeyKind::Publishable, Target::Api { .. })
            // A service that asks about a key alone means one that calls APIs.
            | (KeyKind::Management, Target::Api { .. } | Target::KeyAlone)
            | (KeyKind::Canary, _) => Code::KeyKindForbidden,
        },
        Step::Activation => judge_activation(key, target),
        Step::Environment => match target {
            Target::Api { environments, .. } if !environments.take(key.environment) => Code::EnvironmentForbidden,
            Target::Api { .. } | Target::Management | Target::KeyAlone => Code::Allowed,
        },
        Step::Formats => match target {
            Target::Api { request_types: Some(types), .. } if !is_taken(types, facts.content) => {
                Code::MediaTypeUnsupported
            }
            Target::Api { .. } | Target::Management | Target::KeyAlone => Code::Allowed,
        },
        Step::Restrictions => key.policy.restrictions.judge(facts).err().unwrap_or(Code::Allowed),
        Step::Patterns if asks_patterns(target) && refuse(key.patterns, false, facts) => Code::PatternForbidden,
        Step::Patterns => Code::Allowed,
        Step::Permissions => {
            let (of_operation, bound) = match target {
                Target::Api { needs, activation, .. } => (needs, activation.and_then(|link| link.permissions)),
                Target::Management | Target::KeyAlone => (None, None),
            };
            let rights = Rights::new(&key.policy.permissions, bound);
            let has = |needs: Option<&PermissionQuery>| needs.is_none_or(|needs| needs.allows(rights));
            if has(facts.needs) & has(of_operation) { Code::Allowed } else { Code::PermissionMissing }
        }
        Step::Limits => Code::Allowed,
    }
}

/// Patterns are about calls of APIs, and nobody is to shut himself out of the management API with them.
const fn asks_patterns(target: Target<'_>) -> bool {
    match target {
        Target::Api { .. } | Target::KeyAlone => true,
        Target::Management => false,
    }
}

/// Whether one of those that are in force, or of those in shadow, does not let the call pass.
fn refuse(patterns: &[Arc<Pattern>], shadow: bool, facts: &Facts<'_>) -> bool {
    patterns.iter().any(|pattern| pattern.filter.is_shadow() == shadow && !pattern.filter.passes(facts))
}

fn judge_activation(key: &Key<'_>, target: Target<'_>) -> Code {
    let Target::Api { organization, active, activation, .. } = target else {
        return if key.suspended { Code::Suspended } else { Code::Allowed };
    };
    match activation.map(|link| link.state) {
        // A key of a stranger is answered like a key that does not exist (K-8).
        None if key.organization != organization => Code::KeyUnknown,
        _ if key.suspended => Code::Suspended,
        _ if !active => Code::ApiInactive,
        None | Some(ActivationState::Requested | ActivationState::Refused) => Code::NotActivated,
        Some(ActivationState::Suspended) => Code::Suspended,
        Some(ActivationState::Approved) => Code::Allowed,
    }
}

/// What the counters said of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// What the call found there.
    pub weighed: Weighed,
    /// Whether the rule is only tried out.
    pub shadow: bool,
}

/// Most rules that one call is asked for: those of its key, of its project's plan and of its API.
pub const MAX_ASKED: usize = 3 * MAX_RULES;

/// What the counters said, rule by rule in the order in which they were asked. Empty when there are no rules.
pub type Weights = ArrayVec<Weight, MAX_ASKED>;

/// What is left at each rule, in the order in which they were asked: all that is kept of [`Weights`] once the call is
/// settled.
pub type Readings = ArrayVec<Reading, MAX_ASKED>;

/// The answer for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Allowed, or why not.
    pub code: Code,
    /// If a limit refused: nanoseconds until the same call fits; `None` if waiting does not help.
    pub retry_nanos: Option<u64>,
    /// Whether a limit that is only tried out would have refused it.
    pub shadow: bool,
}

/// The answer, from what the counters said.
pub fn settle(weights: &[Weight]) -> Decision {
    let mut decision = Decision { code: Code::Allowed, retry_nanos: None, shadow: false };
    for weight in weights {
        let Weighed::Over { retry_nanos, .. } = weight.weighed else { continue };
        if weight.shadow {
            decision.shadow = true;
            continue;
        }
        (decision.code, decision.retry_nanos) = match (decision.code, decision.retry_nanos, retry_nanos) {
            (Code::Allowed, _, retry) => (Code::RateLimited, retry),
            // All of them must have room again; one that never has decides.
            (code, Some(a), Some(b)) => (code, Some(a.max(b))),
            (code, _, _) => (code, None),
        };
    }
    decision
}

/// What is left at one rule, whether or not it refused.
pub const fn reading(weight: &Weight) -> Reading {
    match weight.weighed {
        Weighed::Fits { reading, .. } | Weighed::Over { reading, .. } => reading,
    }
}
