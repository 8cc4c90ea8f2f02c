//! A record: one cache line that is a key, or a version of one.
//!
//! Words instead of structs, because they are read while the feed writes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use keystile_core::id::KeyId;
use keystile_core::key::{Environment, KeyDigest, KeyKind, Standing};
use keystile_core::time::Timestamp;

use super::{KeyEntry, Text};

/// Policies of one installation: they share a word with the flags. Keys with equal policies share one.
pub const MAX_POLICIES: u32 = 1 << (32 - FLAG_BITS);
const FLAG_BITS: u32 = 8;

const GONE: u32 = 0;
const ACTIVE: u32 = 1;
const DISABLED: u32 = 2;
const REVOKED: u32 = 3;
const STANDING_BITS: u32 = 0b11;
const KIND_SHIFT: u32 = 2;
const KIND_BITS: u32 = 0b11;
const TEST_BIT: u32 = 1 << 4;
const VERSION_BIT: u32 = 1 << 5;

/// A key, or a version of one.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Record {
    digest: [AtomicU64; 4],
    id: [AtomicU64; 2],
    /// A key's number; of a version, which one it is.
    number: AtomicU32,
    /// A key's project; of a version, the place of its key.
    project: AtomicU32,
    /// When it ends: seconds since the epoch, 0 for never.
    expires: AtomicU32,
    /// A key's policy above, what was done to the key and what it is below: one word, so that they change together.
    rights: AtomicU32,
}

/// A version of a key, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// The place of its key.
    pub(super) key: u32,
    /// Its text.
    pub(super) text: Text,
}

pub(super) fn digest_words(digest: &KeyDigest) -> [u64; 4] {
    let bytes = digest.as_bytes();
    std::array::from_fn(|i| u64::from_le_bytes(bytes[i * 8..i * 8 + 8].try_into().expect("eight bytes")))
}

/// Whole seconds are kept; 0 stands for never.
pub(in crate::enforce) fn seconds(end: Option<Timestamp>) -> u32 {
    end.map_or(0, |end| end.as_secs().clamp(1, i64::from(u32::MAX)) as u32)
}

pub(in crate::enforce) fn moment(seconds: u32) -> Option<Timestamp> {
    (seconds != 0).then(|| Timestamp::from_secs(i64::from(seconds)))
}

/// What was done to a key, what it is and where it lives, in the bits of a word.
pub(in crate::enforce) fn flags(entry: &KeyEntry) -> u32 {
    let standing = match entry.standing {
        Standing::Active => ACTIVE,
        Standing::Disabled => DISABLED,
        Standing::Revoked => REVOKED,
    };
    let kind = match entry.kind {
        KeyKind::Secret => 0,
        KeyKind::Management => 1,
        KeyKind::Publishable => 2,
        KeyKind::Canary => 3,
    };
    let environment = match entry.environment {
        Environment::Live => 0,
        Environment::Test => TEST_BIT,
    };
    standing | kind << KIND_SHIFT | environment
}

/// The same, read; `None` for a key that is gone and for bits that mean nothing.
pub(in crate::enforce) fn of_flags(flags: u32) -> Option<(Standing, KeyKind, Environment)> {
    let standing = match flags & STANDING_BITS {
        ACTIVE => Standing::Active,
        DISABLED => Standing::Disabled,
        REVOKED => Standing::Revoked,
        _ => return None,
    };
    let kind = match flags >> KIND_SHIFT & KIND_BITS {
        0 => KeyKind::Secret,
        1 => KeyKind::Management,
        2 => KeyKind::Publishable,
        _ => KeyKind::Canary,
    };
    Some((standing, kind, if flags & TEST_BIT == 0 { Environment::Live } else { Environment::Test }))
}

impl Record {
    pub(super) fn write(&self, entry: &KeyEntry) {
        self.name(&entry.digest, entry.id);
        self.update(entry);
    }

