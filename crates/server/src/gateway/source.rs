//! Where a request comes from, looked for when a rule asks.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{ORIGIN, REFERER};
use http::{HeaderMap, HeaderName};
use keystile_core::country::Country;
use keystile_core::source::Source;

use crate::countries::Countries;
use crate::enforce::engine::Engine;

/// A request that is there.
#[derive(Debug)]
pub(crate) struct RequestSource<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client: Option<IpAddr>,
    pub(crate) countries: &'a Countries,
}

impl Source for RequestSource<'_> {
    fn origin(&self) -> Option<&[u8]> {
        only(self.headers, ORIGIN)
    }

    fn referrer(&self) -> Option<&[u8]> {
        only(self.headers, REFERER)
    }

    fn country(&self) -> Option<Country> {
        self.client.and_then(|client| self.countries.of(client))
    }
}

/// The value of a field. Of several nobody knows which is meant.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_some() { b"" } else { first.as_bytes() })
}

/// What is kept of it for what goes on after the request.
pub(super) struct KeptSource {
    origin: Option<Box<[u8]>>,
    referrer: Option<Box<[u8]>>,
    client: IpAddr,
    engine: Arc<Engine>,
}

impl KeptSource {
    pub(super) fn of(headers: &HeaderMap, client: IpAddr, engine: Arc<Engine>) -> Self {
        let kept = |name| only(headers, name).map(Into::into);
        Self { origin: kept(ORIGIN), referrer: kept(REFERER), client, engine }
    }
}

impl std::fmt::Debug for KeptSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptSource").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Source for KeptSource {
    fn origin(&self) -> Option<&[u8]> {
        self.origin.as_deref()
    }

    fn referrer(&self) -> Option<&[u8]> {
        self.referrer.as_deref()
    }

    fn country(&self) -> Option<Country> {
        self.engine.countries.of(self.client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_values_none_is_meant() {
        let countries = Countries::default();
        let of = |values: &[&'static str]| {
            let headers: HeaderMap =
                values.iter().map(|value| (ORIGIN, http::HeaderValue::from_static(value))).collect();
            let mut all = HeaderMap::new();
            for (_, value) in &headers {
                all.append(ORIGIN, value.clone());
            }
            let source = RequestSource { headers: &all, client: None, countries: &countries };
            (source.origin().map(<[u8]>::to_vec), source.referrer().is_none(), source.country())
        };
        assert_eq!(of(&[]), (None, true, None));
        assert_eq!(of(&["https://a.test"]), (Some(b"https://a.test".to_vec()), true, None));
        assert_eq!(of(&["https://a.test", "https://a.test"]).0, Some(Vec::new()));
    }
}
