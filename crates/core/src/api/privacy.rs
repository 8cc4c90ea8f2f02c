//! What may be kept of the people behind calls (PRODUCT.md K43).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What is kept of the addresses that an API's calls come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAddresses {
    /// All of them.
    #[default]
    Whole,
    /// Their networks: the first 24 bits of IPv4, the first 48 of IPv6, which is what a household or a company gets.
    Truncated,
    /// Nothing.
    None,
}

impl ClientAddresses {
    /// What may be kept of this address.
    pub fn kept(self, address: IpAddr) -> Option<IpAddr> {
        match (self, address) {
            (Self::Whole, _) => Some(address),
            (Self::Truncated, IpAddr::V4(address)) => {
                Some(Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into())
            }
            (Self::Truncated, IpAddr::V6(address)) => {
                Some(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into())
            }
            (Self::None, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_is_allowed() {
        for (rule, address, kept) in [
            (ClientAddresses::Whole, "192.0.2.77", Some("192.0.2.77")),
            (ClientAddresses::Truncated, "192.0.2.77", Some("192.0.2.0")),
            (ClientAddresses::Truncated, "2001:db8:1:2:3:4:5:6", Some("2001:db8:1::")),
            (ClientAddresses::None, "192.0.2.77", None),
        ] {
            let kept = kept.map(|text| text.parse().unwrap());
            assert_eq!(rule.kept(address.parse().unwrap()), kept, "{rule:?} {address}");
        }
    }
}
