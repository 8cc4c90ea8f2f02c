//! `traceparent` (W3C Trace Context): which trace a call belongs to, and what of it called us.

use std::fmt;

use http::{HeaderMap, HeaderName};
use serde::{Serialize, Serializer};

/// Says which trace a call belongs to.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What else the programs of a trace tell each other.
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `00-<trace>-<span>-<flags>`.
const LEN: usize = 55;
/// The flag that says that whoever called keeps the trace.
const SAMPLED: u8 = 1;

/// The id of a trace; never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

/// The id of a step in it; never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// The step that called.
    pub span: SpanId,
    /// Whether that one is kept.
    pub sampled: bool,
}

impl Parent {
    /// What a call says of itself; `None` if it says nothing, or nothing that makes sense.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            _ => None,
        }
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LEN)?;
        let dashes = [known[2], known[35], known[52]] == *b"---";
        let [version] = bytes(&known[..2])?;
        // A later version may say more behind another dash; this one ends here.
        let ends = rest.is_empty() || (version > 0 && rest[0] == b'-');
        let (trace, span, [flags]) = (bytes(&known[3..35])?, bytes(&known[36..52])?, bytes(&known[53..])?);
        let sound = dashes && ends && version != 0xFF && trace != [0; 16] && span != [0; 8];
        sound.then_some(Self { trace: TraceId(trace), span: SpanId(span), sampled: flags & SAMPLED != 0 })
    }
}

/// Bytes as digits, which must be in lower case.
fn bytes<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn what_makes_sense_is_understood() {
        for (flags, sampled) in [("00", false), ("01", true), ("03", true), ("fe", false)] {
            let parent = Parent::parse(format!("00-{TRACE}-{SPAN}-{flags}").as_bytes()).unwrap();
            assert_eq!((parent.trace.to_string(), parent.span.to_string()), (TRACE.to_owned(), SPAN.to_owned()));
            assert_eq!(parent.sampled, sampled, "{flags}");
        }
        for later in [format!("cc-{TRACE}-{SPAN}-01"), format!("cc-{TRACE}-{SPAN}-01-what-comes-later")] {
            assert!(Parent::parse(later.as_bytes()).is_some(), "{later}");
        }
    }

    #[test]
    fn what_makes_none_is_nothing() {
        let zeros = "0".repeat(32);
        for wrong in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("0x-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0g"),
        ] {
            assert_eq!(Parent::parse(wrong.as_bytes()), None, "{wrong}");
        }
        let mut headers = HeaderMap::new();
        let one = format!("00-{TRACE}-{SPAN}-01").parse::<http::HeaderValue>().unwrap();
        headers.append(TRACEPARENT, one.clone());
        assert!(Parent::of(&headers).is_some());
        headers.append(TRACEPARENT, one);
        assert_eq!(Parent::of(&headers), None, "two are none");
    }
}
