//! The shapes of a policy's parts in the OpenAPI document, and what a caller may grant.

use keystile_core::key::KeyKind;
use keystile_core::policy::Policy;
use keystile_core::restrict::Rule;
use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::manage::caller::Asker;
use crate::manage::problem::invalid;
use crate::problem::Problem;

/// How often something may be called.
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
    /// The window. For `concurrency`: after how long a call counts no more that a verification let through and of which
    /// nobody says that it has ended; 60 unless said otherwise.
    #[schema(example = 60)]
    window_seconds: Option<u32>,
    /// `sliding_window` (if nothing is said), `token_bucket`, `fixed_window` (of the calendar in UTC; weeks begin on Monday)
    /// or `concurrency` (calls that are being answered).
    algorithm: Option<String>,
    /// For a token bucket: calls at once.
    burst: Option<u32>,
    /// `cost` (if nothing is said; an ordinary call costs 1) or `calls`.
    counts: Option<String>,
    /// For whom it is counted apart: `end_user`, `operation`, `client_address` and `tag:NAME`, on an API also `key`, `project`
    /// and `organization`; at most 4, which then count together. All calls together, if nothing is said.
    by: Option<Vec<String>>,
    /// Other limits for some of those, if it is counted by one of them that has a name; the first that fits counts. At most
    /// 100.
    overrides: Option<Vec<OverrideShape>>,
    /// Whether it is only tried out: it counts, and what it would refuse is told and let through.
    shadow: Option<bool>,
}

/// Another limit for whom it names.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = LimitOverride)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
struct OverrideShape {
    /// Whom: an id, an end user, an address or a network, a tag's value. `*` stands for anything.
    #[schema(example = "acme-*")]
    subject: String,
    /// Calls per window; 0 lets nothing through.
    #[schema(example = 0)]
    limit: u32,
}

/// Where and how a key may be used. What is absent restricts nothing; no list is empty.
#[derive(Deserialize, ToSchema)]
#[schema(as = Restrictions)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(super) struct RestrictionsShape {
    /// Addresses from which it may, or may not, be used.
    networks: Option<NetworksShape>,
    /// Countries from which it may, or may not, be used.
    countries: Option<CountriesShape>,
    /// Hours in which it may be used.
    times: Option<TimesShape>,
    /// Web origins that may use it, such as `https://app.example.com` or `https://*.example.com`: by the `Origin` of a call
    /// or, lacking one, its `Referer`.
    origins: Option<Vec<String>>,
    /// Pages that may use it, such as `https://app.example.com` or `https://app.example.com/shop/*`: by `Referer`.
    referrers: Option<Vec<String>>,
    /// Apps that may use it, by the header fields in which they say which one they are.
    apps: Option<AppsShape>,
    /// Methods that it may call.
    methods: Option<Vec<String>>,
    /// Paths that it may call, such as `/pets/{id}` or `/pets/**`.
    paths: Option<Vec<String>>,
    /// SHA-256 of the client certificates with which it must come, in hexadecimal.
    certificates: Option<Vec<String>>,
    /// What it may send and receive.
    formats: Option<FormatsShape>,
    /// Names of those of them that are tried out: what they would refuse is told and counted, but let through.
    #[schema(example = json!(["countries"]))]
    shadow: Option<Vec<String>>,
}

/// Countries by their codes of two letters (ISO 3166-1); `deny` goes before `allow`. A call of which the country is not
/// known is refused.
#[derive(Deserialize, ToSchema)]
#[schema(as = Countries)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(in crate::manage) struct CountriesShape {
    /// Only from these.
    allow: Option<Vec<String>>,
    /// Not from these.
    deny: Option<Vec<String>>,
}

/// Hours of the week by the clock of a time zone.
#[derive(Deserialize, ToSchema)]
#[schema(as = Times)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(in crate::manage) struct TimesShape {
    /// A name of the IANA database, or UTC.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// At least one.
    windows: Vec<WindowShape>,
}

/// From a time of these days until one of the same or, if that is no later, of the next.
#[derive(Deserialize, ToSchema)]
#[schema(as = Window)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
struct WindowShape {
    /// `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`; every day if nothing is said.
    days: Option<Vec<String>>,
    /// When it begins.
    #[schema(example = "08:00")]
    from: String,
    /// When it is over; `24:00` at the end of the day.
    #[schema(example = "18:00")]
    until: String,
}

/// Apps by what they are called in their stores; at least one.
#[derive(Deserialize, ToSchema)]
#[schema(as = Apps)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
struct AppsShape {
    /// Android apps: calls say `X-Android-Package` and `X-Android-Cert`.
    android: Option<Vec<AndroidAppShape>>,
    /// Bundle identifiers of iOS apps: calls say `X-Ios-Bundle-Identifier`.
    #[schema(example = json!(["com.example.app"]))]
    ios: Option<Vec<String>>,
}

/// An Android app.
#[derive(Deserialize, ToSchema)]
#[schema(as = AndroidApp)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
struct AndroidAppShape {
    /// Its package.
    #[schema(example = "com.example.app")]
    package: String,
    /// SHA-1 of the certificate that it is signed with, in hexadecimal.
    certificate: String,
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
pub(in crate::manage) struct NetworksShape {
    /// Only from these.
    allow: Option<Vec<String>>,
    /// Not from these.
    deny: Option<Vec<String>>,
}

/// The restrictions by which requests to the management API are judged.
const HOLD_HERE: [Rule; 6] = [Rule::Networks, Rule::Countries, Rule::Times, Rule::Origins, Rule::Referrers, Rule::Apps];

/// Refuses what is said of a management key and would never hold: what is asked of calls is not asked of requests here.
pub(super) fn refuse_idle(kind: KeyKind, policy: &Policy) -> Result<(), Problem> {
    if kind != KeyKind::Management {
        return Ok(());
    }
    if !policy.patterns.is_empty() {
        return Err(invalid("A management key takes no patterns: they are about calls of APIs."));
    }
    let idle = Rule::ALL.iter().find(|rule| policy.restrictions.has(**rule) && !HOLD_HERE.contains(rule));
    idle.map_or(Ok(()), |rule| {
        Err(invalid(format!(
            "A management key can't be restricted in {rule}, for requests to the management API are not judged by that; \
             restrict its networks, countries or times, and give it narrower permissions."
        )))
    })
}

/// A policy that this caller may give to a key of this kind with this end.
pub(super) fn checked(
    asker: &Asker,
    kind: KeyKind,
    policy: Policy,
    expires_at: Option<Timestamp>,
) -> Result<Policy, Problem> {
    let policy = policy.checked().map_err(|error| invalid(format!("{error}.")))?;
    kind.checked(&policy.restrictions).map_err(|error| invalid(format!("{error}.")))?;
    if kind == KeyKind::Management && !policy.roles.is_empty() {
        // Else whoever may change roles could give it more than they have themselves (K-14).
        return Err(invalid(
            "A management key takes no roles, for a role that changes would change what it may do here; give it \
             permissions of its own.",
        ));
    }
    match kind {
        KeyKind::Secret | KeyKind::Publishable | KeyKind::Canary => Ok(policy),
        KeyKind::Management => match asker.may_hand_down(&policy, expires_at) {
            // A key is proof of itself, for whatever it may do.
            Ok(()) => asker.proven().map(|()| policy),
            Err(why) => Err(Problem::of(keystile_core::Code::PermissionMissing)
                .because(format!("A management key can be given no more than yours may do: {why}."))),
        },
    }
}
