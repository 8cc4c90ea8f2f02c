use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn canonical(target: &str) -> Result<String, TargetError> {
    CanonicalTarget::parse(target).map(|target| {
        let mut text = String::new();
        target.write_to(&mut text);
        text
    })
}

#[track_caller]
fn becomes(table: &[(&str, &str)]) {
    for (target, expected) in table {
        assert_eq!(canonical(target).as_deref(), Ok(*expected), "{target:?}");
    }
}

#[track_caller]
fn refused(rule: TargetError, targets: &[&str]) {
    for target in targets {
        assert_eq!(canonical(target), Err(rule), "{target:?}");
    }
}

#[test]
fn a_canonical_target_is_forwarded_as_it_came() {
    for target in [
        "/",
        "/a",
        "/a/",
        "/a/b.c/d",
        "/.well-known/x",
        "/..a/...b",
        "/a/b?",
        "/a?x=1&y=%zz;[]{}|\\^`'..//%2e",
        "/-._~!$&'()*+,=:@",
        "/a%20b",
        "/%C3%A9%E2%82%AC%F0%9F%90%A2",
        "/a%3Bb%3Fc%23d%5B%25",
        "/50%25",
        "/%25a",
        "/%25zz",
        "/main...next",
    ] {
        let parsed = CanonicalTarget::parse(target).expect(target);
        assert!(parsed.is_verbatim(), "{target}");
        assert_eq!(canonical(target).as_deref(), Ok(target));
    }
}

#[test]
fn a_path_is_decoded_once_and_brought_to_its_one_spelling() {
    becomes(&[
        ("/%61", "/a"),
        ("/%41%5A%61%7a%30%39%2d%2E%5f%7Ex", "/AZaz09-._~x"),
        ("/%2ewell-known/x", "/.well-known/x"),
        ("/a%2ejson", "/a.json"),
        ("/a%3bb", "/a%3Bb"),
        ("/%c3%a9", "/%C3%A9"),
        ("/%C3%a9/%61", "/%C3%A9/a"),
        ("/a%20%2eb/c", "/a%20.b/c"),
        ("/%25%7a1", "/%25z1"),
        ("/%61?%61", "/a?%61"),
    ]);
}

#[test]
fn empty_segments_are_merged_and_a_trailing_slash_stays() {
    becomes(&[
        ("//", "/"),
        ("//a///b", "/a/b"),
        ("/a//", "/a/"),
        ("////a%62//?//", "/ab/?//"),
        ("//host/path", "/host/path"),
    ]);
}

#[test]
fn path_and_query_are_told_apart_at_the_first_question_mark() {
    let parsed = CanonicalTarget::parse("/a?b?c=%2F").expect("sound");
    assert_eq!((parsed.path(), parsed.query()), ("/a", Some("b?c=%2F")));
    assert_eq!(CanonicalTarget::parse("/a?").expect("sound").query(), Some(""));
    assert_eq!(CanonicalTarget::parse("/a").expect("sound").query(), None);
    assert_eq!(CanonicalTarget::parse("/a%3Fb").expect("sound").query(), None);
}

// SECURITY.md G-11.
#[test]
fn g11_a_target_that_is_no_path_is_refused() {
    refused(TargetError::NotAPath, &["", "*", "a", "?", "http://h/", "h:80", "\\a", ".", " /", "%2Fa"]);
}

#[test]
fn g11_bytes_that_belong_escaped_are_refused() {
    for byte in (0..=0x20).chain([0x7F]).chain(*b"\"#<>[\\]^`{|}") {
        refused(TargetError::UnsafeByte, &[&format!("/a{}b", char::from(byte))]);
    }
    refused(TargetError::UnsafeByte, &["/é", "/\u{FF0F}a", "/\u{2024}\u{2024}/a", "/a\r\nHost: x", "/a HTTP/1.1"]);
    refused(TargetError::PathParameter, &["/a;b", "/;/a", "/..;/a", "/a/..;x=1/b", "/a;"]);
    for byte in (0..=0x20).chain([0x7F]).chain(*b"\"#<>") {
        refused(TargetError::UnsafeQueryByte, &[&format!("/a?b{}c", char::from(byte))]);
    }
    refused(TargetError::UnsafeQueryByte, &["/?é", "/?a\u{80}"]);
}

