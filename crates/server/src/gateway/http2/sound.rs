//! Whether a request that came by HTTP/2 means one thing, also to an upstream that reads it as HTTP/1.1 (G-15). The
//! engine has refused what is malformed by itself (RFC 9113 §8.1.1): upper-case names, fields of a connection, a body of
//! another length than it says.

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE};
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Incoming;
use keystile_core::Code;

use crate::gateway::wire::{Exchange, MAX_FIELDS, Refused, Scope, is_authority};

/// Brings a request into the form in which all are handled, or marks its exchange as refused.
pub(super) fn judge(exchange: Exchange, request: Request<Incoming>) -> (Exchange, Request<Incoming>) {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned());
    let exchange = match refused(authority.as_deref(), &mut parts.headers) {
        None => exchange,
        Some(refused) => exchange.with(refused),
    };
    (exchange, Request::from_parts(parts, body))
}

fn refused(authority: Option<&str>, headers: &mut HeaderMap) -> Option<Refused> {
    let malformed = |detail| Refused { code: Code::RequestMalformed, detail, scope: Scope::Message };
    if headers.len() > MAX_FIELDS {
        return Some(Refused {
            code: Code::HeadersTooLarge,
            detail: Code::HeadersTooLarge.detail(),
            scope: Scope::Message,
        });
    }
    // Some servers read `_` as `-`: a second spelling of a field that the gateway sets.
    if headers.keys().any(|name| name.as_str().contains('_')) {
        return Some(malformed("The name of a header field must not hold `_`."));
    }
    let mut hosts = headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let agree = match (authority, host) {
        (None, None) => return Some(malformed("A request must name its host.")),
        (Some(authority), Some(host)) => host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()),
        (Some(_), None) | (None, Some(_)) => true,
    };
    if !agree || another.is_some() {
        return Some(malformed("The host must be the same wherever it is named."));
    }
    let named = authority.map(str::as_bytes).or(host.map(HeaderValue::as_bytes)).unwrap_or_default();
    if !is_authority(named) {
        return Some(malformed("The host must be a host name or address, with a port if it needs one."));
    }
    let named = HeaderValue::from_bytes(named).ok()?;
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Some(malformed("Content-Length may be sent only once."));
    }
    if headers.get_all(TE).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        return Some(malformed("TE must be trailers."));
    }
    if headers.get_all(EXPECT).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Some(malformed("Expect must be 100-continue."));
    }
    // From here on the host stands where HTTP/1.1 has it.
    headers.insert(HOST, named);
    join_cookies(headers);
    None
}

/// Cookies may come in crumbs, which another protocol would not understand (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(authority: Option<&str>, fields: &[(&'static str, &str)]) -> Result<HeaderMap, Code> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        match refused(authority, &mut headers) {
            None => Ok(headers),
            Some(refused) => Err(refused.code),
        }
    }

    #[test]
    fn g15_what_could_be_read_in_two_ways_is_refused() {
        for (authority, fields) in [
            (None, &[][..]),
            (Some("a.test"), &[("host", "b.test")]),
            (Some("a.test"), &[("host", "a.test"), ("host", "a.test")]),
            (Some("user@a.test"), &[]),
            (Some("a.test:99999"), &[]),
            (None, &[("host", "a b")]),
            (Some("a.test"), &[("x_consumer_id", "1")]),
            (Some("a.test"), &[("content-length", "1"), ("content-length", "1")]),
            (Some("a.test"), &[("te", "gzip")]),
            (Some("a.test"), &[("expect", "miracles")]),
        ] {
            assert_eq!(judged(authority, fields).unwrap_err(), Code::RequestMalformed, "{authority:?} {fields:?}");
        }
        let many: Vec<(&str, &str)> = (0..=MAX_FIELDS).map(|_| ("x-a", "1")).collect();
        assert_eq!(judged(Some("a.test"), &many).unwrap_err(), Code::HeadersTooLarge);
    }

    #[test]
    fn g15_the_host_and_the_cookies_stand_where_http_1_1_has_them() {
        for (authority, fields) in [(Some("A.test:8443"), &[][..]), (Some("A.test:8443"), &[("host", "a.test:8443")])] {
            assert_eq!(judged(authority, fields).unwrap()[HOST], "A.test:8443");
        }
        assert_eq!(judged(None, &[("host", "[::1]:80")]).unwrap()[HOST], "[::1]:80");
        let crumbs = judged(Some("a.test"), &[("cookie", "a=b"), ("cookie", "c=d"), ("te", "trailers")]).unwrap();
        assert_eq!(crumbs.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=b; c=d"]);
    }
}
