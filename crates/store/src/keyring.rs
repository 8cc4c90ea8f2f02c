//! The keys that secrets are encrypted under: the root key wraps **encryption keys**, one for each version, which are kept
//! beside the data; from an encryption key a **data key** is derived for each organization (HKDF, RFC 5869); a data key
//! encrypts records (SECURITY.md C-1 to C-5).
//!
//! A record names the version that it is under, so a new version is used from the moment when it is made, and what is older
//! is read as before until it is encrypted anew (`rewrap`). A version that nothing is under any more can be retired: it is
//! wiped, and opens nothing in any older copy of the data. The root key can be changed too: only the encryption keys are
//! wrapped under it.
//!
//! Of an installation that began when the root key encrypted everything itself, records that were not rewrapped yet are read
//! with the **seed**, which there is that root key; else it is random. Other keys are derived from it: of the saved
//! snapshot, of the audit's seal.

use std::collections::BTreeMap;

use keystile_core::id::OrganizationId;
use zeroize::Zeroizing;

use crate::cipher::{Algorithm, Salt, SecretKey, WRAPPED};
use crate::root::{RootKey, hex};

/// The first byte of a record. It is higher than that of records without a version, and the version follows with its high
/// byte first: records under older keys are those whose beginning is less.
const VERSIONED: u8 = 2;
/// What a record begins with: the first byte and the version.
pub(crate) const HEAD_LEN: usize = 1 + 4;

/// Whose a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// An organization's.
    Organization(OrganizationId),
    /// The installation's own.
    Installation,
}

/// A version of the encryption key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EncryptionKey {
    algorithm: Algorithm,
    key: SecretKey,
}

/// Why a record does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsealable {
    /// It is under a version that is not known here.
    Unknown(u32),
    /// It was altered, or belongs elsewhere.
    Altered,
}

/// An encryption key that was just made, and is not used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEncryptionKey {
    /// Its version.
    pub version: u32,
    /// What records under it are encrypted with.
    pub algorithm: Algorithm,
    /// The key, wrapped under the root key.
    pub(crate) wrapped: Vec<u8>,
}

/// All keys of an installation, open.
#[derive(Debug, Clone)]
pub(crate) struct Keyring {
    installation: [u8; 16],
    /// What other keys are derived from.
    seed: SecretKey,
    /// Whether the seed was kept as one that rows are sealed under.
    rows_sealed: bool,
    keys: BTreeMap<u32, EncryptionKey>,
}

impl Keyring {
    /// A ring with a seed and no keys yet.
    pub(crate) fn new(installation: [u8; 16], seed: SecretKey) -> Self {
        Self { installation, seed, rows_sealed: false, keys: BTreeMap::new() }
    }

    /// Makes a key for the version after the last one.
    pub(crate) fn make(
        root: &RootKey,
        installation: &[u8; 16],
        (version, algorithm): (u32, Algorithm),
        (key, salt): (&SecretKey, &Salt),
    ) -> NewEncryptionKey {
        let bound = bound_to(installation, version, algorithm);
        NewEncryptionKey { version, algorithm, wrapped: root.key().wrap(key.expose(), &bound, salt) }
    }

    /// Wraps the key of a version anew, under another root key. `None` if it does not open under the first one.
    pub(crate) fn wrap_anew(
        (from, to): (&RootKey, &RootKey),
        installation: &[u8; 16],
        (version, algorithm): (u32, Algorithm),
        (wrapped, salt): (&[u8], &Salt),
    ) -> Option<Vec<u8>> {
        let bound = bound_to(installation, version, algorithm);
        Some(to.key().wrap(&from.key().unwrap(wrapped, &bound)?, &bound, salt))
    }

    /// Adds the key of a version; `false` if it was altered.
    pub(crate) fn learn(&mut self, root: &RootKey, version: u32, algorithm: Algorithm, wrapped: &[u8]) -> bool {
        let key = root.key().unwrap(wrapped, &bound_to(&self.installation, version, algorithm));
        let Some(key) = key.and_then(|key| SecretKey::from_slice(&key)) else { return false };
        self.keys.insert(version, EncryptionKey { algorithm, key });
        true
    }

