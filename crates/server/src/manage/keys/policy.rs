//! The shapes of a policy's parts in the OpenAPI document, and what a caller may grant.

use keystile_core::key::KeyKind;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::manage::caller::Asker;
use crate::manage::problem::invalid;
use crate::problem::Problem;

/// How often a key may call.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = RateLimit)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(in crate::manage) struct RateLimitShape {
    /// Its name in headers and answers.
    #[schema(example = "per-minute")]
    name: String,
    /// Calls per window.
    #[schema(example = 60)]
    limit: u32,
    /// The window.
    #[schema(example = 60)]
    window_seconds: u32,
    /// `sliding_window` (if nothing is said) or `token_bucket`.
    algorithm: Option<String>,
    /// For a token bucket: calls at once.
    burst: Option<u32>,
}

/// Where and how a key may be used. What is absent restricts nothing; no list is empty.
#[derive(Deserialize, ToSchema)]
#[schema(as = Restrictions)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(super) struct RestrictionsShape {
    /// Addresses from which it may, or may not, be used.
    networks: Option<NetworksShape>,
    /// Methods that it may call.
    methods: Option<Vec<String>>,
    /// Paths that it may call, such as `/pets/{id}` or `/pets/**`.
    paths: Option<Vec<String>>,
    /// SHA-256 of the client certificates with which it must come, in hexadecimal.
    certificates: Option<Vec<String>>,
    /// What it may send and receive.
    formats: Option<FormatsShape>,
}

/// Content that a key may send and receive; at least one of the three. Types are written as `application/json`,
/// `application/*`, `application/*+json` or `*/*`.
#[derive(Deserialize, ToSchema)]
#[schema(as = Formats)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
struct FormatsShape {
    /// Types of request bodies that it may send. A body that says nothing of its type is `application/octet-stream`.
    request_types: Option<Vec<String>>,
    /// Types of answers that it may receive. Answers without content always reach it; problems of the upstream, such as
    /// `application/problem+json`, only if they are named.
    response_types: Option<Vec<String>>,
    /// Longest request body that it may send, if its API allows no less; with gRPC, longest message.
    #[schema(example = 65536)]
    max_body_bytes: Option<u64>,
}

/// Networks in CIDR form; `deny` goes before `allow`.
#[derive(Deserialize, ToSchema)]
#[schema(as = Networks)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
struct NetworksShape {
    /// Only from these.
    allow: Option<Vec<String>>,
    /// Not from these.
    deny: Option<Vec<String>>,
}

/// A policy that this caller may give to a key of this kind with this end.
pub(super) fn checked(
    asker: &Asker,
    kind: KeyKind,
    policy: Policy,
    expires_at: Option<Timestamp>,
) -> Result<Policy, Problem> {
    let policy = policy.checked().map_err(|error| invalid(format!("{error}.")))?;
    match kind {
        KeyKind::Secret => Ok(policy),
        KeyKind::Management => match asker.may_hand_down(&policy, expires_at) {
            Ok(()) => Ok(policy),
            Err(why) => Err(Problem::of(keystile_core::Code::PermissionMissing)
                .because(format!("A management key can be given no more than yours may do: {why}."))),
        },
    }
}
