//! What is asked.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Deserialize;

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
    #[serde(default)]
    pub(super) client: Option<Client>,
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
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation<'a> {
    /// Its method.
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    /// Its path, perhaps with a query.
    #[serde(borrow)]
    pub(super) path: Cow<'a, str>,
}

/// Who calls.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    /// The address, as the service sees it.
    #[serde(default)]
    pub(super) ip: Option<IpAddr>,
    /// SHA-256 of its certificate in hexadecimal, if it came with one that the service accepts.
    #[serde(default)]
    pub(super) certificate: Option<String>,
}
