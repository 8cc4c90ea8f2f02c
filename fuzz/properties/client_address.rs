//! What must hold for a client's address (G-10): a header of the PROXY protocol is read as it came or not at all, and
//! nobody moves the address by writing something further left than a trusted proxy did.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use keystile_core::proxy::{self, Header, MAX_HEADER};
use keystile_server::gateway::TrustedProxies;

/// Panics if it does not hold.
pub(crate) fn holds(bytes: &[u8]) {
    proxy_header(bytes);
    forwarded_for(bytes);
}

fn proxy_header(bytes: &[u8]) {
    match proxy::read(bytes) {
        Header::Whole { len, client } => {
            assert!(len <= bytes.len() && len <= MAX_HEADER);
            // What follows is not part of it, and a part of it is not yet one.
            assert_eq!(proxy::read(&bytes[..len]), Header::Whole { len, client });
            assert!((0..len).all(|part| proxy::read(&bytes[..part]) == Header::Begun));
            assert!(client.is_none_or(|client| client == client.to_canonical()));
        }
        Header::Begun => assert!(bytes.len() < MAX_HEADER),
        Header::Wrong => {
            let more = [bytes, b"\r\n"].concat();
            assert_eq!(proxy::read(&more), Header::Wrong);
        }
    }
}

fn forwarded_for(bytes: &[u8]) {
    let networks: Vec<IpNet> = ["10.0.0.0/8", "::1/128"].iter().filter_map(|net| net.parse().ok()).collect();
    let proxies = TrustedProxies::new(networks);
    let [stranger, trusted] = [[203, 0, 113, 9], [10, 0, 0, 1]].map(IpAddr::from);
    let headers = fields(bytes);
    assert_eq!(proxies.client(stranger, &headers), stranger);
    assert!(!proxies.says_encrypted(stranger, &headers));

    let client = proxies.client(trusted, &headers);
    assert_eq!(client, client.to_canonical());
    if !proxies.trusts(client) {
        for forged in ["198.51.100.66\n", "198.51.100.66, ", "10.0.0.9,"] {
            let headers = fields(&[forged.as_bytes(), bytes].concat());
            assert_eq!(proxies.client(trusted, &headers), client, "{forged:?} further left moved the address");
        }
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        assert!(text.contains(['.', ':']), "{client} stands nowhere");
    }
}

/// Each line is a field of its own; what can't be one is left out.
fn fields(bytes: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for value in bytes.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        fields.append("x-forwarded-proto", value.clone());
        fields.append("x-forwarded-for", value);
    }
    fields
}
