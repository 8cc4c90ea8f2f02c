//! What is asked.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use keystile_core::content::{Content, Sent};
use keystile_core::country::Country;
use keystile_core::limit::{MAX_SUBJECT_LEN, MAX_TAGS, TagName};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::object::or_null;
use super::told_headers::ToldHeaders;

/// A question about a key. Unknown fields are refused: a condition that is not understood must not be passed over.
#[derive(Deserialize, ToSchema)]
#[schema(as = KeyQuestion)]
#[serde(deny_unknown_fields)]
pub(super) struct Question<'a> {
    /// The text of the key.
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    /// The API it is presented to, by id or name; without one the key alone is judged.
    #[serde(borrow, default)]
    pub(super) api: Option<Cow<'a, str>>,
    /// What is to be called.
    #[serde(borrow, default, deserialize_with = "or_null")]
    pub(super) operation: Option<Operation<'a>>,
    /// Who calls.
    #[serde(borrow, default, deserialize_with = "or_null")]
    pub(super) client: Option<Client<'a>>,
    /// Permissions that the call needs, such as `a AND (b OR c)`.
    #[serde(borrow, default)]
    pub(super) permissions: Option<Cow<'a, str>>,
    /// What it counts against limits; if nothing is said, what its operation costs, which is 1 unless the API says otherwise; 0
    /// to look without counting.
    #[serde(default)]
    pub(super) cost: Option<u32>,
    /// Whether what it really costs is told when it has ended, at `/v1/usage/report`.
    #[serde(default)]
    pub(super) report: bool,
    /// Who uses the program that calls, in 1 to 256 bytes; limits can be counted apart for each.
    #[serde(borrow, default)]
    pub(super) end_user: Option<Cow<'a, str>>,
    /// What else limits can be counted apart by: an object of names, each with a text; at most 16, each of at most 256 bytes.
    #[serde(borrow, default)]
    #[schema(value_type = Object)]
    pub(super) tags: Tags<'a>,
    /// Whether every question of the decision is answered in the reply.
    #[serde(default)]
    pub(super) explain: Option<bool>,
}

/// An object of names, each with a text.
#[derive(Debug, Default)]
pub(crate) struct Tags<'a>(pub(crate) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Pairs<'a> {
            type Value = Tags<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names, each with a text")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags<'a>, A::Error> {
                let mut tags: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    if !TagName::is_sound(&name) || tags.iter().any(|(own, _)| *own == name) {
                        return Err(A::Error::custom(
                            "a tag's name is 1 to 32 of a-z, 0-9, `-`, `_` and `.`, and no two are alike",
                        ));
                    }
                    if tags.len() == MAX_TAGS || value.len() > MAX_SUBJECT_LEN || value.contains(char::is_control) {
                        return Err(A::Error::custom(format_args!(
                            "a call has at most {MAX_TAGS} tags, each with a value of at most {MAX_SUBJECT_LEN} bytes without control characters"
                        )));
                    }
                    tags.push((name, value));
                }
                Ok(Tags(tags))
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

/// The same, of a question that is kept.
#[derive(Debug, Default)]
pub(crate) struct OwnTags(pub(crate) Vec<(Cow<'static, str>, Cow<'static, str>)>);

impl<'de> Deserialize<'de> for OwnTags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Tags(tags) = Tags::deserialize(deserializer)?;
        let own = |text: Cow<'de, str>| Cow::Owned(text.into_owned());
        Ok(Self(tags.into_iter().map(|(name, value)| (own(name), own(value))).collect()))
    }
}

/// A text that is borrowed where that is possible.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A name of an end user, as far as it can be one by its length. Control characters are in nobody's name.
pub(crate) fn is_end_user(name: &str) -> bool {
    (1..=MAX_SUBJECT_LEN).contains(&name.len()) && !name.contains(char::is_control)
}

/// A call.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CallOperation)]
#[serde(deny_unknown_fields)]
pub(crate) struct Operation<'a> {
    /// Its method.
    #[serde(borrow)]
    #[schema(example = "GET")]
    pub(crate) method: Cow<'a, str>,
    /// Its path, perhaps with a query.
    #[serde(borrow)]
    #[schema(example = "/pets/7")]
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
    /// Its header fields, as far as patterns and apps ask for them: an object of names, each with a text or a list of texts.
    /// Without them nobody knows what they say.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
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
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CallClient)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client<'a> {
    /// The address, as the service sees it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "192.0.2.1")]
    pub(crate) ip: Option<IpAddr>,
    /// SHA-256 of its certificate in hexadecimal, if it came with one that the service accepts.
    #[serde(borrow, default)]
    pub(crate) certificate: Option<Cow<'a, str>>,
    /// Its `Origin`, if it has one.
    #[serde(borrow, default)]
    #[schema(example = "https://app.example.com")]
    pub(crate) origin: Option<Cow<'a, str>>,
    /// Its `Referer`, if it has one.
    #[serde(borrow, default)]
    pub(crate) referrer: Option<Cow<'a, str>>,
    /// The country from which it comes (ISO 3166-1 alpha-2), if the service knows it better than the server's own file.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "DE")]
    pub(crate) country: Option<Country>,
}
