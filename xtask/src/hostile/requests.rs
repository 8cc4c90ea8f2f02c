//! What the cases are made of: requests as clients send them, as attackers send them, and everything between. The host
//! and the key are stand-ins of the right length, which [`Case::bytes_for`](super::case::Case::bytes_for) replaces.

use super::chance::Chance;

/// Stands for the host of an API.
pub(super) const HOST: &str = "standsin.hostile.test";
/// Stands for the key.
pub(super) const KEY: &str = "ks_live_StandsForTheKeyThatThisRunMadeXXKSTL000000";

/// The paths that the key may call, as the management API takes them.
pub(super) const OPEN: &str = "/open/**";
/// The methods that the key may call.
pub(super) const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "OPTIONS"];

/// Methods that it may not, or that are none.
const OTHER_METHODS: &[&str] = &["DELETE", "PATCH", "TRACE", "CONNECT", "get", "PRI", "G(T"];

/// Targets that the key may call, or that are spelled oddly and mean one of those.
const OPEN_TARGETS: &[&str] = &[
    "/open",
    "/open/",
    "/open/pets/7?limit=10&sort=-name",
    "/open/%7Euser/caf%c3%a9",
    "//open///x//y",
    "/%6Fpen/%61",
    "/open/a%20b?x=%zz;%00&[y]={z}|^`\\",
    "/open/?",
    "/open/a:b@c,d=e(f)!$&'*+",
    "/open/?next=/../closed/secret",
    "/open/a%3Bb%25",
    "http://standsin.hostile.test/open/x",
    "HTTP://StandsIn.hostile.test/open/x?y",
    "https://standsin.hostile.test/open",
];

/// Targets that it may not call, most of them tricks to call them all the same.
const CLOSED_TARGETS: &[&str] = &[
    "/",
    "/closed/secret",
    "/closed/secret?/open/",
    "/open/../closed/secret",
    "/open/%2e%2e/closed/secret",
    "/open/.%2E/closed/secret",
    "/open/..;/closed/secret",
    "/open;/../closed/secret",
    "/open/..%2fclosed/secret",
    "/open/..%5cclosed",
    "/open\\..\\closed",
    "/open/%252e%252e/closed",
    "/open/x%00/../../closed",
    "/open/.",
    "/open/x./y",
    "/open/x%20",
    "/OPEN/x",
    "/opening",
    "/closed#/open/",
    "/closed%23/open",
    "*",
    "open/x",
    "http://standsin.hostile.test:80/open",
    "http://other.test/open/x",
    "http://standsin.hostile.test@other.test/open",
    "http://user@standsin.hostile.test/open",
    "http://standsin.hostile.test?/open",
    "standsin.hostile.test:443",
    "/open/\u{e9}",
];

/// Fields of every kind that may go on, or end at the gateway: ordinary ones, those of one hop, those that only the
/// gateway says, and odd ones.
const FIELDS: &[&str] = &[
    "Accept: */*",
    "Accept-Encoding: gzip, br",
    "User-Agent: curl/8.5.0",
    "Content-Type: application/json; charset=utf-8",
    "Cookie: a=b; c=\"d\"",
    "Range: bytes=0-3",
    "Referer: http://standsin.hostile.test/open/?a=b",
    "Origin: https://app.example.com",
    "X-Custom: 1",
    "X-Custom: 2, 3",
    "X-Empty:",
    "X-Blanks: \t  between \t words \t ",
    "X-Latin: caf\u{e9} \u{fc}",
    "X.Dot!#$%&'*+-^`|~: odd, and a token",
    "X-Digits: 0123456789",
    "Authorization: Basic Zm9yZ2VkOmZvcmdlZA==",
    "Authorization: Digest username=\"x\"",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: keep-alive, X-Custom",
    "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Keep-Alive: timeout=5, max=100",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic Zm9yZ2Vk",
    "TE: trailers, deflate;q=0.5",
    "Trailer: X-Custom",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "X-Consumer-Id: forged",
    "x-consumer-username: forged",
    "X-CREDENTIAL-IDENTIFIER: forged",
    "X-Request-Id: forged",
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-For: 127.0.0.1, 203.0.113.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: forged.test",
    "X-Forwarded-Prefix: /closed",
    "Forwarded: for=203.0.113.9;host=forged.test",
    "Via: 1.0 forged, 1.1 forged (comment)",
    "X-Real-IP: 203.0.113.9",
    "X-HTTP-Method-Override: DELETE",
    "X-Original-URL: /closed/secret",
    "X-Rewrite-URL: /closed/secret",
];

/// Fields for which a request is refused.
const REFUSED_FIELDS: &[&str] = &[
    "Connection: X-Consumer-Id",
    "Connection: close, X-Forwarded-For, Authorization",
    "X-Consumer_Id: forged",
    "X_Consumer_Id: forged",
    "Host: other.test",
    "Expect: miracles",
];

/// Bodies; some are what an attacker would want to be read as a request.
const BODIES: &[&str] = &[
    "",
    "a",
    "{\"name\": \"Rex\"}",
    "0\r\n\r\n",
    "\r\n\r\n",
    "GET /closed/secret HTTP/1.1\r\nHost: standsin.hostile.test\r\nX-Api-Key: ks_live_StandsForTheKeyThatThisRunMadeXXKSTL000000\r\n\r\n",
    "0\r\n\r\nGET /open/smuggled HTTP/1.1\r\nHost: standsin.hostile.test\r\nX-Api-Key: ks_live_StandsForTheKeyThatThisRunMadeXXKSTL000000\r\n\r\n",
    "X-Consumer-Id: forged\r\n\r\n",
    "\u{0}\u{7f}\u{e9}\u{ff} binary \r\n",
];

