//! Finds the key of a call where its API looks for one, and takes it away from what goes on.
//!
//! A call presents one credential, in one place, or it is refused (K-13, G-9): whoever puts two in a request wants
//! two readers to disagree. A key in the query string is refused as exposed unless the API's owner allows that place
//! (K-12).

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use keystile_core::Code;
use keystile_core::key::{MARK, Presented};
use memchr::memmem;

use crate::enforce::snapshot::KeyPlace;

/// The key of a call, if it presents one.
///
/// # Errors
/// [`Code::CredentialsAmbiguous`] if there is more than one, [`Code::KeyExposed`] if one stands in the query string,
/// [`Code::KeyMisplaced`] if the only one stands in a cookie, or in an `Authorization` at which the API does not look.
pub fn find<'a>(
    places: &[KeyPlace],
    headers: &'a HeaderMap,
    path: &str,
    query: Option<&'a str>,
) -> Result<Option<Cow<'a, str>>, Code> {
    let mut found = None;
    let mut one =
        |text: Cow<'a, str>| if found.replace(text).is_some() { Err(Code::CredentialsAmbiguous) } else { Ok(()) };
    let mut looks_at_authorization = false;
    for place in places {
        match place {
            KeyPlace::Bearer => {
                looks_at_authorization = true;
                for value in headers.get_all(AUTHORIZATION) {
                    if let Some(token) = bearer(value.as_bytes()) {
                        one(alone(token)?)?;
                    } else if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
                        return Err(Code::CredentialsAmbiguous);
                    }
                }
            }
            KeyPlace::Header(name) => {
                for value in headers.get_all(name) {
                    one(alone(value.as_bytes())?)?;
                }
            }
            KeyPlace::Query(name) => {
                for value in parameters(query, name) {
                    one(alone(value.as_bytes()).map(|_| percent_decoded(value))?)?;
                }
            }
        }
    }
    // Keys where nobody looks for them: none may travel on, and none may stand beside the one that counts.
    if query.is_some_and(|query| holds_marked_key(query.as_bytes(), places)) || is_key_in_path(path) {
        return Err(Code::KeyExposed);
    }
    let elsewhere = |name| headers.get_all(name).iter().any(|value| holds_mark(value.as_bytes()));
    if elsewhere(COOKIE) || (!looks_at_authorization && elsewhere(AUTHORIZATION)) {
        return Err(if found.is_some() { Code::CredentialsAmbiguous } else { Code::KeyMisplaced });
    }
    Ok(found)
}

/// The query without the parameters in which this API looks for keys; `None` if nothing has to go.
pub fn query_without_keys(places: &[KeyPlace], query: &str) -> Option<String> {
    let is_key = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        places.iter().any(|place| matches!(place, KeyPlace::Query(wanted) if percent_decoded(name) == **wanted))
    };
    if !query.split('&').any(is_key) {
        return None;
    }
    Some(query.split('&').filter(|pair| !is_key(pair)).collect::<Vec<_>>().join("&"))
}

/// The token of `Bearer TOKEN`; `None` for another scheme.
pub(super) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

/// The one `Bearer TOKEN` of a request, for the doors that look nowhere else.
///
/// # Errors
/// [`Code::KeyMissing`] if there is none, [`Code::CredentialsAmbiguous`] if there is more than one.
pub fn one_bearer(headers: &HeaderMap) -> Result<&str, Code> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(Code::CredentialsAmbiguous),
        (None, _) => Err(Code::KeyMissing),
        (Some(value), None) => match alone(bearer(value.as_bytes()).ok_or(Code::KeyMissing)?)? {
            Cow::Borrowed(text) => Ok(text),
            Cow::Owned(_) => Err(Code::KeyMalformed),
        },
    }
}

/// One text without a separator; a list is more than one credential.
fn alone(value: &[u8]) -> Result<Cow<'_, str>, Code> {
    if value.iter().any(|byte| matches!(byte, b',' | b' ' | b'\t')) {
        return Err(Code::CredentialsAmbiguous);
    }
    std::str::from_utf8(value).map(Cow::Borrowed).map_err(|_| Code::KeyMalformed)
}

/// The values of a parameter. Its name is compared as it is decoded, so that `api%5Fkey` is no way round.
pub(super) fn parameters<'a>(query: Option<&'a str>, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = query.unwrap_or_default().split('&');
    pairs.filter_map(move |pair| {
        let (key, value) = pair.split_once('=')?;
        (percent_decoded(key) == name).then_some(value)
    })
}

pub(crate) fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_or_else(|_| Cow::Borrowed(text), Cow::Owned)
}

fn holds_mark(text: &[u8]) -> bool {
    memmem::find(text, MARK.as_bytes()).is_some()
}

/// Whether a segment is a key of ours: addresses are written down everywhere, like queries.
fn is_key_in_path(path: &str) -> bool {
    holds_mark(path.as_bytes())
        && path.split('/').any(|segment| matches!(Presented::parse(segment), Ok(Presented::Marked { .. })))
}

