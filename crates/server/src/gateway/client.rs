//! Who calls, as an address: the peer of the connection, or what a trusted proxy in front of it says (G-10).

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// These networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether an address, IPv4 as such, is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Whether the peer is a trusted proxy that says the call came to it encrypted. Of several words the last is its own.
    pub fn says_encrypted(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        // Without proxies, the usual case, no header is looked for.
        if !self.trusts(peer) {
            return false;
        }
        let last = headers.get_all("x-forwarded-proto").iter().next_back();
        let word = last.and_then(|value| value.as_bytes().rsplit(|byte| *byte == b',').next());
        word.is_some_and(|word| word.trim_ascii().eq_ignore_ascii_case(b"https"))
    }

    /// The address of the caller: counted from the right, the first hop that is not a trusted proxy. Whatever stands
    /// further left was written by somebody we do not know. An unreadable hop ends the walk at the one before it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let mut client = peer;
        let mut lines: Vec<&[u8]> = headers.get_all("x-forwarded-for").iter().map(|value| value.as_bytes()).collect();
        while let Some(line) = lines.pop() {
            for hop in line.rsplit(|byte| *byte == b',') {
                let Some(hop) = address(hop.trim_ascii()) else { return client };
                client = hop;
                if !self.trusts(hop) {
                    return client;
                }
            }
        }
        client
    }
}

/// An address, perhaps with a port behind it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = text.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()));
    plain.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn g10_a_forged_header_of_a_stranger_is_not_believed() {
        for forged in ["127.0.0.1", "10.0.0.1", "10.0.0.1, 127.0.0.1", "::1", "unknown", "198.51.100.7:80"] {
            assert_eq!(client("203.0.113.9", &[forged]), "203.0.113.9", "{forged}");
        }
    }

    #[test]
    fn g10_only_a_trusted_proxy_says_that_a_call_was_encrypted() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        for (peer, said, encrypted) in [
            ("10.0.0.1", &["https"][..], true),
            ("10.0.0.1", &["http", "HTTPS"], true),
            ("10.0.0.1", &["http, https"], true),
            ("10.0.0.1", &["https, http"], false),
            ("10.0.0.1", &[], false),
            ("203.0.113.9", &["https"], false),
        ] {
            let headers =
                said.iter().map(|word| ("x-forwarded-proto".parse().unwrap(), word.parse().unwrap())).collect();
            assert_eq!(proxies.says_encrypted(peer.parse().unwrap(), &headers), encrypted, "{peer} {said:?}");
        }
    }

    #[test]
    fn g10_hops_are_counted_from_the_right() {
        for (lines, address) in [
            (&["198.51.100.7"][..], "198.51.100.7"),
            (&["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            (&["1.1.1.1", "198.51.100.7, 10.1.1.1"], "198.51.100.7"),
            (&["198.51.100.7:4711, 10.0.0.2"], "198.51.100.7"),
            (&["::ffff:198.51.100.7"], "198.51.100.7"),
            (&["[2001:db8::1]:80"], "2001:db8::1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["198.51.100.7, nonsense, 10.0.0.2"], "10.0.0.2"),
            (&["198.51.100.7,"], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", lines), address, "{lines:?}");
        }
    }
}
