//! What a call says of its content, looked for when a rule asks, and whether the content of an answer may go to the
//! client.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use keystile_core::Code;
use keystile_core::content::{Content, Sent};
use keystile_core::restrict::{Formats, Rule, Rules};

use super::refusal::Refusal;
use crate::enforce::engine::Verdict;
use crate::enforce::snapshot::{ApiView, PolicyView};

/// What goes through a connection that has switched, in both directions: it says nothing of its type.
const ANYTHING: &[u8] = b"application/octet-stream";
const NOT_FOR_THE_KEY: &str =
    "The answer is of a content type that the key may not receive; use a key that may, or ask for another type.";
const NOT_OF_THE_API: &str =
    "The API behind the gateway answered with a content type that it is not published to give.";

/// What a request says of its content.
#[derive(Debug)]
pub(super) struct RequestContent<'a> {
    pub(super) headers: &'a HeaderMap,
    /// How long its body is at least, if it has one: what comes is measured.
    pub(super) body: Option<u64>,
    /// Whether it asks for another protocol.
    pub(super) switches: bool,
}

impl Content for RequestContent<'_> {
    fn sent(&self) -> Sent<'_> {
        match self.body {
            _ if self.switches => Unread.sent(),
            Some(bytes) => Sent::Body { content_type: field(self.headers, CONTENT_TYPE), bytes: Some(bytes) },
            None => Sent::Nothing,
        }
    }

    fn accept(&self) -> Option<Cow<'_, [u8]>> {
        if self.switches { Unread.accept() } else { field(self.headers, ACCEPT) }
    }
}

/// What goes through a connection that has switched.
#[derive(Debug)]
pub(super) struct Unread;

impl Content for Unread {
    fn sent(&self) -> Sent<'_> {
        Sent::Body { content_type: Some(ANYTHING.into()), bytes: Some(0) }
    }

    fn accept(&self) -> Option<Cow<'_, [u8]>> {
        Some(ANYTHING.into())
    }
}

/// Whether an API lets pass what says nothing of its type.
pub(super) fn carries_anything(api: &ApiView) -> bool {
    [&api.request_types, &api.response_types].into_iter().flatten().all(|types| types.admit_field(Some(ANYTHING)))
}

/// All values of a field with commas between them (RFC 9110 §5.3).
fn field(headers: &HeaderMap, name: HeaderName) -> Option<Cow<'_, [u8]>> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    Some(values.fold(Cow::Borrowed(first), |all, value| [&*all, b", ", value].concat().into()))
}

fn formats(policy: &PolicyView) -> Option<&Formats> {
    policy.policy.restrictions.formats.as_ref()
}

fn is_shadow(policy: &PolicyView) -> bool {
    policy.policy.restrictions.shadow.contains(Rule::Formats)
}

/// How long a body may be: as its API and its key both allow.
pub(super) fn longest_body(api: &ApiView, verdict: Option<&Verdict>) -> u64 {
    let policy = verdict.and_then(|verdict| verdict.key.as_ref()).map(|key| &*key.policy);
    let formats = policy.filter(|policy| !is_shadow(policy)).and_then(formats);
    formats.and_then(Formats::max_body_bytes).map_or(api.body_limit_bytes, |most| most.min(api.body_limit_bytes))
}

/// The policy of a call's key, if it says which answers may come. In shadow it is asked no more once it would have
/// refused the request: a call is told of once.
pub(super) fn answer_rule(verdict: Option<&Verdict>) -> Option<Arc<PolicyView>> {
    let verdict = verdict.filter(|verdict| !verdict.shadow.contains(Rule::Formats))?;
    let policy = &verdict.key.as_ref()?.policy;
    formats(policy)?.response_types()?;
    Some(policy.clone())
}

/// Whether content with this head may go to the client, and what in shadow would keep it back.
///
/// # Errors
/// What the client gets in its place.
pub(super) fn judge_answer(api: &ApiView, rule: Option<&PolicyView>, headers: &HeaderMap) -> Result<Rules, Refusal> {
    let of_key = rule.and_then(formats).and_then(Formats::response_types);
    if api.response_types.is_none() && of_key.is_none() {
        return Ok(Rules::NONE);
    }
    let content_type = field(headers, CONTENT_TYPE);
    if api.response_types.as_ref().is_some_and(|types| !types.admit_field(content_type.as_deref())) {
        tracing::warn!(api = %api.id, "the upstream answered with a content type that the API is not published to give");
        return Err(Refusal::because(Code::UpstreamUnreachable, NOT_OF_THE_API));
    }
    if of_key.is_none_or(|types| types.admit_field(content_type.as_deref())) {
        return Ok(Rules::NONE);
    }
    match rule.is_some_and(is_shadow) {
        true => Ok(Rules::NONE.and(Rule::Formats)),
        false => Err(Refusal::because(Code::FormatForbidden, NOT_FOR_THE_KEY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_fields_are_one_list() {
        let mut headers = HeaderMap::new();
        assert_eq!(field(&headers, ACCEPT), None);
        for value in ["text/html", "a/b", ""] {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        assert_eq!(field(&headers, ACCEPT).as_deref(), Some(&b"text/html, a/b, "[..]));
    }
}