/// The requests of one connection.
pub(super) fn requests(chance: &mut Chance, case: u64) -> Vec<u8> {
    let count = if chance.one_in(4) { 2 + chance.below(2) } else { 1 };
    (0..count).flat_map(|_| latin1(&request(chance, case))).collect()
}

fn request(chance: &mut Chance, case: u64) -> String {
    let method = if chance.one_in(12) { chance.pick(OTHER_METHODS) } else { chance.pick(&METHODS) };
    let targets = if chance.one_in(6) { CLOSED_TARGETS } else { OPEN_TARGETS };
    let target = chance.pick(targets);
    let target = with_key_in_query(chance, target);
    let version = if chance.one_in(16) { "HTTP/1.0" } else { "HTTP/1.1" };
    // By this field a request that nobody has an answer to is put down to its case.
    let mut fields = vec![format!("X-Case: {case}"), format!("Host: {HOST}")];
    fields.extend(credentials(chance));
    for _ in 0..chance.below(5) {
        let list = if chance.one_in(20) { REFUSED_FIELDS } else { FIELDS };
        fields.push(chance.pick(list).to_owned());
    }
    let body = framed(chance, &mut fields);
    for at in (1..fields.len()).rev() {
        fields.swap(at, chance.below(at + 1));
    }
    format!("{method} {target} {version}\r\n{}\r\n\r\n{body}", fields.join("\r\n"))
}

fn with_key_in_query(chance: &mut Chance, target: &str) -> String {
    if !chance.one_in(60) {
        return target.to_owned();
    }
    let separator = if target.contains('?') { '&' } else { '?' };
    format!("{target}{separator}api_key={KEY}")
}

fn credentials(chance: &mut Chance) -> Vec<String> {
    match chance.below(32) {
        0 => vec![],
        1 => vec![format!("X-Api-Key: {KEY}"), format!("Authorization: Bearer {KEY}")],
        2 => vec![format!("X-Api-Key: {KEY}, {KEY}")],
        3 => vec![format!("Cookie: key={KEY}")],
        4..=6 => vec![format!("x-api-key:{KEY}")],
        7..=9 => vec![format!("AUTHORIZATION: bearer  {KEY} ")],
        10..=15 => vec![format!("X-Api-Key: {KEY}")],
        _ => vec![format!("Authorization: Bearer {KEY}")],
    }
}

/// The body as it is sent; what frames it is added to the fields.
fn framed(chance: &mut Chance, fields: &mut Vec<String>) -> String {
    let body = chance.pick(BODIES);
    let bytes = latin1(body).len();
    match chance.below(16) {
        0..=5 => String::new(),
        6..=10 => {
            fields.push(format!("Content-Length: {bytes}"));
            body.to_owned()
        }
        11..=14 => {
            fields.push("Transfer-Encoding: chunked".into());
            chunked(chance, body)
        }
        // Two readers, two bodies.
        _ => {
            let length = format!("Content-Length: {}", chance.below(bytes + 8));
            let coding =
                ["Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked"];
            let (has_length, has_coding) = [(true, false), (false, true), (true, true)][chance.below(3)];
            if has_length {
                fields.push(length);
            }
            if has_coding {
                fields.push(chance.pick(&coding).to_owned());
            }
            if has_length && has_coding { chunked(chance, body) } else { body.to_owned() }
        }
    }
}

fn chunked(chance: &mut Chance, body: &str) -> String {
    let mut out = String::new();
    let characters: Vec<char> = body.chars().collect();
    let mut rest = &characters[..];
    while !rest.is_empty() {
        let size = 1 + chance.below(rest.len().min(40));
        let (chunk, after) = rest.split_at(size);
        let size = match chance.below(6) {
            0 => format!("{size:04X}"),
            1 => format!("{size:x};name=value"),
            2 => format!("{size:X};a;b=\"c\""),
            _ => format!("{size:x}"),
        };
        out.push_str(&format!("{size}\r\n{}\r\n", chunk.iter().collect::<String>()));
        rest = after;
    }
    let trailer = if chance.one_in(12) { chance.pick(FIELDS) } else { "" };
    let line_end = if trailer.is_empty() { "" } else { "\r\n" };
    out + "0\r\n" + trailer + line_end + "\r\n"
}

/// A text whose characters are bytes.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(char).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::super::reader;
    use super::*;

    #[test]
    fn most_requests_are_sound_and_some_are_not() {
        let sound = |case: &u64| {
            let bytes = requests(&mut Chance::of_case(1, *case), *case);
            let reading = reader::read(&bytes);
            reading.end == reader::Step::More && !reading.messages.is_empty()
        };
        let count = (0..1_000).filter(sound).count();
        assert!((600..950).contains(&count), "{count} of 1000");
    }

    #[test]
    fn what_stands_for_the_key_and_the_host_is_spelled_the_same_everywhere() {
        let texts = || [OPEN_TARGETS, CLOSED_TARGETS, FIELDS, BODIES].concat();
        assert!(texts().iter().all(|text| !text.contains("ks_live_") || text.contains(KEY)));
        assert!(texts().iter().all(|text| !text.contains("hostile") || text.to_lowercase().contains(HOST)));
    }
}
