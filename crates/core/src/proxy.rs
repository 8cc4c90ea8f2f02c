//! The PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt`, 2020): what a proxy writes in front of a
//! connection to say who is at its other end. Only the reading of bytes; whom to believe is the gateway's to know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a version 2 header begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The part of a version 2 header that says how long it is.
const FIXED: usize = 16;
/// The longest version 1 line, with its end.
const MAX_LINE: usize = 107;
/// The longest header that is read: addresses and some extensions.
pub const MAX_HEADER: usize = 1_024;

/// What the bytes are so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A whole header.
    Whole {
        /// How many bytes it has.
        len: usize,
        /// Who is at the other end; `None` if the proxy speaks for itself (a check of its own), or of an unknown kind of
        /// network.
        client: Option<IpAddr>,
    },
    /// The beginning of one.
    Begun,
    /// No header.
    Wrong,
}

/// Looks at the first bytes of a connection.
pub fn read(bytes: &[u8]) -> Header {
    if SIGNATURE.starts_with(&bytes[..bytes.len().min(SIGNATURE.len())]) {
        return read_binary(bytes);
    }
    let start = b"PROXY ";
    if !start.starts_with(&bytes[..bytes.len().min(start.len())]) {
        return Header::Wrong;
    }
    match bytes.windows(2).take(MAX_LINE - 1).position(|pair| pair == b"\r\n") {
        Some(end) => match std::str::from_utf8(&bytes[..end]).ok().and_then(read_line) {
            Some(client) => Header::Whole { len: end + 2, client },
            None => Header::Wrong,
        },
        None if bytes.len() < MAX_LINE => Header::Begun,
        None => Header::Wrong,
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, or `PROXY UNKNOWN` and anything.
fn read_line(line: &str) -> Option<Option<IpAddr>> {
    let mut words = line.split(' ');
    let (_, family) = (words.next()?, words.next()?);
    if family == "UNKNOWN" {
        return Some(None);
    }
    let (from, to): (IpAddr, IpAddr) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let is_port = |word: &str| word.parse::<u16>().is_ok_and(|port| port.to_string() == word);
    let ports_are_sound = is_port(words.next()?) && is_port(words.next()?);
    let family_is_right = match family {
        "TCP4" => from.is_ipv4() && to.is_ipv4(),
        "TCP6" => from.is_ipv6() && to.is_ipv6(),
        _ => false,
    };
    (ports_are_sound && family_is_right && words.next().is_none()).then_some(Some(from.to_canonical()))
}

fn read_binary(bytes: &[u8]) -> Header {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else { return Header::Begun };
    let len = FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > MAX_HEADER {
        return Header::Wrong;
    }
    let Some(rest) = bytes.get(FIXED..len) else { return Header::Begun };
    let client = match (fixed[12], fixed[13]) {
        // The proxy itself: what it says of addresses does not count.
        (0x20, _) => None,
        (0x21, 0x11) => match rest.first_chunk::<12>() {
            Some(addresses) => Some(Ipv4Addr::new(addresses[0], addresses[1], addresses[2], addresses[3]).into()),
            None => return Header::Wrong,
        },
        (0x21, 0x21) => match rest.first_chunk::<36>().and_then(|addresses| addresses.first_chunk::<16>()) {
            Some(from) => Some(IpAddr::from(Ipv6Addr::from(*from)).to_canonical()),
            None => return Header::Wrong,
        },
        // Other networks, of which we know nothing (`AF_UNSPEC`, datagrams, sockets of one machine).
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => None,
        _ => return Header::Wrong,
    };
    Header::Whole { len, client }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let len = u16::try_from(addresses.len()).unwrap();
        [&SIGNATURE[..], &[command, family], &len.to_be_bytes(), addresses].concat()
    }

    fn v4() -> Vec<u8> {
        vec![203, 0, 113, 7, 10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb]
    }

    #[test]
    fn g10_both_versions_say_who_is_at_the_other_end() {
        let client = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let mut v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).octets().to_vec();
        v6.extend_from_slice(&[0; 20]);
        let with_extension = [v4(), vec![0x04, 0, 1, 0]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n".to_vec(), client("203.0.113.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n".to_vec(), client("2001:db8::7")),
            (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n".to_vec(), client("203.0.113.7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 whatever\r\n".to_vec(), None),
            (binary(0x21, 0x11, &v4()), client("203.0.113.7")),
            (binary(0x21, 0x11, &with_extension), client("203.0.113.7")),
            (binary(0x21, 0x21, &v6), client("2001:db8::7")),
            (binary(0x20, 0x11, &v4()), None),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x21, 0x00, &[]), None),
        ] {
            let whole = Header::Whole { len: header.len(), client: expected };
            assert_eq!(read(&[&*header, b"GET / HTTP/1.1\r\n\r\n"].concat()), whole, "{header:?}");
            for len in 0..header.len() {
                assert_eq!(read(&header[..len]), Header::Begun, "{len} of {header:?}");
            }
        }
    }

    #[test]
    fn g10_what_is_no_header_is_not_taken_for_one() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for wrong in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01",
            b"proxy TCP4 203.0.113.7 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 1\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 1 2 3\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 1 65536\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 01 2\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
            b"PROXY TCP4  203.0.113.7 10.0.0.1 1 2\r\n",
            b"PROXY UDP4 203.0.113.7 10.0.0.1 1 2\r\n",
            long.as_bytes(),
            &binary(0x11, 0x11, &v4()),
            &binary(0x22, 0x11, &v4()),
            &binary(0x21, 0x44, &v4()),
            &binary(0x21, 0x11, &v4()[..11]),
            &binary(0x21, 0x21, &v4()),
            &binary(0x21, 0x11, &[0; 1_020]),
        ] {
            assert_eq!(read(wrong), Header::Wrong, "{wrong:?}");
        }
    }
}
