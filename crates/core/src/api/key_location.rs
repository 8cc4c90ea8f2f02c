//! Where the key stands in the calls of an API.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SettingError, as_text, wrong};

/// Where an API looks for the key: `bearer`, `header:X-Api-Key` or `query:api_key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyLocation {
    /// `Authorization: Bearer KEY` (RFC 6750).
    Bearer,
    /// A header field that holds the key alone; in lower case.
    Header(String),
    /// A parameter of the query string. It ends up in logs and histories, so only where the owner says so.
    Query(String),
}

impl fmt::Display for KeyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => f.write_str("bearer"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}

impl FromStr for KeyLocation {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let is_name =
            |name: &str| (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        // A key in one of these would be taken apart, hidden or changed before it is looked for.
        const TAKEN: [&str; 14] = [
            "authorization",
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "te",
            "trailer",
            "upgrade",
            "cookie",
            "expect",
            "forwarded",
            "x-forwarded-for",
            "x-real-ip",
            "proxy-authorization",
        ];
        match text.split_once(':') {
            None if text == "bearer" => Ok(Self::Bearer),
            Some(("header", name)) if is_name(name) && !TAKEN.contains(&name.to_ascii_lowercase().as_str()) => {
                Ok(Self::Header(name.to_ascii_lowercase()))
            }
            Some(("query", name))
                if (1..=64).contains(&name.len())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) =>
            {
                Ok(Self::Query(name.to_owned()))
            }
            _ => wrong("a key location is `bearer`, `header:NAME` (such as header:X-Api-Key) or `query:NAME`"),
        }
    }
}

as_text!(KeyLocation);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_only_where_it_can_be_taken_away_again() {
        for text in ["bearer", "header:x-api-key", "query:api_key"] {
            assert_eq!(text.parse::<KeyLocation>().map(|place| place.to_string()).as_deref(), Ok(text));
        }
        for text in [
            "",
            "header:",
            "header:Host",
            "header:Authorization",
            "header:a b",
            "cookie:x",
            "Bearer",
            "query:a=b",
            "header:a_b",
        ] {
            assert!(text.parse::<KeyLocation>().is_err(), "{text}");
        }
    }
}
