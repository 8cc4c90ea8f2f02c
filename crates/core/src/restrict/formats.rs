//! What a key may send and receive: media types of requests and of answers, and how long a body may be (PRODUCT.md K15).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::MAX_BODY_LIMIT_BYTES;
use crate::code::Code;
use crate::content::{Content, Sent};
use crate::media::MediaTypes;

/// The formats of one key; at least one of them is bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Formats(Parts);

/// The wire form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_types: Option<MediaTypes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_types: Option<MediaTypes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_body_bytes: Option<u64>,
}

/// The parts are no restriction of formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatsError {
    /// Nothing is restricted.
    Empty,
    /// Longer than any API takes.
    TooLong,
}

impl fmt::Display for FormatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "formats needs request_types, response_types or max_body_bytes; leave it out for no restriction",
            ),
            Self::TooLong => write!(f, "max_body_bytes is at most {MAX_BODY_LIMIT_BYTES}"),
        }
    }
}

impl std::error::Error for FormatsError {}

impl Formats {
    /// Judges what a call sends, and whether it would take any answer that may come. What nobody knows is refused.
    ///
    /// # Errors
    /// [`Code::FormatForbidden`] for a type, [`Code::ContentTooLarge`] for a length.
    pub fn judge(&self, content: Option<&dyn Content>) -> Result<(), Code> {
        let sent = content.map_or(Sent::Unknown, Content::sent);
        if self.0.request_types.as_ref().is_some_and(|types| !sent.is_of(types)) {
            return Err(Code::FormatForbidden);
        }
        if let Some(types) = &self.0.response_types {
            // Refused now rather than when the upstream has done its work.
            let accept = content.ok_or(Code::FormatForbidden)?.accept();
            if accept.is_some_and(|accept| !types.could_please(&accept)) {
                return Err(Code::FormatForbidden);
            }
        }
        if self.0.max_body_bytes.is_some_and(|most| !sent.fits(most)) {
            return Err(Code::ContentTooLarge);
        }
        Ok(())
    }

    /// Whether nothing may pass here that may not there. If that can't be told, no.
    pub fn is_within(&self, outer: &Self) -> bool {
        let types = |own: &Option<MediaTypes>, outer: &Option<MediaTypes>| match (own, outer) {
            (_, None) => true,
            (own, Some(outer)) => own.as_ref().is_some_and(|own| own.is_within(outer)),
        };
        types(&self.0.request_types, &outer.0.request_types)
            && types(&self.0.response_types, &outer.0.response_types)
            && outer.0.max_body_bytes.is_none_or(|most| self.0.max_body_bytes.is_some_and(|own| own <= most))
    }

    /// The types of answers that may come; `None` for all.
    pub const fn response_types(&self) -> Option<&MediaTypes> {
        self.0.response_types.as_ref()
    }

    /// Longest body that may be sent; `None` for as long as its API takes.
    pub const fn max_body_bytes(&self) -> Option<u64> {
        self.0.max_body_bytes
    }
}

impl TryFrom<Parts> for Formats {
    type Error = FormatsError;

    fn try_from(parts: Parts) -> Result<Self, FormatsError> {
        if parts.request_types.is_none() && parts.response_types.is_none() && parts.max_body_bytes.is_none() {
            return Err(FormatsError::Empty);
        }
        if parts.max_body_bytes.is_some_and(|most| most > MAX_BODY_LIMIT_BYTES) {
            return Err(FormatsError::TooLong);
        }
        Ok(Self(parts))
    }
}

