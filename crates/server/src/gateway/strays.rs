//! Keys of ours where an API does not look for any: they don't travel on (K-36), and those that others could read on
//! their way are reported (K-12). Only what stands there as it is counts; nothing is decoded but addresses.

use std::borrow::Cow;
use std::sync::LazyLock;

use http::header::{AUTHORIZATION, REFERER};
use http::{HeaderMap, HeaderName, HeaderValue};
use keystile_core::key::{MARK, MIN_MARKED_KEY_TEXT, Presented, marked_at};
use memchr::memmem::Finder;

use super::credential::{bearer, parameters, percent_decoded};
use super::headers::ends_here;
use crate::enforce::snapshot::KeyPlace;

/// Texts of one call that are looked at as keys which others could read.
pub(super) const MAX_READABLE: usize = 16;

static MARKS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));

/// The keys in fields that go on and in which an API does not look for them. Not those in `Referer`: that is the
/// browser's doing, see [`in_referer`].
pub(super) fn in_fields<'a>(places: &[KeyPlace], headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
    let is_looked_at = |name: &HeaderName, value: &HeaderValue| {
        places.iter().any(|place| match place {
            KeyPlace::Bearer => *name == AUTHORIZATION && bearer(value.as_bytes()).is_some(),
            KeyPlace::Header(own) => own == name,
            KeyPlace::Query(_) => false,
        })
    };
    let long = headers.iter().filter(|(_, value)| value.len() >= MIN_MARKED_KEY_TEXT);
    let marked = long.filter(|(_, value)| MARKS.find(value.as_bytes()).is_some());
    let going = marked
        .filter(move |(name, value)| !is_looked_at(name, value) && **name != REFERER && !ends_here(name.as_str()));
    going.flat_map(|(_, value)| keys_in(value.as_bytes()))
}

/// The keys in the address of the page from which a browser calls.
pub(super) fn in_referer(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(REFERER).iter().flat_map(|value| keys_in(value.as_bytes()))
}

/// The keys that others can read: those in the address, unless the API's owner allows that place, and where the call
/// came in clear all others as well.
pub(super) fn readable<'a>(
    places: &'a [KeyPlace],
    headers: &'a HeaderMap,
    (path, query): (&'a str, Option<&'a str>),
    in_clear: bool,
) -> impl Iterator<Item = Cow<'a, str>> {
    let pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or(("", pair)));
    let is_allowed = |name: &str| {
        places.iter().any(|place| matches!(place, KeyPlace::Query(wanted) if percent_decoded(name) == **wanted))
    };
    let values = pairs.filter(move |(name, _)| in_clear || !is_allowed(name)).map(|(_, value)| percent_decoded(value));
    let in_address = path.split('/').map(Cow::Borrowed).chain(values);
    let in_address = in_address.filter(|text| matches!(Presented::parse(text), Ok(Presented::Marked { .. })));
    // Imported keys have no mark, so they are known only where keys are looked for.
    let in_places = places.iter().filter(move |_| in_clear).flat_map(move |place| in_place(place, headers, query));
    let in_fields = headers.iter().filter(move |_| in_clear).flat_map(|(_, value)| keys_in(value.as_bytes()));
    in_address.chain(in_places).chain(in_fields.map(Cow::Borrowed)).take(MAX_READABLE)
}

/// What stands in a place for keys, however much that is.
fn in_place<'a>(place: &'a KeyPlace, headers: &'a HeaderMap, query: Option<&'a str>) -> Vec<Cow<'a, str>> {
    let words = |value: &'a [u8]| {
        let text = std::str::from_utf8(value).unwrap_or_default();
        text.split([',', ' ', '\t']).filter(|word| Presented::parse(word).is_ok()).map(Cow::Borrowed)
    };
    match place {
        KeyPlace::Bearer => {
            let tokens = headers.get_all(AUTHORIZATION).iter();
            tokens.filter_map(|value| bearer(value.as_bytes())).flat_map(words).collect()
        }
        KeyPlace::Header(name) => headers.get_all(name).iter().map(|value| value.as_bytes()).flat_map(words).collect(),
        KeyPlace::Query(name) => parameters(query, name).map(percent_decoded).collect(),
    }
}

/// The keys in a text, whatever stands around them.
fn keys_in(text: &[u8]) -> impl Iterator<Item = &str> {
    MARKS.find_iter(text).filter_map(move |mark| marked_at(text, mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::key::{ENTROPY_LEN, Environment, KeyText, Prefix};

    fn key(n: u8) -> String {
        let prefix: Prefix = if n.is_multiple_of(2) { Prefix::default() } else { "a".parse().unwrap() };
        KeyText::issue(&prefix, Environment::Live, &[n; ENTROPY_LEN]).unwrap().expose().to_owned()
    }

    #[test]
    fn k36_a_key_is_found_in_whatever_stands_around_it() {
        let (a, b) = (key(1), key(2));
        for (text, found) in [
            (a.clone(), vec![&*a]),
            (format!("https://x.test/?k={a}&l={b}#"), vec![&*a, &*b]),
            (format!("{{\"key\":\"{b}\"}}"), vec![&*b]),
            (format!("é{a}{b}KSTL"), vec![&*a, &*b]),
            (format!("{}x", &a[..a.len() - 1]), vec![]),
            (a[1..].to_owned(), vec![]),
            ("KSTL".repeat(100), vec![]),
            (format!("KSTL{}", "_live_KSTL".repeat(100)), vec![]),
        ] {
            assert_eq!(keys_in(text.as_bytes()).collect::<Vec<_>>(), found, "{text}");
        }
    }

    #[test]
    fn what_the_owner_allows_is_read_by_nobody_else_unless_it_comes_in_clear() {
        let (a, b, c) = (key(1), key(2), key(3));
        let places = [KeyPlace::Bearer, KeyPlace::Query("k".into())];
        let mut headers = HeaderMap::new();
        let field = format!("Bearer {a}, an-imported-key-of-somebody");
        headers.insert("authorization", HeaderValue::try_from(field).unwrap());
        headers.insert("cookie", HeaderValue::try_from(format!("s={b}")).unwrap());
        let (path, query) = (format!("/x/{b}"), format!("k={c}&l={a}"));
        let found = |in_clear| -> Vec<String> {
            readable(&places, &headers, (&path, Some(&query)), in_clear).map(Cow::into_owned).collect()
        };
        assert_eq!(found(false), [&*b, &*a]);
        assert_eq!(found(true), [&*b, &*c, &*a, &*a, "an-imported-key-of-somebody", &*c, &*a, &*b]);
    }
}
