//! Secrets that an API has for its upstream. Here are their names; their values are never among the settings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SettingError, as_text, wrong};

/// Most secrets of one API.
pub const MAX_SECRETS: usize = 16;
/// Longest value of one: a chain of certificates with its key.
pub const MAX_SECRET_BYTES: usize = 64 << 10;

/// What a secret is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretName {
    /// `header:NAME`: a header field that every call to the upstream gets, in lower case. It replaces what the client
    /// sent under that name.
    Header(String),
    /// `client_certificate`: what the upstream is shown by TLS, certificate chain and private key as PEM.
    ClientCertificate,
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::ClientCertificate => f.write_str("client_certificate"),
        }
    }
}

impl FromStr for SecretName {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        // These are the message's own, or the gateway's word.
        const TAKEN: [&str; 13] = [
            "proxy-connection",
            "host",
            "connection",
            "content-length",
            "content-type",
            "transfer-encoding",
            "te",
            "trailer",
            "upgrade",
            "expect",
            "via",
            "x-request-id",
            "keep-alive",
        ];
        const OURS: [&str; 4] = ["x-consumer", "x-credential", "x-forwarded", "x-keystile"];
        match text.split_once(':') {
            None if text == "client_certificate" => Ok(Self::ClientCertificate),
            Some(("header", name)) => {
                let name = name.to_ascii_lowercase();
                let is_name = (1..=64).contains(&name.len())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
                if !is_name {
                    return wrong(
                        "the name of a header holds letters, digits, `-` and `_`, such as header:Authorization",
                    );
                }
                if TAKEN.contains(&&*name) || OURS.iter().any(|own| name.starts_with(own)) {
                    return wrong(format!("header:{name} can't be set; the gateway says that itself"));
                }
                Ok(Self::Header(name))
            }
            _ => wrong("a secret is called header:NAME, such as header:Authorization, or client_certificate"),
        }
    }
}

as_text!(SecretName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_header_that_may_be_set_or_a_certificate() {
        for (text, form) in [
            ("header:Authorization", "header:authorization"),
            ("header:X-Upstream_Key", "header:x-upstream_key"),
            ("client_certificate", "client_certificate"),
        ] {
            assert_eq!(text.parse::<SecretName>().map(|name| name.to_string()).as_deref(), Ok(form), "{text}");
        }
        for text in [
            "",
            "header:",
            "header:a b",
            "header:Host",
            "header:X-Consumer-Id",
            "header:te",
            "header:Proxy-Connection",
            "cookie:a",
            "certificate",
        ] {
            assert!(text.parse::<SecretName>().is_err(), "{text}");
        }
    }
}
