//! Secrets that must be had back: what an upstream wants to see, what deliveries of a webhook are signed with, texts of keys
//! whose owner wants that. Each is
//! sealed under the root key and bound to its installation and its place, so that a row that is moved opens nothing.

use keystile_core::api::SecretName;
use keystile_core::id::{ApiId, KeyId, OrganizationId, WebhookId};
use keystile_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::db::{Columns, damaged, sql};
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
        let value = self
            .root()
            .unseal(sealed, &self.place_of(api, &name))
            .ok_or_else(|| damaged(format_args!("the secret {name} of {api}: it was altered, or belongs elsewhere")))?;
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
        self.root()
            .unseal(sealed, &self.place_of_webhook(webhook))
            .ok_or_else(|| damaged(format_args!("the secret of {webhook}: it was altered, or belongs elsewhere")))
    }

    /// Seals the text of a key's version, to be had back. The nonce is random, and never used twice.
    pub fn seal_key_text(&self, key: KeyId, version: u16, text: &str, nonce: [u8; NONCE_LEN]) -> Sealed {
        Sealed(self.root().seal(text.as_bytes(), &self.place_of_key_text(key, version), nonce))
    }

    /// The kept text of a key of an organization, and the version whose it is; `None` if none is kept.
    ///
    /// # Errors
    /// If the store fails, or the text was altered or moved from another key.
    pub async fn key_text(
        &self,
        organization: OrganizationId,
        key: KeyId,
    ) -> Result<Option<(u16, Zeroizing<Vec<u8>>)>, StoreError> {
        let row = sql("SELECT x.version, x.sealed FROM key_texts x JOIN keys k ON k.number = x.key \
             JOIN organizations o ON o.number = k.organization WHERE k.id = ? AND o.id = ? AND k.deleted_at IS NULL")
        .bind(key.to_bytes())
        .bind(organization.to_bytes())
        .fetch_optional(&mut self.0.base.read().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let mut row = Columns::of(&row);
        let version = row.number()?;
        let text = self.root().unseal(row.blob()?, &self.place_of_key_text(key, version));
        let text =
            text.ok_or_else(|| damaged(format_args!("the text of {key}: it was altered, or belongs elsewhere")))?;
        Ok(Some((version, text)))
    }

    fn place_of_key_text(&self, key: KeyId, version: u16) -> String {
        format!("key_text|{}|{key}|{version}", hex(&self.installation()))
    }

    fn place_of_webhook(&self, webhook: WebhookId) -> String {
        format!("webhook_secret|{}|{webhook}", hex(&self.installation()))
    }

    fn place_of(&self, api: ApiId, name: &SecretName) -> String {
        format!("api_secret|{}|{api}|{name}", hex(&self.installation()))
    }
}
