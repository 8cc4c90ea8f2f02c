//! Permissions: what a key may do, and the questions that are asked of them.
//!
//! A permission is dotted words, `pets.read`. A granted `pets.*` covers `pets.read` and `pets.photos.write`,
//! a granted `*` covers everything. A question is `a AND (b OR c)`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// Longest permission; names are words, not documents.
pub const MAX_PERMISSION_LEN: usize = 128;
/// Most permissions of one key: beyond it a role is meant.
pub const MAX_PERMISSIONS: usize = 256;
/// Longest question, and with it the deepest nesting.
const MAX_QUERY_LEN: usize = 2_048;
/// Deepest nesting of brackets: people write two.
const MAX_QUERY_DEPTH: u32 = 16;

/// One granted right, perhaps a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Permission(String);

impl Permission {
    /// The permission as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether having this permission means having `needed`.
    pub fn covers(&self, needed: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            // The dot stays: `pets.*` covers `pets.read`, neither `pets` nor `petsitters.read`.
            Some(stem) => needed.len() > stem.len() && needed.starts_with(stem),
            None => self.0 == needed,
        }
    }
}

/// The text is no permission or no question about permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionError(&'static str);

impl fmt::Display for PermissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for PermissionError {}

const NOT_A_PERMISSION: PermissionError = PermissionError(
    "a permission is words of a-z, A-Z, 0-9, `_`, `-` and `:` joined by dots, at most 128 characters, such as pets.read; a last word `*` stands for all below",
);
const NOT_A_QUERY: PermissionError = PermissionError(
    "a permission question is permissions joined by AND and OR with brackets, such as `a AND (b OR c)`, at most 2048 characters",
);

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-:".contains(&b))
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let stem = match text.strip_suffix('*') {
            Some("") => return Ok(Self(text.to_owned())),
            Some(stem) => stem.strip_suffix('.').ok_or(NOT_A_PERMISSION)?,
            None => text,
        };
        if text.len() <= MAX_PERMISSION_LEN && stem.split('.').all(is_word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NOT_A_PERMISSION)
        }
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A question: is everything granted that this asks for?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermissionQuery {
    /// This one permission.
    Has(String),
    /// Every one of these.
    All(Vec<PermissionQuery>),
    /// At least one of these.
    Any(Vec<PermissionQuery>),
}

impl PermissionQuery {
    /// Whether the granted permissions answer the question with yes.
    pub fn allows(&self, granted: &[Permission]) -> bool {
        match self {
            Self::Has(needed) => granted.iter().any(|permission| permission.covers(needed)),
            Self::All(parts) => parts.iter().all(|part| part.allows(granted)),
            Self::Any(parts) => parts.iter().any(|part| part.allows(granted)),
        }
    }
}

impl PermissionQuery {
    /// Nothing answers it with yes.
    pub const fn never() -> Self {
        Self::Any(Vec::new())
    }

    /// The part of the question that the granted permissions do not answer; `None` if they answer all of it.
    pub fn missing(&self, granted: &[Permission]) -> Option<Self> {
        if self.allows(granted) {
            return None;
        }
        match self {
            Self::Has(_) => Some(self.clone()),
            Self::All(parts) => {
                let mut missing: Vec<Self> = parts.iter().filter_map(|part| part.missing(granted)).collect();
                Some(if missing.len() == 1 { missing.remove(0) } else { Self::All(missing) })
            }
            // Any one of them would do, each as far as it is missing.
            Self::Any(parts) => Some(Self::Any(parts.iter().filter_map(|part| part.missing(granted)).collect())),
        }
    }
}

/// As it is read.
impl fmt::Display for PermissionQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, between) = match self {
            Self::Has(needed) => return f.write_str(needed),
            Self::All(parts) => (parts, " AND "),
            Self::Any(parts) => (parts, " OR "),
        };
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                f.write_str(between)?;
            }
            match part {
                Self::Any(_) if between == " AND " => write!(f, "({part})")?,
                _ => part.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl FromStr for PermissionQuery {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        if text.len() > MAX_QUERY_LEN {
            return Err(NOT_A_QUERY);
        }
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let mut words = spaced.split_ascii_whitespace().peekable();
        let query = any(&mut words, 0)?;
        if words.next().is_some() { Err(NOT_A_QUERY) } else { Ok(query) }
    }
}

