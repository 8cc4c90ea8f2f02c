//! The gateway's own answers: why a call does not go on, and what its client is told of it and of its limits.

use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use keystile_core::Code;
use keystile_core::id::RequestId;
use keystile_core::method::MethodSet;
use keystile_core::permission::PermissionQuery;
use keystile_core::time::Timestamp;

use super::body::{Answer, BodyEnd};
use super::forward::ForwardError;
use super::grpc;
use super::headers::X_REQUEST_ID;
use super::wire::Exchange;
use crate::enforce::draws::Supply;
use crate::enforce::engine::Verdict;
use crate::enforce::limits::is_callers;
use crate::enforce::snapshot::ApiView;
use crate::problem::{CHALLENGE, PROBLEM_JSON, Problem, RETRY_SECONDS};
use crate::ratelimit;
use crate::usage::Pending;
use zeroize::Zeroizing;

const CUT_OFF: &str = "What this call would use of its project's quota or credits can't be written down at the moment, so it is not let through; try again in a moment.";
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Why a call is not carried on.
pub(super) struct Refusal {
    problem: Problem,
    code: Code,
    /// Boxed: refusals are rare, and every step hands one on.
    limits: Option<Box<LimitFields>>,
    /// The types that would be taken (RFC 9110 §15.5.16).
    accept: Option<Box<HeaderValue>>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { problem: Problem::of(code), code, limits: None, accept: None }
    }
}

/// Why a call does not go to its upstream.
pub(super) enum Turned {
    /// It may not.
    Refused(Refusal),
    /// A browser asked whether a page may call, and it may.
    Preflight,
    /// Nobody is known by this text, but a slow hash may be of it: whose it is is to be found out.
    Unproven(Box<Unproven>),
    /// More is being taken for a quota; this is the answer if that does not come.
    Awaiting(Box<(Supply, Refusal)>),
}

/// A text that may be a key.
pub(super) struct Unproven {
    pub(super) text: Zeroizing<String>,
    /// The answer if it is none.
    pub(super) refusal: Refusal,
}

impl<R: Into<Refusal>> From<R> for Turned {
    fn from(refusal: R) -> Self {
        Self::Refused(refusal.into())
    }
}

impl Refusal {
    /// With what the client is told of its limits.
    pub(super) fn with_limits(code: Code, limits: LimitFields) -> Self {
        Self { limits: Some(Box::new(limits)), ..code.into() }
    }

    /// The same, with what the client is told of its limits.
    pub(super) fn and_limits(self, limits: LimitFields) -> Self {
        Self { limits: Some(Box::new(limits)), ..self }
    }

    /// The same, with the types that an API takes if that is what was wrong.
    pub(super) fn and_types(self, api: &ApiView) -> Self {
        let accept = api.accept.clone().filter(|_| self.code == Code::MediaTypeUnsupported);
        Self { accept: accept.map(Box::new), ..self }
    }

    /// The same, with what the key or its project lacks if that is what was wrong.
    pub(super) fn and_missing(self, verdict: Option<&Verdict>, api: &ApiView, needs: Option<&PermissionQuery>) -> Self {
        let key = verdict.and_then(|verdict| verdict.key.as_ref()).filter(|_| self.code == Code::PermissionMissing);
        let Some((key, needs)) = key.zip(needs) else { return self };
        let detail = match (needs.missing(key.rights(None)), needs.missing(key.rights(Some(api)))) {
            (Some(missing), _) => format!("This key lacks the permission {missing}. Ask whoever gave it out."),
            (None, Some(missing)) => {
                format!("The project was not granted the permission {missing} at this API. Ask the API's owner.")
            }
            (None, None) => return self,
        };
        Self { problem: self.problem.because(detail), ..self }
    }

    /// The same, with the reason if it is that what is used of a quota can't be written down.
    pub(super) fn and_cut_off(self, verdict: Option<&Verdict>) -> Self {
        match verdict.and_then(|verdict| verdict.of_plan.as_ref()) {
            Some(said) if said.is_cut_off => Self { problem: self.problem.because(CUT_OFF), ..self },
            _ => self,
        }
    }

    /// With a sentence that says more than the code's own.
    pub(super) fn because(code: Code, detail: &'static str) -> Self {
        Self { problem: Problem::of(code).because(detail), code, limits: None, accept: None }
    }
}

