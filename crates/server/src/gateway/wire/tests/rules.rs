//! The rows of SECURITY.md §4 as tables, on the framing alone.

use keystile_core::Code;

use super::harness::{head_refused, judged, malformed, passes, with_fields, with_target};
use crate::gateway::wire::framing::{Framing, Place, Stop};
use crate::gateway::wire::{MAX_FIELDS, MAX_HEAD_BYTES, Scope};

#[test]
fn sound_requests_pass_byte_for_byte() {
    for (input, heads) in [
        (&b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n"[..], 1),
        (b"GET / HTTP/1.0\r\nHost: api.test\r\n\r\n", 1),
        (b"\r\nGET / HTTP/1.1\r\nHost: api.test\r\n\r\n", 1),
        (b"GET / HTTP/1.1\r\nhost:api.test:8080\r\n\r\nGET /b HTTP/1.1\r\nHOST: \t [::1]:80 \t\r\n\r\n", 2),
        (b"PUT /a?b=c&d=[%zz] HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nHost: a\r\n\r\n3;a=b\r\nabc\r\n00\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n\r\n\r\n\0", 1),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb \xE4\xFF\r\nEmpty:\r\n!#$%&'*+-.^`|~09aZ: x\r\n\r\n", 1),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade, HTTP2-Settings, TE\r\nUpgrade: h2c\r\nTE: trailers\r\n\r\n", 1),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\nget / HTTP/1.1\r\nHost: a\r\n\r\nM-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", 3),
        (b"GET http://API.test/a?b HTTP/1.1\r\nHost: api.Test\r\n\r\nGET HTTPS://api.test:1 HTTP/1.1\r\nHost: api.test:1\r\n\r\n", 2),
    ] {
        passes(input, heads);
    }
}

#[test]
fn nothing_of_a_head_passes_before_all_of_it_is_there() {
    let input = b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let head = input.len() - 3;
    for come in 0..input.len() {
        let mut framing = Framing::new();
        let pass = framing.judge(&input[..come]).pass;
        assert_eq!(pass, if come < head { 0 } else { come });
        let place = if come <= 2 {
            Place::Between
        } else if come < head {
            Place::Head
        } else {
            Place::Body
        };
        assert_eq!(framing.place(&input[pass..come]), place);
    }
}

#[test]
fn g01_two_framings_are_refused_in_either_order() {
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "transfer-encoding:chunked\r\nX: y\r\ncontent-length:4\r\n",
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4\r\ncontent-length: 4\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(malformed(&with_fields(fields)).scope, Scope::Message);
    }
}

#[test]
fn g01_a_length_is_one_plain_number() {
    for value in [
        "",
        " ",
        " +4",
        " -4",
        " 4 ",
        " 4\t",
        "\t4",
        " 4,4",
        " 4, 4",
        " 0x4",
        " 4.0",
        " 4e1",
        " \"4\"",
        " ٤",
        " 4;a",
        " 4 4",
        " 18446744073709551615",
        " 18446744073709551616",
        " 4611686018427387905",
        " 99999999999999999999",
        " 00000000000000000004",
    ] {
        malformed(&with_fields(&format!("Content-Length:{value}\r\n")));
    }
    for value in ["0", " 0", "  4", " 004", " 4611686018427387904"] {
        passes(&with_fields(&format!("Content-Length:{value}\r\n")), 1);
    }
}

#[test]
fn g02_other_codings_are_not_implemented_and_odd_ones_malformed() {
    for value in
        ["gzip", "gzip, chunked", "identity", "identity,chunked", "chunked, gzip", "x-gzip", "Deflate, chunked"]
    {
        let refusal = head_refused(&with_fields(&format!("Transfer-Encoding: {value}\r\n")));
        assert_eq!((refusal.code, refusal.scope), (Code::NotImplemented, Scope::Message), "{value}");
    }
    for value in
        ["", "cow", "chunked, chunked", "chunked,", ",chunked", "chunked;a=b", "\"chunked\"", "xchunked", "chunke"]
    {
        malformed(&with_fields(&format!("Transfer-Encoding: {value}\r\n")));
    }
    for fields in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
        "Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n",
    ] {
        malformed(&with_fields(fields));
    }
    malformed(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
}

