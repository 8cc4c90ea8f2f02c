//! The methods a call may have, and sets of them.
//!
//! Seven methods pass; a method outside this list (`TRACE`, `CONNECT`, `get`, one made up) has no value here,
//! so nothing behind the edge has to think of it. What a refusal looks like is the gateway's business.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// A method that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Read.
    Get,
    /// Read, without the body.
    Head,
    /// Create or do.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Remove.
    Delete,
    /// Ask what is possible.
    Options,
}

impl Method {
    /// Every method, in the order in which lists are written.
    pub const ALL: [Self; 7] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Options];

    /// The name as it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// The place of this method in [`Method::ALL`], for tables with one slot a method.
    pub(crate) const fn slot(self) -> usize {
        self as usize
    }

    const fn bit(self) -> u8 {
        1 << self.slot()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names no method that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAMethod;

impl fmt::Display for NotAMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a method here is one of {}, in upper case", MethodSet::ALL)
    }
}

impl std::error::Error for NotAMethod {}

impl FromStr for Method {
    type Err = NotAMethod;

    // Methods are case-sensitive (RFC 9110 §9.1): `get` is not GET, and an upstream may treat it as either.
    fn from_str(text: &str) -> Result<Self, NotAMethod> {
        match text {
            "GET" => Ok(Self::Get),
            "HEAD" => Ok(Self::Head),
            "POST" => Ok(Self::Post),
            "PUT" => Ok(Self::Put),
            "PATCH" => Ok(Self::Patch),
            "DELETE" => Ok(Self::Delete),
            "OPTIONS" => Ok(Self::Options),
            _ => Err(NotAMethod),
        }
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Method;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a method")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Method, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// Some methods, at least one: an empty list never means "any".
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MethodSet(NonZeroU8);

/// The text or list is no set of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodSetError {
    /// It names no method at all.
    Empty,
    /// One of its members may never pass.
    NotAMethod,
}

impl fmt::Display for MethodSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("name at least one method, or leave the list out to allow all of them"),
            Self::NotAMethod => NotAMethod.fmt(f),
        }
    }
}

impl std::error::Error for MethodSetError {}

impl MethodSet {
    /// Every method that may pass; its text is what an `Allow` header says.
    pub const ALL: Self = Self(NonZeroU8::new((1 << Method::ALL.len()) - 1).expect("seven bits are set"));

    /// The set of these methods; naming one twice is naming it once.
    ///
    /// # Errors
    /// If there are none.
    pub fn of(methods: impl IntoIterator<Item = Method>) -> Result<Self, MethodSetError> {
        let bits = methods.into_iter().fold(0, |bits, method| bits | method.bit());
        NonZeroU8::new(bits).map(Self).ok_or(MethodSetError::Empty)
    }

    /// Whether the method is one of these.
    pub const fn contains(self, method: Method) -> bool {
        self.0.get() & method.bit() != 0
    }

    /// Whether each of these is one of those.
    pub const fn is_within(self, outer: Self) -> bool {
        self.0.get() & !outer.0.get() == 0
    }

    /// The methods, in the order of [`Method::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Method> {
        Method::ALL.into_iter().filter(move |method| self.contains(*method))
    }
}

impl From<Method> for MethodSet {
    fn from(method: Method) -> Self {
        Self(NonZeroU8::new(method.bit()).expect("a method has its bit"))
    }
}

impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", method.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromStr for MethodSet {
    type Err = MethodSetError;

    /// Reads `GET, HEAD` or `GET,HEAD`.
    fn from_str(text: &str) -> Result<Self, MethodSetError> {
        if text.trim().is_empty() {
            return Err(MethodSetError::Empty);
        }
        let mut bits = 0;
        for name in text.split(',') {
            bits |= name.trim().parse::<Method>().map_err(|NotAMethod| MethodSetError::NotAMethod)?.bit();
        }
        NonZeroU8::new(bits).map(Self).ok_or(MethodSetError::Empty)
    }
}

impl Serialize for MethodSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for MethodSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = MethodSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of methods")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<MethodSet, A::Error> {
                let mut bits = 0;
                while let Some(method) = list.next_element::<Method>()? {
                    bits |= method.bit();
                }
                NonZeroU8::new(bits).map(MethodSet).ok_or_else(|| A::Error::custom(MethodSetError::Empty))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, SeqDeserializer, StrDeserializer};

    use super::*;

    fn read(names: &[&str]) -> Result<MethodSet, Error> {
        MethodSet::deserialize(SeqDeserializer::<_, Error>::new(names.iter().copied()))
    }

    #[test]
    fn every_method_is_read_back_from_its_name() {
        for method in Method::ALL {
            assert_eq!(method.as_str().parse(), Ok(method));
            assert_eq!(Method::deserialize(StrDeserializer::<Error>::new(method.as_str())), Ok(method));
            assert_eq!(Method::ALL[method.slot()], method);
        }
    }

    // SECURITY.md G-12.
    #[test]
    fn g12_a_method_outside_the_list_has_no_value() {
        for name in
            ["", "get", "Get", "GET ", " GET", "TRACE", "CONNECT", "PROPFIND", "TRACK", "QUERY", "GETS", "G\0ET"]
        {
            assert_eq!(name.parse::<Method>(), Err(NotAMethod), "{name:?}");
        }
    }

    #[test]
    fn an_empty_list_of_methods_never_means_any() {
        assert_eq!(MethodSet::of([]), Err(MethodSetError::Empty));
        assert_eq!(" ".parse::<MethodSet>(), Err(MethodSetError::Empty));
        assert!(read(&[]).is_err());
        assert!(read(&["GET", "get"]).is_err());
    }

    #[test]
    fn a_set_holds_what_was_named_and_nothing_else() {
        let set = read(&["POST", "GET", "POST"]).expect("two methods");
        assert_eq!(set.iter().collect::<Vec<_>>(), [Method::Get, Method::Post]);
        assert_eq!(set.to_string(), "GET, POST");
        assert_eq!("GET,POST".parse(), Ok(set));
        assert_eq!(set.to_string().parse(), Ok(set));
        assert_eq!("GET,,POST".parse::<MethodSet>(), Err(MethodSetError::NotAMethod));
        assert_eq!(MethodSet::from(Method::Put).to_string(), "PUT");
        assert_eq!(MethodSet::ALL.to_string(), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
}
