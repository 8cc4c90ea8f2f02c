//! Names of things that people type: a word, by which a thing is meant as well as by its id.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest name: it is a word that people type.
pub const MAX_NAME_LEN: usize = 64;

/// Characters that nobody sees, and that make two names look alike or one read backwards (Unicode UAX #9, UTS #39).
pub const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The id of a thing that has such a name.
pub trait Nameable: Copy + Eq + Ord + Hash + fmt::Debug + fmt::Display + FromStr + 'static {
    /// What it is, in messages.
    const NOUN: &'static str;
    /// What its ids begin with.
    const ID_PREFIX: &'static str;
}

macro_rules! nameable {
    ($($id:ident = $noun:literal;)*) => {$(
        impl Nameable for crate::id::$id {
            const NOUN: &'static str = $noun;
            const ID_PREFIX: &'static str = Self::PREFIX;
        }
    )*};
}

nameable! {
    RoleId = "role";
    PatternId = "pattern";
    MemberRoleId = "member role";
}

/// The name of a thing that has ids of this kind, a word such as `reader`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<I>(String, PhantomData<I>);

impl<I> Name<I> {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<I> fmt::Display for Name<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no name of such a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAName {
    noun: &'static str,
    prefix: &'static str,
}

impl NotAName {
    const fn of<I: Nameable>() -> Self {
        Self { noun: I::NOUN, prefix: I::ID_PREFIX }
    }
}

impl fmt::Display for NotAName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a {}'s name is a word of a-z, A-Z, 0-9, `_`, `-`, `.` and `:`, at most {MAX_NAME_LEN} characters, that does \
             not begin with {}",
            self.noun, self.prefix
        )
    }
}

impl std::error::Error for NotAName {}

impl<I: Nameable> FromStr for Name<I> {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
        // Wherever a thing is named its id will do too, so no name looks like one.
        let sound = (1..=MAX_NAME_LEN).contains(&text.len()) && is_word && !text.starts_with(I::ID_PREFIX);
        if sound { Ok(Self(text.to_owned(), PhantomData)) } else { Err(NotAName::of::<I>()) }
    }
}

impl<I> Serialize for Name<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, I: Nameable> Deserialize<'de> for Name<I> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A thing as people say which one they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ref<I> {
    /// By its id.
    Id(I),
    /// By its name.
    Name(Name<I>),
}

impl<I: fmt::Display> fmt::Display for Ref<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl<I: Nameable> FromStr for Ref<I> {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        text.parse().map(Self::Id).or_else(|_| text.parse().map(Self::Name))
    }
}

impl<'de, I: Nameable> Deserialize<'de> for Ref<I> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{PatternId, RoleId};

    #[test]
    fn a_thing_is_named_by_a_word_or_by_its_id() {
        let id = RoleId::from_entropy([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(Ref::Id(id)));
        assert_eq!(Ref::Id(id).to_string(), id.to_string());
        let other = PatternId::from_entropy([7; 16]).to_string();
        for name in ["reader", "Pets.Reader", "a", "team:ops-1", &"x".repeat(64), &other] {
            let read: Ref<RoleId> = name.parse().unwrap();
            assert_eq!(read, Ref::Name(Name(name.to_owned(), PhantomData)), "{name}");
            assert_eq!(read.to_string(), name);
            let Ref::Name(read) = read else { panic!("{name} is no id") };
            assert_eq!((read.as_str(), read.to_string().as_str()), (name, name));
        }
        for none in ["", " reader", "a b", "ä", "rol_", "rol_x", &id.to_string()[..25], &"x".repeat(65), "a/b", "a\n"]
        {
            let error = none.parse::<Ref<RoleId>>().expect_err(none).to_string();
            assert!(error.starts_with("a role's name is a word") && error.ends_with("begin with rol_"), "{error}");
        }
    }
}
