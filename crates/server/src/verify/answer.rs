//! What is answered.

use std::borrow::Cow;

use keystile_core::Code;
use keystile_core::decide::Step;
use keystile_core::id::{KeyId, LeaseId, OrganizationId, ProjectId, RequestId};
use keystile_core::key::{Environment, KeyKind};
use keystile_core::limit::Scope;
use keystile_core::metadata::Metadata;
use keystile_core::pattern::PatternSaid;
use keystile_core::permission::{Permission, PermissionQuery, Rights};
use keystile_core::plan::Period;
use keystile_core::restrict::Said;
use keystile_core::role::RoleName;
use keystile_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::codes::is_of_a_verdict;
use crate::enforce::engine::{Explanation, Verdict};
use crate::enforce::snapshot::ApiView;
use crate::ratelimit::{seconds, until};

/// What is said of a key; with status 200 whenever the question was understood.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyAnswer)]
pub(super) struct Answer<'a> {
    /// Whether the call may be let through.
    allowed: bool,
    /// `allowed`, or why not.
    #[schema(value_type = String)]
    code: Code,
    /// The key; it and what follows is `null` if it is not known.
    #[schema(value_type = Option<String>, required = true)]
    key_id: Option<KeyId>,
    /// Its project.
    #[schema(value_type = Option<String>, required = true)]
    project_id: Option<ProjectId>,
    /// The organization whose project that is.
    #[schema(value_type = Option<String>, required = true)]
    organization_id: Option<OrganizationId>,
    /// `live` or `test`.
    #[schema(value_type = Option<String>, required = true)]
    environment: Option<Environment>,
    /// What the key is for.
    #[schema(value_type = Option<String>, required = true)]
    kind: Option<KeyKind>,
    /// What the key may do: at the API that is asked about, as far as its project was granted it there.
    #[schema(value_type = Vec<String>)]
    permissions: Cow<'a, [Permission]>,
    /// What its owner wrote on it for programs.
    #[schema(value_type = Option<Object>, required = true)]
    metadata: Option<&'a Metadata>,
    /// The names of its roles; what they grant is among the permissions.
    #[schema(value_type = Vec<String>)]
    roles: &'a [RoleName],
    /// If `code` is `permission_missing`: what it lacks, as a question like the one that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    missing_permissions: Option<String>,
    /// What is left of the limits and quotas that were asked.
    limits: Vec<Limit<'a>>,
    /// If its project's calls are paid by credits: what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = CreditsLeft, required = false)]
    credits: Option<CreditsLeft>,
    /// If something has to be told when the call ends: a limit counts it until then, or `report` was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Lease, required = false)]
    lease: Option<Lease>,
    /// When the key ends, if it does.
    #[schema(value_type = Option<String>, required = true)]
    expires_at: Option<Timestamp>,
    /// The id of this answer, as it stands in logs.
    #[schema(value_type = String)]
    request_id: RequestId,
    /// If `explain` was asked for: the questions of the decision, up to the first no.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<Answered<'static>>, required = false)]
    trace: Option<Vec<Answered<'a>>>,
}

/// The place of a call among those in flight: whoever asked says when it has ended.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct Lease {
    /// What to send to `/v1/limits/release` or `/v1/usage/report`.
    #[schema(value_type = String)]
    pub(super) id: LeaseId,
    /// When it counts no more in any case.
    #[schema(value_type = String)]
    pub(super) expires_at: Timestamp,
}

/// What is left of the credits that calls are paid by.
#[derive(Serialize, ToSchema)]
pub(super) struct CreditsLeft {
    /// How many.
    remaining: u64,
}

/// What is left of a limit or of a quota.
#[derive(Serialize, ToSchema)]
#[schema(as = LimitLeft)]
pub(super) struct Limit<'a> {
    /// Its name.
    name: &'a str,
    /// Where it stands: on the `key`, in the `plan` of its project, on the `project` (a ceiling of its own people), on the `api`.
    of: &'static str,
    /// How much it is.
    limit: u64,
    /// How much of it is left.
    remaining: u64,
    /// Seconds until all of it is there again.
    reset: u64,
    /// Of a quota, for how long it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    period: Option<Period>,
}

