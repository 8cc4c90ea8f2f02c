//! TLS to upstreams: their certificates are verified, against the authorities that the system trusts and those that the
//! owner names besides, in a file that is read anew like those of [`super`]. There is no way round it, and none back to
//! plain HTTP (C-6).

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use keystile_core::api::UpstreamProtocol;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

use super::{HTTP_1_1, HTTP_2, Kept, Reloaded, TlsError, trusted};

/// What connections to upstreams speak. The system's authorities are read when the first upstream needs them: an
/// installation without TLS to upstreams pays nothing for it.
pub struct UpstreamTls {
    authorities: Option<PathBuf>,
    current: ArcSwap<Trust>,
}

/// Whom upstreams are believed by, and what is spoken with them.
pub struct Trust {
    /// Those of the owner.
    own: Option<Kept<RootCertStore>>,
    roots: OnceLock<Arc<RootCertStore>>,
    http1: OnceLock<Arc<ClientConfig>>,
    http2: OnceLock<Arc<ClientConfig>>,
}

impl UpstreamTls {
    /// With the authorities of a PEM file besides the system's.
    ///
    /// # Errors
    /// If the file can't be used.
    pub fn new(authorities: Option<PathBuf>) -> Result<Self, TlsError> {
        let own = authorities.as_deref().map(trusted).transpose()?;
        Ok(Self { authorities, current: ArcSwap::from_pointee(Trust::new(own)) })
    }

    /// Reads the file again. Connections that are open keep what they began with.
    pub fn reload(&self) -> Reloaded {
        let mut reloaded = Reloaded::default();
        let was = self.current.load();
        let own = self.authorities.as_ref().zip(was.own.as_ref());
        let own = own.map(|(path, old)| reloaded.take(trusted(path), old));
        if reloaded.changed {
            let trust = Trust::new(own);
            if was.roots.get().is_some() {
                // Here, and not by the first call that needs them: the system's are many.
                trust.roots();
            }
            self.current.store(Arc::new(trust));
        }
        reloaded
    }

    /// What is in force; another one after each change.
    pub fn current(&self) -> Arc<Trust> {
        self.current.load_full()
    }
}

impl Trust {
    fn new(own: Option<Kept<RootCertStore>>) -> Self {
        Self { own, roots: OnceLock::new(), http1: OnceLock::new(), http2: OnceLock::new() }
    }

    /// What a new connection speaks.
    pub fn client(&self, protocol: UpstreamProtocol) -> Arc<ClientConfig> {
        let kept = match protocol {
            UpstreamProtocol::Http1 => &self.http1,
            UpstreamProtocol::Http2 => &self.http2,
        };
        kept.get_or_init(|| self.client_with(protocol, None)).clone()
    }

    /// The same for an upstream that wants to see a certificate.
    pub fn client_with(&self, protocol: UpstreamProtocol, identity: Option<&Identity>) -> Arc<ClientConfig> {
        let alpn = match protocol {
            UpstreamProtocol::Http1 => HTTP_1_1,
            UpstreamProtocol::Http2 => HTTP_2,
        };
        Arc::new(client(self.roots(), alpn, identity))
    }

    fn roots(&self) -> Arc<RootCertStore> {
        self.roots.get_or_init(|| Arc::new(roots(self.own.as_ref()))).clone()
    }
}

/// Who the gateway is to an upstream: a chain of certificates with its private key.
#[derive(Debug)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Reads both from PEM, in any order.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and holds nothing of the key.
    pub fn from_pem(text: &[u8]) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        let chain = chain.map_err(|_| "the certificate is not sound PEM".to_owned())?;
        let key = PrivateKeyDer::from_pem_slice(text).map_err(|_| "there is no private key as PEM".to_owned())?;
        if chain.is_empty() {
            return Err("there is no certificate as PEM".to_owned());
        }
        match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
            Ok(key) => Ok(Self(Arc::new(key))),
            Err(rustls::Error::InconsistentKeys(_)) => Err("the private key is not the certificate's".to_owned()),
            Err(_) => Err("certificate and private key can't be used".to_owned()),
        }
    }

    /// Whether it is the same certificate.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

fn roots(own: Option<&Kept<RootCertStore>>) -> RootCertStore {
    let mut roots = own.map_or_else(RootCertStore::empty, |(_, own)| (**own).clone());
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "some of the authorities that the system trusts can't be read");
    }
    // Old authorities that rustls can't read are left out.
    roots.add_parsable_certificates(system.certs);
    roots
}

fn client(roots: Arc<RootCertStore>, alpn: &[u8], identity: Option<&Identity>) -> ClientConfig {
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if let Some(Identity(key)) = identity {
        client.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key.clone()));
    }
    client.alpn_protocols = vec![alpn.to_vec()];
    client
}
