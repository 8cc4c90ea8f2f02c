//! The differential rule: of what passes, the guard, hyper and the simplest reader there is make the same requests,
//! whatever was done to the bytes; or it does not pass.
//!
//! `PROPTEST_CASES` sets how many mutations are tried.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::harness::{count_answers, exchange, judged, many_cases, plainly_read, run};
use crate::gateway::wire::Scope;
use crate::gateway::wire::framing::Stop;

/// What requests are made of: sound lines, and lines that look like them.
const TARGETS: &[&str] =
    &["/", "/a/b?c=d", "/a%20b;c", "*", "http://a.test/x?y", "HTTP://A.TEST", "http://b.test/", "/ä", "/a b", "a"];
const FIELDS: &[&str] = &[
    "Accept: */*",
    "X: y",
    "x: z",
    "Cookie: a=b",
    "Cookie: c",
    "Authorization: Bearer key",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: X-Consumer-Id",
    "Content-Length: 7",
    "Content-Length: 0",
    "Host: a.test",
    "Host: b.test",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Expect: 100-continue",
    "Upgrade: h2c",
    "X_Y: z",
    "Empty:",
    "TE: trailers",
    "X: \u{e4}\t!",
];
const BODIES: &[&str] = &[
    "",
    "1234567",
    "7\r\n1234567\r\n0\r\n\r\n",
    "3;a=b\r\nabc\r\n04\r\ndefg\r\n0\r\n\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n",
];
/// Bytes that mean something to a parser.
const BYTES: &[u8] = b"\r\n \t:;,=0aA_-.\0\x0B\x7F\x80\xFF/?%*\"";

/// One request in eight is put together at random; the others are sound before they are mutated.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = select(vec!["GET", "POST", "HEAD", "DELETE", "get", "TRACE", "CONNECT", "M-SEARCH"]);
    let version = prop_oneof![9 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0")];
    let random = (method, select(TARGETS), version, vec(select(FIELDS), 0..6), select(BODIES)).prop_map(
        |(method, target, version, fields, body)| {
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            format!("{method} {target} {version}\r\nHost: a.test\r\n{fields}\r\n{body}").into_bytes()
        },
    );
    let sound_fields: Vec<&str> = FIELDS
        .iter()
        .copied()
        .filter(|field| {
            !["Host", "Content", "Transfer", "X_", "Connection: X", "Connection: c", "Expect"]
                .iter()
                .any(|bad| field.starts_with(bad))
        })
        .collect();
    let framing = select(vec![
        "\r\n",
        "Content-Length: 7\r\n\r\n1234567",
        "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n04\r\ndefg\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n7\r\n1234567\r\n0\r\n\r\n",
        "Content-Length: 0\r\n\r\n",
    ]);
    let sound = (select(vec!["GET", "POST", "PUT"]), select(&TARGETS[..3]), vec(select(sound_fields), 0..4), framing)
        .prop_map(|(method, target, fields, framing)| {
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\n{fields}{framing}").into_bytes()
        });
    prop_oneof![7 => sound, 1 => random]
}

pub(super) fn requests() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(request(), 1..5)
}

/// What is done to the bytes.
#[derive(Debug, Clone)]
pub(super) enum Mutation {
    Insert(Index, u8),
    Replace(Index, u8),
    Delete(Index),
    /// The bytes between two places stand there twice.
    Double(Index, Index),
    /// The bytes between two places are gone.
    Cut(Index, Index),
    /// Two lines change places.
    Swap(Index, Index),
}

