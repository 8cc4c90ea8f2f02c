//! Web origins (RFC 6454): patterns of them, as CORS and keys bound to pages use them.

use std::fmt;
use std::str::FromStr;

use crate::api::is_host;

/// An origin, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: all of them.
    Any,
    /// `https://app.example.com`.
    One(String),
    /// `https://*.example.com`: what stands before and behind the star.
    Below(String, String),
}

/// The text is no pattern of origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnOrigin;

impl FromStr for OriginPattern {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, rest) = text.split_once("://").ok_or(NotAnOrigin)?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port));
        if !is_scheme || !is_port || !is_host(host.strip_prefix("*.").unwrap_or(host)) {
            return Err(NotAnOrigin);
        }
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        // Browsers leave the usual port out, so with it the pattern would never match.
        let port = port.filter(|port| !matches!((scheme.as_str(), *port), ("http", "80") | ("https", "443")));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(match host.strip_prefix('*') {
            None => Self::One(format!("{scheme}://{host}{port}")),
            Some(behind) => Self::Below(format!("{scheme}://"), format!("{behind}{port}")),
        })
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(origin) => f.write_str(origin),
            Self::Below(before, behind) => write!(f, "{before}*{behind}"),
        }
    }
}

impl OriginPattern {
    /// Whether it stands for this origin, as a browser writes it.
    pub fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => one == origin,
            Self::Below(before, behind) => origin
                .strip_prefix(before.as_str())
                .and_then(|rest| rest.strip_suffix(behind.as_str()))
                .is_some_and(|label| {
                    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
                }),
        }
    }

    /// Whether it stands for no origin that the other does not stand for. If that can't be told, no.
    pub fn is_within(&self, outer: &Self) -> bool {
        match (self, outer) {
            (_, Self::Any) => true,
            (Self::One(one), outer) => outer.matches(one),
            (Self::Below(before, behind), Self::Below(outer_before, outer_behind)) => {
                before == outer_before && behind.ends_with(outer_behind.as_str())
            }
            (Self::Any | Self::Below(..), Self::One(_)) | (Self::Any, Self::Below(..)) => false,
        }
    }
}

/// The origin and the path of an absolute address, such as `Referer` has: what stands before the path, and the path
/// without query and fragment.
pub fn split(address: &str) -> Option<(&str, &str)> {
    let host = address.find("://")? + 3;
    let end = address[host..].find(['/', '?', '#']).map_or(address.len(), |end| host + end);
    let (origin, rest) = address.split_at(end);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    Some((origin, if path.is_empty() { "/" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_origin_before_its_path() {
        for (address, parts) in [
            ("https://a.test/x/y?q#f", Some(("https://a.test", "/x/y"))),
            ("https://a.test", Some(("https://a.test", "/"))),
            ("https://a.test?x=/y", Some(("https://a.test", "/"))),
            ("https://a.test#/y", Some(("https://a.test", "/"))),
            ("https://a.test:8443/", Some(("https://a.test:8443", "/"))),
            ("/x", None),
            ("null", None),
            ("", None),
        ] {
            assert_eq!(split(address), parts, "{address}");
        }
    }

    #[test]
    fn the_usual_port_is_none() {
        for (text, canonical) in [
            ("https://A.test:443", "https://a.test"),
            ("http://a.test:80", "http://a.test"),
            ("https://*.a.test:443", "https://*.a.test"),
            ("https://a.test:80", "https://a.test:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse::<OriginPattern>().unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn a_pattern_is_within_one_that_stands_for_more() {
        for (inner, outer, within) in [
            ("https://a.test", "*", true),
            ("*", "https://a.test", false),
            ("https://a.test", "https://a.test", true),
            ("https://b.a.test", "https://*.a.test", true),
            ("https://a.test", "https://*.a.test", false),
            ("https://*.b.a.test", "https://*.a.test", true),
            ("https://*.a.test", "https://*.b.a.test", false),
            ("https://*.a.test", "http://*.a.test", false),
            ("https://*.a.test:8443", "https://*.a.test", false),
            ("https://*.xa.test", "https://*.a.test", false),
            ("https://*.a.test", "https://x.a.test", false),
        ] {
            let (inner_pattern, outer_pattern): (OriginPattern, OriginPattern) =
                (inner.parse().unwrap(), outer.parse().unwrap());
            assert_eq!(inner_pattern.is_within(&outer_pattern), within, "{inner} in {outer}");
        }
    }
}