#[test]
fn g11_a_broken_escape_is_refused() {
    refused(TargetError::BrokenEscape, &["/%", "/%4", "/%zz", "/a%2", "/%%32%65", "/%u002e", "/%2?e", "/%+1", "/% 1"]);
}

#[test]
fn g11_escapes_that_upstreams_read_as_structure_are_refused() {
    refused(TargetError::EscapedSeparator, &["/a%2fb", "/a%2Fb", "/a%5cb", "/a%5C", "/%2f", "/..%2f..%2fa"]);
    refused(TargetError::EscapedControl, &["/a%00", "/a%0d%0a", "/%09a", "/a%1f", "/a%7f", "/%00/../b"]);
    refused(TargetError::DoubleEscape, &["/%252e", "/%252f", "/%25%32%65", "/%2525", "/%25%34%31", "/a%25%30%30b"]);
}

#[test]
fn g11_escapes_that_are_no_text_are_refused() {
    refused(
        TargetError::NotUtf8,
        &[
            "/%80",
            "/%c0%ae",
            "/%c0%af",
            "/%c1%9c",
            "/%e0%80%ae",
            "/%e0%80%af",
            "/%f0%80%80%ae",
            "/%ed%a0%80",
            "/%f4%90%80%80",
            "/%f8%80%80%80%ae",
            "/%ff",
            "/%c3",
            "/%c3/%a9",
            "/%c3a9",
            "/%c3%28",
            "/%e2%82",
        ],
    );
    refused(TargetError::BrokenEscape, &["/%c3%", "/%c3%a"]);
}

#[test]
fn g11_dots_and_spaces_at_the_edge_of_a_segment_are_refused() {
    refused(
        TargetError::DotSegment,
        &["/.", "/..", "/./a", "/a/../b", "/a/..", "/%2e", "/%2E./a", "/.%2e", "/a/.?x", "//../a", "/a/%2e%2e/"],
    );
    refused(TargetError::TrailingDot, &["/a.", "/a./b", "/a%2e", "/a%2E/", "/...", "/a..?x", "/b%61."]);
    refused(TargetError::EdgeSpace, &["/%20", "/%20a", "/a%20", "/a%20/b", "/a/%20b", "//%20a", "/a%20?x", "/.%20"]);
}

#[test]
fn a_target_of_eight_kibibytes_is_read_and_one_more_byte_is_refused() {
    let longest = format!("/{}", "a".repeat(MAX_TARGET_BYTES - 1));
    assert!(canonical(&longest).is_ok());
    refused(TargetError::TooLong, &[&format!("{longest}a"), &"/%".repeat(MAX_TARGET_BYTES)]);
}

#[test]
fn a_refusal_says_what_to_do_and_quotes_nothing() {
    use TargetError::*;
    let all = [
        NotAPath,
        TooLong,
        UnsafeByte,
        PathParameter,
        UnsafeQueryByte,
        BrokenEscape,
        EscapedSeparator,
        EscapedControl,
        DoubleEscape,
        NotUtf8,
        DotSegment,
        TrailingDot,
        EdgeSpace,
    ];
    let sentences: BTreeSet<_> = all.iter().map(|error| error.detail()).collect();
    assert_eq!(sentences.len(), all.len());
    assert!(sentences.iter().all(|sentence| sentence.ends_with('.') && sentence.is_ascii()));
}

/// The most careless upstream: it drops path parameters, decodes until nothing is left to decode (overlong forms too),
/// takes `\` for `/`, cuts at NUL, trims dots, spaces and controls, and resolves what then looks like dots.
fn careless_upstream(path: &str) -> Vec<String> {
    let parts: Vec<_> = path.split('/').map(|part| part.split(';').next().unwrap_or(part)).collect();
    let mut bytes = parts.join("/").into_bytes();
    loop {
        let decoded = decode_carelessly(&bytes);
        if decoded == bytes {
            break;
        }
        bytes = decoded;
    }
    let text: String = bytes.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    let blank = |c: char| c.is_ascii_whitespace() || c.is_ascii_control();
    let mut seen = Vec::new();
    for segment in text.split(['/', '\\']).map(|segment| segment.trim_matches(blank)) {
        match segment {
            "." | "" => {}
            ".." => drop(seen.pop()),
            text => match text.trim_end_matches(|c| c == '.' || blank(c)) {
                "" => {}
                text => seen.push(text.to_owned()),
            },
        }
    }
    seen
}

