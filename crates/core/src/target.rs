//! The canonical target (SECURITY.md G-11): one form that is judged, metered and forwarded alike.
//!
//! A path is decoded once, brought to its one form, or refused; there is no second reading further in that could
//! see something else. The query is only checked byte for byte and kept as it came: no rule here depends on it.
//! Left out on purpose: absolute form and Host (the wire guard's work), routing, letter case (`/A` is not `/a`).

use std::borrow::Cow;
use std::fmt;

#[cfg(test)]
mod tests;

/// A target, path and query together, is at most this long: what nginx and most servers give a request line.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// A request target in the one form that is judged, metered and forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalTarget<'a> {
    path: Cow<'a, str>,
    query: Option<&'a str>,
}

/// The rule that a target breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetError {
    /// It does not begin with `/`.
    NotAPath,
    /// It is longer than [`MAX_TARGET_BYTES`].
    TooLong,
    /// The path holds a byte that must be escaped there.
    UnsafeByte,
    /// The path holds `;` as it is.
    PathParameter,
    /// The query holds a byte that must be escaped there.
    UnsafeQueryByte,
    /// A `%` in the path is not followed by two hexadecimal digits.
    BrokenEscape,
    /// The path holds an escaped `/` or `\`.
    EscapedSeparator,
    /// The path holds an escaped control character, such as `%00`.
    EscapedControl,
    /// The path holds an escape of an escape, such as `%252e`.
    DoubleEscape,
    /// The escapes of the path are no UTF-8.
    NotUtf8,
    /// A segment of the path is `.` or `..`.
    DotSegment,
    /// A segment of the path ends with a dot.
    TrailingDot,
    /// A segment of the path begins or ends with an escaped space.
    EdgeSpace,
}

impl TargetError {
    /// What to do about it, safe to show to anyone: it holds nothing of the request.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::NotAPath => "The request target must begin with /.",
            Self::TooLong => "The request target is longer than 8 KiB; shorten it or send the data in the body.",
            Self::UnsafeByte => "The path holds a character that must be percent-encoded there.",
            Self::PathParameter => "The path holds a ; character; send it as %3B.",
            Self::UnsafeQueryByte => "The query holds a character that must be percent-encoded there.",
            Self::BrokenEscape => {
                "The path holds a % that is not followed by two hexadecimal digits; send a percent sign as %25."
            }
            Self::EscapedSeparator => "The path holds an encoded slash or backslash; these can't be part of a segment.",
            Self::EscapedControl => "The path holds an encoded control character; remove it.",
            Self::DoubleEscape => "The path is percent-encoded twice; encode it once.",
            Self::NotUtf8 => "The percent-encoded bytes of the path must be valid UTF-8.",
            Self::DotSegment => "The path holds a . or .. segment; resolve it before sending.",
            Self::TrailingDot => "A segment of the path ends with a dot; remove the dot.",
            Self::EdgeSpace => "A segment of the path begins or ends with an encoded space; remove the space.",
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for TargetError {}

impl<'a> CanonicalTarget<'a> {
    /// Brings a target in origin form (`/path?query`) to its canonical form.
    ///
    /// # Errors
    /// If a rule of the canonical form refuses it.
    pub fn parse(target: &'a str) -> Result<Self, TargetError> {
        if target.len() > MAX_TARGET_BYTES {
            return Err(TargetError::TooLong);
        }
        if !target.starts_with('/') {
            return Err(TargetError::NotAPath);
        }
        let (path, end) = canonical_path(target)?;
        let query = target.get(end + 1..);
        if query.is_some_and(|query| !query.bytes().all(|byte| QUERY[usize::from(byte)])) {
            return Err(TargetError::UnsafeQueryByte);
        }
        Ok(Self { path, query })
    }

    /// The path, beginning with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query as the client sent it, without the `?`. It may be empty.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Whether the client's own bytes are the canonical form, so that they can be forwarded as they are.
    pub fn is_verbatim(&self) -> bool {
        matches!(self.path, Cow::Borrowed(_))
    }

    /// Appends the target as it is forwarded.
    pub fn write_to(&self, out: &mut String) {
        out.push_str(&self.path);
        if let Some(query) = self.query {
            out.push('?');
            out.push_str(query);
        }
    }
}

/// What a byte is in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself.
    Plain,
    /// `/`.
    Slash,
    /// `%`.
    Percent,
    /// `?`, behind which the query begins.
    Question,
    /// `;`: some upstreams cut a segment there and others don't, so none may see it.
    Semicolon,
    /// Anything that RFC 3986 does not allow in a path.
    Refused,
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const CLASS: [Class; 256] = {
    let mut table = [Class::Refused; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b'?' => Class::Question,
            b';' => Class::Semicolon,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => Class::Plain,
            other if is_unreserved(other) => Class::Plain,
            _ => Class::Refused,
        };
        byte += 1;
    }
    table
};

const QUERY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte <= 0x7E {
        table[byte] = !matches!(byte as u8, b'"' | b'#' | b'<' | b'>');
        byte += 1;
    }
    table
};

