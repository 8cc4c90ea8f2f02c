//! Obfuscations by the hundred (G-1 to G-3), made here: whatever is not refused means the same to everybody.

use keystile_core::Code;

use super::harness::{count_answers, exchange, judged, plainly_read, run, with_fields};
use crate::gateway::wire::framing::Stop;

/// Bytes that some parser somewhere skips, cuts at or trims.
const MEANINGFUL: &[u8] =
    b"\0\x01\x08\t\x0B\x0C\r\n\x1B\x1F !\"#$%&'()*+,-./0:;<=>?@A[\\]^_`x{|}~\x7F\x80\x85\xA0\xC4\xFF";

/// Every line that comes from this one by inserting, replacing or deleting one byte.
fn one_byte_away(line: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for at in 0..=line.len() {
        for byte in MEANINGFUL {
            lines.push([&line[..at], &[*byte], &line[at..]].concat());
            if at < line.len() {
                lines.push([&line[..at], &[*byte], &line[at + 1..]].concat());
            }
        }
        if at < line.len() {
            lines.push([&line[..at], &line[at + 1..]].concat());
        }
    }
    lines
}

/// What the whole line says to a reader who does not trim, skip or guess.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// A field that has nothing to do with it.
    Other,
    /// Something in between.
    Unclear,
}

fn meaning(line: &[u8]) -> Meaning {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Meaning::Unclear };
    let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
    let value = String::from_utf8_lossy(&line[colon + 1..]).to_ascii_lowercase();
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^`|~".contains(c);
    let is_clean = line.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    match name.as_str() {
        _ if !is_clean => Meaning::Unclear,
        "transfer-encoding" if value.trim_start_matches(' ') == "chunked" => Meaning::Chunked,
        "transfer-encoding" | "" => Meaning::Unclear,
        _ if name.chars().all(is_token) => Meaning::Other,
        _ => Meaning::Unclear,
    }
}

#[test]
fn g02_no_spelling_of_transfer_encoding_is_read_in_two_ways() {
    let lines = one_byte_away(b"Transfer-Encoding: chunked");
    assert!(lines.len() > 1_500);
    for line in &lines {
        let alone = [b"POST / HTTP/1.1\r\nHost: a\r\n", &line[..], b"\r\n\r\n0\r\n\r\n"].concat();
        let meant = meaning(line);
        match (&meant, judged(&alone)) {
            (Meaning::Chunked, (pass, 1, None)) => assert_eq!(pass, alone.len()),
            // Without a framing the body is no body, so it is read as a request, and is none.
            (Meaning::Other, (pass, 1, Some(Stop::Head(_)))) => assert_eq!(pass, alone.len() - 5),
            (Meaning::Unclear, (0, 0, Some(Stop::Head(refusal)))) => {
                assert!(matches!(refusal.code, Code::RequestMalformed | Code::NotImplemented));
            }
            found => panic!("{found:?}: {}", line.escape_ascii()),
        }
        // Next to a length it is never taken for a framing.
        let beside = [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n", &line[..], b"\r\n\r\n0\r\n\r\n"].concat();
        match (&meant, judged(&beside)) {
            (Meaning::Other, (pass, 1, None)) => assert_eq!(pass, beside.len()),
            (Meaning::Chunked | Meaning::Unclear, (0, 0, Some(Stop::Head(_)))) => {}
            found => panic!("{found:?}: {}", line.escape_ascii()),
        }
    }
}

#[test]
fn g02_no_two_lines_of_transfer_encoding_are_taken() {
    let values = [
        "chunked",
        " chunked",
        "chunked ",
        "\tchunked",
        "CHUNKED",
        "identity",
        "gzip",
        "cow",
        "",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, identity",
        "\"chunked\"",
        "chunked;q=1",
        "chunk",
        "x",
        "chunked\u{b}",
        "\u{c}chunked",
    ];
    let names = ["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"];
    for (index, first) in values.iter().enumerate() {
        for second in values {
            let fields = format!("{}:{first}\r\nX: y\r\n{}:{second}\r\n", names[index % 3], names[(index + 1) % 3]);
            assert!(matches!(judged(&with_fields(&fields)), (0, 0, Some(Stop::Head(_)))), "{fields:?}");
        }
        let list = format!("Transfer-Encoding: {first}, chunked\r\n");
        assert!(matches!(judged(&with_fields(&list)), (0, 0, Some(Stop::Head(_)))), "{list:?}");
    }
}

#[test]
fn g01_no_spelling_of_a_length_is_read_in_two_ways() {
    for line in one_byte_away(b"Content-Length: 10") {
        let input = [b"POST / HTTP/1.1\r\nHost: a\r\n", &line[..], b"\r\n\r\n"].concat();
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            assert_eq!(judged(&input).1, 0, "{}", line.escape_ascii());
            continue;
        };
        let digits = line[colon + 1..].trim_ascii_start();
        let is_length = line[..colon].eq_ignore_ascii_case(b"content-length");
        if judged(&input).1 == 1 && is_length {
            assert!(digits.iter().all(u8::is_ascii_digit) && !digits.is_empty(), "{}", line.escape_ascii());
        }
    }
}

#[test]
fn g03_no_spelling_of_a_chunk_is_read_in_two_ways() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let next = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut taken = 0;
    for chunks in one_byte_away(b"0A;a=b\r\n0123456789\r\n0\r\n\r\n") {
        let input = [head, &chunks[..], next].concat();
        let (pass, heads, refused) = judged(&input);
        // Everything that passes is what the simplest reader makes of it.
        let messages = plainly_read(&input[..pass]);
        let whole = messages.iter().filter(|message| message.whole).count();
        assert!(heads <= 2 && (heads < 2 || whole == 2), "{}", input.escape_ascii());
        match refused {
            None => taken += usize::from(heads == 2),
            Some(Stop::Body(_)) => assert_eq!((heads, whole), (1, 0), "{}", input.escape_ascii()),
            Some(Stop::Head(_)) => assert_eq!((heads, whole), (1, 1), "{}", input.escape_ascii()),
        }
    }
    assert!(taken > 100, "a generator that makes nothing sound proves little: {taken}");
}

#[test]
fn g01_behind_the_guard_no_smuggled_request_is_served() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for fields in [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", smuggled.len() + 5),
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n".to_owned(),
        "Transfer-Encoding: \x0Bchunked\r\n".to_owned(),
        "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n".to_owned(),
        "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
        "Content-Length: 5\r\nContent-Length: 6\r\n".to_owned(),
    ] {
        let input = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n{smuggled}");
        let (seen, answers) = run(exchange(input.as_bytes(), 4096));
        assert_eq!((seen.len(), count_answers(&answers)), (1, 1), "{fields:?}");
        assert!(seen[0].refusal.is_some() && seen[0].message.target == "/", "{fields:?}");
    }
}
