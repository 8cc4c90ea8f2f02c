//! A MaxMind DB, written by its specification (version 2.0) for tests: a tree over the bits of addresses, what its leaves
//! point to, and what is said of all of it.

use std::net::IpAddr;

/// A leaf or a branch of the tree.
#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A database in which each network (`10.0.0.0/8`, `2001:db8::/32`) has this text at this place of its entry. A smaller
/// network comes behind the one that it is part of.
///
/// # Panics
/// If a network is none.
pub fn mmdb(place: &[&str], networks: &[(&str, &str)]) -> Vec<u8> {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, text) in networks {
        let at = data.len();
        data.extend(entry(place, text));
        insert(&mut nodes, &bits(network), Record::Data(at));
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for node in &nodes {
        for record in node {
            let number = match record {
                Record::Nothing => count,
                Record::Node(index) => *index,
                Record::Data(at) => count + 16 + at,
            };
            file.extend_from_slice(&(number as u32).to_be_bytes()[1..]);
        }
    }
    file.extend_from_slice(&[0; 16]);
    file.extend(data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    file.extend(map(&[
        ("node_count", uint(6, count as u64)),
        ("record_size", uint(5, 24)),
        ("ip_version", uint(5, 6)),
        ("database_type", text("Test-Country")),
        // An array without elements.
        ("languages", vec![0, 11 - 7]),
        ("binary_format_major_version", uint(5, 2)),
        ("binary_format_minor_version", uint(5, 0)),
        ("build_epoch", uint(9, 1_700_000_000)),
        ("description", map(&[])),
    ]));
    file
}

fn bits(network: &str) -> Vec<bool> {
    let (address, len) = network.split_once('/').expect("a network has a length");
    let len: usize = len.parse().expect("a length is a number");
    // IPv4 lies in the first 32 bits behind 96 that are not set.
    let (number, len) = match address.parse().expect("a network has an address") {
        IpAddr::V4(address) => (u128::from(u32::from(address)), len + 96),
        IpAddr::V6(address) => (u128::from(address), len),
    };
    (0..len).map(|bit| number >> (127 - bit) & 1 == 1).collect()
}

fn insert(nodes: &mut Vec<[Record; 2]>, bits: &[bool], leaf: Record) {
    let (last, way) = bits.split_last().expect("a network has a bit at least");
    let mut at = 0;
    for bit in way {
        at = match nodes[at][usize::from(*bit)] {
            Record::Node(next) => next,
            // What was said of the whole is said of both halves.
            said => {
                let next = nodes.len();
                nodes.push([said; 2]);
                nodes[at][usize::from(*bit)] = Record::Node(next);
                next
            }
        };
    }
    nodes[at][usize::from(*last)] = leaf;
}

fn entry(place: &[&str], value: &str) -> Vec<u8> {
    match place {
        [] => text(value),
        [name, below @ ..] => map(&[(name, entry(below, value))]),
    }
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![7 << 5 | u8::try_from(fields.len()).expect("few fields")];
    for (name, value) in fields {
        bytes.extend(text(name));
        bytes.extend_from_slice(value);
    }
    bytes
}

/// Texts are short here: their length stands in the first byte.
fn text(value: &str) -> Vec<u8> {
    assert!(value.len() < 29, "a long text: {value}");
    let mut bytes = vec![2 << 5 | value.len() as u8];
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

fn uint(kind: u8, value: u64) -> Vec<u8> {
    let digits: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let len = digits.len() as u8;
    let head = if kind < 8 { vec![kind << 5 | len] } else { vec![len, kind - 7] };
    [head, digits].concat()
}