fn decode_carelessly(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match escaped_byte(bytes, at) {
            Ok(value) if bytes[at] == b'%' => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    // Overlong forms: lead bytes without payload, then continuation bytes that hold one ASCII character.
    for lead in [&[0xC0][..], &[0xC1], &[0xE0, 0x80], &[0xE0, 0x81], &[0xF0, 0x80, 0x80], &[0xF0, 0x80, 0x81]] {
        while let Some(at) = out.windows(lead.len() + 1).position(|window| window.starts_with(lead)) {
            let high = (lead[lead.len() - 1] & 1) << 6;
            let ascii = high | (out[at + lead.len()] & 0x3F);
            out.splice(at..=at + lead.len(), [ascii]);
        }
    }
    out
}

/// Spellings of what an attacker puts between, before and behind segments.
fn bypass_targets() -> BTreeSet<String> {
    let slashes = [
        "/",
        "//",
        "///",
        "\\",
        "/\\",
        "%2f",
        "%2F",
        "%5c",
        "%5C",
        "%252f",
        "%25%32%66",
        "%c0%af",
        "%e0%80%af",
        "%f0%80%80%af",
        "%c1%9c",
        "%ef%bc%8f",
        "%u2215",
        "/%00/",
        "/%0a",
        "/;/",
        "/;x=1/",
        "/%09/",
        "/%20/",
        "/ ",
        "/%3b/",
        "/%0d%0a/",
    ];
    let dots = [
        ".",
        "..",
        "...",
        "%2e",
        "%2E",
        ".%2e",
        "%2e.",
        "%2e%2e",
        "%2E%2e",
        "%252e%252e",
        "%25%32%65%25%32%65",
        "%c0%ae%c0%ae",
        "%e0%80%ae%e0%80%ae",
        "%ef%bc%8e%ef%bc%8e",
        "..;",
        "..;a=b",
        ".;",
        ";",
        "..%00",
        "..%20",
        "%20..",
        "..%09",
        "..%0d",
        ". .",
        ".. ",
        "%u002e%u002e",
        "..%ff",
        "..%c2%a0",
        "%%32%65%%32%65",
        "*",
        "~",
    ];
    let ends = [
        "",
        "/",
        "//",
        ".",
        "..",
        "%2e",
        "%20",
        "%09",
        "%00",
        "%00.json",
        "%0a",
        "%0d%0a",
        ";",
        ";x",
        ";.css",
        "/.",
        "/./",
        "/..;/",
        "/..",
        "?",
        "??",
        "?x",
        "#",
        "#x",
        "%23",
        "%3f",
        "%3b",
        ".json",
        "~",
        "%7e",
        "\\",
        "%5c",
        "%2f",
        "%252f",
        "%25",
        "%",
        "%2",
        "%c0%80",
        "%c0%af",
        "&",
        "!",
        "@",
        "*",
        "'",
        "\"",
        "`",
        "|",
        "^",
        " ",
        "\t",
        "\0",
        "\u{A0}",
        "%c2%a0",
        "%e2%80%8b",
        "%ef%bc%8f",
        "%80",
        "%FE",
        ".%00",
        "...",
        "%2e%2f",
        ":80",
        "%uff0f",
        "/%2e",
        "/%20",
    ];
    let names = [
        "admin",
        "ADMIN",
        "Admin",
        "%61dmin",
        "%61%64%6d%69%6e",
        "%41dmin",
        "adm%69n",
        "%2561dmin",
        "%25%36%31dmin",
        "adm\u{131}n",
        "%c1%a1dmin",
        "a\u{AD}dmin",
        "admin%00",
        "admin.",
        "admin%20",
    ];
    let mut all = BTreeSet::new();
    for name in names {
        for end in ends {
            all.insert(format!("/{name}{end}"));
            all.insert(format!("/{name}{end}/keys"));
            all.insert(format!("/open/{end}/{name}"));
        }
        for slash in slashes {
            all.insert(format!("{slash}{name}"));
            all.insert(format!("/{slash}{name}{slash}keys"));
            for dot in dots {
                all.insert(format!("/open/{dot}{slash}{name}"));
                all.insert(format!("/open{slash}{dot}{slash}{name}/keys"));
                all.insert(format!("{slash}{dot}{slash}{name}"));
                all.insert(format!("/admin{slash}{dot}{slash}{name}"));
            }
        }
    }
    all
}

fn is_protected(segments: &[String]) -> bool {
    segments.first().is_some_and(|first| first == "admin")
}

// Every spelling is refused, or the path that is judged and the path that the worst upstream sees agree on whether it
// is under `/admin`.
#[test]
fn g11_no_spelling_reaches_a_protected_prefix_unseen() {
    let targets = bypass_targets();
    let mut passed = 0;
    let mut reached = 0;
    for target in &targets {
        let Ok(parsed) = CanonicalTarget::parse(target) else { continue };
        passed += 1;
        let judged: Vec<_> = parsed.path()[1..].split('/').map(str::to_owned).collect();
        let upstream = careless_upstream(parsed.path());
        reached += usize::from(is_protected(&upstream));
        assert_eq!(is_protected(&judged), is_protected(&upstream), "{target:?} → {:?}", parsed.path());
    }
    assert!(targets.len() >= 150, "{}", targets.len());
    assert!(passed > 0 && reached > 0, "the list must hold harmless spellings too");
    assert!(targets.iter().any(|target| is_protected(&careless_upstream(target)) && canonical(target).is_err()));
}

fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        8 => prop::sample::select(vec![
            "/", "/", "/", "//", ".", "..", "a", "b1", "%2e", "%2E", "%2f", "%5C", "\\", "%25", "%2", "%", "%61", "%7e", "2e",
            "41", "%20", "%00", "%c3%a9", "%C3", "%A9", "%c0%ae", ";", "%3b", "?", "#", " ", "é", "~", ":", "%e2%82%ac",
        ])
        .prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(fragment, 0..12).prop_map(|parts| format!("/{}", parts.concat()))
}

