//! Where a call comes from, as far as it takes looking: the page that made it and the country of its address. It is told
//! when a rule asks for it: most calls meet no such rule, and theirs is not even looked for.

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
}
