//! Which calls are an API's: by host and by what their paths begin with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::upstream::is_host;
use super::{SettingError, as_text, is_plain_path, wrong};

/// A host that an API answers to, in lower case and without a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host(String);

impl Host {
    /// The host as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        if is_host(text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            wrong("a host is a name or address without a port, such as api.example.com")
        }
    }
}

as_text!(Host);

/// What the paths of an API begin with; `/` for all of them. Kept without a slash at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// The prefix without a slash at its end; empty for all paths.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

impl FromStr for PathPrefix {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        if text.starts_with('/') && (trimmed.is_empty() || is_plain_path(trimmed)) {
            Ok(Self(trimmed.to_owned()))
        } else {
            wrong("a path prefix begins with / and is in canonical form, such as /weather")
        }
    }
}

as_text!(PathPrefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_canonical_and_has_no_slash_at_its_end() {
        assert_eq!("/".parse::<PathPrefix>().map(|p| p.as_str().to_owned()).as_deref(), Ok(""));
        assert_eq!("/a/b/".parse::<PathPrefix>().map(|p| p.as_str().to_owned()).as_deref(), Ok("/a/b"));
        for text in ["", "a", "/a/../b", "/a?b", "/a//b", "/%61"] {
            assert!(text.parse::<PathPrefix>().is_err(), "{text}");
        }
    }
}
