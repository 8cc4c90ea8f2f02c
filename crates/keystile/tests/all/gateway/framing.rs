//! Where a request ends: two readers must never disagree about it (G-1, G-2, G-3, G-6).

use keystile_testkit::eventually;

use super::Stage;
use super::stage::text;

/// What an attacker wants the upstream to take for a request.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n";

fn post(stage: &Stage, fields: &str, body: &str) -> Vec<u8> {
    stage.raw(&format!("POST /open HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {{key}}\r\n{fields}\r\n{body}"))
}

#[test]
fn g01_two_lengths_are_refused_and_the_connection_is_closed() {
    let stage = Stage::new();
    let chunked_away = format!("0\r\n\r\n{HIDDEN}");
    for fields in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nX-Between: 1\r\ncontent-length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\ncontent-length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5;\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5 \r\n",
        "Content-Length: \t5\r\n",
        "Content-Length: 1_0\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: 5e0\r\n",
        "Content-Length: \u{ff15}\r\n",
        "Content-Length: \"5\"\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551621\r\n",
        "Content-Length: 9999999999999999999999999\r\n",
    ] {
        stage.is_refused_and_closed(&post(&stage, fields, &chunked_away), 400, "request_malformed");
    }
}

#[test]
fn g01_http_1_0_has_no_chunks() {
    let stage = Stage::new();
    let request = stage
        .raw(&format!("POST /open HTTP/1.0\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"));
    stage.is_refused_and_closed(&request, 400, "request_malformed");
}

#[test]
fn g01_a_body_that_looks_like_a_request_stays_a_body() {
    let stage = Stage::new();
    let hidden = stage.raw(HIDDEN);
    for method in ["GET", "DELETE", "POST", "OPTIONS"] {
        let answer = stage.call(&format!("{method} /open"), &[], &hidden);
        assert_eq!(answer.status, 200, "{method}");
        let seen = stage.upstream.take_requests();
        assert_eq!(seen.len(), 1, "{method}: {seen:?}");
        assert_eq!((&*seen[0].target, &seen[0].body), ("/open", &hidden), "{method}");
    }
    assert_eq!(stage.upstream.faults(), [] as [String; 0]);
}

/// Every value that some server has taken for `chunked`, or for nothing, while another did not.
fn odd_codings() -> Vec<String> {
    let mut values: Vec<String> = [
        "",
        "identity",
        "gzip",
        "deflate",
        "compress",
        "x-gzip",
        "cow",
        "chunk",
        "chunke",
        "chunkedd",
        "xchunked",
        "chunked1",
        "chunked,",
        ",chunked",
        ",",
        "chunked,chunked",
        "chunked, chunked",
        "identity, chunked",
        "chunked, identity",
        "gzip, chunked",
        "chunked, gzip",
        "cow, chunked",
        "chunked, cow",
        "chunked;",
        "chunked;q=1",
        "chunked; a=b",
        "\"chunked\"",
        "'chunked'",
        "`chunked`",
        "(chunked)",
        "[chunked]",
        "chunked()",
        "chunked(comment)",
        "chunked\t",
        "\tchunked",
        " \tchunked",
        "chunked \t",
        "chunked ",
        "ch unked",
        "chunk ed",
        "chunked x",
        "x chunked",
        "chun%6bed",
        "%63hunked",
        "chunked%20",
        "\\chunked",
        "chunked\\",
        "chunked:",
        ":chunked",
        "=chunked",
        "chunked=",
        "chunked\u{a0}",
        "\u{212a}",
        "chun\u{212a}ed",
        "c\u{3b7}unked",
        "\u{ff43}hunked",
        "chunked/1",
        "*",
        "chunked-false",
        "CHUNKED, CHUNKED",
    ]
    .map(str::to_owned)
    .into();
    // Every control character, before and behind; line ends are of another test.
    for control in (0u8..0x20).chain([0x7f]).filter(|byte| !b"\r\n\t".contains(byte)) {
        let control = char::from(control);
        values.push(format!("{control}chunked"));
        values.push(format!("chunked{control}"));
    }
    values
}

