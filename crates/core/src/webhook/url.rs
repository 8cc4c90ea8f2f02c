//! The address of a webhook. It may hold what only its receiver is to know, in its path or its query, so it is shown in
//! full to those who may see webhooks and by [`WebhookUrl::shown`] to everybody else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::{is_host, split_port};

/// Longest address.
pub const MAX_URL_BYTES: usize = 2_048;

/// Where a webhook leads: `https://host[:port][/path][?query]`, or the same with `http`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebhookUrl {
    is_tls: bool,
    host: String,
    port: u16,
    target: String,
}

/// The text is no address of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAWebhookUrl(&'static str);

impl fmt::Display for NotAWebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotAWebhookUrl {}

impl WebhookUrl {
    /// Whether it is spoken to with TLS.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The host, a name or an address; IPv6 without its brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port; that of the scheme if the URL has none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they stand in a `Host` header.
    pub fn authority(&self) -> String {
        if self.port == default_port(self.is_tls) { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What may be shown where others read: without path and query, in which there may be a secret.
    pub fn shown(&self) -> String {
        let rest = if self.target == "/" { "/" } else { "/…" };
        format!("{}://{}{rest}", self.scheme(), self.authority())
    }

    const fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }
}

const fn default_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.target)
    }
}

impl FromStr for WebhookUrl {
    type Err = NotAWebhookUrl;

    fn from_str(text: &str) -> Result<Self, NotAWebhookUrl> {
        const FORM: NotAWebhookUrl = NotAWebhookUrl(
            "the URL of a webhook is written https://host[:port][/path][?query], such as https://hooks.example.com/keystile",
        );
        if text.len() > MAX_URL_BYTES {
            return Err(NotAWebhookUrl("the URL of a webhook is at most 2048 bytes long"));
        }
        let (rest, is_tls) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (rest, true),
            (None, Some(rest)) => (rest, false),
            (None, None) => return Err(FORM),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(NotAWebhookUrl("the URL of a webhook has no name and password in it; deliveries are signed"));
        }
        let (host, port) = split_port(authority).ok_or(FORM)?;
        let port = port.unwrap_or(default_port(is_tls));
        if port == 0 || !is_host(host) {
            return Err(FORM);
        }
        // What is sent is what stands here, byte by byte; anything that somebody could read in two ways is refused.
        let is_sound = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte);
        if !target.bytes().all(is_sound) {
            return Err(NotAWebhookUrl(
                "path and query of a webhook are visible ASCII without a fragment; write other characters as %XX",
            ));
        }
        let target = match target.as_bytes().first() {
            Some(b'/') => target.to_owned(),
            _ => format!("/{target}"),
        };
        Ok(Self { is_tls, host: host.to_ascii_lowercase(), port, target })
    }
}

impl Serialize for WebhookUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WebhookUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_in_one_form() {
        for (text, form, shown) in [
            ("https://Hooks.example.com", "https://hooks.example.com/", "https://hooks.example.com/"),
            ("https://h.example:443/a?b=c", "https://h.example/a?b=c", "https://h.example/…"),
            ("http://[::1]:8080/a", "http://[::1]:8080/a", "http://[::1]:8080/…"),
            ("https://h.example?token=1", "https://h.example/?token=1", "https://h.example/…"),
        ] {
            let url: WebhookUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.shown().as_str()), (form, shown), "{text}");
            assert_eq!(form.parse(), Ok(url), "{text}");
        }
        let url: WebhookUrl = "http://[::1]:8080/a".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.target(), &*url.authority()), ("::1", 8080, "/a", "[::1]:8080"));
    }

    #[test]
    fn o04_what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "hooks.example.com",
            "ftp://h.example/",
            "file:///etc/passwd",
            "HTTPS://h.example/",
            "https://",
            "https:///a",
            "https://h.example:0/",
            "https://h.example:99999/",
            "https://me@h.example/",
            "https://h.example@127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.0.0.1./",
            "https://localhost./",
            "https://[::1/",
            "https://[fe80::1%25eth0]/",
            "https://h.example\\@127.0.0.1/",
            "https://h.example/#f",
            "https://h.example/a b",
            "https://h.example/a\r\nx: y",
            "https://h.example/\u{e9}",
            "https://\u{2460}27.0.0.1/",
            "https://%31%32%37.0.0.1/",
        ] {
            assert!(text.parse::<WebhookUrl>().is_err(), "{text}");
        }
        assert!(format!("https://h.example/{}", "a".repeat(MAX_URL_BYTES)).parse::<WebhookUrl>().is_err());
    }
}
