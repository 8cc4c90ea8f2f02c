//! What the gateway must answer to a line of a log, decided from the line alone.
//!
//! This is a second reading of SECURITY.md G-5, G-11, G-12 and G-17 on purpose: it shares no code with the gateway, so
//! that a mistake there shows as a difference. It brings a path to its canonical form step by step where the gateway
//! does it in one pass.

use super::log::Line;

/// The longest target that is taken.
const MAX_TARGET_BYTES: usize = 8_192;

/// An API without a document has at most this many operations; calls of further ones are `(other)`.
pub(super) const MAX_CLASSES: usize = 1_000;

/// The operation of calls that are refused before anything is looked up.
pub(super) const INVALID: &str = "(invalid)";

/// The operation of calls past [`MAX_CLASSES`].
pub(super) const OTHER: &str = "(other)";

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What a call must give.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Expectation {
    /// The operation it is counted under.
    pub operation: String,
    /// The code it is counted under.
    pub code: &'static str,
    /// The status it is answered and counted with.
    pub status: u16,
}

/// What this line must give at a gateway addressed as `host`. A call that breaks several rules is refused by the first:
/// what makes a request line, then the method, then the form of the path.
pub(super) fn expect(line: &Line, host: &str) -> Expectation {
    let refusal = |code, status| Expectation { operation: INVALID.into(), code, status };
    // CONNECT has targets of its own kind, so nothing is said about them.
    if line.method == "CONNECT" {
        return refusal("method_not_allowed", 405);
    }
    if line.target.len() > MAX_TARGET_BYTES {
        return refusal("target_too_long", 414);
    }
    let Some(path) = sound_path(&line.target, host) else {
        return refusal("request_malformed", 400);
    };
    if !METHODS.contains(&line.method.as_str()) {
        return refusal("method_not_allowed", 405);
    }
    match canonical_path(path) {
        Some(path) => {
            Expectation { operation: class(&line.method, &path), code: "allowed", status: echoed(line.status) }
        }
        None => refusal("request_malformed", 400),
    }
}

/// The status that the echo upstream is asked for: it can send any final one.
pub(super) fn echoed(status: u16) -> u16 {
    if (200..=599).contains(&status) { status } else { 200 }
}

/// Method and first two segments of the canonical path, and `/*` for what follows.
fn class(method: &str, path: &str) -> String {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        [] => format!("{method} /"),
        [first] => format!("{method} /{first}"),
        [first, second] => format!("{method} /{first}/{second}"),
        [first, second, ..] => format!("{method} /{first}/{second}/*"),
    }
}

/// The path of a target that holds only bytes which may stand in a request line, or nothing.
fn sound_path<'a>(target: &'a [u8], host: &str) -> Option<&'a [u8]> {
    let target = origin_form(target, host)?;
    let (path, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &[][..]),
    };
    let sound = path.iter().all(|byte| may_stand_in_path(*byte)) && query.iter().all(|byte| may_stand_in_query(*byte));
    sound.then_some(path)
}

/// The path in its one form, or nothing if it has none.
fn canonical_path(path: &[u8]) -> Option<String> {
    let path = merge_slashes(&normalize_escapes(path)?);
    let sound = !is_escaped_twice(&path) && path.split('/').all(is_sound_segment);
    sound.then_some(path)
}

/// A target in absolute form is taken if it names this host, and read from its path on.
fn origin_form<'a>(target: &'a [u8], host: &str) -> Option<&'a [u8]> {
    if target.starts_with(b"/") {
        return Some(target);
    }
    let rest = target.strip_prefix(b"http://")?.strip_prefix(host.as_bytes())?;
    if rest.is_empty() { Some(b"/") } else { rest.starts_with(b"/").then_some(rest) }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What RFC 3986 allows in a path.
fn may_stand_in_path(byte: u8) -> bool {
    is_unreserved(byte) || b"%/!$&'()*+,;=:@".contains(&byte)
}

fn may_stand_in_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#<>".contains(&byte)
}

/// Every escape of an unreserved character undone, all others in capitals; nothing if one may not be there.
fn normalize_escapes(path: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    // Escaped bytes of characters outside ASCII, until the character is complete.
    let mut character: Vec<u8> = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let (byte, escaped) = match path[at] {
            b'%' => (hex_byte(path.get(at + 1..at + 3)?)?, true),
            byte => (byte, false),
        };
        at += if escaped { 3 } else { 1 };
        if escaped && byte >= 0x80 {
            character.push(byte);
            match std::str::from_utf8(&character) {
                Ok(_) => character.iter().for_each(|byte| push_escape(&mut out, *byte)),
                Err(error) if error.error_len().is_none() => continue,
                Err(_) => return None,
            }
            character.clear();
            continue;
        }
        if !character.is_empty() {
            return None;
        }
        match byte {
            // Some servers cut a segment there.
            b';' if !escaped => return None,
            _ if !escaped => out.push(char::from(byte)),
            b'/' | b'\\' => return None,
            _ if byte.is_ascii_control() => return None,
            _ if is_unreserved(byte) => out.push(char::from(byte)),
            _ => push_escape(&mut out, byte),
        }
    }
    character.is_empty().then_some(out)
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}

