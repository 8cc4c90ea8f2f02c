//! How an API is published: where its calls come in, where they go, and where the key stands in them.
//!
//! Every value is checked when it is read; what is held can be served.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cors::Cors;
use crate::key::{DEFAULT_KEY_DAYS, Prefix};
use crate::target::CanonicalTarget;

/// Most hosts of one API.
pub const MAX_HOSTS: usize = 64;
/// Most places where one API looks for the key.
pub const MAX_KEY_LOCATIONS: usize = 4;
/// Longest life that an owner can give keys by default: ten years.
pub const MAX_KEY_DAYS: u32 = 3_650;
/// Request bodies are at most this long unless the owner says otherwise: 10 MiB.
pub const DEFAULT_BODY_LIMIT_BYTES: u64 = 10 << 20;
/// The most that an owner can allow: 64 GiB, beyond which a length is a mistake.
pub const MAX_BODY_LIMIT_BYTES: u64 = 64 << 30;
/// The most calls at once that an owner can speak of.
pub const MAX_CONCURRENT_CALLS: u32 = 1_000_000;
/// Seconds an upstream has to begin its answer unless the owner says otherwise.
pub const DEFAULT_UPSTREAM_TIMEOUT_SECONDS: u32 = 60;
/// The longest that an owner can give it: an hour.
pub const MAX_UPSTREAM_TIMEOUT_SECONDS: u32 = 3_600;

/// A setting makes no sense; the text says what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError(String);

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingError {}

fn wrong<T>(text: impl Into<String>) -> Result<T, SettingError> {
    Err(SettingError(text.into()))
}

/// Implements the text form on the wire for a type that reads and prints itself.
macro_rules! as_text {
    ($name:ty) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Where an API's calls go: `http://host[:port][/base]`, or the same with `https`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamUrl {
    is_tls: bool,
    host: String,
    port: u16,
    base_path: String,
}

impl UpstreamUrl {
    /// Whether it is spoken to with TLS.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The scheme.
    pub const fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// The port that a URL without one means.
    const fn default_port(is_tls: bool) -> u16 {
        if is_tls { 443 } else { 80 }
    }

    /// The host, a name or an address; IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; that of the scheme if the URL has none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they stand in a `Host` header: without the port if it is the scheme's.
    pub fn authority(&self) -> String {
        if self.port == Self::default_port(self.is_tls) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// What stands before every path; empty or `/base` without a slash at its end.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.base_path)
    }
}

impl FromStr for UpstreamUrl {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        const FORM: &str = "an upstream is written http://host[:port][/base] or https://host[:port][/base], such as http://127.0.0.1:9000";
        let schemes = [("http://", false), ("https://", true)];
        let Some((rest, is_tls)) =
            schemes.into_iter().find_map(|(scheme, is_tls)| Some((text.strip_prefix(scheme)?, is_tls)))
        else {
            return wrong(FORM);
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_port(authority).ok_or_else(|| SettingError(FORM.to_owned()))?;
        let port = port.unwrap_or(Self::default_port(is_tls));
        if port == 0 || !is_host(host) {
            return wrong(FORM);
        }
        let base_path = path.trim_end_matches('/');
        if !base_path.is_empty() && !is_plain_path(base_path) {
            return wrong("the path of an upstream must be plain and in canonical form, such as http://host/base");
        }
        Ok(Self { is_tls, host: host.to_ascii_lowercase(), port, base_path: base_path.to_owned() })
    }
}

as_text!(UpstreamUrl);

/// Splits `host:port`, with IPv6 in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_host = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(after_host);
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Some((host, None)),
        None => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok().map(|port| (host, Some(port))),
        Some(_) => None,
    }
}

/// A name of letters, digits, `-`, `_` and dots, an IPv4 address, or an IPv6 address in brackets.
pub fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    }
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        })
}

fn is_plain_path(path: &str) -> bool {
    CanonicalTarget::parse(path).is_ok_and(|target| target.path() == path && target.query().is_none())
}

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

/// Whether calls need a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// They do.
    #[default]
    Key,
    /// The owner opened the API on purpose; calls are counted, nobody is identified.
    Open,
}

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

/// How an API is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSettings {
    /// Where its calls go.
    pub upstream: UpstreamUrl,
    /// Hosts it answers to; any, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
    /// What its paths begin with.
    #[serde(default)]
    pub path_prefix: PathPrefix,
    /// Whether the prefix is taken off before the call goes on.
    #[serde(default)]
    pub strip_prefix: bool,
    /// Whether calls need a key.
    #[serde(default)]
    pub access: Access,
    /// Whether calls must be encrypted.
    #[serde(default)]
    pub require_tls: bool,
    /// Whether calls must come with a client certificate.
    #[serde(default)]
    pub require_client_certificate: bool,
    /// Which pages in browsers may call; `None` leaves the word to the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Where the key stands.
    #[serde(default = "default_key_locations")]
    pub key_locations: Vec<KeyLocation>,
    /// What the text of its keys begins with.
    #[serde(default)]
    pub key_prefix: Prefix,
    /// Days until a new key expires.
    #[serde(default = "default_key_days")]
    pub key_days: u32,
    /// Longest request body.
    #[serde(default = "default_body_limit_bytes")]
    pub body_limit_bytes: u64,
    /// Calls that are answered at once; `None` for as many as come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_calls: Option<u32>,
    /// How long the upstream has to begin its answer.
    #[serde(default = "default_upstream_timeout_seconds")]
    pub upstream_timeout_seconds: u32,
}