/// What the client hears when the upstream gave no answer.
pub(super) fn unanswered(error: &ForwardError, exchange: &Exchange) -> Refusal {
    match error {
        ForwardError::Upstream(code) => (*code).into(),
        ForwardError::Resting(left) => {
            Refusal::with_limits(Code::UpstreamDown, LimitFields::again_in(left.as_secs().saturating_add(1)))
        }
        ForwardError::Body(BodyEnd::TooLarge) => Code::ContentTooLarge.into(),
        ForwardError::Body(BodyEnd::Stalled) => Code::RequestTimeout.into(),
        ForwardError::Body(BodyEnd::Broken) => match exchange.body_refused() {
            Some(refused) => Refusal::because(refused.code, refused.detail),
            None => Code::ClientGone.into(),
        },
    }
}

/// What an answer needs to know of its request, whatever becomes of that.
pub(super) struct Receipt {
    pub(super) id: RequestId,
    /// The same as a field.
    pub(super) id_header: HeaderValue,
    pub(super) exchange: Exchange,
    /// Whether its client reads gRPC's statuses and no problems.
    pub(super) is_grpc: bool,
}

/// The gateway's own answer: a problem.
pub(super) fn refuse(refusal: Refusal, mut pending: Pending, receipt: Receipt) -> Response<Answer> {
    let Receipt { id, id_header, exchange, is_grpc } = receipt;
    let body = if is_grpc { Vec::new() } else { refusal.problem.to_json(id) };
    pending.sent(body.len() as u64);
    let mut response = Response::new(Answer::own(body, exchange));
    let status = StatusCode::from_u16(refusal.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id_header);
    let status = if is_grpc {
        grpc::refuse(&refusal.problem, refusal.code, headers)
    } else {
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        status
    };
    if refusal.code.wants_challenge() && !is_grpc {
        headers.insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    if refusal.code == Code::MethodNotAllowed {
        headers
            .insert(ALLOW, HeaderValue::try_from(MethodSet::ALL.to_string()).expect("method names are visible ASCII"));
    }
    if let Some(accept) = refusal.accept {
        headers.insert(ACCEPT, *accept);
    }
    if let Some(limits) = refusal.limits {
        limits.put(headers);
    }
    *response.status_mut() = status;
    // Counted as what it is, in either form.
    pending.finish(refusal.code, refusal.problem.status);
    response
}

/// What a client is told of its limits.
#[derive(Default)]
pub(super) struct LimitFields {
    policy: Option<HeaderValue>,
    state: Option<HeaderValue>,
    retry_after: Option<u64>,
}

impl LimitFields {
    /// Nothing but when to try again.
    pub(super) fn again_in(seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::default() }
    }

    /// What a decision says of them.
    pub(super) fn of(verdict: &Verdict, api: &ApiView, now: Timestamp) -> Self {
        if verdict.code == Code::Stale {
            return Self::again_in(RETRY_SECONDS);
        }
        let own = match &verdict.key {
            Some(key) => &key.policy.limits,
            // Of a key that is not known nothing is said.
            None if verdict.readings.is_empty() => return Self::default(),
            None => &api.anonymous,
        };
        let has_key = verdict.key.is_some();
        let told = verdict.limits(Some(api)).filter(|(rule, scope, _)| is_callers(rule, *scope, has_key));
        let quotas = || verdict.quotas(Some(api)).map(|(quota, _, left)| (quota, left));
        let policy = match own.header() {
            Some(policy) if verdict.of_plan.is_none() && (api.limits.is_empty() || verdict.readings.is_empty()) => {
                policy.clone()
            }
            _ => ratelimit::policy_field(told.clone().map(|(rule, _, reading)| (rule, reading.limit)), quotas()),
        };
        let is_limited = matches!(verdict.code, Code::RateLimited | Code::QuotaExhausted);
        Self {
            policy,
            state: ratelimit::state_field(told.map(|(rule, _, reading)| (rule, reading)), quotas(), now),
            retry_after: verdict.retry_nanos.filter(|_| is_limited).map(ratelimit::seconds),
        }
    }

    pub(super) fn put(self, headers: &mut HeaderMap) {
        if let Some(policy) = self.policy {
            headers.insert(RATELIMIT_POLICY, policy);
        }
        if let Some(state) = self.state {
            headers.insert(RATELIMIT, state);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}