fn push_escape(out: &mut String, byte: u8) {
    out.push_str(&format!("%{byte:02X}"));
}

fn merge_slashes(path: &str) -> String {
    let mut out = path.to_owned();
    while out.contains("//") {
        out = out.replace("//", "/");
    }
    out
}

/// Whether decoding once more would change the path: an escaped percent sign before two digits.
fn is_escaped_twice(path: &str) -> bool {
    path.split("%25").skip(1).any(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

/// No `.` or `..`, no dot at the end, no space at either end: file systems and servers drop those.
fn is_sound_segment(segment: &str) -> bool {
    !segment.ends_with('.') && !segment.starts_with("%20") && !segment.ends_with("%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, target: &[u8], status: u16) -> Expectation {
        let line = Line {
            number: 1,
            at_ms: 0,
            client: 0,
            method: method.into(),
            target: target.to_vec(),
            status,
            user_agent: None,
        };
        expect(&line, "gateway.test:4400")
    }

    #[test]
    fn a_sound_target_is_answered_with_the_status_of_the_log() {
        for (target, operation) in [
            ("/", "GET /"),
            ("/a", "GET /a"),
            ("/a/", "GET /a"),
            ("/a/b", "GET /a/b"),
            ("/a/b/", "GET /a/b"),
            ("/a/b/c", "GET /a/b/*"),
            ("//a///b//c//", "GET /a/b/*"),
            ("/A/%61?x=%zz;\\{|}^`[]'", "GET /A/a"),
            ("/%e2%82%ac/%7Eme", "GET /%E2%82%AC/~me"),
            ("/a%20b/%25", "GET /a%20b/%25"),
            ("/a%3bb/.well-known", "GET /a%3Bb/.well-known"),
            ("/a?", "GET /a"),
            ("http://gateway.test:4400/a", "GET /a"),
            ("http://gateway.test:4400", "GET /"),
        ] {
            let expected = Expectation { operation: operation.into(), code: "allowed", status: 404 };
            assert_eq!(of("GET", target.as_bytes(), 404), expected, "{target}");
        }
    }

    #[test]
    fn g11_a_target_without_one_form_is_refused() {
        for target in [
            "a",
            "*",
            "http://other.test/a",
            "http://gateway.test:4400.other.test/a",
            "gateway.test:443",
            "/a;b",
            "/a\\b",
            "/a\"b",
            "/a<b",
            "/{a}",
            "/a|b",
            "/a#b",
            "/a?b#c",
            "/a?\"",
            "/a?<b>",
            "/\u{e9}",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a%00",
            "/a%0d%0a",
            "/a%7f",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/a%252e",
            "/a%25%32%65",
            "/%c0%ae",
            "/%ff",
            "/%e2%82",
            "/%e2x%82%ac",
            "/%ed%a0%80",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/%2e%2e/a",
            "/.%2E",
            "/a./b",
            "/a%2e",
            "/...",
            "/%20a",
            "/a%20",
            "/a%20/b",
        ] {
            let expected = Expectation { operation: INVALID.into(), code: "request_malformed", status: 400 };
            assert_eq!(of("GET", target.as_bytes(), 200), expected, "{target}");
        }
    }

    #[test]
    fn g17_a_long_target_is_refused_by_its_length() {
        let longest = format!("/{}", "a".repeat(MAX_TARGET_BYTES - 1));
        assert_eq!(of("GET", longest.as_bytes(), 200).status, 200);
        let expected = Expectation { operation: INVALID.into(), code: "target_too_long", status: 414 };
        assert_eq!(of("GET", format!("{longest}a").as_bytes(), 200), expected);
        assert_eq!(of("GET", format!("{longest}?<").as_bytes(), 200).code, "target_too_long");
    }

    #[test]
    fn g12_a_method_outside_the_list_is_refused() {
        let refused = |code, status| Expectation { operation: INVALID.into(), code, status };
        for method in ["PROPFIND", "TRACE", "CONNECT", "get", "NETSPARKER"] {
            assert_eq!(of(method, b"/a", 200), refused("method_not_allowed", 405), "{method}");
        }
        assert_eq!(of("TRACE", b"/..", 200), refused("method_not_allowed", 405));
        assert_eq!(of("TRACE", b"/<", 200), refused("request_malformed", 400));
        assert_eq!(of("CONNECT", b"h:443", 200), refused("method_not_allowed", 405));
    }

    #[test]
    fn a_status_that_the_echo_cannot_send_becomes_200() {
        for (logged, sent) in [(0, 200), (101, 200), (199, 200), (200, 200), (304, 304), (599, 599), (600, 200)] {
            assert_eq!(of("GET", b"/a", logged).status, sent);
        }
    }
}