fn default_key_locations() -> Vec<KeyLocation> {
    vec![KeyLocation::Bearer, KeyLocation::Header("x-api-key".to_owned())]
}

const fn default_key_days() -> u32 {
    DEFAULT_KEY_DAYS
}

const fn default_body_limit_bytes() -> u64 {
    DEFAULT_BODY_LIMIT_BYTES
}

const fn default_upstream_timeout_seconds() -> u32 {
    DEFAULT_UPSTREAM_TIMEOUT_SECONDS
}

impl ApiSettings {
    /// The defaults for an upstream.
    pub fn new(upstream: UpstreamUrl) -> Self {
        Self {
            upstream,
            hosts: Vec::new(),
            path_prefix: PathPrefix::default(),
            strip_prefix: false,
            access: Access::Key,
            require_tls: false,
            require_client_certificate: false,
            cors: None,
            key_locations: default_key_locations(),
            key_prefix: Prefix::default(),
            key_days: DEFAULT_KEY_DAYS,
            body_limit_bytes: DEFAULT_BODY_LIMIT_BYTES,
            max_concurrent_calls: None,
            upstream_timeout_seconds: DEFAULT_UPSTREAM_TIMEOUT_SECONDS,
        }
    }

    /// Whether a call could be meant for either: the same prefix, and a host in common or any host for both.
    pub fn shares_route(&self, other: &Self) -> bool {
        let shares_host = if self.hosts.is_empty() {
            other.hosts.is_empty()
        } else {
            self.hosts.iter().any(|host| other.hosts.contains(host))
        };
        shares_host && self.path_prefix == other.path_prefix
    }

    /// Checks what no single value can know.
    ///
    /// # Errors
    /// [`SettingError`] says which setting is out of bounds and what is allowed.
    pub fn checked(self) -> Result<Self, SettingError> {
        if self.hosts.len() > MAX_HOSTS {
            return wrong(format!("an API has at most {MAX_HOSTS} hosts"));
        }
        let exposed = self.cors.as_ref().map(Cors::expose_headers).unwrap_or_default();
        let holds_key =
            |name: &String| name == "authorization" || self.key_locations.contains(&KeyLocation::Header(name.clone()));
        if let Some(name) = exposed.iter().find(|name| holds_key(name)) {
            return wrong(format!("cors.expose_headers must not name {name}: keys are no page's to read (G-20)"));
        }
        if self.key_locations.is_empty() || self.key_locations.len() > MAX_KEY_LOCATIONS {
            return wrong(format!(
                "key_locations takes 1 to {MAX_KEY_LOCATIONS} places; to let calls in without a key set access to open"
            ));
        }
        if !(1..=MAX_KEY_DAYS).contains(&self.key_days) {
            return wrong(format!("key_days is 1 to {MAX_KEY_DAYS}"));
        }
        if self.body_limit_bytes > MAX_BODY_LIMIT_BYTES {
            return wrong(format!("body_limit_bytes is at most {MAX_BODY_LIMIT_BYTES}"));
        }
        if self.max_concurrent_calls.is_some_and(|most| !(1..=MAX_CONCURRENT_CALLS).contains(&most)) {
            return wrong(format!("max_concurrent_calls is 1 to {MAX_CONCURRENT_CALLS}, or null for as many as come"));
        }
        if !(1..=MAX_UPSTREAM_TIMEOUT_SECONDS).contains(&self.upstream_timeout_seconds) {
            return wrong(format!("upstream_timeout_seconds is 1 to {MAX_UPSTREAM_TIMEOUT_SECONDS}"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_read_and_written_in_one_form() {
        for (text, form) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://Example.com:80/", "http://example.com"),
            ("http://[::1]:8080/base/", "http://[::1]:8080/base"),
            ("http://db_1/v1", "http://db_1/v1"),
            ("https://Example.com:443/", "https://example.com"),
            ("https://example.com:80/a", "https://example.com:80/a"),
            ("http://example.com:443", "http://example.com:443"),
        ] {
            assert_eq!(text.parse::<UpstreamUrl>().map(|url| url.to_string()).as_deref(), Ok(form), "{text}");
        }
        for text in [
            "",
            "ftp://x",
            "ftp://x",
            "https:/x",
            "http://",
            "http://a b",
            "http://u@h",
            "http://h:0",
            "http://h:99999",
            "http://h:+1",
            "http://h/a/../b",
            "http://h/?q",
            "http://[::1",
            "http://h:",
        ] {
            assert!(text.parse::<UpstreamUrl>().is_err(), "{text}");
        }
    }

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

    #[test]
    fn a_prefix_is_canonical_and_has_no_slash_at_its_end() {
        assert_eq!("/".parse::<PathPrefix>().map(|p| p.as_str().to_owned()).as_deref(), Ok(""));
        assert_eq!("/a/b/".parse::<PathPrefix>().map(|p| p.as_str().to_owned()).as_deref(), Ok("/a/b"));
        for text in ["", "a", "/a/../b", "/a?b", "/a//b", "/%61"] {
            assert!(text.parse::<PathPrefix>().is_err(), "{text}");
        }
    }
}
