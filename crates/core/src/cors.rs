//! Which pages in browsers may call an API (CORS, the Fetch standard §3.3), as its owner says. It protects the users of
//! browsers, not the API: whoever is no browser says any origin. Keys are what protects the API.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::origin::{NotAnOrigin, OriginPattern};

/// Most origins of one API: the check is a walk over them.
const MAX_ORIGINS: usize = 64;
/// Most header names in one list.
const MAX_HEADERS: usize = 64;
/// Browsers remember no longer than a day, whatever they are told.
const MAX_AGE_SECONDS: u32 = 86_400;
/// How long browsers remember an answer unless the owner says otherwise.
const DEFAULT_AGE_SECONDS: u32 = 600;

/// What an API allows to pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Cors {
    origins: Vec<OriginPattern>,
    headers: Vec<String>,
    expose_headers: Vec<String>,
    credentials: bool,
    max_age_seconds: u32,
}

/// The wire form.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    origins: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expose_headers: Vec<String>,
    #[serde(default)]
    credentials: bool,
    #[serde(default = "default_age")]
    max_age_seconds: u32,
}

const fn default_age() -> u32 {
    DEFAULT_AGE_SECONDS
}

/// The settings make no sense; the text says what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsError(String);

impl fmt::Display for CorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CorsError {}

fn wrong<T>(text: String) -> Result<T, CorsError> {
    Err(CorsError(text))
}

impl Cors {
    /// Whether pages of this origin may call, as a browser writes it.
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|pattern| pattern.matches(origin))
    }

    /// Whether the answer is the same for all origins.
    pub fn is_for_all(&self) -> bool {
        self.origins.contains(&OriginPattern::Any)
    }

    /// Names of fields that pages may send; all, when empty.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// Names of further fields that pages may read.
    pub fn expose_headers(&self) -> &[String] {
        &self.expose_headers
    }

    /// Whether cookies and client certificates go along.
    pub const fn credentials(&self) -> bool {
        self.credentials
    }

    /// How long browsers may remember an answer.
    pub const fn max_age_seconds(&self) -> u32 {
        self.max_age_seconds
    }
}

impl TryFrom<Wire> for Cors {
    type Error = CorsError;

    fn try_from(wire: Wire) -> Result<Self, CorsError> {
        if wire.origins.is_empty() || wire.origins.len() > MAX_ORIGINS {
            return wrong(format!(
                "cors.origins takes 1 to {MAX_ORIGINS} origins; for no CORS say null instead of cors"
            ));
        }
        let origins = wire.origins.iter().map(|text| origin(text)).collect::<Result<Vec<OriginPattern>, _>>()?;
        if wire.credentials && origins.contains(&OriginPattern::Any) {
            return wrong("cors.credentials and the origin * don't go together: any page could act as its visitor; name the origins".to_owned());
        }
        if wire.max_age_seconds > MAX_AGE_SECONDS {
            return wrong(format!("cors.max_age_seconds is at most {MAX_AGE_SECONDS}"));
        }
        Ok(Self {
            origins,
            headers: names(wire.headers)?,
            expose_headers: names(wire.expose_headers)?,
            credentials: wire.credentials,
            max_age_seconds: wire.max_age_seconds,
        })
    }
}

fn origin(text: &str) -> Result<OriginPattern, CorsError> {
    text.parse().map_err(|NotAnOrigin| {
        CorsError(format!(
            "`{}` is no origin; write https://app.example.com, https://*.example.com or *",
            text.escape_default()
        ))
    })
}

/// Names of header fields, in lower case.
fn names(list: Vec<String>) -> Result<Vec<String>, CorsError> {
    let is_name =
        |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match list.iter().find(|name| !is_name(name)) {
        Some(name) => wrong(format!("`{}` is no name of a header field", name.escape_default())),
        None if list.len() > MAX_HEADERS => wrong(format!("a list of cors takes at most {MAX_HEADERS} names")),
        None => Ok(list.into_iter().map(|name| name.to_ascii_lowercase()).collect()),
    }
}

impl From<Cors> for Wire {
    fn from(cors: Cors) -> Self {
        Self {
            origins: cors.origins.iter().map(OriginPattern::to_string).collect(),
            headers: cors.headers,
            expose_headers: cors.expose_headers,
            credentials: cors.credentials,
            max_age_seconds: cors.max_age_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Result<Cors, CorsError> {
        Cors::try_from(Wire {
            origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            headers: vec!["X-Own".to_owned()],
            expose_headers: Vec::new(),
            credentials,
            max_age_seconds: 600,
        })
    }

    #[test]
    fn origins_are_matched_whole() {
        let cors = cors(&["https://App.example.com", "https://*.example.org", "http://localhost:3000"], true).unwrap();
        for allowed in
            ["https://app.example.com", "https://a.example.org", "https://a.b.example.org", "http://localhost:3000"]
        {
            assert!(cors.allows(allowed), "{allowed}");
        }
        for other in [
            "https://app.example.com.evil.test",
            "https://evil.test/app.example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://example.org",
            "https://.example.org",
            "https://evil.test/.example.org",
            "https://evil.test:1.example.org",
            "https://evil.testexample.org",
            "http://localhost",
            "null",
            "",
        ] {
            assert!(!cors.allows(other), "{other}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for origins in [
            &[][..],
            &[""],
            &["example.com"],
            &["https://"],
            &["https://example.com/"],
            &["https://example.com/path"],
            &["https://*"],
            &["https://a.*.com"],
            &["https://**.example.com"],
            &["https://example.com:0x1"],
            &["https://user@example.com"],
        ] {
            assert!(cors(origins, false).is_err(), "{origins:?}");
        }
        assert!(cors(&["*"], true).is_err() && cors(&["*"], false).unwrap().allows("https://anybody.test"));
    }
}
