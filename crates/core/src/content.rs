//! What a call says of its content. It is told when a rule asks for it: most calls meet no such rule, and theirs is not
//! even looked for.

use std::borrow::Cow;
use std::fmt;

use crate::media::MediaTypes;

/// Whoever knows what a call sends and what it takes.
pub trait Content: fmt::Debug {
    /// What it sends.
    fn sent(&self) -> Sent<'_>;

    /// What it accepts as an answer: all its `Accept` fields with commas between them; `None` for anything.
    fn accept(&self) -> Option<Cow<'_, [u8]>>;
}

/// What a call sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent<'a> {
    /// No body.
    Nothing,
    /// A body.
    Body {
        /// All its `Content-Type` fields with commas between them.
        content_type: Option<Cow<'a, [u8]>>,
        /// How long it is, or is at least if it is measured while it comes; `None` if nobody knows.
        bytes: Option<u64>,
    },
    /// Nobody knows.
    Unknown,
}

impl Sent<'_> {
    /// Whether this may be sent where these types are taken.
    pub fn is_of(&self, types: &MediaTypes) -> bool {
        match self {
            Self::Nothing => true,
            Self::Body { content_type, .. } => types.admit_field(content_type.as_deref()),
            Self::Unknown => false,
        }
    }

    /// Whether it has at most so many bytes.
    pub fn fits(&self, most: u64) -> bool {
        match self {
            Self::Nothing => true,
            Self::Body { bytes, .. } => bytes.is_some_and(|bytes| bytes <= most),
            Self::Unknown => false,
        }
    }
}

/// Whether a call may be made of an API that takes these types. A call of which nobody knows what it sends may not.
pub fn is_taken(types: &MediaTypes, content: Option<&dyn Content>) -> bool {
    content.is_some_and(|content| content.sent().is_of(types))
}
