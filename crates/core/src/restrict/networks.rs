//! Networks from which a key may be used (PRODUCT.md K17).

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Most networks of one key: the check is a walk over them.
const MAX_NETWORKS: usize = 128;

/// Networks in CIDR form. `deny` goes before `allow`; an absent `allow` allows every address not denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Lists", into = "Lists")]
pub struct Networks {
    allow: Option<Vec<IpNet>>,
    deny: Vec<IpNet>,
}

/// The wire form.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deny: Vec<String>,
}

/// The lists are no network restriction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworksError {
    /// This text is neither a network nor an address.
    NotANetwork(String),
    /// Both lists are empty, or `allow` is.
    Empty,
    /// More networks than [`MAX_NETWORKS`].
    TooMany,
}

impl fmt::Display for NetworksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANetwork(text) => {
                write!(f, "`{}` is no network; write 10.0.0.0/8, 2001:db8::/32 or one address", text.escape_default())
            }
            Self::Empty => f.write_str("networks needs at least one entry; leave `allow` out to allow every address that is not denied, and `networks` out for no restriction"),
            Self::TooMany => write!(f, "networks takes at most {MAX_NETWORKS} entries"),
        }
    }
}

impl std::error::Error for NetworksError {}

impl Networks {
    /// Whether a call from this address may pass. IPv4 written as IPv6 (`::ffff:10.0.0.1`) is judged as IPv4.
    pub fn admit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        !within(&self.deny) && self.allow.as_deref().is_none_or(within)
    }

    /// Whether no address may pass here that may not there. If that can't be told, no.
    pub fn is_within(&self, outer: &Self) -> bool {
        let allowed = match (&self.allow, &outer.allow) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(outer)) => own.iter().all(|net| outer.iter().any(|wider| wider.contains(net))),
        };
        // What is denied there is denied here too, or allowed by none of those here.
        let denied = outer.deny.iter().all(|net| {
            let meets = |other: &IpNet| other.contains(net) || net.contains(other);
            self.deny.iter().any(|wider| wider.contains(net))
                || self.allow.as_ref().is_some_and(|own| !own.iter().any(meets))
        });
        allowed && denied
    }
}

fn network(text: String) -> Result<IpNet, NetworksError> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    parsed.map(|net| canonical(net.trunc())).map_err(|_| NetworksError::NotANetwork(text))
}

/// IPv4 written as IPv6 (`::ffff:10.0.0.0/104`) as the IPv4 that it means: addresses are judged in that form, and a
/// denied network that never matched would let everybody in.
fn canonical(net: IpNet) -> IpNet {
    let mapped = match net {
        IpNet::V6(net) if net.prefix_len() >= 96 => net.addr().to_ipv4_mapped().zip(Some(net.prefix_len() - 96)),
        IpNet::V6(_) | IpNet::V4(_) => None,
    };
    mapped.and_then(|(address, len)| IpNet::new(address.into(), len).ok()).unwrap_or(net)
}

impl TryFrom<Lists> for Networks {
    type Error = NetworksError;

    fn try_from(lists: Lists) -> Result<Self, NetworksError> {
        let count = lists.deny.len() + lists.allow.as_ref().map_or(0, Vec::len);
        if count == 0 || lists.allow.as_ref().is_some_and(Vec::is_empty) {
            return Err(NetworksError::Empty);
        }
        if count > MAX_NETWORKS {
            return Err(NetworksError::TooMany);
        }
        let parse = |texts: Vec<String>| texts.into_iter().map(network).collect::<Result<Vec<_>, _>>();
        Ok(Self { allow: lists.allow.map(parse).transpose()?, deny: parse(lists.deny)? })
    }
}

impl From<Networks> for Lists {
    fn from(networks: Networks) -> Self {
        let texts = |nets: Vec<IpNet>| nets.iter().map(IpNet::to_string).collect();
        Self { allow: networks.allow.map(texts), deny: texts(networks.deny) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(allow: Option<&[&str]>, deny: &[&str]) -> Result<Networks, NetworksError> {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Networks::try_from(Lists { allow: allow.map(texts), deny: texts(deny) })
    }

    #[test]
    fn deny_goes_before_allow() {
        let nets = networks(Some(&["10.0.0.0/8", "2001:db8::/32"]), &["10.1.0.0/16"]).unwrap();
        for (address, admitted) in [
            ("10.0.0.1", true),
            ("10.1.0.1", false),
            ("11.0.0.1", false),
            ("::ffff:10.0.0.1", true),
            ("::ffff:10.1.2.3", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(nets.admit(address.parse().unwrap()), admitted, "{address}");
        }
        assert!(networks(None, &["10.0.0.0/8"]).unwrap().admit("11.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_list_is_within_one_that_lets_more_pass() {
        type List = &'static [&'static str];
        let (none, some) = (None::<List>, |list: List| Some(list));
        for (own, outer, within) in [
            ((some(&["10.1.0.0/16"]), &[][..]), (some(&["10.0.0.0/8"]), &[][..]), true),
            ((some(&["10.0.0.0/8"]), &[]), (some(&["10.1.0.0/16"]), &[]), false),
            ((none, &["10.0.0.0/8"]), (some(&["10.0.0.0/8"]), &[]), false),
            ((none, &["10.0.0.0/8"]), (none, &["10.1.0.0/16"]), true),
            ((none, &["10.1.0.0/16"]), (none, &["10.0.0.0/8"]), false),
            ((some(&["10.2.0.0/16"]), &[]), (some(&["10.0.0.0/8"]), &["10.1.0.0/16"]), true),
            ((some(&["10.0.0.0/8"]), &[]), (some(&["10.0.0.0/8"]), &["10.1.0.0/16"]), false),
            ((some(&["10.0.0.0/8"]), &["10.1.0.0/16"]), (some(&["10.0.0.0/8"]), &["10.1.2.0/24"]), true),
            ((some(&["::ffff:10.1.0.0/112"]), &[]), (some(&["10.0.0.0/8"]), &[]), true),
            ((some(&["10.0.0.0/8"]), &[]), (some(&["::/0"]), &[]), false),
        ] {
            let [own_nets, outer_nets] = [own, outer].map(|(allow, deny)| networks(allow, deny).unwrap());
            assert_eq!(own_nets.is_within(&outer_nets), within, "{own:?} in {outer:?}");
        }
    }

    #[test]
    fn a_network_written_as_mapped_ipv4_is_the_ipv4_network() {
        let nets = networks(None, &["::ffff:127.0.0.1", "::ffff:10.0.0.0/104"]).unwrap();
        for (address, admitted) in
            [("127.0.0.1", false), ("::ffff:127.0.0.1", false), ("10.9.9.9", false), ("11.0.0.1", true)]
        {
            assert_eq!(nets.admit(address.parse().unwrap()), admitted, "{address}");
        }
        assert!(networks(Some(&["::ffff:127.0.0.1"]), &[]).unwrap().admit("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_empty_list_never_means_anyone() {
        assert_eq!(networks(None, &[]), Err(NetworksError::Empty));
        assert_eq!(networks(Some(&[]), &["10.0.0.0/8"]), Err(NetworksError::Empty));
        assert!(matches!(networks(Some(&["10.0.0.0/33"]), &[]), Err(NetworksError::NotANetwork(_))));
    }
}
