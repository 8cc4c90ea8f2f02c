//! Restrictions: where and how a key may be used. Each one is a file of its own; all that a key has must pass.
//!
//! A restriction that is absent restricts nothing. One that is present is never empty: an empty list would read
//! as "nobody" to one person and as "anybody" to the next, so it can't be written down.

mod certificates;
mod formats;
mod networks;
mod paths;

pub use certificates::{Certificates, CertificatesError, fingerprint};
pub use formats::{Formats, FormatsError};
pub use networks::{Networks, NetworksError};
pub use paths::{PathPattern, PathPatterns, PathsError};

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::facts::Facts;
use crate::method::MethodSet;

/// The restrictions of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restrictions {
    /// Addresses that may, or may not, present the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Networks>,
    /// Methods that may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<MethodSet>,
    /// Paths that may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<PathPatterns>,
    /// Client certificates with which the key must come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Certificates>,
    /// What may be sent and received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Formats>,
}

impl Restrictions {
    /// Whether nothing is restricted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Judges a call. A restriction whose fact is not known refuses: a key bound to a network does not pass
    /// where nobody says which network it is used from.
    ///
    /// # Errors
    /// The code of the first restriction that the call breaks.
    pub fn judge(&self, facts: &Facts<'_>) -> Result<(), Code> {
        if let Some(networks) = &self.networks
            && !facts.client.is_some_and(|address| networks.admit(address))
        {
            return Err(Code::NetworkForbidden);
        }
        if let Some(methods) = &self.methods
            && !facts.method.is_some_and(|method| methods.contains(method))
        {
            return Err(Code::OperationForbidden);
        }
        if let Some(paths) = &self.paths
            && !facts.path.is_some_and(|path| paths.admit(path))
        {
            return Err(Code::OperationForbidden);
        }
        if let Some(certificates) = &self.certificates
            && !facts.certificate.is_some_and(|certificate| certificates.admit(&certificate))
        {
            return Err(Code::CertificateForbidden);
        }
        match &self.formats {
            Some(formats) => formats.judge(facts.content),
            None => Ok(()),
        }
    }
}