    /// Makes it a version of the key with this id.
    pub(super) fn write_version(&self, id: KeyId, version: &Version) {
        self.name(&version.text.digest, id);
        self.number.store(version.text.version.into(), Ordering::Relaxed);
        self.project.store(version.key, Ordering::Relaxed);
        self.expires.store(seconds(version.text.ends_at), Ordering::Relaxed);
        self.rights.store(VERSION_BIT, Ordering::Release);
    }

    fn name(&self, digest: &KeyDigest, id: KeyId) {
        for (word, value) in self.digest.iter().zip(digest_words(digest)) {
            word.store(value, Ordering::Relaxed);
        }
        let id = id.to_u128();
        self.id[0].store((id >> 64) as u64, Ordering::Relaxed);
        self.id[1].store(id as u64, Ordering::Relaxed);
    }

    /// The parts that may change while the key is in use. A reader may see some of them a moment before the
    /// others; each alone is a true state of the key, before or after the change.
    ///
    /// Monotone: a revoked key stays revoked, whatever a late source says.
    pub(super) fn update(&self, entry: &KeyEntry) {
        debug_assert!(entry.policy < MAX_POLICIES, "the store gives no higher number");
        let was_revoked = self.rights.load(Ordering::Relaxed) & STANDING_BITS == REVOKED;
        let standing = if was_revoked { Standing::Revoked } else { entry.standing };
        let flags = flags(&KeyEntry { standing, ..*entry });
        self.number.store(entry.number, Ordering::Relaxed);
        self.project.store(entry.project, Ordering::Relaxed);
        self.expires.store(seconds(entry.expires_at), Ordering::Relaxed);
        self.rights.store(entry.policy << FLAG_BITS | flags, Ordering::Release);
    }

    /// Moves the end of a version.
    pub(super) fn end(&self, ends_at: Option<Timestamp>) {
        self.expires.store(seconds(ends_at), Ordering::Relaxed);
    }

    /// Marks a key as gone.
    pub(super) fn remove(&self) {
        self.rights.store(GONE, Ordering::Release);
    }

    pub(super) fn digest_words(&self) -> [u64; 4] {
        std::array::from_fn(|i| self.digest[i].load(Ordering::Relaxed))
    }

    pub(super) fn matches(&self, words: &[u64; 4]) -> bool {
        // All four words whatever the first says: a lucky prefix learns nothing from the time it took.
        let differs =
            self.digest.iter().zip(words).fold(0, |acc, (word, want)| acc | (word.load(Ordering::Relaxed) ^ want));
        differs == 0
    }

    fn digest(&self) -> KeyDigest {
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(8).zip(&self.digest) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        KeyDigest::from_bytes(digest)
    }

    /// The key, unless this is a version of one, or it is gone.
    pub(super) fn read(&self) -> Option<KeyEntry> {
        let rights = self.rights.load(Ordering::Acquire);
        let (standing, kind, environment) = of_flags(rights)?;
        Some(KeyEntry {
            digest: self.digest(),
            id: self.id(),
            number: self.number.load(Ordering::Relaxed),
            project: self.project.load(Ordering::Relaxed),
            policy: rights >> FLAG_BITS,
            expires_at: moment(self.expires.load(Ordering::Relaxed)),
            standing,
            kind,
            environment,
        })
    }

    /// The version, if this is one.
    pub(super) fn version(&self) -> Option<Version> {
        if self.rights.load(Ordering::Acquire) & VERSION_BIT == 0 {
            return None;
        }
        let text = Text {
            version: self.number.load(Ordering::Relaxed) as u16,
            digest: self.digest(),
            ends_at: moment(self.expires.load(Ordering::Relaxed)),
        };
        Some(Version { key: self.project.load(Ordering::Relaxed), text })
    }

    /// Its key's id, also if it is gone.
    pub(super) fn id(&self) -> KeyId {
        let high = self.id[0].load(Ordering::Relaxed).to_be_bytes();
        let low = self.id[1].load(Ordering::Relaxed).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high);
        bytes[8..].copy_from_slice(&low);
        KeyId::from_entropy(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_cache_line() {
        assert_eq!(size_of::<Record>(), 64);
    }
}
