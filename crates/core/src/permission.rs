//! Permissions: what a key may do, and the questions that are asked of them.
//!
//! A permission is dotted words, `pets.read`. A granted `pets.*` covers `pets.read` and `pets.photos.write`,
//! a granted `*` covers everything. A question is `a AND (b OR c)`.

use std::borrow::Cow;
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

    /// Whether having this permission means having all that `other` covers.
    pub fn contains(&self, other: &Self) -> bool {
        self == other || self.covers(&other.0)
    }
}

/// What is held at one place: permissions, perhaps no more of them than others that bound them. A right is held if
/// both hold it, so the narrower one decides.
#[derive(Debug, Clone, Copy)]
pub struct Rights<'a> {
    own: &'a [Permission],
    within: Option<&'a [Permission]>,
}

impl<'a> Rights<'a> {
    /// These permissions, as far as they are within `bound`; `None` bounds nothing, an empty bound leaves nothing.
    pub const fn new(own: &'a [Permission], bound: Option<&'a [Permission]>) -> Self {
        Self { own, within: bound }
    }

    /// Whether this right is held.
    pub fn hold(self, needed: &str) -> bool {
        let covered = |granted: &[Permission]| granted.iter().any(|permission| permission.covers(needed));
        covered(self.own) && self.within.is_none_or(covered)
    }

    /// The same as a list of permissions, sorted, none twice: it holds just what these rights hold.
    pub fn list(self) -> Cow<'a, [Permission]> {
        let Some(bound) = self.within else { return Cow::Borrowed(self.own) };
        // Of two permissions one lies within the other or they have nothing in common.
        let narrower = |a: &Permission, b: &Permission| match (a.contains(b), b.contains(a)) {
            (_, true) => Some(a.clone()),
            (true, false) => Some(b.clone()),
            (false, false) => None,
        };
        let mut list: Vec<Permission> =
            self.own.iter().flat_map(|a| bound.iter().filter_map(move |b| narrower(a, b))).collect();
        list.sort();
        list.dedup();
        Cow::Owned(list)
    }
}

impl<'a> From<&'a [Permission]> for Rights<'a> {
    fn from(own: &'a [Permission]) -> Self {
        Self::new(own, None)
    }
}

impl<'a> From<&'a Vec<Permission>> for Rights<'a> {
    fn from(own: &'a Vec<Permission>) -> Self {
        Self::new(own, None)
    }
}

impl<'a, const N: usize> From<&'a [Permission; N]> for Rights<'a> {
    fn from(own: &'a [Permission; N]) -> Self {
        Self::new(own, None)
    }
}

/// Brings a list of permissions to its one form: sorted, none twice.
///
/// # Errors
/// If there are too many.
pub fn checked(mut permissions: Vec<Permission>) -> Result<Vec<Permission>, PermissionError> {
    permissions.sort();
    permissions.dedup();
    if permissions.len() > MAX_PERMISSIONS { Err(TOO_MANY) } else { Ok(permissions) }
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
const TOO_MANY: PermissionError =
    PermissionError("permissions takes at most 256 permissions; use wildcards such as pets.*");
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
    pub fn allows<'a>(&self, granted: impl Into<Rights<'a>>) -> bool {
        let granted = granted.into();
        match self {
            Self::Has(needed) => granted.hold(needed),
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

    /// All permissions that it speaks of.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Has(needed) => vec![needed],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::names).collect(),
        }
    }

    /// The part of the question that the granted permissions do not answer; `None` if they answer all of it.
    pub fn missing<'a>(&self, granted: impl Into<Rights<'a>>) -> Option<Self> {
        let granted = granted.into();
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
    use proptest::prelude::{Just, Strategy, any, prop, proptest};
    use proptest::{prop_assert, prop_assert_eq, prop_oneof};

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

    fn permissions() -> impl Strategy<Value = Vec<Permission>> {
        let words = prop::collection::vec(prop::sample::select(&["a", "b", "ab"][..]), 1..4);
        let one = (words, any::<bool>()).prop_map(|(words, is_wild)| {
            let text = words.join(".") + if is_wild { ".*" } else { "" };
            text.parse::<Permission>().unwrap()
        });
        let all = Just("*".parse::<Permission>().unwrap());
        prop::collection::vec(prop_oneof![6 => one, 1 => all], 0..6)
    }

    proptest! {
        #[test]
        fn the_narrower_of_two_grants_decides_for_every_right(own in permissions(), bound in permissions()) {
            let both = Rights::new(&own, Some(&bound));
            let list = both.list();
            prop_assert!(list.is_sorted() && checked(list.to_vec()).as_deref() == Ok(&*list));
            for a in ["a", "b", "ab", "c"] {
                for rest in ["", ".a", ".b", ".ab", ".a.b", ".ab.a.b"] {
                    let needed = format!("{a}{rest}");
                    let held = |granted: &[Permission]| Rights::from(granted).hold(&needed);
                    prop_assert_eq!(both.hold(&needed), held(&own) && held(&bound), "{}", needed);
                    prop_assert_eq!(both.hold(&needed), held(&list), "{}", needed);
                    let asked = PermissionQuery::Has(needed);
                    prop_assert_eq!(asked.allows(both), asked.missing(both).is_none());
                }
            }
        }
    }

    #[test]
    fn an_or_is_answered_by_one_right_that_both_grants_hold() {
        let [own, bound] = [["a", "b"], ["a", "c"]].map(|texts| texts.map(|text| text.parse::<Permission>().unwrap()));
        let question: PermissionQuery = "a AND (b OR c)".parse().unwrap();
        assert!(question.allows(&own[..]) && question.allows(&bound[..]));
        let both = Rights::new(&own, Some(&bound));
        assert!(!question.allows(both), "neither b nor c is granted by both");
        assert_eq!(question.missing(both).unwrap().to_string(), "b OR c");
        assert_eq!(Rights::new(&own, Some(&[])).list(), Vec::new(), "nothing is not everything");
        assert_eq!(Rights::new(&own, None).list(), &own[..]);
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
