//! gRPC, as far as a gateway must know it: its clients read no problem documents but a status in the head of the answer
//! ("gRPC over HTTP2", trailers-only), and its bodies are streams of messages, each with its own size (G-21).

use arrayvec::ArrayVec;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use keystile_core::Code;

use crate::enforce::snapshot::header_text;
use crate::problem::Problem;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// A byte that says whether the message is compressed, and its length in four.
const PREFIX: usize = 5;

/// Whether a request is a call of gRPC: `application/grpc`, with or without `+proto` and the like.
pub(super) fn is_call(headers: &HeaderMap) -> bool {
    let Some(rest) = headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
    else {
        return false;
    };
    matches!(rest.first(), None | Some(b'+' | b';'))
}

/// Writes a refusal as gRPC's clients read it, and returns the HTTP status that they expect with it.
pub(super) fn refuse(problem: &Problem, code: Code, headers: &mut HeaderMap) -> StatusCode {
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(status(code)));
    // Percent-encoded where it is not visible ASCII, as gRPC wants it too.
    headers.insert(GRPC_MESSAGE, header_text(&format!("{}: {}", problem.code, problem.detail)));
    StatusCode::OK
}

/// The status of gRPC for a code, by its HTTP status.
fn status(code: Code) -> u16 {
    const CANCELLED: u16 = 1;
    const INVALID_ARGUMENT: u16 = 3;
    const DEADLINE_EXCEEDED: u16 = 4;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match code.status() {
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        402 | 413 | 429 => RESOURCE_EXHAUSTED,
        404 | 405 | 501 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        499 => CANCELLED,
        502 | 503 => UNAVAILABLE,
        400..=499 => INVALID_ARGUMENT,
        _ => INTERNAL,
    }
}

/// The messages of a body, as they stream by.
pub(super) struct Messages {
    /// The longest that one may be.
    limit: u64,
    /// What has come of the next one's prefix.
    prefix: ArrayVec<u8, PREFIX>,
    /// Bytes that the current one still has.
    left: u64,
}

impl Messages {
    /// Each at most so long.
    pub(super) fn of(limit: u64) -> Self {
        Self { limit, prefix: ArrayVec::new(), left: 0 }
    }

    /// Takes what came next. Whether no message says that it is longer than it may be.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len() as u64);
                self.left -= taken;
                bytes = &bytes[taken as usize..];
                continue;
            }
            self.prefix.push(*first);
            bytes = rest;
            if let Some(&[_, length @ ..]) = self.prefix.as_slice().first_chunk::<PREFIX>() {
                self.left = u32::from_be_bytes(length).into();
                self.prefix.clear();
                if self.left > self.limit {
                    return false;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g21_a_call_is_known_by_its_content_type() {
        for (content_type, is_grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let headers = [(CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().collect();
            assert_eq!(is_call(&headers), is_grpc, "{content_type}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }

    #[test]
    fn g21_every_code_has_its_status() {
        for (code, expected) in [
            (Code::KeyMissing, 16),
            (Code::KeyRevoked, 16),
            (Code::NotActivated, 7),
            (Code::RateLimited, 8),
            (Code::ContentTooLarge, 8),
            (Code::Overloaded, 14),
            (Code::UpstreamDown, 14),
            (Code::UpstreamUnreachable, 14),
            (Code::UpstreamTimeout, 4),
            (Code::RouteUnknown, 12),
            (Code::RequestMalformed, 3),
        ] {
            assert_eq!(status(code), expected, "{code}");
        }
        assert!(Code::ALL.iter().filter(|code| !code.is_allowed()).all(|code| (1..=16).contains(&status(*code))));
    }

    #[test]
    fn g21_messages_are_measured_however_they_are_cut() {
        let mut body = Vec::new();
        for len in [0_u32, 1, 100, 7] {
            body.push(0);
            body.extend_from_slice(&len.to_be_bytes());
            body.extend(std::iter::repeat_n(9, len as usize));
        }
        for cut in 1..body.len() {
            for (limit, fits) in [(100, true), (99, false)] {
                let mut messages = Messages::of(limit);
                assert_eq!(body.chunks(cut).all(|piece| messages.take(piece)), fits, "cut at {cut}");
            }
        }
    }
}
