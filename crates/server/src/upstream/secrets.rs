//! What an API has for its upstream, ready for use: the fields that calls get, and the certificate that is shown.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use keystile_core::api::SecretName;
use keystile_store::secret::OpenSecret;

use crate::tls::Identity;

/// Why a value can't be used; the text says what can, and nothing of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretError(String);

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The secrets of one API. They print nothing of themselves.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Fields that every call gets, in place of what its client sent under these names.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// What the upstream is shown by TLS.
    pub identity: Option<Arc<Identity>>,
}

impl Secrets {
    /// Takes one in.
    ///
    /// # Errors
    /// If its value can't be used.
    pub fn add(&mut self, name: &SecretName, value: &[u8]) -> Result<(), SecretError> {
        match name {
            SecretName::Header(name) => {
                let is_visible = !value.is_empty()
                    && value.iter().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t'))
                    && value.trim_ascii() == value;
                let field = HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::from_bytes(value).ok());
                let (name, mut value) = field.filter(|_| is_visible).ok_or_else(|| {
                    SecretError("the value of a header is visible ASCII on one line, without spaces at its ends".into())
                })?;
                value.set_sensitive(true);
                self.fields.push((name, value));
            }
            SecretName::ClientCertificate => {
                let identity = Identity::from_pem(value).map_err(SecretError)?;
                self.identity = Some(Arc::new(identity));
            }
        }
        Ok(())
    }

    /// Those of an API as they are kept.
    ///
    /// # Errors
    /// If one of them can't be used.
    pub fn of(opened: &[OpenSecret]) -> Result<Self, SecretError> {
        let mut secrets = Self::default();
        opened.iter().try_for_each(|secret| secrets.add(&secret.name, &secret.value))?;
        Ok(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_one_visible_line() {
        let name = SecretName::Header("authorization".to_owned());
        for value in ["Bearer abc", "a\tb", "x"] {
            let mut secrets = Secrets::default();
            assert_eq!(secrets.add(&name, value.as_bytes()), Ok(()), "{value}");
            assert!(format!("{:?}", secrets.fields) == "[(\"authorization\", Sensitive)]");
        }
        for value in ["", " a", "a ", "a\r\nb: c", "a\n", "café", "\u{7f}"] {
            assert!(Secrets::default().add(&name, value.as_bytes()).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["b.test".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let add = |pem: String| Secrets::default().add(&SecretName::ClientCertificate, pem.as_bytes());
        assert_eq!(add(format!("{chain}{key}")), Ok(()));
        for wrong in [String::new(), chain.clone(), key, format!("{chain}{}", other.signing_key.serialize_pem())] {
            let error = add(wrong).unwrap_err().to_string();
            assert!(error.contains("PEM") || error.contains("certificate"), "{error}");
        }
    }
}
