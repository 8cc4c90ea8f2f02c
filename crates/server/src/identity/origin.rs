//! Where browsers reach the pages of this server: what passkeys are bound to.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// An origin (RFC 6454) at which a browser has passkeys: `https://` with a name, or `http://localhost`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagesOrigin(Url);

/// The text is no such origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnOrigin;

impl FromStr for PagesOrigin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let url = Url::parse(text).map_err(|_| NotAnOrigin)?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_nobodys = url.username().is_empty() && url.password().is_none();
        let is_secure = match (url.scheme(), url.host()) {
            ("https", Some(Host::Domain(_))) => true,
            ("http", Some(Host::Domain(name))) => name == "localhost",
            _ => false,
        };
        if is_bare && is_nobodys && is_secure { Ok(Self(url)) } else { Err(NotAnOrigin) }
    }
}

impl fmt::Display for PagesOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

/// The issuer of an identity provider (OpenID Connect Discovery 1.0 §3), to the letter: `https://…`, or without TLS on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

impl FromStr for Issuer {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let url = Url::parse(text).map_err(|_| NotAnOrigin)?;
        let is_bare = url.query().is_none() && url.fragment().is_none();
        let is_nobodys = url.username().is_empty() && url.password().is_none();
        let is_here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let is_secure = url.scheme() == "https" || url.scheme() == "http" && is_here;
        if is_bare && is_nobodys && is_secure { Ok(Self(text.to_owned())) } else { Err(NotAnOrigin) }
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where browsers have passkeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pages {
    /// There.
    At(PagesOrigin),
    /// On this machine, at whichever port: nobody said where else.
    Here,
    /// Nowhere: others reach this server, and nobody said where.
    Unknown,
}

impl Pages {
    /// The origin, with a port that says nothing if it is any.
    pub(super) fn url(&self) -> Option<Url> {
        match self {
            Self::At(origin) => Some(origin.0.clone()),
            Self::Here => Url::parse("http://localhost").ok(),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_kept_to_the_letter_and_asked_over_tls_unless_it_is_here() {
        for text in
            ["https://id.example.com", "https://id.example.com/", "https://Id.example.com/a/", "http://127.0.0.1:9"]
        {
            assert_eq!(text.parse::<Issuer>().unwrap().to_string(), text);
        }
        for none in ["", "id.example.com", "http://id.example.com", "https://a/?b", "https://a/#b", "https://a:b@c/"] {
            assert!(none.parse::<Issuer>().is_err(), "{none}");
        }
    }

    #[test]
    fn an_origin_is_one_at_which_browsers_have_passkeys() {
        for (text, shown) in [
            ("https://keys.example.com", "https://keys.example.com"),
            ("https://Keys.Example.com:8443/", "https://keys.example.com:8443"),
            ("https://keys.example.com:443", "https://keys.example.com"),
            ("http://localhost:4401", "http://localhost:4401"),
        ] {
            assert_eq!(text.parse::<PagesOrigin>().unwrap().to_string(), shown);
        }
        for none in [
            "",
            "keys.example.com",
            "http://keys.example.com",
            "https://192.0.2.1",
            "https://[::1]",
            "http://127.0.0.1",
            "https://a.example/b",
            "https://a.example/?b",
            "https://a.example/#b",
            "https://b@a.example",
            "ftp://a.example",
            "http://localhost.example.com",
        ] {
            assert!(none.parse::<PagesOrigin>().is_err(), "{none}");
        }
    }
}
