//! What is shown of them. Of a key itself, nothing.

use keystile_core::time::Timestamp;
use keystile_store::cipher::Algorithm;
use keystile_store::encryption::{Encryption, EncryptionKeyInfo, PepperInfo};
use serde::Serialize;
use utoipa::ToSchema;

/// What secrets are encrypted under, and what texts of keys are hashed with.
#[derive(Serialize, ToSchema)]
#[schema(as = Encryption)]
pub(super) struct EncryptionView {
    /// The versions of the encryption key, the newest first: that one encrypts what is new.
    keys: Vec<EncryptionKeyView>,
    /// Secrets that are not under the newest version; `rewrap` brings them there.
    older_records: u64,
    /// The peppers, the newest first: that one hashes what is new.
    peppers: Vec<PepperView>,
}

/// A version of the encryption key.
#[derive(Serialize, ToSchema)]
#[schema(as = EncryptionKey)]
struct EncryptionKeyView {
    /// Which one.
    version: u32,
    /// What it encrypts with.
    #[schema(value_type = String)]
    algorithm: &'static str,
    /// When it was made.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// How many secrets are under it. Without any, and unless it is the newest, it can be retired.
    records: u64,
}

/// A pepper.
#[derive(Serialize, ToSchema)]
#[schema(as = Pepper)]
struct PepperView {
    /// Which one.
    version: u32,
    /// When it was made.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// How many texts are hashed with it of keys that are neither revoked nor deleted. Each gets the newest pepper when it is
    /// presented, but for those that were taken over with `weak=argon2id`. Without any, and unless it is the newest, it can be
    /// retired.
    digests: u64,
}

impl EncryptionView {
    /// As it would be with another version of the encryption key.
    pub(super) fn with_key(mut self, version: u32, algorithm: Algorithm, created_at: Timestamp) -> Self {
        self.older_records += self.keys.first().map_or(0, |newest| newest.records);
        self.keys.insert(0, EncryptionKeyView { version, algorithm: algorithm.name(), created_at, records: 0 });
        self
    }

    /// As it would be with another pepper.
    pub(super) fn with_pepper(mut self, version: u32, created_at: Timestamp) -> Self {
        self.peppers.insert(0, PepperView { version, created_at, digests: 0 });
        self
    }

    /// As it would be if so many secrets were encrypted anew.
    pub(super) fn with_rewrapped(mut self, limit: u32) -> Self {
        self.older_records = self.older_records.saturating_sub(limit.into());
        self
    }
}

impl From<Encryption> for EncryptionView {
    fn from(encryption: Encryption) -> Self {
        let older_records = encryption.older_records();
        let key = |EncryptionKeyInfo { version, algorithm, created_at, records }| EncryptionKeyView {
            version,
            algorithm: algorithm.name(),
            created_at,
            records,
        };
        let pepper = |PepperInfo { version, created_at, digests }| PepperView { version, created_at, digests };
        Self {
            keys: encryption.keys.into_iter().map(key).collect(),
            older_records,
            peppers: encryption.peppers.into_iter().map(pepper).collect(),
        }
    }
}