#[test]
fn g02_only_plain_chunked_is_a_coding() {
    let stage = Stage::new();
    let mut lines: Vec<String> = Vec::new();
    for value in odd_codings() {
        lines.push(format!("Transfer-Encoding: {value}\r\n"));
        lines.push(format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: {value}\r\n"));
        lines.push(format!("Transfer-Encoding: {value}\r\nTransfer-Encoding: chunked\r\n"));
    }
    for line in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "transfer-encoding: chunked\r\nTRANSFER-ENCODING: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "\tTransfer-Encoding: chunked\r\n",
        "Transfer_Encoding: chunked\r\n",
        "Transfer Encoding: chunked\r\n",
        "Transfer-Encoding\0: chunked\r\n",
        "Transfer-Encoding\u{b}: chunked\r\n",
        "\"Transfer-Encoding\": chunked\r\n",
        "Transfer-Encoding; chunked\r\n",
        "Transfer-Encoding chunked\r\n",
        "Transfer-Encoding\r\n: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding:\r\n\tchunked\r\n",
        "Transfer-Encoding: chunked\r\n , identity\r\n",
        "Transfer-Encoding: chun\r\n ked\r\n",
        "X: 1\r\n Transfer-Encoding: chunked\r\n",
        "X: 1\rTransfer-Encoding: chunked\r\n",
        "X: 1\nTransfer-Encoding: chunked\r\n",
        "X: 1\r\r\nTransfer-Encoding: chunked\r\n",
        "X: 1\0Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\rX: 1\r\n",
        "Transfer-Encoding: chunked\nX: 1\r\n",
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
        "Connection: close, transfer_encoding\r\nTransfer-Encoding: chunked\r\n",
    ] {
        lines.push(line.to_owned());
    }
    assert!(lines.len() > 300, "{} variations", lines.len());
    for line in lines {
        let request = post(&stage, &line, &format!("0\r\n\r\n{HIDDEN}"));
        let mut client = stage.client();
        let _ = client.write(&request);
        let answer = client.answer().unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let expected = if answer.status == 501 { (501, "not_implemented") } else { (400, "request_malformed") };
        stage.check_problem(&answer, expected.0, expected.1, &line);
        assert!(client.is_closed(), "{line:?}");
        stage.saw_nothing(&line);
    }
}

#[test]
fn g02_chunked_is_framed_anew() {
    let stage = Stage::new();
    for line in [
        "Transfer-Encoding: chunked",
        "transfer-encoding:chunked",
        "TRANSFER-ENCODING: CHUNKED",
        "Transfer-Encoding:  Chunked",
    ] {
        let request = post(&stage, &format!("{line}\r\n"), "3;ext=1\r\nabc\r\n0000000A\r\n0123456789\r\n0\r\n\r\n");
        assert_eq!(stage.answer(&request).status, 200, "{line}");
        let seen = stage.upstream.take_requests();
        assert_eq!(seen.len(), 1, "{line}");
        assert_eq!(seen[0].body, b"abc0123456789", "{line}");
        assert!(seen[0].complete, "{line}");
        assert_eq!(seen[0].all("transfer-encoding"), ["chunked"], "{line}");
        assert!(!seen[0].text().contains("ext"), "extensions end here");
    }
    assert_eq!(stage.upstream.faults(), [] as [String; 0]);
}

#[test]
fn g03_a_bad_chunk_ends_everything() {
    let stage = Stage::new();
    let long_extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(8_000));
    let mut answered = Vec::new();
    let many_digits = format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(40));
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        "_5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "5 ;a\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";a=b\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5;\n\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5g\r\nhello\r\n0\r\n\r\n",
        "five\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "7fffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Consumer-Id: forged\r\n\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0 \r\n\r\n",
        &long_extension,
        &many_digits,
    ] {
        let mut client = stage.client();
        let _ = client.write(post(&stage, "Transfer-Encoding: chunked\r\n", &format!("{body}{HIDDEN}")));
        let answer = client.answer().unwrap_or_else(|error| panic!("{error}: {body:?}"));
        stage.check_problem(&answer, 400, "request_malformed", body);
        assert!(client.is_closed(), "{body:?}");
        answered.push((text(&answer.json()["request_id"]), body));
    }
    // The head may have gone on before the body broke; then the upstream must see that it never ended. A sound call
    // comes last, behind whatever is still on its way.
    assert_eq!(stage.call("GET /last", &[], b"").status, 200);
    eventually("only the last connection is kept", || stage.upstream.open_connections() <= 1);
    for request in stage.upstream.take_requests().iter().filter(|request| request.target != "/last") {
        assert_eq!(request.target, "/open");
        let own = answered.iter().position(|(id, _)| Some(&**id) == request.field("x-request-id"));
        let (_, body) = answered.swap_remove(own.expect("one request for each call"));
        assert!(!request.complete, "{body:?}: {request:?}");
        assert!(!request.text().contains("hidden"), "{body:?}");
        assert!(!request.text().contains("forged"), "{body:?}");
    }
}

#[test]
fn g06_every_line_ends_with_cr_lf() {
    let stage = Stage::new();
    for request in [
        "GET /open HTTP/1.1\nHost: {host}\nAuthorization: Bearer {key}\n\n",
        "GET /open HTTP/1.1\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n",
        "GET /open HTTP/1.1\r\nHost: {host}\nAuthorization: Bearer {key}\r\n\r\n",
        "GET /open HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\n\r\n",
        "GET /open HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\n",
        "GET /open HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\n\n",
        "GET /open HTTP/1.1\rHost: {host}\rAuthorization: Bearer {key}\r\r\n\r\n",
        "GET /open HTTP/1.1\r\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n",
        "GET /open HTTP/1.1\r\nHost: {host}\r\r\nAuthorization: Bearer {key}\r\n\r\n",
        "\nGET /open HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n",
        "\r\n\r\nGET /open HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n",
    ] {
        stage.is_refused_and_closed(&stage.raw(request), 400, "request_malformed");
    }
    // The one that RFC 9112 §2.2 asks servers to take.
    let request = stage.raw("\r\nGET /open HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n");
    assert_eq!(stage.answer(&request).status, 200);
}