/// A question of the decision, answered.
#[derive(Serialize, ToSchema)]
#[schema(as = Answered)]
pub(crate) struct Answered<'a> {
    /// `state`, `expiry`, `kind`, `activation`, `environment`, `formats`, `restrictions`, `patterns`, `permissions`, `limits`.
    #[schema(value_type = String, example = "restrictions")]
    step: Step,
    /// `allowed`, or the code of the no.
    #[schema(value_type = String, example = "allowed")]
    code: Code,
    /// At `restrictions`: what each of them said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<SaidShape>>)]
    restrictions: Option<&'a [Said]>,
    /// At `patterns`: what each pattern of the key and of its project said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<PatternSaidShape>>)]
    patterns: Option<&'a [PatternSaid]>,
}

/// What one restriction says.
#[derive(Serialize, ToSchema)]
#[schema(as = RestrictionAnswer)]
#[allow(dead_code, reason = "the core's own type writes it; this is its shape in the OpenAPI document")]
struct SaidShape {
    /// Its name, such as `networks`.
    rule: String,
    /// `allowed`, or the code with which it refuses.
    code: String,
    /// Whether it is only tried out.
    shadow: bool,
}

/// What one pattern says.
#[derive(Serialize, ToSchema)]
#[schema(as = PatternAnswer)]
#[allow(dead_code, reason = "the core's own type writes it; this is its shape in the OpenAPI document")]
struct PatternSaidShape {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// `allowed`, or the code with which it refuses.
    code: String,
    /// Whether it is only tried out.
    shadow: bool,
}

/// How a decision came about, question by question.
pub(crate) fn trace(explanation: &Explanation) -> Vec<Answered<'_>> {
    let answered = |(step, code): &(Step, Code)| Answered {
        step: *step,
        code: *code,
        restrictions: (*step == Step::Restrictions).then_some(&*explanation.restrictions),
        patterns: (*step == Step::Patterns).then_some(&*explanation.patterns),
    };
    explanation.steps.iter().map(answered).collect()
}

/// Writes the answer. `needs` is what was asked of the key, by whoever asked and by the operation.
pub(super) fn write(
    verdict: &Verdict,
    api: Option<&ApiView>,
    metadata: Option<&Metadata>,
    needs: [Option<&PermissionQuery>; 2],
    explanation: Option<&Explanation>,
    (id, lease, now): (RequestId, Option<Lease>, Timestamp),
) -> Vec<u8> {
    debug_assert!(is_of_a_verdict(verdict.code), "{} is not in the document", verdict.code);
    let key = verdict.key.as_ref();
    let in_force = verdict.limits(api).filter(|(rule, _, _)| !rule.shadow);
    let limits = in_force.map(|(rule, scope, left)| Limit {
        name: rule.name.as_str(),
        of: match scope {
            Scope::Key => "key",
            Scope::Plan => "plan",
            Scope::Api | Scope::Anonymous => "api",
        },
        limit: left.limit.into(),
        remaining: left.remaining.into(),
        reset: seconds(left.reset_nanos),
        period: None,
    });
    let quotas = verdict.quotas(api).map(|(quota, of, left)| Limit {
        name: quota.name.as_str(),
        of: of.as_str(),
        limit: left.limit,
        remaining: left.remaining,
        reset: until(now, left.span.end),
        period: Some(quota.period),
    });
    let granted = key.map_or_else(|| Rights::from(&[]), |key| key.rights(api));
    let missing = (verdict.code == Code::PermissionMissing)
        .then(|| PermissionQuery::All(needs.into_iter().flatten().cloned().collect()).missing(granted))
        .flatten();
    let nothing = Metadata::default();
    let answer = Answer {
        allowed: verdict.code.is_allowed(),
        code: verdict.code,
        key_id: key.map(|key| key.entry.id),
        project_id: key.map(|key| key.project.id),
        organization_id: key.map(|key| key.project.organization),
        environment: key.map(|key| key.entry.environment),
        kind: key.map(|key| key.entry.kind),
        permissions: granted.list(),
        metadata: key.map(|_| metadata.unwrap_or(&nothing)),
        roles: key.map_or(&[], |key| &key.policy.roles),
        missing_permissions: missing.map(|missing| missing.to_string()),
        limits: limits.chain(quotas).collect(),
        credits: verdict.of_plan.as_ref().and_then(|said| said.credits).map(|remaining| CreditsLeft { remaining }),
        lease,
        expires_at: key.and_then(|key| key.entry.expires_at),
        request_id: id,
        trace: explanation.map(trace),
    };
    serde_json::to_vec(&answer).unwrap_or_default()
}