type Words<'a> = std::iter::Peekable<std::str::SplitAsciiWhitespace<'a>>;

// OR binds weaker than AND, as everywhere.
fn any(words: &mut Words<'_>, depth: u32) -> Result<PermissionQuery, PermissionError> {
    let mut parts = vec![all(words, depth)?];
    while words.next_if(|word| word.eq_ignore_ascii_case("OR")).is_some() {
        parts.push(all(words, depth)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { PermissionQuery::Any(parts) })
}

fn all(words: &mut Words<'_>, depth: u32) -> Result<PermissionQuery, PermissionError> {
    let mut parts = vec![one(words, depth)?];
    while words.next_if(|word| word.eq_ignore_ascii_case("AND")).is_some() {
        parts.push(one(words, depth)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { PermissionQuery::All(parts) })
}

fn one(words: &mut Words<'_>, depth: u32) -> Result<PermissionQuery, PermissionError> {
    match words.next().ok_or(NOT_A_QUERY)? {
        "(" if depth < MAX_QUERY_DEPTH => {
            let inner = any(words, depth + 1)?;
            if words.next() == Some(")") { Ok(inner) } else { Err(NOT_A_QUERY) }
        }
        word if word.eq_ignore_ascii_case("AND") || word.eq_ignore_ascii_case("OR") => Err(NOT_A_QUERY),
        // Asking for a wildcard would mean "may do everything below", which no single call needs.
        word if word.split('.').all(is_word) && word.len() <= MAX_PERMISSION_LEN => {
            Ok(PermissionQuery::Has(word.to_owned()))
        }
        _ => Err(NOT_A_QUERY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(granted: &[&str], question: &str) -> bool {
        let granted: Vec<Permission> = granted.iter().map(|text| text.parse().unwrap()).collect();
        question.parse::<PermissionQuery>().unwrap().allows(&granted)
    }

    #[test]
    fn a_wildcard_covers_what_is_below_it_and_nothing_else() {
        for (granted, needed, covered) in [
            ("pets.*", "pets.read", true),
            ("pets.*", "pets.photos.write", true),
            ("pets.*", "pets", false),
            ("pets.*", "petsitters.read", false),
            ("*", "anything.at.all", true),
            ("pets.read", "pets.read", true),
            ("pets.read", "pets.read.all", false),
            ("pets.read", "pets", false),
        ] {
            assert_eq!(granted.parse::<Permission>().unwrap().covers(needed), covered, "{granted} {needed}");
        }
    }

    #[test]
    fn and_binds_before_or() {
        assert!(allows(&["a"], "a OR b AND c"));
        assert!(!allows(&["a"], "(a OR b) AND c"));
        assert!(allows(&["b", "c"], "a and (b or c) or b AND c"));
        assert!(!allows(&[], "a"));
    }

    #[test]
    fn what_is_missing_is_the_part_that_would_be_enough() {
        for (granted, question, missing) in [
            (&["a"][..], "a", None),
            (&[], "a", Some("a")),
            (&["a"], "a AND b AND c", Some("b AND c")),
            (&["a"], "a AND (b OR c)", Some("b OR c")),
            (&["x"], "a AND b OR x AND y", Some("a AND b OR y")),
            (&["pets.*"], "pets.read AND orders.read", Some("orders.read")),
            (&[], "(a OR b) AND c", Some("(a OR b) AND c")),
        ] {
            let granted: Vec<Permission> = granted.iter().map(|text| text.parse().unwrap()).collect();
            let question: PermissionQuery = question.parse().unwrap();
            assert_eq!(question.missing(&granted).map(|part| part.to_string()).as_deref(), missing, "{question}");
            assert_eq!(question.to_string().parse(), Ok(question), "it reads what it writes");
        }
        assert!(!PermissionQuery::never().allows(&["*".parse().unwrap()]));
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for text in [
            "",
            "a AND",
            "AND a",
            "a b",
            "(a",
            "a)",
            "a.*",
            "*",
            "a..b",
            "a AND OR b",
            &"(".repeat(40),
            &"a OR ".repeat(900),
        ] {
            assert!(text.parse::<PermissionQuery>().is_err(), "{text}");
        }
        for text in ["", "pets*", "pets..read", ".", "pets.*.read", "pets read", &"a".repeat(129)] {
            assert!(text.parse::<Permission>().is_err(), "{text}");
        }
    }
}