/// The canonical path, and where in the target the path ends.
fn canonical_path(target: &str) -> Result<(Cow<'_, str>, usize), TargetError> {
    let bytes = target.as_bytes();
    let mut rewrite = Rewrite { target, out: None, copied: 0 };
    let mut edge = Edge::default();
    let mut has_escaped_percent = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match CLASS[usize::from(byte)] {
            Class::Plain => at += 1,
            Class::Slash => {
                edge.end_of_segment(bytes, at)?;
                at += 1;
                let more = bytes[at..].iter().take_while(|byte| **byte == b'/').count();
                if more > 0 {
                    rewrite.replace(at..at + more, &[]);
                    at += more;
                }
            }
            Class::Percent => {
                let value = escaped_byte(bytes, at)?;
                let end = at + 3;
                match value {
                    b'/' | b'\\' => return Err(TargetError::EscapedSeparator),
                    0..=0x1F | 0x7F => return Err(TargetError::EscapedControl),
                    0x80.. => {
                        let end = at + 3 * escaped_character(bytes, at, value)?;
                        while at < end {
                            rewrite.upper_case(at);
                            at += 3;
                        }
                        continue;
                    }
                    b' ' => {
                        if bytes[at - 1] == b'/' {
                            return Err(TargetError::EdgeSpace);
                        }
                        edge = Edge { at: end, found: Some(TargetError::EdgeSpace) };
                    }
                    b'.' => {
                        edge = Edge { at: end, found: Some(TargetError::TrailingDot) };
                        rewrite.replace(at..end, b".");
                    }
                    b'%' => has_escaped_percent = true,
                    unreserved if is_unreserved(unreserved) => rewrite.replace(at..end, &[unreserved]),
                    _ => rewrite.upper_case(at),
                }
                at = end;
            }
            Class::Question => break,
            Class::Semicolon => return Err(TargetError::PathParameter),
            Class::Refused => return Err(TargetError::UnsafeByte),
        }
    }
    edge.end_of_segment(bytes, at)?;
    let path = rewrite.finish(at);
    // Looked for in the result, because `%25%32%65` only becomes `%252e` by decoding.
    if has_escaped_percent && holds_double_escape(&path) {
        return Err(TargetError::DoubleEscape);
    }
    Ok((path, at))
}

/// The canonical text, which is the target itself until the first difference.
struct Rewrite<'a> {
    target: &'a str,
    out: Option<String>,
    /// How much of the target `out` stands for.
    copied: usize,
}

impl<'a> Rewrite<'a> {
    fn replace(&mut self, range: std::ops::Range<usize>, ascii: &[u8]) {
        let out = self.out.get_or_insert_with(|| String::with_capacity(self.target.len()));
        out.push_str(&self.target[self.copied..range.start]);
        out.extend(ascii.iter().copied().map(char::from));
        self.copied = range.end;
    }

    /// Writes the escape at this place with upper-case digits.
    fn upper_case(&mut self, at: usize) {
        let digits = &self.target.as_bytes()[at + 1..at + 3];
        if digits.iter().any(u8::is_ascii_lowercase) {
            let escape = [b'%', digits[0].to_ascii_uppercase(), digits[1].to_ascii_uppercase()];
            self.replace(at..at + 3, &escape);
        }
    }

    fn finish(self, end: usize) -> Cow<'a, str> {
        match self.out {
            None => Cow::Borrowed(&self.target[..end]),
            Some(mut out) => {
                out.push_str(&self.target[self.copied..end]);
                Cow::Owned(out)
            }
        }
    }
}

/// The last escape that no segment may end with, and the place behind it.
#[derive(Default)]
struct Edge {
    at: usize,
    found: Option<TargetError>,
}

impl Edge {
    fn end_of_segment(&self, bytes: &[u8], at: usize) -> Result<(), TargetError> {
        let found = match self.found {
            Some(found) if self.at == at => found,
            _ if at > 0 && bytes[at - 1] == b'.' => TargetError::TrailingDot,
            _ => return Ok(()),
        };
        Err(if found == TargetError::TrailingDot && is_dot_segment(&bytes[..at]) {
            TargetError::DotSegment
        } else {
            found
        })
    }
}

/// Whether the last segment, which ends with a dot, is `.` or `..` in any spelling.
#[cold]
fn is_dot_segment(path: &[u8]) -> bool {
    let segment = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let text = String::from_utf8_lossy(segment).to_ascii_lowercase().replace("%2e", ".");
    matches!(text.as_str(), "." | "..")
}

fn escaped_byte(bytes: &[u8], at: usize) -> Result<u8, TargetError> {
    let digit = |at: usize| bytes.get(at).and_then(|digit| char::from(*digit).to_digit(16));
    match (digit(at + 1), digit(at + 2)) {
        (Some(high), Some(low)) => Ok((high * 16 + low) as u8),
        _ => Err(TargetError::BrokenEscape),
    }
}

/// How many escapes make up the character whose first byte is escaped at this place.
fn escaped_character(bytes: &[u8], at: usize, first: u8) -> Result<usize, TargetError> {
    let count = match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return Err(TargetError::NotUtf8),
    };
    let mut character = [first, 0, 0, 0];
    for (index, byte) in character.iter_mut().enumerate().take(count).skip(1) {
        let at = at + 3 * index;
        if bytes.get(at) != Some(&b'%') {
            return Err(TargetError::NotUtf8);
        }
        *byte = escaped_byte(bytes, at)?;
    }
    // The standard library knows the overlong forms and the surrogates.
    match std::str::from_utf8(&character[..count]) {
        Ok(_) => Ok(count),
        Err(_) => Err(TargetError::NotUtf8),
    }
}

fn holds_double_escape(path: &str) -> bool {
    path.match_indices("%25").any(|(at, escape)| {
        let digits = path.as_bytes()[at + escape.len()..].iter().take(2);
        digits.filter(|byte| byte.is_ascii_hexdigit()).count() == 2
    })
}
