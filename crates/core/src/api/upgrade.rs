//! Which protocols a call may switch to (RFC 9110 §7.8): opened by name, on purpose (G-19).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SettingError, as_text, wrong};
use crate::media::is_token;

/// Most protocols of one API: a call is compared with each.
pub const MAX_UPGRADES: usize = 8;
/// Longest name: the registered ones have at most 16 characters.
const MAX_NAME_LEN: usize = 64;
/// What names of HTTP and of what carries it begin with.
const HTTP_NAMES: [&str; 4] = ["http", "h2", "h3", "tls"];

/// A protocol that a call may ask to switch to: `websocket`, `tcp`, `SPDY/3.1`.
#[derive(Debug, Clone)]
pub enum UpgradeProtocol {
    /// RFC 6455, which asks for more than its name.
    WebSocket,
    /// Another one, as its owner writes it. It is none that HTTP is spoken in.
    Other(Box<str>),
}

impl UpgradeProtocol {
    /// The name as it is sent.
    pub fn as_str(&self) -> &str {
        match self {
            Self::WebSocket => "websocket",
            Self::Other(name) => name,
        }
    }

    /// Whether a field says this protocol, and nothing else.
    pub fn is(&self, value: &[u8]) -> bool {
        self.as_str().as_bytes().eq_ignore_ascii_case(value)
    }
}

impl PartialEq for UpgradeProtocol {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.as_str().as_bytes())
    }
}

impl Eq for UpgradeProtocol {}

impl fmt::Display for UpgradeProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for UpgradeProtocol {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (name, version) = text.split_once('/').map_or((text, None), |(name, version)| (name, Some(version)));
        let is_name = |part: &str| !part.is_empty() && part.bytes().all(is_token);
        if text.len() > MAX_NAME_LEN || !is_name(name) || !version.is_none_or(is_name) {
            return wrong(
                "an upgrade is the name of a protocol, perhaps with a version, such as websocket or SPDY/3.1",
            );
        }
        let begins_with = |start: &&str| name.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start));
        if HTTP_NAMES.iter().any(begins_with) {
            return wrong(format!(
                "{name} can't be an upgrade: requests would reach the upstream in it that nobody has judged (request \
                 smuggling by h2c upgrade); HTTP/2 to the upstream is upstream_protocol"
            ));
        }
        if !name.eq_ignore_ascii_case("websocket") {
            return Ok(Self::Other(text.into()));
        }
        if version.is_some() {
            return wrong("websocket has no version in its name: write websocket");
        }
        Ok(Self::WebSocket)
    }
}

as_text!(UpgradeProtocol);

/// What calls may switch to unless the owner says otherwise.
pub(super) fn default() -> Vec<UpgradeProtocol> {
    vec![UpgradeProtocol::WebSocket]
}

/// Whether nobody said otherwise: then it is not written down, and older versions can read the rest.
pub(super) fn is_default(upgrades: &[UpgradeProtocol]) -> bool {
    matches!(upgrades, [UpgradeProtocol::WebSocket])
}

/// Checks a list of protocols.
pub(super) fn checked(upgrades: &[UpgradeProtocol]) -> Result<(), SettingError> {
    if upgrades.len() > MAX_UPGRADES {
        return wrong(format!("an API has at most {MAX_UPGRADES} upgrades"));
    }
    for (index, protocol) in upgrades.iter().enumerate() {
        if upgrades[..index].contains(protocol) {
            return wrong(format!("upgrades names {protocol} twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_a_name_perhaps_with_a_version() {
        for (text, shown) in
            [("websocket", "websocket"), ("WebSocket", "websocket"), ("tcp", "tcp"), ("SPDY/3.1", "SPDY/3.1")]
        {
            assert_eq!(text.parse::<UpgradeProtocol>().map(|read| read.to_string()), Ok(shown.to_owned()), "{text}");
        }
        let long = "x".repeat(65);
        for text in ["", "/", "tcp/", "/1", "a/b/c", "a b", "a,b", "tcp\r\nx: y", "täcp", "websocket/13", &long] {
            assert!(text.parse::<UpgradeProtocol>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn g19_nothing_that_http_is_spoken_in_is_an_upgrade() {
        for text in [
            "h2c", "H2C", "h2", "h2c/1", "h3", "h3-29", "HTTP/2.0", "http/1.1", "https", "TLS/1.0", "tls", "Http",
            "TLS/1.2",
        ] {
            let error = text.parse::<UpgradeProtocol>().expect_err(text).to_string();
            assert!(error.contains("request smuggling by h2c upgrade"), "{text}: {error}");
        }
    }

    #[test]
    fn protocols_are_compared_without_case() {
        let read = |text: &str| text.parse::<UpgradeProtocol>().expect("it is sound");
        assert_eq!(read("SPDY/3.1"), read("spdy/3.1"));
        assert_ne!(read("SPDY/3.1"), read("SPDY/3"));
        assert!(read("tcp").is(b"TCP") && !read("tcp").is(b"tcp, websocket") && !read("tcp").is(b"tcp2"));
        assert!(checked(&[read("tcp"), read("TCP")]).is_err());
        let nine: Vec<_> = (0..9).map(|n| read(&format!("x{n}"))).collect();
        assert!(checked(&nine).is_err() && checked(&nine[1..]).is_ok());
    }
}
