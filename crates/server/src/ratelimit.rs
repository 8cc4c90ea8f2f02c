//! The header fields `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) and `Retry-After`
//! (RFC 9110 §10.2.3). Times are whole seconds, rounded up, so that a client that waits is never early.

use http::HeaderValue;
use keystile_core::limit::{Algorithm, LimitRule, Reading};
use keystile_core::plan::{Left, Quota};
use keystile_core::time::Timestamp;

/// `RateLimit-Policy: "per-minute";q=60;w=60`, for each limit with how much it is for whom is told, and for each quota with
/// the length of its period; none without any.
pub fn policy_field<'a>(
    rules: impl Iterator<Item = (&'a LimitRule, u32)>,
    quotas: impl Iterator<Item = (&'a Quota, Left)>,
) -> Option<HeaderValue> {
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
    for (quota, left) in quotas {
        let separator = if text.is_empty() { "" } else { ", " };
        let length = until(left.span.start, left.span.end);
        let _ = write!(text, "{separator}\"{}\";q={};w={length}", quota.name.as_str(), left.limit);
    }
    (!text.is_empty()).then(|| HeaderValue::try_from(text).expect("names of limits stand in headers"))
}

/// `RateLimit: "per-minute";r=59;t=90`, for each limit and each quota: what is left, and when all of it is there again.
pub fn state_field<'a>(
    limits: impl Iterator<Item = (&'a LimitRule, Reading)>,
    quotas: impl Iterator<Item = (&'a Quota, Left)>,
    now: Timestamp,
) -> Option<HeaderValue> {
    let limits = limits.map(|(rule, left)| (&rule.name, u64::from(left.remaining), seconds(left.reset_nanos)));
    let quotas = quotas.map(|(quota, left)| (&quota.name, left.remaining, until(now, left.span.end)));
    let mut text = Vec::new();
    let mut digits = itoa::Buffer::new();
    for (name, remaining, reset) in limits.chain(quotas) {
        // Once for all of them, most often.
        text.reserve(40);
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.push(b'"');
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b"\";r=");
        text.extend_from_slice(digits.format(remaining).as_bytes());
        text.extend_from_slice(b";t=");
        text.extend_from_slice(digits.format(reset).as_bytes());
    }
    (!text.is_empty())
        .then(|| HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).expect("names of limits stand in headers"))
}

/// Whole seconds from one moment to another, rounded up.
pub fn until(now: Timestamp, end: Timestamp) -> u64 {
    let micros = end.as_micros().saturating_sub(now.as_micros());
    u64::try_from(micros).unwrap_or(0).div_ceil(1_000_000)
}

/// Whole seconds, rounded up.
pub const fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::plan::{Period, Span};

    fn rule(name: &str, algorithm: Algorithm, burst: Option<u32>) -> LimitRule {
        LimitRule::new(name, 100, 60, algorithm, burst).unwrap()
    }

    #[test]
    fn the_fields_have_the_form_of_the_draft() {
        let rules = [rule("minute", Algorithm::SlidingWindow, None), rule("bucket", Algorithm::TokenBucket, Some(5))];
        let told = rules.iter().map(|rule| (rule, rule.limit));
        assert_eq!(policy_field(told, [].into_iter()).unwrap(), "\"minute\";q=100;w=60, \"bucket\";q=100;w=60;burst=5");
        let in_flight = rule("calls", Algorithm::Concurrency, None);
        assert_eq!(
            policy_field([(&in_flight, 7)].into_iter(), [].into_iter()).unwrap(),
            "\"calls\";q=7;qu=\"concurrent-requests\""
        );
        assert_eq!(policy_field([].into_iter(), [].into_iter()), None);
        let month = Quota::new("month", 10_000_000_000, Period::Month).unwrap();
        let span = Span { start: Timestamp::from_secs(0), end: Timestamp::from_secs(2_678_400) };
        let left = || [(&month, Left { limit: month.limit, used: 1, remaining: 9_999_999_999, span })].into_iter();
        assert_eq!(policy_field([].into_iter(), left()).unwrap(), "\"month\";q=10000000000;w=2678400");
        let now = Timestamp::from_secs(2_678_000);
        assert_eq!(state_field([].into_iter(), left(), now).unwrap(), "\"month\";r=9999999999;t=400");
        let reading = |remaining, reset_nanos| Reading { limit: 100, remaining, reset_nanos };
        let readings = [reading(99, 59_000_000_001), reading(0, 1)];
        let state = state_field(rules.iter().zip(readings), [].into_iter(), now);
        assert_eq!(state.unwrap(), "\"minute\";r=99;t=60, \"bucket\";r=0;t=1");
        assert_eq!(state_field([].into_iter(), [].into_iter(), now), None);
    }
}