#[test]
fn g03_bad_chunks_end_the_body_where_they_begin() {
    let head = with_fields("Transfer-Encoding: chunked\r\n");
    for (body, sound) in [
        (&b"0x4\r\n"[..], 1),
        (b"+4\r\n", 0),
        (b"-4\r\n", 0),
        (b"1_0\r\n", 1),
        (b" 4\r\n", 0),
        (b"4 \r\n", 1),
        (b"4\t\r\n", 1),
        (b"4 ;a\r\n", 1),
        (b"\r\n", 0),
        (b"\n", 0),
        (b";a\r\n", 0),
        (b"g\r\n", 0),
        (b"4\nabcd", 1),
        (b"4\rabcd", 2),
        (b"4\r\r\n", 2),
        (b"4000000000000001\r\n", 15),
        (b"ffffffffffffffff\r\n", 15),
        (b"10000000000000000\r\n", 16),
        (b"00000000000000000\r\n", 16),
        (b"4;a=\x01\r\n", 4),
        (b"4;a=\n\r\n", 4),
        (b"4;a=\r\r\n", 5),
        (b"4;a b\r\n", 3),
        (b"4;a=\x80\r\n", 4),
        (b"4;a=\0\r\n", 4),
        (b"3\r\nabcd\r\n", 6),
        (b"3\r\nabc\n0\r\n\r\n", 6),
        (b"3\r\nabc\r0\r\n\r\n", 7),
        (b"0\r\n\n", 3),
        (b"0\r\n\rX", 4),
        (b"0\n\n", 1),
    ] {
        let input = [&head[..], body].concat();
        match judged(&input) {
            (pass, 1, Some(Stop::Body(refusal))) => {
                assert_eq!(
                    (pass - head.len(), refusal.code),
                    (sound, Code::RequestMalformed),
                    "{}",
                    body.escape_ascii()
                );
            }
            found => panic!("{found:?}: {}", body.escape_ascii()),
        }
    }
}

#[test]
fn g03_extensions_have_a_size() {
    let head = with_fields("Transfer-Encoding: chunked\r\n");
    let chunk = |bytes: usize| format!("1;{}\r\nx\r\n", "a".repeat(bytes - 1));
    let body = |chunks: String| [&head[..], chunks.as_bytes(), b"0\r\n\r\n"].concat();
    passes(&body(chunk(256)), 1);
    passes(&body(chunk(256).repeat(16)), 1);
    for chunks in [chunk(257), chunk(256).repeat(17), chunk(1).repeat(4097)] {
        assert!(matches!(judged(&body(chunks)), (_, 1, Some(Stop::Body(_)))));
    }
}

#[test]
fn g08_no_field_comes_behind_the_body() {
    let head = with_fields("Transfer-Encoding: chunked\r\nTrailer: X\r\n");
    for trailer in ["Host: b", "Content-Length: 4", "Authorization: Bearer x", "X-Consumer-Id: 1", "X: y", " folded"] {
        let input = [&head[..], format!("1\r\nx\r\n0\r\n{trailer}\r\n\r\n").as_bytes()].concat();
        let Some(Stop::Body(refusal)) = judged(&input).2 else { panic!("{trailer}") };
        assert!(refusal.detail.starts_with("Trailer"), "{trailer}");
    }
}

#[test]
fn g04_folds_spaces_and_control_characters_are_refused() {
    for fields in [
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        " X: a\r\n",
        "\tX: a\r\n",
        "X : a\r\n",
        "X\t: a\r\n",
        "X Y: a\r\n",
        ": a\r\n",
        "X\r\n",
        "X;: a\r\n",
        "(X): a\r\n",
        "\"X\": a\r\n",
        "X@: a\r\n",
        "X/Y: a\r\n",
        "Ä: a\r\n",
        "X\0: a\r\n",
    ] {
        malformed(&with_fields(fields));
    }
    for byte in (0..0x20).chain([0x7F]).filter(|byte| *byte != b'\t') {
        for value in [[byte, b'a', b'b'], [b'a', byte, b'b'], [b'a', b'b', byte]] {
            malformed(&[b"GET / HTTP/1.1\r\nHost: a\r\nX: ", &value[..], b"\r\n\r\n"].concat());
        }
    }
}

#[test]
fn g05_there_is_exactly_one_sound_host() {
    for version in ["1.0", "1.1"] {
        for fields in [
            "",
            "Host:\r\n",
            "Host: \r\n",
            "Host: a\r\nHost: a\r\n",
            "Host: a\r\nhost: b\r\n",
            "Host: a/b@c\r\n",
            "Host: a, b\r\n",
            "Host: a b\r\n",
            "Host: user@a\r\n",
            "Host: a:\r\n",
            "Host: a:b\r\n",
            "Host: a:65536\r\n",
            "Host: a:+80\r\n",
            "Host: :80\r\n",
            "Host: a:80:80\r\n",
            "Host: ::1\r\n",
            "Host: [::1\r\n",
            "Host: [::1]x\r\n",
            "Host: [::1%25lo]\r\n",
            "Host: .a\r\n",
            "Host: a..b\r\n",
            "Host: a.\r\n",
            "Host: a?b\r\n",
            "Host: a#b\r\n",
            "Host: http://a\r\n",
            "Host: ä\r\n",
            "Host: a%2fb\r\n",
            "Host: [::1]:\r\n",
            "Host: a]:80\r\n",
        ] {
            let refusal = malformed(format!("GET / HTTP/{version}\r\n{fields}\r\n").as_bytes());
            assert_eq!(refusal.scope, Scope::Message);
        }
    }
    for host in ["a", "a:80", "A.B-c_d:65535", "127.0.0.1:4400", "[::1]", "[2001:db8::1]:443", "xn--bcher-kva.example"]
    {
        passes(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), 1);
    }
}

