//! Media types (RFC 9110 §8.3): what a message says of its content, and lists of those that a rule lets pass.
//!
//! Parameters are read, so that nothing hides in them, and then ignored: `application/json; charset=utf-8` is
//! `application/json`. Names are those that can be registered (RFC 6838 §4.2), so a star in a message is never a type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most entries of one list: the check is a walk over them.
const MAX_MEDIA_TYPES: usize = 64;
/// Longest name before or after the slash (RFC 6838 §4.2).
const MAX_NAME_LEN: usize = 127;

/// The type of a message's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'a> {
    kind: &'a str,
    subtype: &'a str,
}

impl<'a> MediaType<'a> {
    /// What content is of which nothing is said (RFC 9110 §8.3).
    pub const UNNAMED: MediaType<'static> = MediaType { kind: "application", subtype: "octet-stream" };

    /// Reads the value of `Content-Type`; `None` for what can be read in more than one way, or not at all.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(value);
        reader.skip_space();
        let kind = reader.name()?;
        reader.skip(b'/')?;
        let subtype = reader.name()?;
        reader.parameters()?;
        reader.0.is_empty().then_some(Self { kind, subtype })
    }
}

/// One type or a family of them: `application/json`, `application/*`, `application/*+json`, `*/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    kind: String,
    subtype: String,
}

impl Pattern {
    fn has_kind(&self, kind: &str) -> bool {
        self.kind == "*" || self.kind.eq_ignore_ascii_case(kind)
    }

    fn matches(&self, wanted: MediaType<'_>) -> bool {
        self.has_kind(wanted.kind)
            && match self.subtype.strip_prefix('*') {
                None => self.subtype.eq_ignore_ascii_case(wanted.subtype),
                // With a suffix (RFC 6838 §4.2.8), or of any kind.
                Some(suffix) => {
                    let (all, suffix) = (wanted.subtype.as_bytes(), suffix.as_bytes());
                    all.len() > suffix.len() && all[all.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
                }
            }
    }
}

impl Pattern {
    /// Whether it lets pass no type that the other does not. If that can't be told, no.
    fn is_within(&self, outer: &Self) -> bool {
        let is_one = !self.subtype.starts_with('*');
        self == outer
            || is_one && outer.matches(MediaType { kind: &self.kind, subtype: &self.subtype })
            || outer.subtype == "*" && outer.has_kind(&self.kind)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype)
    }
}

impl FromStr for Pattern {
    type Err = MediaTypesError;

    fn from_str(text: &str) -> Result<Self, MediaTypesError> {
        let is_name = |name: &str| Reader(name.as_bytes()).name() == Some(name);
        let (kind, subtype) = text.split_once('/').unwrap_or((text, ""));
        let sound = match subtype.strip_prefix('*') {
            Some("") => kind == "*" || is_name(kind),
            Some(suffix) => {
                is_name(kind) && suffix.strip_prefix('+').is_some_and(|name| is_name(name) && !name.contains('+'))
            }
            None => is_name(kind) && is_name(subtype),
        };
        if !sound {
            return Err(MediaTypesError::NotAType(text.to_owned()));
        }
        Ok(Self { kind: kind.to_ascii_lowercase(), subtype: subtype.to_ascii_lowercase() })
    }
}

/// The media types that may pass; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct MediaTypes(Vec<Pattern>);

/// The list is no list of media types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaTypesError {
    /// This text stands for no media type.
    NotAType(String),
    /// The list is empty.
    Empty,
    /// More entries than [`MAX_MEDIA_TYPES`].
    TooMany,
}

impl fmt::Display for MediaTypesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAType(text) => write!(
                f,
                "`{}` is no media type; write application/json, application/*, application/*+json or */*, without parameters",
                text.escape_default()
            ),
            Self::Empty => {
                f.write_str("a list of media types needs at least one entry; leave it out to let every type pass")
            }
            Self::TooMany => write!(f, "a list of media types takes at most {MAX_MEDIA_TYPES} entries"),
        }
    }
}

impl std::error::Error for MediaTypesError {}

impl MediaTypes {
    /// Whether content of this type may pass.
    pub fn admit(&self, wanted: MediaType<'_>) -> bool {
        self.0.iter().any(|pattern| pattern.matches(wanted))
    }