/// Whether a parameter in which this API does not look for keys holds one with our mark and a sound checksum.
fn holds_marked_key(query: &[u8], places: &[KeyPlace]) -> bool {
    if !holds_mark(query) {
        return false;
    }
    let Ok(query) = std::str::from_utf8(query) else { return false };
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let allowed =
            places.iter().any(|place| matches!(place, KeyPlace::Query(wanted) if percent_decoded(name) == **wanted));
        !allowed && matches!(Presented::parse(&percent_decoded(value)), Ok(Presented::Marked { .. }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use keystile_core::key::{ENTROPY_LEN, Environment, KeyText, Prefix};

    fn places() -> Vec<KeyPlace> {
        vec![KeyPlace::Bearer, KeyPlace::Header("x-api-key".parse().unwrap())]
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn key(n: u8) -> String {
        KeyText::issue(&Prefix::default(), Environment::Live, &[n; ENTROPY_LEN]).unwrap().expose().to_owned()
    }

    #[test]
    fn one_key_is_found_wherever_the_api_looks() {
        for list in [
            &[("authorization", "Bearer abc")][..],
            &[("authorization", "bearer  abc ")],
            &[("x-api-key", "abc")],
            &[("authorization", "Basic dXNlcg=="), ("x-api-key", "abc")],
            &[("cookie", "a=b"), ("x-api-key", "abc")],
        ] {
            assert_eq!(find(&places(), &headers(list), "/", None).unwrap().as_deref(), Some("abc"), "{list:?}");
        }
        assert_eq!(find(&places(), &headers(&[("authorization", "Basic abc")]), "/", Some("q=1")), Ok(None));
    }

    // G-9, K-13: every pair of places, and every list.
    #[test]
    fn g09_k13_two_credentials_are_refused_wherever_they_stand() {
        let (a, b) = (key(1), key(2));
        let bearer = format!("Bearer {a}");
        let cookie = format!("session={a}");
        for list in [
            &[("authorization", &*bearer), ("x-api-key", &*b)][..],
            &[("authorization", &*bearer), ("authorization", &*bearer)],
            &[("authorization", &*bearer), ("authorization", "Basic dXNlcg==")],
            &[("x-api-key", &*a), ("x-api-key", &*a)],
            &[("x-api-key", "abc,def")],
            &[("x-api-key", "abc def")],
            &[("authorization", "Bearer abc, Bearer def")],
            &[("authorization", &*bearer), ("cookie", &*cookie)],
            &[("x-api-key", &*b), ("cookie", &*cookie)],
        ] {
            assert_eq!(find(&places(), &headers(list), "/", None), Err(Code::CredentialsAmbiguous), "{list:?}");
        }
        let only_header = vec![KeyPlace::Header("x-api-key".parse().unwrap())];
        let both = headers(&[("authorization", &*bearer), ("x-api-key", &*b)]);
        assert_eq!(find(&only_header, &both, "/", None), Err(Code::CredentialsAmbiguous), "it would travel on");
    }

    #[test]
    fn one_in_a_cookie_or_where_nobody_looks_is_told_so() {
        let (cookie, bearer) = (format!("session={}", key(1)), format!("Bearer {}", key(1)));
        let only_header = vec![KeyPlace::Header("x-api-key".parse().unwrap())];
        assert_eq!(find(&places(), &headers(&[("cookie", &cookie)]), "/", None), Err(Code::KeyMisplaced));
        assert_eq!(find(&only_header, &headers(&[("authorization", &bearer)]), "/", None), Err(Code::KeyMisplaced));
    }

    #[test]
    fn k12_a_key_in_the_query_is_exposed_unless_the_owner_allows_it() {
        let query = format!("a=1&api_key={}", key(1));
        assert_eq!(find(&places(), &headers(&[]), "/", Some(&query)), Err(Code::KeyExposed));
        assert_eq!(find(&places(), &headers(&[("x-api-key", "abc")]), "/", Some(&query)), Err(Code::KeyExposed));
        let path = format!("/bot/{}/send", key(1));
        assert_eq!(find(&places(), &headers(&[("x-api-key", "abc")]), &path, None), Err(Code::KeyExposed));
        let allowed = vec![KeyPlace::Query("api_key".into())];
        assert_eq!(find(&allowed, &headers(&[]), "/", Some(&query)).unwrap().as_deref(), Some(&*key(1)));
        assert_eq!(query_without_keys(&allowed, &query).as_deref(), Some("a=1"));
        assert_eq!(query_without_keys(&allowed, "api%5Fkey=x").as_deref(), Some(""));
        assert_eq!(query_without_keys(&allowed, "a=1"), None);
        assert_eq!(find(&allowed, &headers(&[]), "/", Some("api_key=a&api%5fkey=b")), Err(Code::CredentialsAmbiguous));
    }
}
