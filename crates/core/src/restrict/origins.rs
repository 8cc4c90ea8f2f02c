//! Web origins from which a key may be used: for keys in pages, where browsers say which page calls (PRODUCT.md K18).
//! Whoever is no browser says any origin, so it keeps other people's pages from using a key, and nobody else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::origin::{OriginPattern, split};
use crate::source::Source;

/// Most origins of one key: the check is a walk over them.
const MAX_ORIGINS: usize = 64;

/// Origins such as `https://app.example.com` or `https://*.example.com`; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Origins(Vec<OriginPattern>);

/// The list is no restriction of origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginsError {
    /// This text is no origin.
    NotAnOrigin(String),
    /// The list is empty, or longer than [`MAX_ORIGINS`].
    Count,
}

impl fmt::Display for OriginsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnOrigin(text) => write!(
                f,
                "`{}` is no origin; write https://app.example.com or https://*.example.com, without a path",
                text.escape_default()
            ),
            Self::Count => write!(f, "origins takes 1 to {MAX_ORIGINS} entries; leave it out for no restriction"),
        }
    }
}

impl std::error::Error for OriginsError {}

impl Origins {
    /// Whether a call from there may pass: by its `Origin` or, lacking one, by that of its `Referer`. `null`, which
    /// browsers say of pages that they tell nobody about, is none of these.
    pub fn admit(&self, source: &dyn Source) -> bool {
        let origin = match (source.origin(), source.referrer()) {
            (Some(origin), _) => std::str::from_utf8(origin).ok(),
            (None, referrer) => {
                referrer.and_then(|value| std::str::from_utf8(value).ok()).and_then(split).map(|(origin, _)| origin)
            }
        };
        origin.is_some_and(|origin| self.0.iter().any(|pattern| pattern.matches(origin)))
    }

    /// Whether no call may pass here that may not there. If that can't be told, no.
    pub fn is_within(&self, outer: &Self) -> bool {
        self.0.iter().all(|pattern| outer.0.iter().any(|wider| pattern.is_within(wider)))
    }
}

impl TryFrom<Vec<String>> for Origins {
    type Error = OriginsError;

    fn try_from(texts: Vec<String>) -> Result<Self, OriginsError> {
        if texts.is_empty() || texts.len() > MAX_ORIGINS {
            return Err(OriginsError::Count);
        }
        // Of all origins together nobody speaks: whoever means everybody leaves the restriction out.
        let one = |text: String| match text.parse() {
            Ok(OriginPattern::Any) | Err(_) => Err(OriginsError::NotAnOrigin(text)),
            Ok(pattern) => Ok(pattern),
        };
        texts.into_iter().map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Origins> for Vec<String> {
    fn from(origins: Origins) -> Self {
        origins.0.iter().map(OriginPattern::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::From as Call;
    use super::*;

    fn origins(list: &[&str]) -> Result<Origins, OriginsError> {
        Origins::try_from(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_origin_is_matched_whole_and_a_referrer_stands_in_for_it() {
        let origins = origins(&["https://app.example.com", "https://*.example.org:8443"]).unwrap();
        for (origin, referrer, admitted) in [
            (Some("https://app.example.com"), None, true),
            (Some("https://a.b.example.org:8443"), None, true),
            (Some("https://a.example.org"), None, false),
            (Some("https://example.org:8443"), None, false),
            (Some("http://app.example.com"), None, false),
            (Some("https://app.example.com.evil.test"), None, false),
            (Some("https://evil.test/.example.org:8443"), None, false),
            (Some("https://evil.test#.example.org:8443"), None, false),
            (Some("https://me@x.example.org:8443"), None, false),
            (Some("null"), None, false),
            (Some(""), None, false),
            (None, None, false),
            (None, Some("https://app.example.com/any/page?x=1"), true),
            (None, Some("https://app.example.com"), true),
            (None, Some("https://evil.test/https://app.example.com/"), false),
            (None, Some("https://app.example.com@evil.test/"), false),
            (None, Some("https://evil.test?https://app.example.com/"), false),
            (None, Some("app.example.com/"), false),
            // Browsers say both, and then the origin counts.
            (Some("null"), Some("https://app.example.com/"), false),
            (Some("https://evil.test"), Some("https://app.example.com/"), false),
        ] {
            let call = Call { origin, referrer, ..Call::default() };
            assert_eq!(origins.admit(&call), admitted, "{call:?}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in
            ["*", "null", "app.example.com", "https://a.test/", "https://a.*.test", "https://*a.test", "https://"]
        {
            assert!(matches!(origins(&[wrong]), Err(OriginsError::NotAnOrigin(_))), "{wrong}");
        }
        assert_eq!(origins(&[]), Err(OriginsError::Count));
        assert_eq!(origins(&["https://a.test"; 65]), Err(OriginsError::Count));
    }
}
