//! Keys: their text, what is stored of them, and the states they pass through.

mod digest;
mod foreign;
mod notice;
mod state;
mod text;
mod token;
mod version;

pub use digest::{DigestAlgorithm, KeyDigest, Pepper, PepperSecret, TextHash};
pub use foreign::{
    LOOKUP_CHARS, Lookup, MAX_BCRYPT_TEXT, MAX_CANDIDATES, NotAHash, ShortToken, SlowHash, hint_of_beginning,
    is_lookup, slow_algorithm,
};
pub use notice::{KeyNotice, WARNING_DAYS};
pub use state::{KeyState, Standing, StateError};
pub use text::{
    ENTROPY_LEN, KeyText, MARK, MAX_KEY_TEXT, MIN_KEY_TEXT, MIN_MARKED_KEY_TEXT, NotAKey, NotAPrefix, PoorEntropy,
    Prefix, Presented, estimated_bits, hint, marked_at,
};
pub use token::TokenKind;
pub use version::{DEFAULT_OVERLAP_SECS, MAX_OVERLAP_SECS, OverlapError, move_end, overlap_end};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::restrict::{Restrictions, Rule};

/// Days until a new key expires, unless its API's owner or its maker says otherwise (PRODUCT.md K8).
pub const DEFAULT_KEY_DAYS: u32 = 90;
/// Bits below which an imported text is refused as guessable (SECURITY.md K-7).
pub const MIN_IMPORT_BITS: u32 = 112;

/// Where a project and its keys live. It stands in the text of a key, so that nobody takes one for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Real traffic.
    Live,
    /// Trials.
    Test,
}

impl Environment {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Live, Self::Test];

    /// The word in key texts and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Held by a server; calls APIs.
    Secret,
    /// Stands in a page or an app, where anybody can read it: bound to where it may be used from, and to the operations that
    /// an API's owner opens to such keys.
    Publishable,
    /// Calls the management API and nothing else.
    Management,
    /// Calls nothing: it lies where a thief would find it, and whoever presents it is one. It is answered like a revoked key.
    Canary,
}

/// A key of this kind can't have these restrictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unrestricted;

impl fmt::Display for Unrestricted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a publishable key needs restrictions.origins, restrictions.referrers or restrictions.apps, not in shadow: everybody can read it")
    }
}

impl std::error::Error for Unrestricted {}

impl KeyKind {
    /// Whether a key of this kind may have these restrictions: one that anybody can read is bound to pages (K18).
    ///
    /// # Errors
    /// [`Unrestricted`]
    pub fn checked(self, restrictions: &Restrictions) -> Result<(), Unrestricted> {
        let binds = |rule| restrictions.has(rule) && !restrictions.shadow.contains(rule);
        let is_bound = binds(Rule::Origins) || binds(Rule::Referrers) || binds(Rule::Apps);
        if self != Self::Publishable || is_bound { Ok(()) } else { Err(Unrestricted) }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Secret, Self::Publishable, Self::Management, Self::Canary];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Publishable => "publishable",
            Self::Management => "management",
            Self::Canary => "canary",
        }
    }
}

/// The word names nothing of the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    /// The words that would have been understood.
    pub allowed: &'static str,
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "use one of: {}", self.allowed)
    }
}

impl std::error::Error for UnknownWord {}

impl FromStr for Environment {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|env| env.as_str() == text).ok_or(UnknownWord { allowed: "live, test" })
    }
}

impl FromStr for KeyKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let allowed = "secret, publishable, management, canary";
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownWord { allowed })
    }
}
