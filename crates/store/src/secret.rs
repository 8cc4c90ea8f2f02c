//! Secrets that must be had back: what an upstream wants to see, what deliveries of a webhook are signed with, texts of keys
//! whose owner wants that. Each is sealed under the data key of its organization ([`crate::keyring`]) and bound to its
//! installation and its place, so that a row that is moved opens nothing.

use std::sync::{Arc, PoisonError};

use keystile_core::api::SecretName;
use keystile_core::id::{AccountId, ApiId, KeyId, OrganizationId, WebhookId};
use keystile_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::catalog::{CatalogParts, encryption};
use crate::cipher::{Algorithm, Salt, SecretKey};
use crate::db::{Columns, damaged, sql};
use crate::keyring::{Keyring, NewEncryptionKey, Owner, Unsealable};
use crate::root::hex;
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

/// Where a secret is: whose it is, and what it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) owner: Owner,
    pub(crate) bound: String,
    /// What it is, for whoever must be told that it does not open.
    pub(crate) what: String,
}

impl Place {
    pub(crate) fn of_api_secret(installation: &[u8; 16], owner: OrganizationId, api: ApiId, name: &SecretName) -> Self {
        let bound = format!("api_secret|{}|{api}|{name}", hex(installation));
        Self { owner: Owner::Organization(owner), bound, what: format!("the secret {name} of {api}") }
    }

    pub(crate) fn of_webhook(installation: &[u8; 16], owner: OrganizationId, webhook: WebhookId) -> Self {
        let bound = format!("webhook_secret|{}|{webhook}", hex(installation));
        Self { owner: Owner::Organization(owner), bound, what: format!("the secret of {webhook}") }
    }

    pub(crate) fn of_key_text(installation: &[u8; 16], owner: OrganizationId, key: KeyId, version: u16) -> Self {
        let bound = format!("key_text|{}|{key}|{version}", hex(installation));
        Self { owner: Owner::Organization(owner), bound, what: format!("the text of {key}") }
    }

    pub(crate) fn of_totp(installation: &[u8; 16], account: AccountId) -> Self {
        let bound = format!("totp|{}|{account}", hex(installation));
        Self { owner: Owner::Installation, bound, what: format!("the one-time codes of {account}") }
    }

    pub(crate) fn of_pepper(installation: &[u8; 16], version: u32) -> Self {
        let bound = format!("pepper|{}|{version}", hex(installation));
        Self { owner: Owner::Installation, bound, what: format!("pepper {version}") }
    }

    /// `rows_sealed` says whether rows have seals under it: nobody without the root key makes one of these records the other.
    pub(crate) fn of_seed(installation: &[u8; 16], rows_sealed: bool) -> Self {
        let bound = format!("{}|{}", if rows_sealed { "seed of seals" } else { "seed" }, hex(installation));
        Self { owner: Owner::Installation, bound, what: "the seed of other keys".to_owned() }
    }

    pub(crate) fn seal(&self, ring: &Keyring, secret: &[u8], salt: &Salt) -> Sealed {
        Sealed(ring.seal(self.owner, &self.bound, secret, salt))
    }

    pub(crate) fn open(&self, ring: &Keyring, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        ring.unseal(self.owner, &self.bound, sealed).map_err(|error| {
            let what = &self.what;
            match error {
                Unsealable::Unknown(version) => damaged(format_args!(
                    "{what}: it is under version {version} of the encryption key, which there is no more"
                )),
                Unsealable::Altered => damaged(format_args!("{what}: it was altered, or belongs elsewhere")),
            }
        })
    }
}

impl Catalog {
    /// Seals a secret for its place. The salt is random, and never used twice.
    pub fn seal_api_secret(
        &self,
        owner: OrganizationId,
        (api, name): (ApiId, &SecretName),
        value: &[u8],
        salt: &Salt,
    ) -> Sealed {
        Place::of_api_secret(&self.0.installation, owner, api, name).seal(&self.0.ring(), value, salt)
    }

    /// Seals what deliveries of a webhook are signed with. The salt is random, and never used twice.
    pub fn seal_webhook_secret(&self, owner: OrganizationId, webhook: WebhookId, value: &[u8], salt: &Salt) -> Sealed {
        Place::of_webhook(&self.0.installation, owner, webhook).seal(&self.0.ring(), value, salt)
    }

    /// Seals the seed of somebody's one-time codes. The salt is random, and never used twice.
    pub fn seal_totp(&self, account: AccountId, seed: &[u8], salt: &Salt) -> Sealed {
        Place::of_totp(&self.0.installation, account).seal(&self.0.ring(), seed, salt)
    }

    /// Seals the text of a key's version, to be had back. The salt is random, and never used twice.
    pub fn seal_key_text(
        &self,
        owner: OrganizationId,
        (key, version): (KeyId, u16),
        text: &str,
        salt: &Salt,
    ) -> Sealed {
        Place::of_key_text(&self.0.installation, owner, key, version).seal(&self.0.ring(), text.as_bytes(), salt)
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
        let (version, sealed) = (row.number()?, row.blob()?);
        let ring = self.ring_for([sealed]).await?;
        let text = Place::of_key_text(&self.0.installation, organization, key, version).open(&ring, sealed)?;
        Ok(Some((version, text)))
    }

    /// Makes the next version of the encryption key, out of random bytes. It is used once the change that brings it is made.
    ///
    /// # Errors
    /// If the keys that there are can't be read.
    pub async fn new_encryption_key(
        &self,
        algorithm: Algorithm,
        key: &[u8; 32],
        salt: &Salt,
    ) -> Result<NewEncryptionKey, StoreError> {
        let version = self.0.read_ring().await?.current().0 + 1;
        let key = SecretKey::new(*key);
        Ok(Keyring::make(&self.0.root, &self.0.installation, (version, algorithm), (&key, salt)))
    }

    /// Makes the next pepper, out of random bytes: its version, and how it is kept. It is used once the change that brings it is
    /// made.
    pub fn new_pepper(&self, secret: &[u8; 32], salt: &Salt) -> (u32, Sealed) {
        let version = self.pepper().version() + 1;
        (version, Place::of_pepper(&self.0.installation, version).seal(&self.0.ring(), secret, salt))
    }

    /// The keys that open these records. Another process may have made one since they were read last.
    pub(crate) async fn ring_for<'s>(
        &self,
        sealed: impl IntoIterator<Item = &'s [u8]>,
    ) -> Result<Arc<Keyring>, StoreError> {
        let ring = self.0.ring();
        if sealed.into_iter().all(|sealed| ring.knows(sealed)) {
            return Ok(ring);
        }
        self.0.read_ring().await
    }
}

impl CatalogParts {
    /// Reads the encryption keys anew, and uses them from now on.
    pub(crate) async fn read_ring(&self) -> Result<Arc<Keyring>, StoreError> {
        let mut db = self.base.read().await?;
        let mut ring = Keyring::new(self.installation, self.ring().seed().clone());
        encryption::learn_keys(&mut db, &self.root, &mut ring).await?;
        let ring = Arc::new(ring);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring.clone();
        Ok(ring)
    }
}
