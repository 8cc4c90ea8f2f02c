//! A path template of an OpenAPI document, taken apart into segments in canonical form.

use std::cmp::Ordering;
use std::fmt;

use crate::target::{CanonicalTarget, TargetError};

/// A template is at most this long; the longest of GitHub's document has 119 bytes. It becomes a label, so it bounds
/// what a label costs, and how deep matching can go.
pub const MAX_TEMPLATE_BYTES: usize = 1024;

/// The path of an operation, with parameters in it. Templates that differ only in the names of their parameters are
/// equal, because the same calls reach them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathTemplate {
    segments: Vec<Segment>,
}

/// A text that is no path template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateError {
    /// It does not begin with `/`.
    NoSlash,
    /// It is longer than [`MAX_TEMPLATE_BYTES`].
    TooLong,
    /// A `{` has no `}` in its segment, or the other way round.
    Braces,
    /// A parameter has no name.
    NoName,
    /// It holds U+FFFF, which no path can sensibly hold.
    Noncharacter,
    /// It holds `?` or `#`; what is behind them is no part of a path.
    Query,
    /// No call can have this path, because the canonical form refuses it.
    Unreachable(TargetError),
    /// No call can have this path, because its empty segments are merged.
    EmptySegment,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str("a path begins with `/`"),
            Self::TooLong => write!(f, "it is longer than {MAX_TEMPLATE_BYTES} bytes"),
            Self::Braces => f.write_str("every `{` needs its `}` in the same segment"),
            Self::NoName => f.write_str("a parameter needs a name between `{` and `}`"),
            Self::Noncharacter => f.write_str("it holds U+FFFF, which is no character"),
            Self::Query => f.write_str("a path holds no `?` and no `#`"),
            Self::Unreachable(rule) => write!(f, "no call can reach it. {rule}"),
            Self::EmptySegment => f.write_str("no call can reach it, because empty segments are merged"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    Literal(Box<str>),
    Pattern(Pattern),
    Parameter,
}

/// A segment that is literal in part, such as `{base}...{head}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    pieces: Box<[Piece]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Piece {
    Literal(Box<str>),
    /// One or more characters.
    Parameter,
}

/// U+FFFF, which Unicode gives to no character: it stands for the parameters while the template is brought to the
/// canonical form, so that there is one reading of a path for documents and calls.
const PARAMETER: &str = "%EF%BF%BF";

impl PathTemplate {
    /// Reads a path as an OpenAPI document writes it. Characters that a call has to escape may be written plainly.
    ///
    /// # Errors
    /// If it is no template, or no call could ever reach it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLong);
        }
        if !text.starts_with('/') {
            return Err(TemplateError::NoSlash);
        }
        let (sample, parameters) = sample_path(text)?;
        if sample.contains("//") {
            return Err(TemplateError::EmptySegment);
        }
        let sample = CanonicalTarget::parse(&sample).map_err(TemplateError::Unreachable)?;
        if sample.path().matches(PARAMETER).count() != parameters {
            return Err(TemplateError::Noncharacter);
        }
        Ok(Self { segments: sample.path()[1..].split('/').map(Segment::of_sample).collect() })
    }

    pub(super) fn into_segments(self) -> Vec<Segment> {
        self.segments
    }
}

/// The template as a path with [`PARAMETER`] for each of its parameters, and how many there are.
fn sample_path(text: &str) -> Result<(String, usize), TemplateError> {
    let mut sample = String::with_capacity(text.len());
    let mut parameters = 0;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (piece, after) = rest.split_at(next.len_utf8());
        rest = after;
        match next {
            '{' => {
                let end = rest.find(['/', '{', '}']).filter(|end| rest[*end..].starts_with('}'));
                let end = end.ok_or(TemplateError::Braces)?;
                if rest[..end].trim().is_empty() {
                    return Err(TemplateError::NoName);
                }
                rest = &rest[end + 1..];
                sample.push_str(PARAMETER);
                parameters += 1;
            }
            '}' => return Err(TemplateError::Braces),
            '?' | '#' => return Err(TemplateError::Query),
            // A bare `;` is left for the canonical form to refuse: no call may hold it.
            '/' | '%' | ';' | '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | '=' | ':' | '@' => {
                sample.push(next);
            }
            '-' | '.' | '_' | '~' | '0'..='9' | 'A'..='Z' | 'a'..='z' => sample.push(next),
            _ => {
                for byte in piece.bytes() {
                    sample.push('%');
                    sample.extend(
                        [byte >> 4, byte & 15].map(|digit| {
                            char::from_digit(u32::from(digit), 16).expect("four bits").to_ascii_uppercase()
                        }),
                    );
                }
            }
        }
    }
    Ok((sample, parameters))
}

impl Segment {
    fn of_sample(sample: &str) -> Self {
        if sample == PARAMETER {
            return Self::Parameter;
        }
        if !sample.contains(PARAMETER) {
            return Self::Literal(sample.into());
        }
        let mut pieces = Vec::new();
        for (index, literal) in sample.split(PARAMETER).enumerate() {
            if index > 0 {
                pieces.push(Piece::Parameter);
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.into()));
            }
        }
        Self::Pattern(Pattern { pieces: pieces.into() })
    }
}

impl Pattern {
    /// Whether a canonical segment fits. Each parameter takes at least one character, and no piece begins inside an
    /// escape: `{a}0` does not fit `x%20`.
    pub(super) fn matches(&self, segment: &str) -> bool {
        let mut rest = segment;
        // How many parameters are waiting for their characters.
        let mut open = 0;
        let last = self.pieces.len() - 1;
        for (index, piece) in self.pieces.iter().enumerate() {
            let Piece::Literal(literal) = piece else {
                open += 1;
                continue;
            };
            let found = if open == 0 {
                rest.strip_prefix(&**literal)
            } else if index == last {
                rest.strip_suffix(&**literal)
                    .filter(|before| skip_characters(before, open).is_some() && is_boundary(rest, before.len()))
                    .map(|_| "")
            } else {
                // The leftmost place leaves the most for the pieces that follow.
                skip_characters(rest, open).and_then(|searched| find_piece(searched, literal))
            };
            let Some(after) = found else { return false };
            rest = after;
            open = 0;
        }
        if open == 0 { rest.is_empty() } else { skip_characters(rest, open).is_some() }
    }

    fn literal_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| if let Piece::Literal(text) = piece { text.len() } else { 0 }).sum()
    }
}

// The more of a segment is literal, the earlier it is tried; the rest only makes the order independent of the
// document's.
impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        other.literal_bytes().cmp(&self.literal_bytes()).then_with(|| self.pieces.cmp(&other.pieces))
    }
}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What is left behind so many characters, where an escape is one. A `%` in a canonical path always begins one.
fn skip_characters(text: &str, count: usize) -> Option<&str> {
    let mut rest = text;
    for _ in 0..count {
        let length = if rest.starts_with('%') { 3 } else { 1 };
        rest = rest.get(length..)?;
    }
    Some(rest)
}

fn is_boundary(text: &str, at: usize) -> bool {
    !text.as_bytes()[at.saturating_sub(2)..at].contains(&b'%')
}

/// What is left behind the first place where the literal stands.
fn find_piece<'a>(text: &'a str, literal: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix(literal) {
            return Some(after);
        }
        rest = skip_characters(rest, 1)?;
    }
}
