//! Client certificates to which a key is bound (as tokens are in RFC 8705): without one of them the key is worth nothing
//! to whoever stole it.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

/// Most certificates of one key: the old and the new one of a few machines.
const MAX_CERTIFICATES: usize = 32;

/// SHA-256 of each certificate in DER, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Certificates(Vec<[u8; 32]>);

/// The list is no certificate restriction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificatesError {
    /// This text is not the SHA-256 of anything.
    NotAFingerprint(String),
    /// The list is empty.
    Empty,
    /// More certificates than [`MAX_CERTIFICATES`].
    TooMany,
}

impl fmt::Display for CertificatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFingerprint(text) => write!(
                f,
                "`{}` is no fingerprint; write the SHA-256 of the certificate in hexadecimal, as `openssl x509 -noout -fingerprint -sha256` prints it",
                text.escape_default()
            ),
            Self::Empty => f.write_str("certificates needs at least one entry; leave it out for no restriction"),
            Self::TooMany => write!(f, "certificates takes at most {MAX_CERTIFICATES} entries"),
        }
    }
}

impl std::error::Error for CertificatesError {}

impl Certificates {
    /// Whether a call with this certificate may pass.
    pub fn admit(&self, certificate: &[u8; 32]) -> bool {
        self.0.contains(certificate)
    }

    /// Whether each of these is one of those.
    pub fn is_within(&self, outer: &Self) -> bool {
        self.0.iter().all(|certificate| outer.0.contains(certificate))
    }
}

/// Reads a fingerprint, with or without colons between its bytes.
///
/// # Errors
/// If it is not 32 bytes in hexadecimal.
pub fn fingerprint(text: &str) -> Result<[u8; 32], CertificatesError> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let bytes = HEXLOWER_PERMISSIVE.decode(&digits).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| CertificatesError::NotAFingerprint(text.to_owned()))
}

impl TryFrom<Vec<String>> for Certificates {
    type Error = CertificatesError;

    fn try_from(texts: Vec<String>) -> Result<Self, CertificatesError> {
        if texts.is_empty() {
            return Err(CertificatesError::Empty);
        }
        if texts.len() > MAX_CERTIFICATES {
            return Err(CertificatesError::TooMany);
        }
        texts.iter().map(|text| fingerprint(text)).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Certificates> for Vec<String> {
    fn from(certificates: Certificates) -> Self {
        certificates.0.iter().map(|bytes| HEXLOWER_PERMISSIVE.encode(bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_tools_print_them_and_kept_in_one_form() {
        let colons = ["AB"; 32].join(":");
        let certificates = Certificates::try_from(vec![colons, "00".repeat(32)]).unwrap();
        assert!(certificates.admit(&[0xab; 32]) && certificates.admit(&[0; 32]) && !certificates.admit(&[1; 32]));
        assert_eq!(Vec::from(certificates), ["ab".repeat(32), "00".repeat(32)]);
        for wrong in ["", "ab", &"ab".repeat(31), &"ab".repeat(33), &"xy".repeat(32)] {
            assert!(matches!(fingerprint(wrong), Err(CertificatesError::NotAFingerprint(_))), "{wrong}");
        }
        assert_eq!(Certificates::try_from(Vec::new()), Err(CertificatesError::Empty));
        assert_eq!(Certificates::try_from(vec!["00".repeat(32); 33]), Err(CertificatesError::TooMany));
    }
}