impl From<Formats> for Parts {
    fn from(formats: Formats) -> Self {
        formats.0
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[derive(Debug)]
    struct Call(Sent<'static>, Option<&'static str>);

    impl Content for Call {
        fn sent(&self) -> Sent<'_> {
            self.0.clone()
        }

        fn accept(&self) -> Option<Cow<'_, [u8]>> {
            self.1.map(|accept| accept.as_bytes().into())
        }
    }

    fn types(pattern: &str) -> Option<MediaTypes> {
        Some(MediaTypes::try_from(vec![pattern.to_owned()]).unwrap())
    }

    fn body(content_type: Option<&'static str>, bytes: Option<u64>) -> Sent<'static> {
        Sent::Body { content_type: content_type.map(|value| value.as_bytes().into()), bytes }
    }

    const JSON: Option<&str> = Some("application/json");
    const FORBIDDEN: Result<(), Code> = Err(Code::FormatForbidden);
    const TOO_LARGE: Result<(), Code> = Err(Code::ContentTooLarge);

    #[test]
    fn each_part_asks_for_its_own_fact() {
        let none = Parts { request_types: None, response_types: None, max_body_bytes: None };
        let sends = Parts { request_types: types("application/json"), ..none.clone() };
        let takes = Parts { response_types: types("application/json"), ..none.clone() };
        let small = Parts { max_body_bytes: Some(10), ..none.clone() };
        let nothing = Parts { max_body_bytes: Some(0), ..none.clone() };
        for (parts, sent, accept, answer) in [
            (&sends, body(JSON, Some(99)), None, Ok(())),
            (&sends, body(JSON, None), Some("text/html"), Ok(())),
            (&sends, body(Some("text/xml"), Some(1)), None, FORBIDDEN),
            (&sends, body(None, Some(1)), None, FORBIDDEN),
            (&sends, body(Some("application/json, application/json"), Some(1)), None, FORBIDDEN),
            (&sends, Sent::Nothing, None, Ok(())),
            (&sends, Sent::Unknown, None, FORBIDDEN),
            (&takes, body(Some("text/xml"), None), None, Ok(())),
            (&takes, Sent::Unknown, JSON, Ok(())),
            (&takes, Sent::Nothing, Some("text/html"), FORBIDDEN),
            (&small, body(Some("what is this"), Some(10)), Some("text/html"), Ok(())),
            (&small, body(JSON, Some(11)), None, TOO_LARGE),
            (&small, body(JSON, None), None, TOO_LARGE),
            (&small, Sent::Unknown, None, TOO_LARGE),
            (&nothing, Sent::Nothing, None, Ok(())),
            (&nothing, body(JSON, Some(1)), None, TOO_LARGE),
        ] {
            let formats = Formats::try_from(parts.clone()).unwrap();
            let call = Call(sent, accept);
            assert_eq!(formats.judge(Some(&call)), answer, "{parts:?} {call:?}");
            assert!(formats.judge(None).is_err(), "what nobody knows is refused: {parts:?}");
        }
    }

    #[test]
    fn formats_are_within_those_that_let_more_pass() {
        let of = |sent: Option<&str>, taken: Option<&str>, max_body_bytes| {
            let parts =
                Parts { request_types: sent.and_then(types), response_types: taken.and_then(types), max_body_bytes };
            Formats::try_from(parts).unwrap()
        };
        for (own, outer, within) in [
            (of(None, None, Some(10)), of(None, None, Some(10)), true),
            (of(None, None, Some(9)), of(None, None, Some(10)), true),
            (of(None, None, Some(11)), of(None, None, Some(10)), false),
            (of(JSON, None, None), of(None, None, Some(10)), false),
            (of(JSON, None, Some(10)), of(None, None, Some(10)), true),
            (of(JSON, None, None), of(Some("application/*"), None, None), true),
            (of(Some("application/*"), None, None), of(JSON, None, None), false),
            (of(None, JSON, None), of(JSON, None, None), false),
            (of(None, JSON, None), of(None, Some("*/*"), None), true),
            (of(None, Some("*/*"), None), of(None, JSON, None), false),
        ] {
            assert_eq!(own.is_within(&outer), within, "{own:?} in {outer:?}");
        }
    }

    #[test]
    fn a_restriction_that_restricts_nothing_is_none() {
        let none = Parts { request_types: None, response_types: None, max_body_bytes: None };
        assert_eq!(Formats::try_from(none.clone()), Err(FormatsError::Empty));
        let most = |bytes| Formats::try_from(Parts { max_body_bytes: Some(bytes), ..none.clone() });
        assert_eq!(most(MAX_BODY_LIMIT_BYTES + 1), Err(FormatsError::TooLong));
        assert!(most(MAX_BODY_LIMIT_BYTES).is_ok());
    }
}
