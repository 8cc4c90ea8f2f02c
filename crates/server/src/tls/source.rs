//! Where a certificate lies: one file with chain and private key, or a folder as common tools write it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::TlsError;

/// The names of chain and private key in a folder: certbot and acme.sh, Kubernetes and cert-manager, the rest.
const PAIRS: [(&str, &str); 3] = [("fullchain.pem", "privkey.pem"), ("tls.crt", "tls.key"), ("cert.pem", "key.pem")];
/// Longest file that is read: a hundred long chains.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A certificate as it lies in its files.
pub(super) struct Source {
    chain: Vec<u8>,
    /// The same as the chain, if one file holds both.
    key: Zeroizing<Vec<u8>>,
    key_path: PathBuf,
}

impl Source {
    /// Reads the files.
    pub(super) fn read(path: &Path) -> Result<Self, TlsError> {
        if !path.is_dir() {
            let both = read_file(path)?;
            return Ok(Self { key: Zeroizing::new(both.clone()), chain: both, key_path: path.to_owned() });
        }
        let pair =
            PAIRS.iter().map(|(chain, key)| (path.join(chain), path.join(key))).find(|(chain, _)| chain.exists());
        let Some((chain, key)) = pair else {
            let known: Vec<String> = PAIRS.iter().map(|(chain, key)| format!("{chain} and {key}")).collect();
            return Err(TlsError::new(
                path,
                format!("this folder has no certificate; it should hold {}", known.join(", or ")),
            ));
        };
        Ok(Self { chain: read_file(&chain)?, key: Zeroizing::new(read_file(&key)?), key_path: key })
    }

    /// SHA-256 of its content.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::new().chain_update(&self.chain).chain_update(&*self.key).finalize().into()
    }

    /// The certificate with its key, ready to sign.
    pub(super) fn certified(&self, path: &Path, provider: &Arc<CryptoProvider>) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(path, &self.chain)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            let what = match error {
                PemError::NoItemsFound => {
                    "there is no private key in it; it should stand there as PEM, unencrypted".to_owned()
                }
                other => format!("the private key can't be read: {other}"),
            };
            TlsError::new(&self.key_path, what)
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            let what = match error {
                rustls::Error::InconsistentKeys(_) => "the private key is not the certificate's".to_owned(),
                other => format!("certificate and private key can't be used: {other}"),
            };
            TlsError::new(path, what)
        })
    }
}

/// The certificates of a PEM text, in their order; at least one.
pub(super) fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|error| TlsError::new(path, format!("it is not sound PEM: {error}")))?;
    if chain.is_empty() {
        return Err(TlsError::new(path, "there is no certificate in it; it should stand there as PEM"));
    }
    Ok(chain)
}

/// The content of a file.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error: std::io::Error| TlsError::new(path, format!("it can't be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(failed)?;
    // What is no file could keep us waiting for ever.
    if !metadata.is_file() {
        return Err(TlsError::new(path, "it is not a file"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(TlsError::new(path, "it is longer than 1 MiB, so it is no certificate"));
    }
    std::fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{MinVersion, Tls, TlsSettings};

    fn pair(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn load(path: &Path) -> Result<Tls, TlsError> {
        let certificates = vec![path.to_owned()];
        Tls::load(TlsSettings { certificates, min_version: MinVersion::Tls12, client_authorities: None })
    }

    #[test]
    fn every_common_layout_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = pair("a.test");
        let both = folder.path().join("a.pem");
        std::fs::write(&both, format!("{key}{chain}")).unwrap();
        load(&both).map(|_| ()).unwrap();
        for (n, (chain_name, key_name)) in PAIRS.into_iter().enumerate() {
            let place = folder.path().join(n.to_string());
            std::fs::create_dir(&place).unwrap();
            std::fs::write(place.join(chain_name), &chain).unwrap();
            std::fs::write(place.join(key_name), &key).unwrap();
            load(&place).map(|_| ()).unwrap();
        }
    }

    #[test]
    fn what_can_not_be_used_is_named_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let ((chain, _), (_, other)) = (pair("a.test"), pair("b.test"));
        let file = folder.path().join("x.pem");
        for (text, words) in [
            (String::new(), "no certificate"),
            (chain.clone(), "no private key"),
            (other.clone(), "no certificate"),
            (format!("{chain}{other}"), "not the certificate's"),
            ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n".to_owned(), "PEM"),
            (format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{other}"), "can't be"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = load(&file).map(|_| ()).unwrap_err();
            assert!(error.path == file && error.what.contains(words), "{error}");
        }
        let error = load(folder.path()).map(|_| ()).unwrap_err();
        assert!(error.what.contains("fullchain.pem and privkey.pem"), "{error}");
        let error = load(&folder.path().join("none")).map(|_| ()).unwrap_err();
        assert!(error.what.contains("can't be read"), "{error}");
    }

    #[test]
    fn what_changed_is_taken_up_and_what_broke_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pem");
        let write = |name: &str| {
            let (chain, key) = pair(name);
            std::fs::write(&file, format!("{chain}{key}")).unwrap();
        };
        write("a.test");
        let tls = load(&file).unwrap();
        let first = tls.server(true);
        assert!(!tls.reload().changed && Arc::ptr_eq(&first, &tls.server(true)), "nothing had changed");
        write("b.test");
        assert!(tls.reload().changed && !Arc::ptr_eq(&first, &tls.server(true)));
        let second = tls.server(true);
        std::fs::write(&file, "half").unwrap();
        let reloaded = tls.reload();
        assert!(!reloaded.changed && reloaded.faults.len() == 1 && Arc::ptr_eq(&second, &tls.server(true)));
    }

    #[test]
    fn one_that_broke_keeps_none_of_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a.pem", "b.pem"].map(|name| folder.path().join(name));
        let write = |file: &PathBuf| {
            let (chain, key) = pair("a.test");
            std::fs::write(file, format!("{chain}{key}")).unwrap();
        };
        files.iter().for_each(write);
        let authorities = folder.path().join("authorities.pem");
        std::fs::write(&authorities, pair("authority").0).unwrap();
        let tls = Tls::load(TlsSettings {
            certificates: files.to_vec(),
            min_version: MinVersion::Tls13,
            client_authorities: Some(authorities.clone()),
        })
        .unwrap();
        std::fs::remove_file(&files[0]).unwrap();
        for changed in [&files[1], &authorities] {
            write(changed);
            let reloaded = tls.reload();
            assert!(reloaded.changed && reloaded.faults.len() == 1, "{reloaded:?}");
            assert_eq!(reloaded.faults[0].path, files[0]);
        }
        std::fs::write(&authorities, "junk").unwrap();
        assert_eq!(tls.reload().faults.len(), 2, "each is complained about");
        std::fs::create_dir(&files[0]).unwrap();
        assert_eq!(tls.reload().faults.len(), 2);
    }
}
