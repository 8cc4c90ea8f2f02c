//! Secrets that must be had back: what an upstream wants to see, what deliveries of a webhook are signed with. Each is
//! sealed under the root key and bound to its installation and its place, so that a row that is moved opens nothing.

use keystile_core::api::SecretName;
use keystile_core::id::{ApiId, WebhookId};
use keystile_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::root::{NONCE_LEN, hex};
use crate::{Catalog, StoreError};

/// A secret as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub(crate) Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// A secret as it is used. It is wiped when dropped.
pub struct OpenSecret {
    /// What it is for.
    pub name: SecretName,
    /// Its value.
    pub value: Zeroizing<Vec<u8>>,
}

/// What may be shown of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// What it is for.
    pub name: SecretName,
    /// When it was set.
    pub set_at: Timestamp,
}

impl Catalog {
    /// Seals a secret for its place. The nonce is random, and never used twice.
    pub fn seal_api_secret(&self, api: ApiId, name: &SecretName, value: &[u8], nonce: [u8; NONCE_LEN]) -> Sealed {
        Sealed(self.root().seal(value, &self.place_of(api, name), nonce))
    }

    /// Opens one; it fails if it was altered, or moved from another place.
    pub(crate) fn open_api_secret(
        &self,
        api: ApiId,
        name: SecretName,
        sealed: &[u8],
    ) -> Result<OpenSecret, StoreError> {
        let value = self.root().unseal(sealed, &self.place_of(api, &name)).ok_or_else(|| {
            crate::db::damaged(format_args!("the secret {name} of {api}: it was altered, or belongs elsewhere"))
        })?;
        Ok(OpenSecret { name, value })
    }

    /// Seals what deliveries of a webhook are signed with. The nonce is random, and never used twice.
    pub fn seal_webhook_secret(&self, webhook: WebhookId, value: &[u8], nonce: [u8; NONCE_LEN]) -> Sealed {
        Sealed(self.root().seal(value, &self.place_of_webhook(webhook), nonce))
    }

    /// Opens it; it fails if it was altered, or moved from another webhook.
    pub(crate) fn open_webhook_secret(
        &self,
        webhook: WebhookId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.root().unseal(sealed, &self.place_of_webhook(webhook)).ok_or_else(|| {
            crate::db::damaged(format_args!("the secret of {webhook}: it was altered, or belongs elsewhere"))
        })
    }

    fn place_of_webhook(&self, webhook: WebhookId) -> String {
        format!("webhook_secret|{}|{webhook}", hex(&self.installation()))
    }

    fn place_of(&self, api: ApiId, name: &SecretName) -> String {
        format!("api_secret|{}|{api}|{name}", hex(&self.installation()))
    }
}