fn sound_fragments() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["/", "/", "a", "%41", "%c3%a9", "%2ea", "b", "%3b", "%25", "9", "%20x", ".x"]);
    prop::collection::vec(part, 0..12).prop_map(|parts| format!("/x{}", parts.concat()))
}

fn check(target: &str) {
    let Ok(parsed) = CanonicalTarget::parse(target) else { return };
    let path = parsed.path();
    assert!(path.starts_with('/'));
    assert!(path.is_ascii());
    for never in ["//", "\\", ";", "%2F", "%2f", "%5C", "%5c", "%00", "%2e", "%2E"] {
        assert!(!path.contains(never), "{target:?} → {path:?}");
    }
    assert!(path.split('/').all(|segment| segment != "." && segment != ".." && !segment.ends_with('.')));
    let once = canonical(target).expect("just read");
    let again = CanonicalTarget::parse(&once).expect("canonical is accepted");
    assert!(again.is_verbatim(), "{target:?} → {once:?}");
    assert_eq!((again.path(), again.query()), (parsed.path(), parsed.query()));
    assert_eq!(parsed.is_verbatim(), once == target);
}

proptest! {
    #[test]
    fn canonicalising_twice_is_canonicalising_once(target in prop_oneof![fragments(), sound_fragments()]) {
        check(&target);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let text = String::from_utf8_lossy(&bytes);
        check(&text);
        check(&format!("/{text}"));
    }

    #[test]
    fn escaping_any_letter_changes_nothing(path in "(/[a-z0-9~_-]{1,5}){1,4}", lower: bool, which: prop::sample::Index) {
        let at = which.index(path.len());
        let byte = path.as_bytes()[at];
        prop_assume!(byte != b'/');
        let escape = if lower { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
        let spelled = format!("{}{escape}{}", &path[..at], &path[at + 1..]);
        prop_assert_eq!(canonical(&spelled), Ok(path));
    }
}
