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

use crate::enforce::engine::{Explanation, Verdict};
use crate::enforce::snapshot::ApiView;
use crate::ratelimit::{seconds, until};

/// The answer; 200 whenever the question was understood.
#[derive(Serialize)]
struct Answer<'a> {
    allowed: bool,
    code: Code,
    key_id: Option<KeyId>,
    project_id: Option<ProjectId>,
    organization_id: Option<OrganizationId>,
    environment: Option<Environment>,
    kind: Option<KeyKind>,
    /// What the key may do: at the API that is asked about, as far as its project was granted it there.
    permissions: Cow<'a, [Permission]>,
    /// What its owner wrote on it for programs.
    metadata: Option<&'a Metadata>,
    /// The names of its roles; what they grant is among the permissions.
    roles: &'a [RoleName],
    /// What it lacks, as a question like the one that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_permissions: Option<String>,
    limits: Vec<Limit<'a>>,
    /// If its project's calls are paid by credits: what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    credits: Option<CreditsLeft>,
    /// If a limit counts the call until it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
    expires_at: Option<Timestamp>,
    request_id: RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Vec<Answered<'a>>>,
}

/// The place of a call among those in flight: whoever asked says when it has ended.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    /// When it counts no more in any case.
    pub(super) expires_at: Timestamp,
}

/// What is left of the credits that calls are paid by.
#[derive(Serialize)]
struct CreditsLeft {
    remaining: u64,
}

/// What is left of a limit.
#[derive(Serialize)]
struct Limit<'a> {
    name: &'a str,
    /// Where it stands.
    of: &'static str,
    limit: u64,
    remaining: u64,
    /// Seconds until all of it is there again.
    reset: u64,
    /// Of a quota, for how long it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<Period>,
}

/// A question of the decision, answered.
#[derive(Serialize)]
pub(crate) struct Answered<'a> {
    step: Step,
    code: Code,
    /// What each restriction said.
    #[serde(skip_serializing_if = "Option::is_none")]
    restrictions: Option<&'a [Said]>,
    /// What each pattern said.
    #[serde(skip_serializing_if = "Option::is_none")]
    patterns: Option<&'a [PatternSaid]>,
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

/// `needs` is what was asked of the key, by whoever asked and by the operation.
pub(super) fn write(
    verdict: &Verdict,
    api: Option<&ApiView>,
    metadata: Option<&Metadata>,
    needs: [Option<&PermissionQuery>; 2],
    explanation: Option<&Explanation>,
    (id, lease, now): (RequestId, Option<Lease>, Timestamp),
) -> Vec<u8> {
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
