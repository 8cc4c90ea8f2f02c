//! The decision: `admit` → charge → `settle`. Both ends are pure; the charge between them is the one effect, and
//! somebody else's.
//!
//! `admit` asks whether the call may happen at all, and which limits it must pass. Whoever keeps the counters
//! charges them, all or nothing. `settle` turns what the counters said into the answer.

use arrayvec::ArrayVec;

use crate::api::Environments;
use crate::code::Code;
use crate::content::is_taken;
use crate::facts::Facts;
use crate::id::OrganizationId;
use crate::key::{Environment, KeyKind, Standing};
use crate::limit::{LimitRule, MAX_RULES, Reading, Weighed};
use crate::media::MediaTypes;
use crate::permission::{Permission, PermissionQuery, Rights};
use crate::policy::Policy;
use crate::restrict::Rules;
use crate::time::Timestamp;

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
    /// Does it have the permissions?
    Permissions,
    /// Do its limits leave room?
    Limits,
}

/// A call that may happen if its limits leave room.
#[derive(Debug, Clone, Copy)]
pub struct Admission<'a> {
    /// The limits to charge, all or none.
    pub rules: &'a [LimitRule],
    /// What the call counts.
    pub cost: u32,
    /// Restrictions in shadow that would have refused it.
    pub shadow: Rules,
}

/// The questions that [`admit`] asks, in order.
const QUESTIONS: [Step; 8] = [
    Step::State,
    Step::Expiry,
    Step::Kind,
    Step::Activation,
    Step::Environment,
    Step::Formats,
    Step::Restrictions,
    Step::Permissions,
];

/// May this call happen, as far as the key and its rules are concerned?
///
/// All questions are asked, whatever the first answers are: the time of a refusal must not tell which one it was (K-8).
///
/// # Errors
/// The code of the first question that was answered with no.
pub fn admit<'a>(key: &Key<'a>, target: Target<'_>, facts: &Facts<'_>) -> Result<Admission<'a>, Code> {
    let mut first = Code::Allowed;
    for step in QUESTIONS {
        let answer = judge(step, key, target, facts);
        first = if first.is_allowed() { answer } else { first };
    }
    if !first.is_allowed() {
        return Err(first);
    }
    let shadow = key.policy.restrictions.would_refuse(facts);
    Ok(Admission { rules: &key.policy.rate_limits, cost: facts.cost, shadow })
}

/// Every question with its answer, up to the first no; what `explain` shows. Limits are not asked.
pub fn trace(key: &Key<'_>, target: Target<'_>, facts: &Facts<'_>) -> ArrayVec<(Step, Code), 8> {
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

/// What the counters said, rule by rule in the order of the admission. Empty when there are no rules.
pub type Weights = ArrayVec<Weighed, MAX_RULES>;

/// What is left at each rule, in the order of the admission: all that is kept of [`Weights`] once the call is settled.
pub type Readings = ArrayVec<Reading, MAX_RULES>;

/// The answer for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Allowed, or why not.
    pub code: Code,
    /// If a limit refused: nanoseconds until the same call fits; `None` if waiting does not help.
    pub retry_nanos: Option<u64>,
}

/// The answer, from what the counters said.
pub fn settle(weights: &[Weighed]) -> Decision {
    let mut decision = Decision { code: Code::Allowed, retry_nanos: None };
    for weighed in weights {
        let Weighed::Over { retry_nanos, .. } = weighed else { continue };
        decision = match (decision.code, decision.retry_nanos, *retry_nanos) {
            (Code::Allowed, _, retry) => Decision { code: Code::RateLimited, retry_nanos: retry },
            // All of them must have room again; one that never has decides.
            (code, Some(a), Some(b)) => Decision { code, retry_nanos: Some(a.max(b)) },
            (code, _, _) => Decision { code, retry_nanos: None },
        };
    }
    decision
}

