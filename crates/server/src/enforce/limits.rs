//! Lists of limits, prepared for being asked.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::HeaderValue;
use keystile_core::limit::{Algorithm, Dimension, LimitRule, Scope};

use crate::ratelimit;

/// The limits of a policy, or of an API.
pub struct Limits {
    /// The rules.
    pub rules: Vec<LimitRule>,
    /// Where they stand.
    pub scope: Scope,
    /// Whether each is counted for the key as a whole.
    pub(super) is_plain: bool,
    /// Tells these rules from others.
    pub(super) fingerprint: u64,
    /// For each rule that is counted apart by something, what tells it from all others; not how much it allows, so that
    /// raising a limit gives nobody a window anew.
    pub(super) marks: Box<[Option<u64>]>,
    /// `RateLimit-Policy`, if each rule means the same for everybody who may be told of it.
    header: Option<HeaderValue>,
    is_told_alike: bool,
}

impl Limits {
    /// Prepares the limits of an API of this number, or of a policy.
    pub fn new(rules: Vec<LimitRule>, scope: Scope, api: u32) -> Self {
        let hash = |said: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            said(&mut hasher);
            hasher.finish()
        };
        let marks = rules.iter().map(|rule| {
            // Calls in flight go on when limits are changed, so they are not among the cells of their key, which are cleared
            // then.
            let in_flight = rule.algorithm == Algorithm::Concurrency;
            let is_apart = scope != Scope::Key || !rule.by.is_empty() || in_flight;
            let said = (scope, api, rule.identity(), &rule.by);
            is_apart.then(|| hash(&|hasher| said.hash(hasher)))
        });
        let marks: Box<[_]> = marks.collect();
        let told = rules.iter().filter(|rule| is_callers(rule, scope, true)).map(|rule| (rule, rule.limit));
        Self {
            is_plain: marks.iter().all(Option::is_none),
            fingerprint: hash(&|hasher| rules.hash(hasher)),
            header: ratelimit::policy_field(told, [].into_iter()),
            is_told_alike: rules.iter().all(|rule| rule.overrides.is_empty()),
            marks,
            scope,
            rules,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// `RateLimit-Policy` (perhaps none), if it is the same for everybody.
    pub fn header(&self) -> Option<&Option<HeaderValue>> {
        self.is_told_alike.then_some(&self.header)
    }
}

/// Whether a caller of the gateway, with a key or without, is told how much of a limit is left: of one that is only tried
/// out, or that is counted for several callers together, it is none of his business.
pub fn is_callers(rule: &LimitRule, scope: Scope, has_key: bool) -> bool {
    let tells_callers_apart = |dimension: &Dimension| match dimension {
        Dimension::Key | Dimension::Project | Dimension::Organization => has_key,
        Dimension::ClientAddress => true,
        // The gateway knows no end users.
        Dimension::EndUser | Dimension::Operation | Dimension::Tag(_) => false,
    };
    !rule.shadow
        && (matches!(scope, Scope::Key | Scope::Plan) || scope.dimensions(rule).iter().any(tells_callers_apart))
}