    /// Takes the seed of an older ring, or of the record that it is kept in.
    pub(crate) fn with_seed(self, seed: SecretKey, rows_sealed: bool) -> Self {
        Self { seed, rows_sealed, ..self }
    }

    /// Whether the seed was kept as one that rows are sealed under, when it was read.
    pub(crate) fn rows_sealed(&self) -> bool {
        self.rows_sealed
    }

    /// Whose keys they are.
    pub(crate) fn installation(&self) -> &[u8; 16] {
        &self.installation
    }

    /// What other keys are derived from.
    pub(crate) fn seed(&self) -> &SecretKey {
        &self.seed
    }

    /// The version that new records are under, and its algorithm.
    pub(crate) fn current(&self) -> (u32, Algorithm) {
        let (version, current) = self.keys.last_key_value().expect("an opened store has an encryption key");
        (*version, current.algorithm)
    }

    /// What every record under a version begins with.
    pub(crate) fn head(version: u32) -> [u8; HEAD_LEN] {
        let [a, b, c, d] = version.to_be_bytes();
        [VERSIONED, a, b, c, d]
    }

    /// The version that a record is under; `None` for one of before there were any, and for what is no record.
    pub(crate) fn version_of(sealed: &[u8]) -> Option<u32> {
        let (&VERSIONED, rest) = sealed.split_first()? else { return None };
        rest.first_chunk().map(|version| u32::from_be_bytes(*version))
    }

    /// Whether a record is under a version that is not known here.
    pub(crate) fn knows(&self, sealed: &[u8]) -> bool {
        Self::version_of(sealed).is_none_or(|version| self.keys.contains_key(&version))
    }

    /// Encrypts a secret for one place of one owner, under the current version.
    pub(crate) fn seal(&self, owner: Owner, bound: &str, secret: &[u8], salt: &Salt) -> Vec<u8> {
        let (version, algorithm) = self.current();
        let head = [&Self::head(version)[..], &[algorithm.number()]].concat();
        let sealed = self.data_key(version, owner).encrypt(algorithm, secret, &associated(&head, bound), salt);
        [head, sealed].concat()
    }

    /// Decrypts a record of this owner and place.
    pub(crate) fn unseal(&self, owner: Owner, bound: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        if sealed.first() == Some(&WRAPPED) {
            return self.seed.unwrap(sealed, bound).ok_or(Unsealable::Altered);
        }
        let version = Self::version_of(sealed).ok_or(Unsealable::Altered)?;
        let known = self.keys.get(&version).ok_or(Unsealable::Unknown(version))?;
        let (head, rest) = sealed.split_at_checked(HEAD_LEN + 1).ok_or(Unsealable::Altered)?;
        // A key serves one algorithm: a record that says another one was altered.
        if Algorithm::from_number(head[HEAD_LEN]) != Some(known.algorithm) {
            return Err(Unsealable::Altered);
        }
        let key = self.data_key(version, owner);
        key.decrypt(known.algorithm, rest, &associated(head, bound)).ok_or(Unsealable::Altered)
    }

    fn data_key(&self, version: u32, owner: Owner) -> SecretKey {
        let info = match owner {
            Owner::Organization(id) => format!("data key|{id}"),
            Owner::Installation => "data key|installation".to_owned(),
        };
        self.keys[&version].key.expand(&self.installation, info.as_bytes())
    }
}

/// The associated data of a record: what it begins with, and its place.
fn associated(head: &[u8], bound: &str) -> Vec<u8> {
    [head, bound.as_bytes()].concat()
}

/// The associated data of a wrapped encryption key.
fn bound_to(installation: &[u8; 16], version: u32, algorithm: Algorithm) -> String {
    format!("encryption_key|{}|{version}|{algorithm}", hex(installation))
}

#[cfg(test)]
mod tests;
