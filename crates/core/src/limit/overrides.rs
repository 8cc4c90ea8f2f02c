//! Other limits for some of those whom a limit is counted apart for.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Dimension, LimitError, MAX_LIMIT, MAX_SUBJECT_LEN};
use crate::id::{KeyId, OrganizationId, ProjectId};

/// Most overrides of one limit: finding one's own is a walk over them.
pub const MAX_OVERRIDES: usize = 100;

/// Another limit for whom it names. As JSON `{"subject": "org_…", "limit": 0}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Override {
    /// Whom: an id, an end user, an address, a tag's value; `*` in it stands for anything. Of addresses also a network.
    subject: String,
    /// Calls per window; 0 lets nothing through.
    limit: u32,
    /// The subject, if it is a network.
    #[serde(skip)]
    network: Option<IpNet>,
}

impl Override {
    /// A checked override.
    ///
    /// # Errors
    /// [`LimitError::Override`].
    pub fn new(subject: &str, limit: u32) -> Result<Self, LimitError> {
        if subject.is_empty() || subject.len() > MAX_SUBJECT_LEN || limit > MAX_LIMIT {
            return Err(LimitError::Override);
        }
        let network =
            subject.parse().ok().or_else(|| Some(IpNet::from(subject.parse::<IpAddr>().ok()?.to_canonical())));
        // Of IPv6 a network of 64 bits counts as one.
        let network = network.map(|network| match network {
            IpNet::V6(one) if one.prefix_len() > 64 => Ipv6Net::new_assert(one.addr(), 64).trunc().into(),
            _ => network,
        });
        Ok(Self { subject: subject.to_owned(), limit, network })
    }

    /// Whom it is about, as it was written.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The limit that it says.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether somebody whom a limit is counted apart for by this can be meant.
    pub(super) fn can_be(&self, dimension: &Dimension) -> bool {
        self.subject.contains('*')
            || match dimension {
                Dimension::Key => self.subject.parse::<KeyId>().is_ok(),
                Dimension::Project => self.subject.parse::<ProjectId>().is_ok(),
                Dimension::Organization => self.subject.parse::<OrganizationId>().is_ok(),
                Dimension::ClientAddress => self.network.is_some(),
                Dimension::EndUser | Dimension::Operation | Dimension::Tag(_) => true,
            }
    }

    /// Whether it is about who has this name.
    pub(super) fn names(&self, subject: &[u8]) -> bool {
        is_like(self.subject.as_bytes(), subject)
    }

    /// Whether it is about this address.
    pub(super) fn names_address(&self, address: IpAddr) -> bool {
        match self.network {
            Some(network) => network.contains(&address),
            None => self.names(address.to_string().as_bytes()),
        }
    }
}

impl<'de> Deserialize<'de> for Override {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            subject: String,
            limit: u32,
        }
        let wire = Wire::deserialize(deserializer)?;
        Self::new(&wire.subject, wire.limit).map_err(serde::de::Error::custom)
    }
}

/// Whether a text is like a pattern in which `*` stands for anything. Only the last `*` is ever gone back to, so it takes
/// no more steps than the product of both lengths.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_nothing_else_does() {
        for (pattern, like, unlike) in [
            ("a", &["a"][..], &["", "aa", "b", "A"][..]),
            ("*", &["", "a", "*", "anything"], &[]),
            ("acme-*", &["acme-", "acme-7"], &["acme", "x-acme-7"]),
            ("*@b.c", &["a@b.c", "@b.c", "@b.c@b.c"], &["a@b.cd"]),
            ("a*b*c", &["abc", "a-b-b-c", "abcbc"], &["ac", "abcd"]),
            ("**a**", &["a", "xax"], &["", "x"]),
        ] {
            assert!(like.iter().all(|text| is_like(pattern.as_bytes(), text.as_bytes())), "{pattern}");
            assert!(!unlike.iter().any(|text| is_like(pattern.as_bytes(), text.as_bytes())), "{pattern}");
        }
    }

    #[test]
    fn an_address_is_named_by_itself_or_by_its_network() {
        let about =
            |subject: &str, address: &str| Override::new(subject, 1).unwrap().names_address(address.parse().unwrap());
        assert!(about("192.0.2.7", "192.0.2.7") && !about("192.0.2.7", "192.0.2.70"));
        assert!(about("192.0.2.0/24", "192.0.2.7") && !about("192.0.2.0/24", "192.0.3.7"));
        assert!(about("192.0.2.*", "192.0.2.7") && about("2001:db8::/32", "2001:db8::1"));
        assert!(about("2001:DB8:0::1", "2001:db8::1"), "however it is written");
        assert!(about("2001:db8::1", "2001:db8::2"), "one client has all of it");
        assert!(!about("2001:db8::1", "2001:db8:0:1::1"));
        assert!(about("::ffff:192.0.2.7", "192.0.2.7"));
    }

    #[test]
    fn what_is_no_override_is_refused() {
        assert_eq!(Override::new("", 1), Err(LimitError::Override));
        assert_eq!(Override::new(&"a".repeat(MAX_SUBJECT_LEN + 1), 1), Err(LimitError::Override));
        assert_eq!(Override::new("a", MAX_LIMIT + 1), Err(LimitError::Override));
        assert_eq!(Override::new("a", 0).unwrap().limit(), 0);
    }
}
