//! Header fields that a call must have, by what they say.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::source::{Field, Source};

/// Most fields of one alternative.
const MAX_FIELDS: usize = 8;
/// Most values of one field.
const MAX_VALUES: usize = 32;
/// Longest name of a field, and longest value.
const MAX_LEN: usize = 256;
/// Fields that hold secrets: what a pattern says of them would be read by whoever may read patterns, and what is kept of a
/// head leaves them out.
pub const SECRET_FIELDS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// Fields that say something of the connection, or that proxies write: what a caller says there is not what the upstream gets.
const NOT_THEIRS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-credential-identifier",
    "x-real-ip",
];
const NOT_THEIR_FAMILIES: [&str; 2] = ["x-consumer-", "x-forwarded-"];

/// Fields, each with the values that it may have; at least one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Parts>", into = "Vec<Parts>")]
pub struct Headers(Vec<Header>);

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    /// In lower case.
    name: String,
    values: Option<Vec<String>>,
}

/// The wire form.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    name: String,
    /// Any, if nothing is said. `*` stands for any characters, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
}

/// The list names no fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadersError {
    /// There is no field, or more than [`MAX_FIELDS`].
    Count,
    /// This is no name of a field.
    Name(String),
    /// This field holds secrets.
    Secret(String),
    /// What this field says is a connection's or a proxy's.
    NotTheirs(String),
    /// This field comes twice.
    Twice(String),
    /// This field has no values, too many, or one that none can have.
    Values(String),
}

impl fmt::Display for HeadersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "headers takes 1 to {MAX_FIELDS} fields; leave it out for no condition"),
            Self::Name(name) => {
                write!(f, "`{}` is no name of a header field; write one such as x-client", name.escape_default())
            }
            Self::Secret(name) => {
                write!(f, "{name} holds secrets, which no pattern may name; use another header field")
            }
            Self::NotTheirs(name) => write!(
                f,
                "{name} is about the connection, or what a proxy says, and no pattern may name it; use networks for \
                 addresses, and an API's routes for hosts"
            ),
            Self::Twice(name) => write!(f, "the header field {name} comes twice; give it all its values at once"),
            Self::Values(name) => write!(
                f,
                "the header field {name} takes 1 to {MAX_VALUES} values of 1 to {MAX_LEN} visible characters, in which * \
                 stands for any; leave them out if it only has to be there"
            ),
        }
    }
}

impl std::error::Error for HeadersError {}

impl Headers {
    /// Whether a call has all of them; `None` if that hangs on something that is not known of it. What a field says that comes
    /// several times is not known: of those who read it each takes another one.
    pub(super) fn are_met(&self, source: &dyn Source) -> Option<bool> {
        let mut met = Some(true);
        for header in &self.0 {
            match header.is_met(source.field(&header.name)) {
                Some(false) => return Some(false),
                Some(true) => {}
                None => met = None,
            }
        }
        met
    }
}

impl Header {
    fn is_met(&self, field: Field<'_>) -> Option<bool> {
        match (field, &self.values) {
            (Field::Unknown, _) => None,
            (Field::Absent, _) => Some(false),
            (Field::Value(_) | Field::Several, None) => Some(true),
            (Field::Several, Some(_)) => None,
            (Field::Value(value), Some(values)) => {
                let value = std::str::from_utf8(value).ok()?;
                Some(values.iter().any(|wanted| matches(wanted, value)))
            }
        }
    }
}

