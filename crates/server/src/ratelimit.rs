//! The header fields `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) and `Retry-After`
//! (RFC 9110 §10.2.3). Times are whole seconds, rounded up, so that a client that waits is never early.

use http::HeaderValue;
use keystile_core::limit::{Algorithm, LimitRule, Reading};

/// `RateLimit-Policy: "per-minute";q=60;w=60`, for each limit with how much it is for whom is told; none without limits.
pub fn policy_field<'a>(rules: impl Iterator<Item = (&'a LimitRule, u32)>) -> Option<HeaderValue> {
    use std::fmt::Write;
    let mut text = String::new();
    for (rule, limit) in rules {
        let separator = if text.is_empty() { "" } else { ", " };
        let (name, window) = (rule.name.as_str(), rule.window_seconds);
        let _ = write!(text, "{separator}\"{name}\";q={limit}");
        let _ = match rule.algorithm {
            Algorithm::Concurrency => write!(text, ";qu=\"concurrent-requests\""),
            Algorithm::TokenBucket => write!(text, ";w={window};burst={}", rule.terms_of(limit).burst()),
            Algorithm::SlidingWindow | Algorithm::FixedWindow => write!(text, ";w={window}"),
        };
    }
    (!text.is_empty()).then(|| HeaderValue::try_from(text).expect("names of limits stand in headers"))
}

/// `RateLimit: "per-minute";r=59;t=90`, for each limit: what is left, and when all of it is there again.
pub fn state_field<'a>(limits: impl Iterator<Item = (&'a LimitRule, Reading)>) -> Option<HeaderValue> {
    let mut text = Vec::new();
    let mut digits = itoa::Buffer::new();
    for (rule, reading) in limits {
        // Once for all of them, most often.
        text.reserve(40);
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.push(b'"');
        text.extend_from_slice(rule.name.as_str().as_bytes());
        text.extend_from_slice(b"\";r=");
        text.extend_from_slice(digits.format(reading.remaining).as_bytes());
        text.extend_from_slice(b";t=");
        text.extend_from_slice(digits.format(seconds(reading.reset_nanos)).as_bytes());
    }
    (!text.is_empty())
        .then(|| HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).expect("names of limits stand in headers"))
}

/// Whole seconds, rounded up.
pub const fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, algorithm: Algorithm, burst: Option<u32>) -> LimitRule {
        LimitRule::new(name, 100, 60, algorithm, burst).unwrap()
    }

    #[test]
    fn the_fields_have_the_form_of_the_draft() {
        let rules = [rule("minute", Algorithm::SlidingWindow, None), rule("bucket", Algorithm::TokenBucket, Some(5))];
        let told = rules.iter().map(|rule| (rule, rule.limit));
        assert_eq!(policy_field(told).unwrap(), "\"minute\";q=100;w=60, \"bucket\";q=100;w=60;burst=5");
        let in_flight = rule("calls", Algorithm::Concurrency, None);
        assert_eq!(policy_field([(&in_flight, 7)].into_iter()).unwrap(), "\"calls\";q=7;qu=\"concurrent-requests\"");
        assert_eq!(policy_field([].into_iter()), None);
        let reading = |remaining, reset_nanos| Reading { limit: 100, remaining, reset_nanos };
        let readings = [reading(99, 59_000_000_001), reading(0, 1)];
        let state = state_field(rules.iter().zip(readings));
        assert_eq!(state.unwrap(), "\"minute\";r=99;t=60, \"bucket\";r=0;t=1");
        assert_eq!(state_field([].into_iter()), None);
    }
}
