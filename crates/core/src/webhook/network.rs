//! Which addresses a webhook may lead to (O-4): those of the public internet, and those that the server's owner names.
//! An address that wraps another one is judged as the one inside, for that is where it leads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Where webhooks may lead besides the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach(Vec<IpNet>);

impl Reach {
    /// Also to these networks.
    pub const fn with(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether this address was named by the server's owner. Only there may a webhook go in clear.
    pub fn is_named(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether a webhook may lead to this address.
    pub fn admits(&self, address: IpAddr) -> bool {
        is_public(address) || self.is_named(address)
    }
}

/// Whether an address belongs to the public internet. What is reserved for anything else does not, by the registries of
/// IANA for special purposes (RFC 6890); what is not known to be public is not.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        // This network, private, shared (CGNAT), loopback.
        [0 | 10 | 127, ..] | [100, 64..=127, ..]
        // Link-local, with the metadata of clouds at 169.254.169.254; private.
        | [169, 254, ..] | [172, 16..=31, ..] | [192, 168, ..]
        // Protocols, documentation, the old anycast of 6to4, AS112, benchmarks.
        | [192, 0, 0 | 2, _] | [192, 31, 196, _] | [192, 52, 193, _] | [192, 88, 99, _] | [192, 175, 48, _]
        | [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _]
        // Multicast, reserved, broadcast.
        | [224..=255, ..]
        // Metadata and hosts of a cloud's own behind a public address.
        | [168, 63, 129, 16]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    match address.segments() {
        // NAT64 (RFC 6052): it leads to the IPv4 address at its end. The one for local use (RFC 8215) does not come here.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        // Protocols (Teredo and ORCHID among them), documentation, 6to4, documentation again.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // What is given out for global unicast. Loopback, unspecified, IPv4-compatible, unique local, link-local,
        // site-local, multicast and segment routing are outside of it.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o04_only_the_public_internet_is_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:8.8.8.8",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:0:0:1::808:808",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn o04_what_the_owner_names_is_reached_too_and_nothing_beside_it() {
        let reach = Reach::with(vec!["10.1.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()]);
        for (address, admitted, named) in [
            ("10.1.2.3", true, true),
            ("::ffff:10.1.2.3", true, true),
            ("10.2.0.1", false, false),
            ("::1", true, true),
            ("127.0.0.1", false, false),
            ("8.8.8.8", true, false),
            ("64:ff9b::10.1.2.3", false, false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!((reach.admits(address), reach.is_named(address)), (admitted, named), "{address}");
        }
    }
}
