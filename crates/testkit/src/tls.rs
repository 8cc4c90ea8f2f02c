//! Certificates that are made for a test, and what a client needs to speak TLS with them.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Who issues certificates.
pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Identity {
    /// The chain as PEM.
    pub chain: String,
    /// The private key as PEM.
    pub key: String,
    /// The certificate as DER.
    pub der: CertificateDer<'static>,
}

/// How a client speaks TLS.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new one that nobody knows.
    ///
    /// # Panics
    /// If no key can be made.
    #[allow(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are sound names");
        params.distinguished_name.push(DnType::CommonName, "An authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("it can sign itself");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Its certificate as PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for these names, for servers and clients.
    ///
    /// # Panics
    /// If a name is none.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| ())
    }

    /// The same, which ends so many seconds from now; perhaps before.
    ///
    /// # Panics
    /// If a name is none.
    pub fn issue_for(&self, names: &[&str], seconds: i64) -> Identity {
        self.issue_with(names, |params| params.not_after = rcgen::date_time_ymd(1970, 1, 1) + in_seconds(seconds))
    }

    /// The same, which begins so many seconds from now.
    ///
    /// # Panics
    /// If a name is none.
    pub fn issue_from(&self, names: &[&str], seconds: i64) -> Identity {
        self.issue_with(names, |params| params.not_before = rcgen::date_time_ymd(1970, 1, 1) + in_seconds(seconds))
    }

    fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).expect("sound names");
        params.distinguished_name.push(DnType::CommonName, "A server or client of a test");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can sign");
        Identity { chain: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    /// A client that believes this authority, perhaps with a certificate of its own.
    ///
    /// # Panics
    /// If the certificate can't be used.
    pub fn client(&self, own: Option<&Identity>) -> Tls {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("it is an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the versions fit the provider")
            .with_root_certificates(roots);
        Tls(Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = rcgen::KeyPair::from_pem(&own.key).expect("it is a key");
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key");
                builder.with_client_auth_cert(vec![own.der.clone()], key).expect("they fit each other")
            }
        }))
    }
}

impl Identity {
    /// Writes chain and key into one file.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write(&self, file: &Path) {
        // Written beside it and moved: a reader sees the old one or the new one.
        let beside = file.with_extension("new");
        std::fs::write(&beside, format!("{}{}", self.chain, self.key)).expect("a file can be written");
        std::fs::rename(&beside, file).expect("a file can be moved");
    }
}

impl Tls {
    /// Shakes hands over a connection, asking for the server of a name.
    pub(crate) fn shake(
        &self,
        mut stream: TcpStream,
        name: &str,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(self.0.clone(), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }
}

/// A moment so many seconds from now, as the time since 1970.
#[expect(clippy::disallowed_methods, reason = "a certificate ends by the clock of the machine")]
fn in_seconds(seconds: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    Duration::from_secs(now.as_secs().saturating_add_signed(seconds))
}
