//! Where an API's calls go.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::target::TargetAddress;
use super::{SettingError, as_text, is_plain_path, wrong};

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

    /// Where connections go unless the API has targets of its own.
    pub fn address(&self) -> TargetAddress {
        TargetAddress::new(&self.host, self.port)
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
pub(crate) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
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

/// A name of letters, digits, `-`, `_` and dots, an IPv4 address, or an IPv6 address in brackets. What ends in a number is
/// an IPv4 address in its one form (WHATWG URL §3.5): many read `127.1` or `0x7f000001` as one, others look it up as a name.
pub fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    }
    if host.len() > 253 {
        return false;
    }
    // Every call's host is looked at: once, byte by byte.
    let mut label = 0;
    for byte in host.bytes() {
        match byte {
            b'.' if label == 0 => return false,
            b'.' => label = 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' if label < 63 => label += 1,
            _ => return false,
        }
    }
    label > 0 && (!is_number(&host.as_bytes()[host.len() - label..]) || host.parse::<Ipv4Addr>().is_ok())
}

/// Whether a label is a number to those who read addresses loosely.
fn is_number(label: &[u8]) -> bool {
    match label {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

/// What is spoken to an upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1 (RFC 9112).
    #[default]
    Http1,
    /// HTTP/2 (RFC 9113): agreed on by ALPN over TLS, known before in clear. What gRPC needs.
    Http2,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Host;

    #[test]
    fn what_ends_in_a_number_is_an_ipv4_address_in_its_one_form() {
        let odd = [
            "127.1",
            "1.2.3",
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "a.0x",
            "127.0.0.0x1",
            "127.0.0.01",
            "256.0.0.1",
            "1.2.3.4.5",
            "a.7",
        ];
        for host in odd {
            assert!(format!("https://{host}").parse::<UpstreamUrl>().is_err(), "{host}");
            assert!(format!("{host}:80").parse::<TargetAddress>().is_err(), "{host}");
            assert!(host.parse::<Host>().is_err(), "{host}");
        }
        for host in ["127.0.0.1", "10.255.0.9", "a1", "1a", "7.example", "0xg", "a.0x7f-1", "db-1", "[::1]"] {
            assert!(format!("https://{host}").parse::<UpstreamUrl>().is_ok(), "{host}");
            assert!(format!("{host}:80").parse::<TargetAddress>().is_ok(), "{host}");
            assert!(host.parse::<Host>().is_ok(), "{host}");
        }
    }

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
}
