//! What is asked.

use std::borrow::Cow;
use std::net::IpAddr;

use keystile_core::content::{Content, Sent};
use keystile_core::country::Country;
use serde::Deserialize;

use super::told_headers::ToldHeaders;

/// A question about a key. Unknown fields are refused: a condition that is not understood must not be passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question<'a> {
    /// The text of the key.
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    /// The API it is presented to, by id or name; without one the key alone is judged.
    #[serde(borrow, default)]
    pub(super) api: Option<Cow<'a, str>>,
    /// What is to be called.
    #[serde(borrow, default)]
    pub(super) operation: Option<Operation<'a>>,
    /// Who calls.
    #[serde(borrow, default)]
    pub(super) client: Option<Client<'a>>,
    /// Permissions that the call needs, such as `a AND (b OR c)`.
    #[serde(borrow, default)]
    pub(super) permissions: Option<Cow<'a, str>>,
    /// What it counts against limits; 1 if nothing is said, 0 to look without counting.
    #[serde(default)]
    pub(super) cost: Option<u32>,
    /// Whether every question of the decision is answered in the reply.
    #[serde(default)]
    pub(super) explain: Option<bool>,
}

/// A call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Operation<'a> {
    /// Its method.
    #[serde(borrow)]
    pub(crate) method: Cow<'a, str>,
    /// Its path, perhaps with a query.
    #[serde(borrow)]
    pub(crate) path: Cow<'a, str>,
    /// Its `Content-Type`, if it has a body that says what it is.
    #[serde(borrow, default)]
    pub(crate) content_type: Option<Cow<'a, str>>,
    /// The length of its body; 0 for none.
    #[serde(default)]
    pub(crate) body_bytes: Option<u64>,
    /// Its `Accept`; anything will do if nothing is said.
    #[serde(borrow, default)]
    pub(crate) accept: Option<Cow<'a, str>>,
    /// Its header fields, as far as patterns and apps ask for them; without them nobody knows what they say.
    #[serde(default)]
    pub(crate) headers: Option<Cow<'a, ToldHeaders>>,
}

impl Content for Operation<'_> {
    // Neither a type nor a length says nothing: the call could have a body of any kind.
    fn sent(&self) -> Sent<'_> {
        match (&self.content_type, self.body_bytes) {
            (_, Some(0)) => Sent::Nothing,
            (None, None) => Sent::Unknown,
            (content_type, bytes) => {
                Sent::Body { content_type: content_type.as_ref().map(|value| value.as_bytes().into()), bytes }
            }
        }
    }

    fn accept(&self) -> Option<Cow<'_, [u8]>> {
        self.accept.as_ref().map(|value| value.as_bytes().into())
    }
}

/// Who calls.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client<'a> {
    /// The address, as the service sees it.
    #[serde(default)]
    pub(crate) ip: Option<IpAddr>,
    /// SHA-256 of its certificate in hexadecimal, if it came with one that the service accepts.
    #[serde(borrow, default)]
    pub(crate) certificate: Option<Cow<'a, str>>,
    /// Its `Origin`, if it has one.
    #[serde(borrow, default)]
    pub(crate) origin: Option<Cow<'a, str>>,
    /// Its `Referer`, if it has one.
    #[serde(borrow, default)]
    pub(crate) referrer: Option<Cow<'a, str>>,
    /// The country from which it comes, if the service knows it better than the server's own file.
    #[serde(default)]
    pub(crate) country: Option<Country>,
}