/// What is left at one rule, whether or not it refused.
pub const fn reading(weighed: &Weighed) -> Reading {
    match weighed {
        Weighed::Fits { reading, .. } | Weighed::Over { reading, .. } => *reading,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Moment, Ticks};

    const NOW: Timestamp = Timestamp::from_secs(1_000);
    const OURS: OrganizationId = OrganizationId::from_entropy([1; 16]);
    const THEIRS: OrganizationId = OrganizationId::from_entropy([2; 16]);

    fn code<'t>(change: impl FnOnce(&mut Key<'_>, &mut Target<'t>, &mut Facts<'t>)) -> Code {
        let policy = Policy { permissions: vec!["pets.*".parse().unwrap()], ..Policy::default() };
        let mut key = key(&policy);
        let mut target = API;
        let mut facts = Facts::at(Moment { wall: NOW, ticks: Ticks::from_nanos(1) });
        change(&mut key, &mut target, &mut facts);
        let steps = trace(&key, target, &facts);
        let answer = admit(&key, target, &facts).map_or_else(|code| code, |_| Code::Allowed);
        assert_eq!(steps.last().map(|(_, code)| *code), Some(answer), "the trace ends with the answer");
        answer
    }

    /// An API of ours that the key's project may call.
    const API: Target<'static> = Target::Api {
        organization: OURS,
        active: true,
        environments: Environments::BOTH,
        activation: Some(Activation::of(ActivationState::Approved)),
        request_types: None,
        needs: None,
        publishable: false,
    };

    fn key(policy: &Policy) -> Key<'_> {
        Key {
            standing: Standing::Active,
            expires_at: None,
            kind: KeyKind::Secret,
            organization: OURS,
            environment: Environment::Live,
            suspended: false,
            policy,
        }
    }

    fn activation(state: Option<ActivationState>) -> Code {
        code(|_, target, _| {
            let Target::Api { activation, .. } = target else { return };
            *activation = state.map(Activation::of);
        })
    }

    #[test]
    fn a_good_key_is_allowed() {
        assert_eq!(code(|_, _, _| ()), Code::Allowed);
    }

    #[test]
    fn every_state_has_its_answer() {
        assert_eq!(code(|key, _, _| key.standing = Standing::Disabled), Code::KeyDisabled);
        assert_eq!(code(|key, _, _| key.standing = Standing::Revoked), Code::KeyRevoked);
        assert_eq!(activation(None), Code::NotActivated);
        assert_eq!(activation(Some(ActivationState::Requested)), Code::NotActivated);
        assert_eq!(activation(Some(ActivationState::Refused)), Code::NotActivated);
        assert_eq!(activation(Some(ActivationState::Suspended)), Code::Suspended);
    }

    #[test]
    fn a_suspended_project_is_refused_everywhere_before_the_api_has_its_say() {
        for target in [API, Target::Management, Target::KeyAlone] {
            let asked = code(|key, of, _| {
                key.suspended = true;
                key.kind = if matches!(target, Target::Management) { KeyKind::Management } else { KeyKind::Secret };
                *of = target;
            });
            assert_eq!(asked, Code::Suspended, "{target:?}");
        }
        let asked = code(|key, target, _| {
            key.suspended = true;
            let Target::Api { active, .. } = target else { return };
            *active = false;
        });
        assert_eq!(asked, Code::Suspended);
    }

    #[test]
    fn an_api_takes_keys_of_its_environments_alone() {
        let (live, test) = (Environment::Live, Environment::Test);
        for (takes, environment, expected) in [
            (&[live, test][..], live, Code::Allowed),
            (&[live, test], test, Code::Allowed),
            (&[live], live, Code::Allowed),
            (&[live], test, Code::EnvironmentForbidden),
            (&[test], test, Code::Allowed),
            (&[test], live, Code::EnvironmentForbidden),
        ] {
            let asked = code(|key, target, _| {
                key.environment = environment;
                let Target::Api { environments, .. } = target else { return };
                *environments = Environments::of(takes).unwrap();
            });
            assert_eq!(asked, expected, "{takes:?} {environment:?}");
        }
    }

    #[test]
    fn an_activation_bounds_what_a_key_may_do_at_its_api() {
        let questions = ["pets.read", "pets.write", "shop.sell"].map(|text| text.parse::<PermissionQuery>().unwrap());
        for (granted, allowed) in [
            (None, [true, true, false]),
            (Some(&["pets.read"][..]), [true, false, false]),
            (Some(&["*"]), [true, true, false]),
            (Some(&["shop.*"]), [false; 3]),
            (Some(&[]), [false; 3]),
        ] {
            let granted: Option<Vec<Permission>> =
                granted.map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect());
            for (question, allowed) in questions.iter().zip(allowed) {
                // Asked by whoever verifies, and by the operation: the bound holds for both.
                for by_operation in [false, true] {
                    let asked = code(|_, target, facts| {
                        let Target::Api { activation, needs, .. } = target else { return };
                        let state = ActivationState::Approved;
                        *activation = Some(Activation { state, permissions: granted.as_deref() });
                        *(if by_operation { needs } else { &mut facts.needs }) = Some(question);
                    });
                    assert_eq!(asked.is_allowed(), allowed, "{granted:?} {question}");
                    assert!(allowed || asked == Code::PermissionMissing);
                }
            }
            assert_eq!(
                code(|_, target, _| {
                    let Target::Api { activation, .. } = target else { return };
                    *activation = Some(Activation {
                        permissions: granted.as_deref(),
                        ..Activation::of(ActivationState::Approved)
                    });
                }),
                Code::Allowed,
                "what asks for no permission needs none"
            );
        }
    }

    #[test]
    fn expiry_is_the_moment_itself() {
        assert_eq!(code(|key, _, _| key.expires_at = Some(NOW)), Code::KeyExpired);
        assert_eq!(code(|key, _, _| key.expires_at = Some(Timestamp::from_micros(NOW.as_micros() + 1))), Code::Allowed);
    }

    #[test]
    fn k08_a_strangers_key_is_answered_like_an_unknown_one() {
        assert_eq!(
            code(|key, target, _| {
                key.organization = THEIRS;
                // Nor is anything told of its project or of the API.
                key.suspended = true;
                let Target::Api { active, activation, environments, .. } = target else { return };
                (*active, *activation, *environments) = (false, None, Environments::of(&[Environment::Test]).unwrap());
            }),
            Code::KeyUnknown
        );
        assert_eq!(code(|key, _, _| key.organization = THEIRS), Code::Allowed, "with an activation it is a customer's");
    }

    #[test]
    fn kinds_do_not_mix() {
        assert_eq!(code(|key, _, _| key.kind = KeyKind::Management), Code::KeyKindForbidden);
        assert_eq!(code(|_, target, _| *target = Target::Management), Code::KeyKindForbidden);
        assert_eq!(
            code(|key, target, _| {
                key.kind = KeyKind::Management;
                *target = Target::Management;
            }),
            Code::Allowed
        );
    }

    #[test]
    fn k18_a_publishable_key_calls_what_is_open_to_it_and_nothing_else() {
        let publishable = |open: bool| {
            code(|key, target, _| {
                key.kind = KeyKind::Publishable;
                if let Target::Api { publishable, .. } = target {
                    *publishable = open;
                }
            })
        };
        assert_eq!((publishable(false), publishable(true)), (Code::KeyKindForbidden, Code::Allowed));
        for target in [Target::Management, Target::KeyAlone] {
            let expected = if matches!(target, Target::KeyAlone) { Code::Allowed } else { Code::KeyKindForbidden };
            let asked = code(|key, of, _| {
                key.kind = KeyKind::Publishable;
                *of = target;
            });
            assert_eq!(asked, expected);
        }
    }

    #[test]
    fn k37_a_canary_is_answered_like_a_revoked_key_wherever_it_is_presented() {
        assert_eq!(code(|key, _, _| key.kind = KeyKind::Canary), Code::KeyRevoked);
        for target in [Target::Management, Target::KeyAlone] {
            let asked = code(|key, of, _| {
                key.kind = KeyKind::Canary;
                key.standing = Standing::Disabled;
                *of = target;
            });
            assert_eq!(asked, Code::KeyRevoked);
        }
    }

    #[test]
    fn what_the_api_does_not_take_is_asked_before_what_the_key_may_send() {
        let json = MediaTypes::try_from(vec!["application/json".to_owned()]).unwrap();
        let asked = code(|_, target, _| {
            let Target::Api { request_types, .. } = target else { return };
            *request_types = Some(&json);
        });
        assert_eq!(asked, Code::MediaTypeUnsupported, "nobody knows what it sends");
    }

    #[test]
    fn a_missing_permission_is_named_last() {
        let query = "pets.read AND shop.sell".parse().unwrap();
        let policy = Policy { permissions: vec!["pets.*".parse().unwrap()], ..Policy::default() };
        let facts = Facts { needs: Some(&query), ..Facts::at(Moment { wall: NOW, ticks: Ticks::from_nanos(1) }) };
        assert_eq!(admit(&key(&policy), Target::KeyAlone, &facts).err(), Some(Code::PermissionMissing));
    }

    #[test]
    fn what_an_operation_asks_of_the_key_is_asked_as_well() {
        let [has, lacks] = ["pets.read", "shop.sell"].map(|text| text.parse::<PermissionQuery>().unwrap());
        let asked = |question, operation| {
            code(|_, target, facts| {
                facts.needs = question;
                let Target::Api { needs, .. } = target else { return };
                *needs = operation;
            })
        };
        assert_eq!(asked(None, Some(&has)), Code::Allowed);
        assert_eq!(asked(None, Some(&lacks)), Code::PermissionMissing);
        assert_eq!(asked(Some(&has), Some(&lacks)), Code::PermissionMissing);
        assert_eq!(asked(Some(&lacks), Some(&has)), Code::PermissionMissing);
        assert_eq!(asked(Some(&has), Some(&has)), Code::Allowed);
    }

    #[test]
    fn the_longest_wait_of_all_refusing_limits_is_told() {
        let over = |retry_nanos| Weighed::Over { reading: Reading { remaining: 0, reset_nanos: 9 }, retry_nanos };
        let fits =
            Weighed::Fits { slot: crate::limit::Slot::default(), reading: Reading { remaining: 1, reset_nanos: 9 } };
        assert_eq!(settle(&[]).code, Code::Allowed);
        assert_eq!(settle(&[fits]).code, Code::Allowed);
        assert_eq!(settle(&[over(Some(3)), fits, over(Some(7))]).retry_nanos, Some(7));
        assert_eq!(settle(&[over(None), over(Some(7))]).retry_nanos, None);
        assert_eq!(settle(&[over(Some(7)), over(None)]).retry_nanos, None);
    }
}