pub(super) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let byte = || prop_oneof![4 => select(BYTES), 1 => any::<u8>()];
    let at = any::<Index>;
    let one = prop_oneof![
        3 => (at(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        3 => (at(), byte()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        2 => at().prop_map(Mutation::Delete),
        1 => (at(), at()).prop_map(|(a, b)| Mutation::Double(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Mutation::Cut(a, b)),
        2 => (at(), at()).prop_map(|(a, b)| Mutation::Swap(a, b)),
    ];
    vec(one, 0..3)
}

pub(super) fn mutated(requests: &[Vec<u8>], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = requests.concat();
    for mutation in mutations {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        let between = |a: &Index, b: &Index| {
            let (a, b) = (a.index(length), b.index(length));
            // Short pieces keep most of the rest sound.
            a.min(b)..a.max(b).min(a.min(b) + 40)
        };
        match mutation {
            Mutation::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Mutation::Replace(at, byte) => bytes[at.index(length)] = *byte,
            Mutation::Delete(at) => {
                bytes.remove(at.index(length));
            }
            Mutation::Double(a, b) => {
                let range = between(a, b);
                let piece = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, piece);
            }
            Mutation::Cut(a, b) => {
                bytes.drain(between(a, b));
            }
            Mutation::Swap(a, b) => {
                let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
                bytes = lines.concat();
            }
        }
    }
    bytes
}

/// Checks the rule for these bytes, through a pipe that holds so many of them; says how many requests were served as
/// they came.
fn agree(input: &[u8], pipe: usize) -> usize {
    let (pass, heads, refused) = judged(input);
    let expected = plainly_read(&input[..pass]);
    let (seen, answers) = run(exchange(input, pipe));
    let shown = input.escape_ascii().to_string();

    // No answer is hyper's own, and none is missing.
    assert_eq!(count_answers(&answers), seen.len(), "{shown}");
    assert!(expected.len() as u64 <= heads, "{shown}");
    let (sound, made_up) = seen.split_at(expected.len().min(seen.len()));
    assert_eq!(sound.len(), expected.len(), "{shown}");
    for (seen, expected) in sound.iter().zip(&expected) {
        assert_eq!(seen.refusal, None, "{shown}");
        assert_eq!(&seen.message, expected, "{shown}");
    }
    let open = expected.len() as u64 == heads && expected.iter().all(|message| message.whole);
    let goes_on = open && !ends_connection(&input[..pass]);
    match refused {
        Some(Stop::Head(refusal)) if goes_on => {
            let [stand_in] = made_up else { panic!("{made_up:?}: {shown}") };
            assert_eq!(stand_in.refusal, Some(refusal), "{shown}");
            assert_eq!((&stand_in.message.target[..], stand_in.message.body.len()), ("/", 0), "{shown}");
            if refusal.scope == Scope::Message {
                assert_eq!(stand_in.message.method, "GET", "{shown}");
            }
        }
        // The head that is incomplete times out.
        None if goes_on && pass < input.len() && !matches!(&input[pass..], b"\r" | b"\r\n") => {
            assert_eq!(made_up.len(), 1, "{shown}");
            assert!(made_up[0].refusal.is_some(), "{shown}");
        }
        Some(Stop::Body(refusal)) => {
            assert!(made_up.is_empty(), "{shown}");
            if heads == expected.len() as u64 {
                assert_eq!(sound.last().and_then(|seen| seen.body_refusal), Some(refusal), "{shown}");
            }
        }
        _ => assert!(made_up.is_empty(), "{made_up:?}: {shown}"),
    }
    sound.len()
}

/// Whether the last request says that the connection ends.
fn ends_connection(passed: &[u8]) -> bool {
    let probe = [passed, b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    !passed.is_empty() && plainly_read(&probe).len() == plainly_read(passed).len()
}

proptest! {
    #![proptest_config(many_cases())]

    #[test]
    fn hyper_and_the_simplest_reader_see_the_same_requests(
        requests in requests(),
        mutations in mutations(),
        pipe in prop_oneof![Just(16_384_usize), 1..100_usize],
    ) {
        let input = mutated(&requests, &mutations);
        // After a request with Upgrade, hyper ends a connection without waiting until its answer is sent: a client
        // that breaks off such a request and does not read gets no whole answer.
        let hasty = input.to_ascii_lowercase().windows(8).any(|bytes| bytes == b"upgrade:");
        agree(&input, if hasty { 16_384 } else { pipe });
    }
}

#[test]
fn untouched_requests_are_served_as_they_came() {
    let get = "GET /a?b HTTP/1.1\r\nHost: a.test\r\nX: y\r\nx: z\r\nX: \u{e4}\t!\r\n\r\n";
    let put = "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 7\r\n\r\n1234567\r\n";
    let post =
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n04\r\ndefg\r\n0\r\n\r\n";
    let absolute = "GET HTTP://A.test/x?y HTTP/1.1\r\nHost: a.TEST\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n";
    let input = [get, put, post, absolute, get, post, put, get].concat();
    for pipe in [1, 2, 3, 7, 50, 64 * 1024] {
        assert_eq!(agree(input.as_bytes(), pipe), 8);
    }
}

/// Every byte that may stand in a name or a method reaches hyper, so hyper never answers by itself.
#[test]
fn all_that_passes_is_taken_by_hyper() {
    for byte in 0x21..=0x7E_u8 {
        let byte = char::from(byte);
        let mut served = 0;
        for input in [
            format!("G{byte}T / HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: a\r\n{byte}X: y\r\n\r\n"),
            format!("GET /{byte} HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("GET /?{byte} HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("GET http://a/{byte} HTTP/1.1\r\nHost: a\r\n\r\n"),
        ] {
            served += agree(input.as_bytes(), 4096);
        }
        assert_eq!(served == 5, byte.is_ascii_alphanumeric() || "!$&'*+-.%~".contains(byte), "{byte} {served}");
    }
    let many = format!("GET /{} HTTP/1.1\r\nHost: a\r\n{}\r\n", "a".repeat(8000), "X: y\r\n".repeat(99));
    assert_eq!(agree(many.as_bytes(), 64), 1);
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(32_700));
    assert_eq!(agree(large.as_bytes(), 100_000), 1);
    let method = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(34));
    assert_eq!(agree(method.as_bytes(), 100), 1);
}
