//! What keys that anybody can read may call: operations that an API's owner opens to them by name (PRODUCT.md K18).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SettingError, as_text, wrong};
use crate::method::Method;
use crate::restrict::PathPattern;

/// Most operations that one API opens to publishable keys.
const MAX_PUBLISHABLE_OPERATIONS: usize = 256;

/// Operations that publishable keys may call: `GET /pets/{id}`, `GET /catalog/**`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishableOperation {
    method: Method,
    path: PathPattern,
}

impl fmt::Display for PublishableOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.path.as_str())
    }
}

impl FromStr for PublishableOperation {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let parts = text.split_once(' ').and_then(|(method, path)| Some((method.parse().ok()?, path.parse().ok()?)));
        match parts {
            Some((method, path)) => Ok(Self { method, path }),
            None => wrong(
                "publishable_operations takes METHOD /path, such as GET /pets/{id} or GET /catalog/** (all below)",
            ),
        }
    }
}

as_text!(PublishableOperation);

/// Whether one of these operations is what a call asks for. What nobody knows is none of them.
pub fn is_publishable(operations: &[PublishableOperation], method: Option<Method>, path: Option<&str>) -> bool {
    let Some((method, path)) = method.zip(path) else { return false };
    operations.iter().any(|operation| operation.method == method && operation.path.matches(path))
}

pub(super) fn checked(operations: &[PublishableOperation]) -> Result<(), SettingError> {
    if operations.len() > MAX_PUBLISHABLE_OPERATIONS {
        return wrong(format!("publishable_operations takes at most {MAX_PUBLISHABLE_OPERATIONS} operations"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k18_only_what_is_named_is_open_to_keys_that_anybody_can_read() {
        let operations: Vec<PublishableOperation> =
            ["GET /pets/{id}", "POST /search", "GET /catalog/**"].iter().map(|text| text.parse().unwrap()).collect();
        for (method, path, open) in [
            (Some(Method::Get), Some("/pets/7"), true),
            (Some(Method::Delete), Some("/pets/7"), false),
            (Some(Method::Get), Some("/pets"), false),
            (Some(Method::Post), Some("/search"), true),
            (Some(Method::Get), Some("/catalog/a/b"), true),
            (Some(Method::Get), None, false),
            (None, Some("/search"), false),
        ] {
            assert_eq!(is_publishable(&operations, method, path), open, "{method:?} {path:?}");
        }
        assert!(!is_publishable(&[], Some(Method::Get), Some("/")));
        for text in ["", "GET", "GET pets", "BREW /pets", "/pets", "GET  /pets", "GET /a/../b"] {
            assert!(text.parse::<PublishableOperation>().is_err(), "{text}");
        }
        assert_eq!(operations[0].to_string(), "GET /pets/{id}");
    }
}
