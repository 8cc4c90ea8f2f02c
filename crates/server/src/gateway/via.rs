//! `Via` (RFC 9110 §7.6.3): a gateway names itself to the upstream, and knows by that name a call of its own that comes
//! back, because an API's upstream is this gateway, or another one that leads here.

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};

/// Longest chain of others that is passed on; a longer one begins anew.
const MAX_CHAIN_BYTES: usize = 1_024;

/// The name of a process.
#[derive(Clone)]
pub struct Via {
    name: Box<str>,
    /// The same as fields, for calls that came as HTTP/1.0, 1.1 and 2.
    fields: [HeaderValue; 3],
}

impl Via {
    /// A name of 16 random digits after `keystile-`: processes that pass calls to each other must not share one.
    pub fn new(random: u64) -> Self {
        let name = format!("keystile-{random:016x}");
        let field = |version| HeaderValue::try_from(format!("{version} {name}")).expect("letters, digits and a dot");
        let fields = ["1.0", "1.1", "2.0"].map(field);
        Self { name: name.into(), fields }
    }

    /// Whether a call has been here before.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let own = self.name.as_bytes();
        headers.get_all(VIA).iter().any(|value| value.as_bytes().windows(own.len()).any(|part| part == own))
    }

    /// The field for the upstream: those who passed the call on before, then this process, and in which version it came
    /// here.
    pub fn after(&self, headers: &HeaderMap, version: Version) -> HeaderValue {
        let own = match version {
            Version::HTTP_10 => &self.fields[0],
            Version::HTTP_2 => &self.fields[2],
            _ => &self.fields[1],
        };
        let mut chain = Vec::new();
        for value in headers.get_all(VIA) {
            chain.extend_from_slice(value.as_bytes());
            chain.extend_from_slice(b", ");
        }
        if chain.is_empty() || chain.len() > MAX_CHAIN_BYTES {
            return own.clone();
        }
        chain.extend_from_slice(own.as_bytes());
        HeaderValue::try_from(chain).unwrap_or_else(|_| own.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(chain: &[&str]) -> HeaderMap {
        chain.iter().map(|value| (VIA, HeaderValue::try_from(*value).unwrap())).collect()
    }

    #[test]
    fn a_call_that_was_here_is_known_and_another_is_passed_on_with_its_past() {
        let via = Via::new(7);
        for (version, said) in [(Version::HTTP_10, "1.0"), (Version::HTTP_11, "1.1"), (Version::HTTP_2, "2.0")] {
            assert_eq!(via.after(&headers(&[]), version), format!("{said} keystile-0000000000000007"));
        }
        assert_eq!(
            via.after(&headers(&["1.0 fred", "1.1 p.example.net"]), Version::HTTP_11),
            "1.0 fred, 1.1 p.example.net, 1.1 keystile-0000000000000007"
        );
        assert!(!via.is_in(&headers(&["1.1 keystile-0000000000000008"])));
        let back = Via::new(8)
            .after(&headers(&[via.after(&headers(&[]), Version::HTTP_2).to_str().unwrap()]), Version::HTTP_11);
        assert!(via.is_in(&headers(&["1.0 fred", back.to_str().unwrap()])));
        assert_eq!(
            via.after(&headers(&[&"x".repeat(MAX_CHAIN_BYTES)]), Version::HTTP_11),
            "1.1 keystile-0000000000000007"
        );
    }
}
