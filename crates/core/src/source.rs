//! Where a call comes from, as far as it takes looking: what its head says of that, and the country of its address. It is
//! told when a rule asks for it: most calls meet no such rule, and theirs is not even looked for.

use std::fmt;

use crate::country::Country;

/// Whoever knows where a call comes from.
pub trait Source: fmt::Debug {
    /// Its `Origin`; `None` if it has none. One that has several says nothing: an empty text, which no rule knows.
    fn origin(&self) -> Option<&[u8]>;

    /// Its `Referer`, in the same way.
    fn referrer(&self) -> Option<&[u8]>;

    /// The country from which it comes; `None` if nobody knows.
    fn country(&self) -> Option<Country>;

    /// A field of its head, by its name in lower case.
    fn field(&self, name: &str) -> Field<'_>;
}

/// What is known of a header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// Nothing.
    Unknown,
    /// It is not there.
    Absent,
    /// This value.
    Value(&'a [u8]),
    /// It comes several times, and of those who read it each takes another one.
    Several,
}

impl<'a> Field<'a> {
    /// That of a head in which this is the first one of its name, and perhaps not the only one.
    pub const fn of(first: Option<&'a [u8]>, has_more: bool) -> Self {
        match (first, has_more) {
            (None, _) => Self::Absent,
            (Some(_), true) => Self::Several,
            (Some(value), false) => Self::Value(value),
        }
    }
}