    /// Whether these let pass no type that those do not. If that can't be told, no.
    pub fn is_within(&self, outer: &Self) -> bool {
        self.0.iter().all(|pattern| outer.0.iter().any(|wider| pattern.is_within(wider)))
    }

    /// Whether content may pass that says this of itself, in all its `Content-Type` fields with commas between them.
    pub fn admit_field(&self, content_type: Option<&[u8]>) -> bool {
        match content_type {
            None => self.admit(MediaType::UNNAMED),
            Some(value) => MediaType::parse(value).is_some_and(|wanted| self.admit(wanted)),
        }
    }

    /// Whether any of these could please a client with this `Accept` (RFC 9110 §12.5.1). One that is not understood
    /// could be pleased by anything.
    pub fn could_please(&self, accept: &[u8]) -> bool {
        let mut reader = Reader(accept);
        let mut names_any = false;
        loop {
            // Empty elements of a list mean nothing (RFC 9110 §5.6.1).
            while matches!(reader.0.first(), Some(b' ' | b'\t' | b',')) {
                reader.0 = &reader.0[1..];
            }
            if reader.0.is_empty() {
                return !names_any;
            }
            let Some((kind, subtype, refused)) = reader.range() else { return true };
            names_any = true;
            let could = match (kind, subtype) {
                _ if refused => false,
                (None, _) => true,
                (Some(kind), None) => self.0.iter().any(|pattern| pattern.has_kind(kind)),
                (Some(kind), Some(subtype)) => self.admit(MediaType { kind, subtype }),
            };
            if could {
                return true;
            }
        }
    }
}

impl fmt::Display for MediaTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            write!(f, "{}{pattern}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl TryFrom<Vec<String>> for MediaTypes {
    type Error = MediaTypesError;

    fn try_from(texts: Vec<String>) -> Result<Self, MediaTypesError> {
        if texts.is_empty() {
            return Err(MediaTypesError::Empty);
        }
        if texts.len() > MAX_MEDIA_TYPES {
            return Err(MediaTypesError::TooMany);
        }
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl From<MediaTypes> for Vec<String> {
    fn from(types: MediaTypes) -> Self {
        types.0.iter().map(Pattern::to_string).collect()
    }
}

/// What is left of a value.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !wanted(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn skip_space(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn skip(&mut self, wanted: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[wanted])?;
        Some(())
    }

    /// A name that can be registered (RFC 6838 §4.2).
    fn name(&mut self) -> Option<&'a str> {
        let name = self.take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'!' | b'#' | b'$' | b'&' | b'-' | b'^' | b'_' | b'.' | b'+')
        });
        let sound = name.len() <= MAX_NAME_LEN && name.first().is_some_and(u8::is_ascii_alphanumeric);
        std::str::from_utf8(name).ok().filter(|_| sound)
    }

    /// An element of `Accept`: kind and subtype, `None` for a star, and whether it says that these are not wanted.
    fn range(&mut self) -> Option<(Option<&'a str>, Option<&'a str>, bool)> {
        let kind = match self.skip(b'*') {
            Some(()) => None,
            None => Some(self.name()?),
        };
        self.skip(b'/')?;
        let subtype = match self.skip(b'*') {
            Some(()) => None,
            None => Some(self.name()?),
        };
        let refused = self.parameters()?;
        let ends = self.0.is_empty() || self.0.starts_with(b",");
        (ends && (kind.is_some() || subtype.is_none())).then_some((kind, subtype, refused))
    }

    /// Parameters up to the end of the value or of the element (RFC 9110 §5.6.6). Whether one of them is a weight of 0.
    fn parameters(&mut self) -> Option<bool> {
        let mut refused = false;
        loop {
            self.skip_space();
            if self.skip(b';').is_none() {
                return Some(refused);
            }
            self.skip_space();
            let name = self.take_while(is_token);
            if name.is_empty() {
                // Nothing between two semicolons, or after the last one.
                continue;
            }
            self.skip(b'=')?;
            if self.skip(b'"').is_some() {
                self.rest_of_quoted()?;
                continue;
            }
            let value = self.take_while(is_token);
            if value.is_empty() {
                return None;
            }
            let is_nought = value.starts_with(b"0") && value.iter().all(|byte| matches!(byte, b'0' | b'.'));
            refused |= is_nought && name.eq_ignore_ascii_case(b"q");
        }
    }

    /// A quoted string behind its first quote, with the last one (RFC 9110 §5.6.4).
    fn rest_of_quoted(&mut self) -> Option<()> {
        loop {
            self.take_while(|byte| !matches!(byte, b'"' | b'\\') && is_text(byte));
            if self.skip(b'"').is_some() {
                return Some(());
            }
            self.skip(b'\\')?;
            let (escaped, rest) = self.0.split_first()?;
            if !is_text(*escaped) {
                return None;
            }
            self.0 = rest;
        }
    }
}

pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn types(patterns: &[&str]) -> MediaTypes {
        MediaTypes::try_from(patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_list_is_within_one_that_lets_more_pass() {
        for (own, outer, within) in [
            (&["application/json"][..], &["application/json"][..], true),
            (&["application/json"], &["text/xml", "application/*"], true),
            (&["application/json"], &["*/*"], true),
            (&["application/a+json"], &["application/*+json"], true),
            (&["application/json"], &["application/*+json"], false),
            (&["application/*+json"], &["application/*"], true),
            (&["application/*+json"], &["application/*+json"], true),
            (&["application/*+json"], &["application/*+xml"], false),
            (&["application/*+json"], &["application/a+json"], false),
            (&["application/*"], &["application/*+json"], false),
            (&["application/*"], &["application/json"], false),
            (&["application/*"], &["text/*"], false),
            (&["*/*"], &["application/*"], false),
            (&["application/json", "text/xml"], &["application/json"], false),
        ] {
            assert_eq!(types(own).is_within(&types(outer)), within, "{own:?} in {outer:?}");
        }
    }

    #[test]
    fn a_pattern_is_one_type_a_family_or_all() {
        for (pattern, value, admitted) in [
            ("application/json", "application/json", true),
            ("application/json", "Application/JSON; Charset=UTF-8", true),
            ("Application/JSON", "application/json", true),
            ("application/json", "application/problem+json", false),
            ("application/json", "application/jsonx", false),
            ("application/json", "application/jso", false),
            ("application/json", "text/json", false),
            ("application/*", "application/xml", true),
            ("application/*", "text/xml", false),
            ("application/*", "applications/xml", false),
            ("application/*+json", "application/vnd.api+JSON", true),
            ("application/*+json", "application/a+b+json", true),
            ("application/*+json", "application/json", false),
            ("application/*+json", "application/vnd.api+jsonx", false),
            ("application/*+json", "text/vnd.api+json", false),
            ("application/grpc", "application/grpc+proto", false),
            ("application/*+proto", "application/grpc+proto", true),
            ("*/*", "x/y", true),
        ] {
            assert_eq!(types(&[pattern]).admit_field(Some(value.as_bytes())), admitted, "{pattern} {value}");
        }
        let both = types(&["application/json", "text/*"]);
        assert!(both.admit_field(Some(b"text/csv")) && both.admit_field(Some(b"application/json")));
        assert_eq!(both.to_string(), "application/json, text/*");
    }

    #[test]
    fn what_says_nothing_is_a_stream_of_bytes() {
        for (pattern, admitted) in [
            ("application/octet-stream", true),
            ("application/*", true),
            ("*/*", true),
            ("text/*", false),
            ("application/json", false),
        ] {
            assert_eq!(types(&[pattern]).admit_field(None), admitted, "{pattern}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_no_type_even_where_all_may_pass() {
        let all = types(&["*/*"]);
        for value in [
            "",
            " ",
            "json",
            "/json",
            "application/",
            "application /json",
            "application/ json",
            "application/json/x",
            "application/json x",
            "application/json, text/xml",
            "application/json,application/json",
            "application/json; charset=utf-8, text/xml",
            "application/json; charset",
            "application/json; charset=",
            "application/json; charset =utf-8",
            "application/json; charset= utf-8",
            "application/json; a=\"",
            "application/json; a=\"x\\",
            "application/json; a=\"x\"y",
            "application/json; a=\"x\u{1}\"",
            "application/json charset=utf-8",
            "application/json\u{0}",
            "*/*",
            "application/*",
            "application/*+json",
            "+json/x",
            "application/.json",
            "application/jsön",
        ] {
            assert!(!all.admit_field(Some(value.as_bytes())), "{value:?}");
        }
        assert!(!all.admit_field(Some(format!("application/{}", "x".repeat(128)).as_bytes())));
        for value in [
            "application/json",
            " application/json\t",
            "application/json;",
            "application/json;;  charset=utf-8 ; a=\"b, c; \\\" text/xml\"",
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
            "image/svg+xml",
            "text/x-c++",
        ] {
            assert!(all.admit_field(Some(value.as_bytes())), "{value:?}");
        }
    }

    #[test]
    fn a_list_that_could_never_match_is_refused_and_none_is_empty() {
        for pattern in [
            "",
            "json",
            "*",
            "/",
            "*/",
            "/*",
            "*/json",
            "*/*+json",
            "application/",
            "application/*json",
            "application/*+",
            "application/*+a+b",
            "application/*/x",
            "application/json;q=1",
            " application/json",
            "application/js*n",
            "app*/json",
            "text/a,text/b",
        ] {
            assert_eq!(
                MediaTypes::try_from(vec![pattern.to_owned()]),
                Err(MediaTypesError::NotAType(pattern.to_owned()))
            );
        }
        assert_eq!(MediaTypes::try_from(Vec::new()), Err(MediaTypesError::Empty));
        assert_eq!(MediaTypes::try_from(vec!["a/b".to_owned(); 65]), Err(MediaTypesError::TooMany));
        assert_eq!(Vec::from(types(&["Text/HTML", "*/*"])), ["text/html", "*/*"]);
    }

    #[test]
    fn a_client_can_be_pleased_if_anything_that_it_accepts_may_come() {
        for (patterns, accept, could) in [
            (&["application/json"][..], "", true),
            (&["application/json"], " , ,", true),
            (&["application/json"], "*/*", true),
            (&["application/json"], "text/html", false),
            (&["application/json"], "text/html, application/*;q=0.1", true),
            (&["application/json"], "text/html, application/json;q=0", false),
            (&["application/json"], "text/html, application/json; Q=0.000", false),
            (&["application/json"], "*/*;q=0", false),
            (&["application/json"], "text/*,image/png", false),
            (&["application/json"], "APPLICATION/JSON", true),
            (&["application/*+json"], "application/json", false),
            (&["application/*+json"], "application/vnd.api+json;version=\"a,b\"", true),
            (&["text/*"], "text/html", true),
            (&["*/*"], "image/png", true),
            // What is not understood is left to the answer.
            (&["application/json"], "text/html, html", true),
            (&["application/json"], "*/html", true),
            (&["application/json"], "text/html application/json", true),
            (&["application/json"], "text", true),
        ] {
            assert_eq!(types(patterns).could_please(accept.as_bytes()), could, "{patterns:?} {accept}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_the_end_or_refused(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            let all = types(&["*/*"]);
            if let Some(read) = MediaType::parse(&value) {
                prop_assert!(all.admit(read));
                let text = format!("{}/{}", read.kind, read.subtype);
                prop_assert!(value.windows(text.len()).any(|part| part == text.as_bytes()));
                prop_assert!(types(&[&text]).admit(read));
            }
            let _ = all.could_please(&value);
        }

        #[test]
        fn letters_and_parameters_change_nothing(
            kind in "[a-z][a-z0-9.-]{0,8}", subtype in "[a-z][a-z0-9.-]{0,8}", suffix in "[a-z]{1,5}",
            parameters in "( ?; ?[a-pr-z][a-z]{0,3}=([a-z0-9]{1,4}|\"[ a-z,;/]{0,6}\")){0,3}",
        ) {
            let value = format!("{kind}/{subtype}+{suffix}{parameters}");
            let value = [value.to_ascii_uppercase(), value];
            for pattern in [
                format!("{kind}/{subtype}+{suffix}"), format!("{kind}/*"), format!("{kind}/*+{suffix}"), "*/*".to_owned(),
            ] {
                for value in &value {
                    prop_assert!(types(&[&pattern]).admit_field(Some(value.as_bytes())), "{pattern} {value}");
                    prop_assert!(types(&[&pattern]).could_please(value.as_bytes()), "{pattern} {value}");
                }
                let other = format!("x{kind}/{subtype}+x{suffix}");
                prop_assert_eq!(types(&[&pattern]).admit_field(Some(other.as_bytes())), pattern == "*/*");
            }
            // Two values are none.
            let twice = value.join(", ");
            prop_assert!(!types(&["*/*"]).admit_field(Some(twice.as_bytes())));
        }
    }
}