/// Whether a value is one that this stands for. Each piece between two stars is looked for once, from the left.
fn matches(wanted: &str, value: &str) -> bool {
    let Some((first, rest)) = wanted.split_once('*') else { return wanted == value };
    let Some(mut left) = value.strip_prefix(first) else { return false };
    let Some((middle, last)) = rest.rsplit_once('*') else { return left.ends_with(rest) };
    for piece in middle.split('*') {
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    left.ends_with(last)
}

fn is_name(text: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(is_token)
}

/// What a field can say (RFC 9110 §5.5), with no space at its ends.
fn is_value(text: &str) -> bool {
    let is_visible = |b: u8| b == b' ' || b.is_ascii_graphic();
    (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(is_visible) && text.trim() == text
}

impl TryFrom<Parts> for Header {
    type Error = HeadersError;

    fn try_from(parts: Parts) -> Result<Self, HeadersError> {
        if !is_name(&parts.name) {
            return Err(HeadersError::Name(parts.name));
        }
        let name = parts.name.to_ascii_lowercase();
        if SECRET_FIELDS.contains(&name.as_str()) {
            return Err(HeadersError::Secret(name));
        }
        if NOT_THEIRS.contains(&name.as_str()) || NOT_THEIR_FAMILIES.iter().any(|family| name.starts_with(family)) {
            return Err(HeadersError::NotTheirs(name));
        }
        let is_sound =
            |values: &Vec<String>| (1..=MAX_VALUES).contains(&values.len()) && values.iter().all(|one| is_value(one));
        if !parts.values.as_ref().is_none_or(is_sound) {
            return Err(HeadersError::Values(name));
        }
        Ok(Self { name, values: parts.values })
    }
}

impl TryFrom<Vec<Parts>> for Headers {
    type Error = HeadersError;

    fn try_from(list: Vec<Parts>) -> Result<Self, HeadersError> {
        if !(1..=MAX_FIELDS).contains(&list.len()) {
            return Err(HeadersError::Count);
        }
        let fields: Vec<Header> = list.into_iter().map(Header::try_from).collect::<Result<_, _>>()?;
        for (place, field) in fields.iter().enumerate() {
            if fields[..place].iter().any(|other| other.name == field.name) {
                return Err(HeadersError::Twice(field.name.clone()));
            }
        }
        Ok(Self(fields))
    }
}

impl From<Headers> for Vec<Parts> {
    fn from(headers: Headers) -> Self {
        headers.0.into_iter().map(|field| Parts { name: field.name, values: field.values }).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, proptest};
    use proptest::prop_assert_eq;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_or_none() {
        for (wanted, value, is_meant) in [
            ("mobile", "mobile", true),
            ("mobile", "Mobile", false),
            ("mobile", "mobile ", false),
            ("mobile/*", "mobile/2.1", true),
            ("mobile/*", "mobile/", true),
            ("mobile/*", "mobile", false),
            ("*/2.1", "mobile/2.1", true),
            ("*/2.1", "/2.1", true),
            ("*/2.1", "mobile/2.1.1", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "ac", false),
            ("a*bc*c", "abc", false),
            ("*", "", true),
            ("**", "x", true),
            ("*x*", "axa", true),
            ("*x*", "aaa", false),
        ] {
            assert_eq!(matches(wanted, value), is_meant, "{wanted} {value}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_that_is_filled_is_met(pieces in prop::collection::vec(letters(), 1..5), fillings in prop::collection::vec(letters(), 4)) {
            let wanted = pieces.join("*");
            let mut value = pieces[0].clone();
            for (piece, filling) in pieces[1..].iter().zip(&fillings) {
                value += filling;
                value += piece;
            }
            prop_assert_eq!(matches(&wanted, &value), true);
        }

        #[test]
        fn it_agrees_with_trying_everything(wanted in "[ab*]{0,6}", value in "[ab]{0,8}") {
            prop_assert_eq!(matches(&wanted, &value), tried(wanted.as_bytes(), value.as_bytes()), "{} {}", wanted, value);
        }
    }

    fn letters() -> impl Strategy<Value = String> {
        "[ab]{0,3}"
    }

    fn tried(wanted: &[u8], value: &[u8]) -> bool {
        match wanted.split_first() {
            None => value.is_empty(),
            Some((b'*', rest)) => (0..=value.len()).any(|from| tried(rest, &value[from..])),
            Some((one, rest)) => value.split_first().is_some_and(|(other, left)| one == other && tried(rest, left)),
        }
    }
}
