//! Which certificate a client gets: the one with the name that it asks for (RFC 6066 §3), an exact name before a
//! wildcard; else the first.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use super::TlsError;

/// Certificates by their names.
#[derive(Debug, Default)]
pub(super) struct ByName {
    first: Option<Arc<CertifiedKey>>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// `*.example.com` without its star: `.example.com`.
    below: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    /// Adds a certificate. Of two with the same name the one that came first is used.
    pub(super) fn add(&mut self, path: &Path, certified: Arc<CertifiedKey>) -> Result<(), TlsError> {
        let unreadable = |error: webpki::Error| TlsError::new(path, format!("the certificate can't be read: {error}"));
        let leaf = certified.end_entity_cert().map_err(|error| TlsError::new(path, error.to_string()))?;
        for name in EndEntityCert::try_from(leaf).map_err(unreadable)?.valid_dns_names() {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix('*') {
                Some(below) => self.below.entry(below.to_owned()).or_insert_with(|| certified.clone()),
                None => self.exact.entry(name).or_insert_with(|| certified.clone()),
            };
        }
        self.first.get_or_insert(certified);
        Ok(())
    }

    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let named = name.map(str::to_ascii_lowercase).and_then(|name| {
            // A star stands for one label (RFC 9525 §6.3).
            let below = name.find('.').map(|dot| &name[dot..]);
            self.exact.get(&name).or_else(|| self.below.get(below?))
        });
        named.or(self.first.as_ref()).cloned()
    }
}

/// The first name in a certificate.
pub(super) fn first(leaf: &CertificateDer<'_>) -> Option<String> {
    EndEntityCert::try_from(leaf).ok()?.valid_dns_names().next().map(str::to_ascii_lowercase)
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring;
    use rustls::pki_types::PrivateKeyDer;

    fn certified(names: &[&str]) -> CertifiedKey {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        CertifiedKey::from_der(vec![made.cert.der().clone()], key, &ring::default_provider()).unwrap()
    }

    #[test]
    fn an_exact_name_goes_before_a_wildcard_and_the_first_stands_in_for_the_rest() {
        let mut by_name = ByName::default();
        let sets: [&[&str]; 3] =
            [&["first.test"], &["*.example.com", "Mixed.Test"], &["api.example.com", "first.test"]];
        let mut leaves = Vec::new();
        for names in sets {
            let certified = certified(names);
            leaves.push(certified.cert[0].clone());
            by_name.add(Path::new("x"), Arc::new(certified)).unwrap();
        }
        for (asked, expected) in [
            (None, 0),
            (Some("unknown.test"), 0),
            (Some("first.test"), 0),
            (Some("api.example.com"), 2),
            (Some("API.Example.com"), 2),
            (Some("www.example.com"), 1),
            (Some("a.b.example.com"), 0),
            (Some("example.com"), 0),
            (Some("mixed.test"), 1),
            (Some("localhost"), 0),
        ] {
            assert_eq!(by_name.find(asked).unwrap().cert[0], leaves[expected], "{asked:?}");
        }
    }
}
