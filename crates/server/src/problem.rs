//! The one place where a failure becomes an answer: `application/problem+json` (RFC 9457) with a stable `code`, the
//! request's id, a sentence that says what to do, and nothing of the request or of the cause.

use std::borrow::Cow;

use http::HeaderValue;
use keystile_core::Code;
use keystile_core::id::RequestId;
use serde::Serialize;

/// The media type of every problem.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// How to authenticate (RFC 6750 §3); goes with every 401.
pub const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"keystile\"");

/// When to try again what failed because of the moment: nobody knows, and soon.
pub const RETRY_SECONDS: u64 = 2;

/// A failure with all that caused it, for the log.
pub fn causes(failure: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(failure);
    while let Some(error) = next {
        text.push_str(&format!("{}{error}", if text.is_empty() { "" } else { ": " }));
        next = error.source();
    }
    text
}

/// A refusal or failure as an outsider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: &'static str,
    /// A short name of the kind of problem.
    pub title: &'static str,
    /// What to do.
    pub detail: Cow<'static, str>,
}

/// The body.
#[derive(Serialize)]
pub(crate) struct Wire<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: RequestId,
}

impl Problem {
    /// A problem of the list that all doors share.
    pub const fn of(code: Code) -> Self {
        Self { status: code.status(), code: code.as_str(), title: code.title(), detail: Cow::Borrowed(code.detail()) }
    }

    /// The same with another sentence.
    pub fn because(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// Seconds after which it is worth trying again, if the moment is what is wrong.
    pub const fn retry_after(&self) -> Option<u64> {
        match self.status {
            503 | 507 => Some(RETRY_SECONDS),
            _ => None,
        }
    }

    /// The body of the answer.
    pub fn to_json(&self, request_id: RequestId) -> Vec<u8> {
        serde_json::to_vec(&self.wire(request_id)).unwrap_or_default()
    }

    /// The members of the body, for answers that have more of them.
    pub(crate) fn wire(&self, request_id: RequestId) -> Wire<'_> {
        let Self { status, code, title, detail } = self;
        Wire { r#type: "about:blank", title, status: *status, detail, code, request_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_and_ours() {
        let body = Problem::of(Code::KeyMissing).to_json(RequestId::from_entropy([0; 16]));
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["type"], "about:blank");
        assert_eq!(body["status"], 401);
        assert_eq!(body["code"], "key_missing");
        assert_eq!(body["request_id"], "req_0000000000000000000000");
        assert!(body["detail"].as_str().unwrap().ends_with('.'));
    }
}
