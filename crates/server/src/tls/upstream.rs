//! TLS to upstreams: their certificates are verified, against the authorities that the system trusts and those that the
//! owner names besides. There is no way round it, and none back to plain HTTP (C-6).

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use keystile_core::api::UpstreamProtocol;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::source::{certificates, read_file};
use super::{HTTP_1_1, HTTP_2, TlsError};

/// What connections to upstreams speak. The system's authorities are read when the first upstream needs them: an
/// installation without TLS to upstreams pays nothing for it.
pub struct UpstreamTls {
    own: Vec<CertificateDer<'static>>,
    roots: OnceLock<Arc<RootCertStore>>,
    http1: OnceLock<Arc<ClientConfig>>,
    http2: OnceLock<Arc<ClientConfig>>,
}

impl UpstreamTls {
    /// With the authorities of a PEM file besides the system's.
    ///
    /// # Errors
    /// If the file can't be used.
    pub fn new(authorities: Option<&PathBuf>) -> Result<Self, TlsError> {
        let own = authorities.map_or(Ok(Vec::new()), |path: &PathBuf| read(path))?;
        Ok(Self { own, roots: OnceLock::new(), http1: OnceLock::new(), http2: OnceLock::new() })
    }

    /// What a new connection speaks.
    pub fn client(&self, protocol: UpstreamProtocol) -> Arc<ClientConfig> {
        let (kept, alpn) = match protocol {
            UpstreamProtocol::Http1 => (&self.http1, HTTP_1_1),
            UpstreamProtocol::Http2 => (&self.http2, HTTP_2),
        };
        kept.get_or_init(|| Arc::new(client(self.roots(), alpn))).clone()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        self.roots.get_or_init(|| Arc::new(roots(&self.own))).clone()
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let authorities = certificates(path, &read_file(path)?)?;
    let mut store = RootCertStore::empty();
    for authority in &authorities {
        store
            .add(authority.clone())
            .map_err(|error| TlsError::new(path, format!("it holds an authority that can't be used: {error}")))?;
    }
    Ok(authorities)
}

fn roots(own: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "some of the authorities that the system trusts can't be read");
    }
    // Old authorities that rustls can't read are left out; those of the owner were read before.
    roots.add_parsable_certificates(system.certs.into_iter().chain(own.iter().cloned()));
    roots
}

fn client(roots: Arc<RootCertStore>, alpn: &[u8]) -> ClientConfig {
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![alpn.to_vec()];
    client
}
