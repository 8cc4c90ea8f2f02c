//! Where a request comes from, looked for when a rule asks.

use std::net::IpAddr;

use http::header::{ORIGIN, REFERER};
use http::{HeaderMap, HeaderName};
use keystile_core::country::Country;
use keystile_core::pattern::SECRET_FIELDS;
use keystile_core::source::{Field, Source};

use crate::countries::Countries;
use crate::enforce::snapshot::{ApiView, KeyPlace};

/// A request that is there, or what is kept of it.
#[derive(Debug)]
pub(crate) struct RequestSource<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client: Option<IpAddr>,
    pub(crate) countries: &'a Countries,
    /// Where keys of the API are looked for: what such a field says is for no rule to know, for whoever writes rules would
    /// read keys by what they refuse.
    pub(crate) key_places: &'a [KeyPlace],
}

impl Source for RequestSource<'_> {
    fn origin(&self) -> Option<&[u8]> {
        self.only(ORIGIN)
    }

    fn referrer(&self) -> Option<&[u8]> {
        self.only(REFERER)
    }

    fn country(&self) -> Option<Country> {
        self.client.and_then(|client| self.countries.of(client))
    }

    fn field(&self, name: &str) -> Field<'_> {
        if holds_keys(self.key_places, name) {
            return Field::Unknown;
        }
        let mut values = self.headers.get_all(name).iter();
        Field::of(values.next().map(http::HeaderValue::as_bytes), values.next().is_some())
    }
}

/// Whether keys are looked for in this field.
pub(crate) fn holds_keys(places: &[KeyPlace], name: &str) -> bool {
    places.iter().any(|place| matches!(place, KeyPlace::Header(own) if own.as_str().eq_ignore_ascii_case(name)))
}

impl RequestSource<'_> {
    /// The value of a field. Of several nobody knows which is meant.
    fn only(&self, name: HeaderName) -> Option<&[u8]> {
        match self.field(name.as_str()) {
            Field::Value(value) => Some(value),
            Field::Several => Some(b""),
            Field::Absent | Field::Unknown => None,
        }
    }
}

/// What is kept of a head for what goes on after the request: all but what may hold secrets.
pub(super) fn kept(headers: &HeaderMap, api: &ApiView) -> HeaderMap {
    let mut kept = headers.clone();
    for name in SECRET_FIELDS {
        kept.remove(name);
    }
    for place in &api.key_places {
        if let KeyPlace::Header(name) = place {
            kept.remove(name);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_values_none_is_meant() {
        let countries = Countries::default();
        let of = |values: &[&'static str]| {
            let mut all = HeaderMap::new();
            for value in values {
                all.append(ORIGIN, http::HeaderValue::from_static(value));
            }
            let source = RequestSource { headers: &all, client: None, countries: &countries, key_places: &[] };
            (source.origin().map(<[u8]>::to_vec), source.referrer().is_none(), source.country())
        };
        assert_eq!(of(&[]), (None, true, None));
        assert_eq!(of(&["https://a.test"]), (Some(b"https://a.test".to_vec()), true, None));
        assert_eq!(of(&["https://a.test", "https://a.test"]).0, Some(Vec::new()));
    }

    #[test]
    fn what_a_field_says_that_holds_keys_is_not_known() {
        let countries = Countries::default();
        let key_places = [KeyPlace::Bearer, KeyPlace::Header(HeaderName::from_static("x-secret"))];
        let mut headers = HeaderMap::new();
        headers.insert("x-secret", http::HeaderValue::from_static("ks_live_1"));
        headers.insert("x-client", http::HeaderValue::from_static("web"));
        let source = RequestSource { headers: &headers, client: None, countries: &countries, key_places: &key_places };
        assert_eq!(source.field("x-secret"), Field::Unknown);
        assert_eq!(source.field("x-client"), Field::Value(b"web"));
    }
}