#[test]
fn g05_a_target_that_is_no_path_of_this_host_is_at_fault_alone() {
    for target in [
        "*",
        "",
        "a",
        "api.test",
        "api.test:80",
        "user@api.test",
        "//",
        "http://",
        "http:///a",
        "http:/a",
        "http:a",
        "http://other.test/",
        "http://api.test:80/",
        "http://user@api.test/",
        "http://user:pw@api.test/",
        "http://api.test@other.test/",
        "http://api.test?a",
        "http://api.test#a",
        "ftp://api.test/",
        "http+unix://api.test/",
        "://api.test/",
        "http://api.test\\@other.test/",
        "http://api.test /",
        " /a",
        "/a ",
        "/a b",
        "  ",
    ] {
        if target == "//" {
            // The canonical form merges these.
            passes(&with_target(b"//"), 1);
            continue;
        }
        assert_eq!(malformed(&with_target(target.as_bytes())).scope, Scope::Target, "{target}");
    }
}

#[test]
fn g11_only_what_the_canonical_form_can_judge_passes() {
    for byte in 0..=255_u8 {
        for (target, in_path) in [([b'/', b'a', byte, b'b'], true), ([b'/', b'?', byte, b'b'], false)] {
            let text = std::str::from_utf8(&target).ok();
            let canonical = text.map(keystile_core::target::CanonicalTarget::parse);
            let refused = judged(&with_target(&target)).2;
            match refused {
                None => {
                    http::Uri::try_from(&target[..]).expect("hyper takes it");
                    assert!(
                        canonical.is_some_and(|canonical| canonical.is_ok() || (in_path && b";%.".contains(&byte)))
                    );
                }
                Some(Stop::Head(refusal)) => {
                    assert!(canonical.is_none_or(|canonical| canonical.is_err()) || b"\r\n".contains(&byte));
                    let scope = if b"\r\n".contains(&byte) { Scope::Message } else { Scope::Target };
                    assert_eq!((refusal.code, refusal.scope), (Code::RequestMalformed, scope), "{byte:#x}");
                }
                Some(Stop::Body(_)) => panic!("{byte:#x}"),
            }
        }
    }
    let refusal = malformed(&with_target("/a/../ä".as_bytes()));
    assert_eq!(refusal.detail, keystile_core::target::TargetError::DotSegment.detail());
}

#[test]
fn g06_a_bare_line_feed_ends_nothing() {
    for input in [
        &b"GET / HTTP/1.1\nHost: a\n\n"[..],
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n",
        b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(malformed(input).scope, Scope::Message);
    }
}

#[test]
fn g07_no_field_that_the_gateway_needs_is_named_in_connection() {
    for name in [
        "X-Forwarded-For",
        "x-forwarded-proto",
        "X-Forwarded-",
        "Forwarded",
        "AUTHORIZATION",
        "X-Consumer-Id",
        "X-Consumer-Username",
        "X-Credential-Identifier",
        "X-Request-Id",
        "Cache-Control",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Cookie",
        "X-Api-Key",
        "X_Api_Key",
        "X_Consumer_Id",
        "Content-Type",
        "Via",
        "X-Real-IP",
    ] {
        for value in [name.to_owned(), format!("close, {name}"), format!("\t{name},close"), format!("a,,{name} ,b")] {
            malformed(&with_fields(&format!("Connection: {value}\r\n")));
            malformed(&with_fields(&format!("Connection: keep-alive\r\nconnection: {value}\r\n")));
        }
    }
    for value in ["close X", "\"close\"", "close;a", "a/b"] {
        malformed(&with_fields(&format!("Connection: {value}\r\n")));
    }
    for value in ["", "close", "Keep-Alive", "Upgrade", "x-forwarded", "x-other, te", "close,"] {
        passes(&with_fields(&format!("Connection: {value}\r\n")), 1);
    }
}

#[test]
fn g08_a_name_with_an_underscore_is_refused() {
    for name in ["X_Consumer_Id", "x-consumer_id", "_", "a_", "Content_Length", "Transfer_Encoding"] {
        assert!(malformed(&with_fields(&format!("{name}: 4\r\n"))).detail.contains('_'));
    }
}

#[test]
fn g12_connect_is_no_method_here() {
    for target in ["api.test:443", "/", "http://api.test/", "*"] {
        let refusal = head_refused(format!("CONNECT {target} HTTP/1.1\r\nHost: api.test\r\n\r\n").as_bytes());
        assert_eq!((refusal.code, refusal.scope), (Code::MethodNotAllowed, Scope::Target));
    }
}

#[test]
fn g15_what_is_no_http_1_is_refused_at_once() {
    for input in [
        &b"PRI * HTTP/2.0\r\n"[..],
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.2\r\n",
        b"GET / HTTP/0.9\r\n",
        b"GET / http/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET / HTTP/01.1\r\n",
        b"GET / HTTP/1.10\r\n",
        b"GET /\r\n",
        b"GET\r\n",
        b"GET \r\n",
        b"/ HTTP/1.1\r\n",
        b"GET\t/ HTTP/1.1\r\n",
        b"GET /\tHTTP/1.1\r\n",
        b"G(T / HTTP/1.1\r\n",
        b"G\xC3\x84T / HTTP/1.1\r\n",
        b"GETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b" ",
        b":",
    ] {
        assert_eq!(malformed(input).scope, Scope::Message);
    }
    for expectation in ["200-ok", "", "100-continue, x", "100-continue;a"] {
        malformed(&with_fields(&format!("Expect: {expectation}\r\n")));
    }
    malformed(&with_fields("Expect: 100-continue\r\nExpect: 100-continue\r\n"));
}

#[test]
fn g17_heads_fields_and_targets_have_a_size() {
    // The table of limits: at the limit it passes, one byte or field more is refused.
    let head_of = |bytes: usize| {
        let around = with_fields("X: \r\n").len();
        with_fields(&format!("X: {}\r\n", "a".repeat(bytes - around)))
    };
    passes(&head_of(MAX_HEAD_BYTES), 1);
    passes(&[b"\r\n", &head_of(MAX_HEAD_BYTES)[..]].concat(), 1);
    let refusal = head_refused(&head_of(MAX_HEAD_BYTES + 1));
    assert_eq!((refusal.code, refusal.scope), (Code::HeadersTooLarge, Scope::Message));
    let endless = head_of(MAX_HEAD_BYTES * 2);
    assert_eq!(judged(&endless[..MAX_HEAD_BYTES]).2, None);
    assert_eq!(head_refused(&endless[..=MAX_HEAD_BYTES]).code, Code::HeadersTooLarge);

    passes(&with_fields(&"A: b\r\n".repeat(MAX_FIELDS - 1)), 1);
    assert_eq!(head_refused(&with_fields(&"A: b\r\n".repeat(MAX_FIELDS))).code, Code::HeadersTooLarge);

    let target_of = |bytes: usize| format!("/{}", "a".repeat(bytes - 1)).into_bytes();
    passes(&with_target(&target_of(8192)), 1);
    let refusal = head_refused(&with_target(&target_of(8193)));
    assert_eq!((refusal.code, refusal.scope), (Code::TargetTooLong, Scope::Target));
    let refusal = head_refused(&with_target(&target_of(40_000)));
    assert_eq!((refusal.code, refusal.scope), (Code::TargetTooLong, Scope::Message));
}

#[test]
fn a_fault_of_the_message_outweighs_one_of_the_target() {
    for fields in ["X_Y: z\r\n", "Host: b\r\n", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"] {
        let input = format!("GET /ä HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(malformed(input.as_bytes()).scope, Scope::Message);
    }
}

#[test]
fn what_stands_for_a_refused_head_is_sound_itself() {
    let stand_in = |input: &[u8]| {
        let mut framing = Framing::new();
        let Some(Stop::Head(refusal)) = framing.judge(input).stop else { panic!("{}", input.escape_ascii()) };
        let stand_in = framing.stand_in(refusal, input).into_owned();
        if !stand_in.starts_with(b"CONNECT ") {
            passes(&stand_in, 1);
        }
        String::from_utf8(stand_in).expect("text")
    };
    assert_eq!(stand_in(b"GET / HTTP/1.1\r\n\r\n"), "GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n");
    let input = "PUT /{x} HTTP/1.1\r\nX-Api-Key: k\r\nHost: a\r\nContent-Length: 4\r\nConnection: keep-alive\r\nExpect: \
                 100-continue\r\nUpgrade: h2c\r\nZ:\r\n\r\nabcd";
    assert_eq!(
        stand_in(input.as_bytes()),
        "PUT / HTTP/1.1\r\nX-Api-Key: k\r\nHost: a\r\nZ:\r\nconnection: close\r\n\r\n"
    );
    let input = b"\r\nCONNECT a:1 HTTP/1.0\r\ntransfer-coding: x\r\nHost: a\r\n\r\n";
    assert_eq!(stand_in(input), "CONNECT / HTTP/1.0\r\ntransfer-coding: x\r\nHost: a\r\nconnection: close\r\n\r\n");
}
