//! Every key in memory: digest → record, 64 bytes a record and 8 bytes a slot of the table.
//!
//! Readers take no lock and wait for nobody. One writer at a time (the feed) appends records and publishes them
//! in the table; a record is complete before its slot points to it. Records of deleted keys are marked gone and
//! their space returns at the next start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use keystile_core::id::KeyId;
use keystile_core::key::{Environment, KeyDigest, KeyKind, Standing};
use keystile_core::time::Timestamp;

use super::arena::Arena;

/// Slots of an empty table.
const FIRST_SLOTS: usize = 1 << 10;
/// The table doubles when it is fuller than 5/8: short probes, at most 25 bytes a key.
const FULL_NUMERATOR: usize = 5;
const FULL_DENOMINATOR: usize = 8;

/// A key as the feed brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its number in the catalogue, under which it is counted.
    pub number: u32,
    /// What is looked up.
    pub digest: KeyDigest,
    /// Its public name.
    pub id: KeyId,
    /// Its project's index.
    pub project: u32,
    /// Its policy's index.
    pub policy: u32,
    /// When it ends; whole seconds.
    pub expires_at: Option<Timestamp>,
    /// What was done to it.
    pub standing: Standing,
    /// What it is for.
    pub kind: KeyKind,
    /// Where it lives.
    pub environment: Environment,
}

/// One cache line: words instead of structs, because they are read while the feed writes.
#[derive(Default)]
#[repr(align(64))]
struct Record {
    digest: [AtomicU64; 4],
    id: [AtomicU64; 2],
    number: AtomicU32,
    project: AtomicU32,
    /// Seconds since the epoch, 0 for never.
    expires: AtomicU32,
    /// The policy above, what was done to the key and what it is below: one word, so that they change together.
    rights: AtomicU32,
}

/// Policies of one installation: they share a word with the flags. Keys with equal policies share one.
pub const MAX_POLICIES: u32 = 1 << (32 - FLAG_BITS);
const FLAG_BITS: u32 = 8;

const GONE: u32 = 0;
const ACTIVE: u32 = 1;
const DISABLED: u32 = 2;
const REVOKED: u32 = 3;
const STANDING_BITS: u32 = 0b11;
const MANAGEMENT_BIT: u32 = 1 << 2;
const TEST_BIT: u32 = 1 << 3;

fn digest_words(digest: &KeyDigest) -> [u64; 4] {
    let bytes = digest.as_bytes();
    std::array::from_fn(|i| u64::from_le_bytes(bytes[i * 8..i * 8 + 8].try_into().expect("eight bytes")))
}

impl Record {
    fn write(&self, entry: &KeyEntry) {
        for (word, value) in self.digest.iter().zip(digest_words(&entry.digest)) {
            word.store(value, Ordering::Relaxed);
        }
        let id = entry.id.to_u128();
        self.id[0].store((id >> 64) as u64, Ordering::Relaxed);
        self.id[1].store(id as u64, Ordering::Relaxed);
        self.update(entry);
    }

    /// The parts that may change while the key is in use. A reader may see some of them a moment before the
    /// others; each alone is a true state of the key, before or after the change.
    fn update(&self, entry: &KeyEntry) {
        let expires = entry.expires_at.map_or(0, |end| end.as_secs().clamp(1, i64::from(u32::MAX)) as u32);
        let standing = match entry.standing {
            Standing::Active => ACTIVE,
            Standing::Disabled => DISABLED,
            Standing::Revoked => REVOKED,
        };
        let kind = match entry.kind {
            KeyKind::Secret => 0,
            KeyKind::Management => MANAGEMENT_BIT,
        };
        let environment = match entry.environment {
            Environment::Live => 0,
            Environment::Test => TEST_BIT,
        };
        debug_assert!(entry.policy < MAX_POLICIES, "the store gives no higher number");
        self.number.store(entry.number, Ordering::Relaxed);
        self.project.store(entry.project, Ordering::Relaxed);
        self.expires.store(expires, Ordering::Relaxed);
        self.rights.store(entry.policy << FLAG_BITS | standing | kind | environment, Ordering::Release);
    }

    fn matches(&self, words: &[u64; 4]) -> bool {
        // All four words whatever the first says: a lucky prefix learns nothing from the time it took.
        let differs =
            self.digest.iter().zip(words).fold(0, |acc, (word, want)| acc | (word.load(Ordering::Relaxed) ^ want));
        differs == 0
    }

    fn read(&self) -> Option<KeyEntry> {
        let rights = self.rights.load(Ordering::Acquire);
        let flags = rights & ((1 << FLAG_BITS) - 1);
        let standing = match flags & STANDING_BITS {
            GONE => return None,
            ACTIVE => Standing::Active,
            DISABLED => Standing::Disabled,
            _ => Standing::Revoked,
        };
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(8).zip(&self.digest) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        let expires = self.expires.load(Ordering::Relaxed);
        Some(KeyEntry {
            digest: KeyDigest::from_bytes(digest),
            id: self.id(),
            number: self.number.load(Ordering::Relaxed),
            project: self.project.load(Ordering::Relaxed),
            policy: rights >> FLAG_BITS,
            expires_at: (expires != 0).then(|| Timestamp::from_secs(i64::from(expires))),
            standing,
            kind: if flags & MANAGEMENT_BIT == 0 { KeyKind::Secret } else { KeyKind::Management },
            environment: if flags & TEST_BIT == 0 { Environment::Live } else { Environment::Test },
        })
    }

    fn id(&self) -> KeyId {
        let high = self.id[0].load(Ordering::Relaxed).to_be_bytes();
        let low = self.id[1].load(Ordering::Relaxed).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high);
        bytes[8..].copy_from_slice(&low);
        KeyId::from_entropy(bytes)
    }
}

/// Open addressing with linear probing. A slot holds 32 bits of the digest and the record's index + 1; 0 is free.
struct Table {
    slots: Box<[AtomicU64]>,
}

impl Table {
    fn with_slots(count: usize) -> Self {
        Self { slots: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    fn start(&self, words: &[u64; 4]) -> usize {
        // The digest is keyed, so nobody can choose keys that collide here.
        words[0] as usize & (self.slots.len() - 1)
    }

    fn tag(words: &[u64; 4]) -> u64 {
        words[1] & 0xFFFF_FFFF_0000_0000
    }

    fn put(&self, words: &[u64; 4], index: u32) {
        let mut at = self.start(words);
        while self.slots[at].load(Ordering::Relaxed) != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at].store(Self::tag(words) | (u64::from(index) + 1), Ordering::Release);
    }

    /// The slot and the record index of a digest.
    fn find(&self, records: &Arena<Record>, words: &[u64; 4]) -> Option<(usize, u32)> {
        let mut at = self.start(words);
        loop {
            let slot = self.slots[at].load(Ordering::Acquire);
            if slot == 0 {
                return None;
            }
            if slot & 0xFFFF_FFFF_0000_0000 == Self::tag(words) {
                let index = (slot as u32).wrapping_sub(1);
                if records.get(index).is_some_and(|record| record.matches(words)) {
                    return Some((at, index));
                }
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}

/// Every key of the installation.
pub struct Keys {
    records: Arena<Record>,
    table: ArcSwap<Table>,
    count: AtomicU32,
}

impl Keys {
    /// No keys, with room for so many without growing.
    pub fn with_capacity(keys: usize) -> Self {
        let slots = (keys * FULL_DENOMINATOR / FULL_NUMERATOR + 1).next_power_of_two().max(FIRST_SLOTS);
        Self { records: Arena::new(), table: ArcSwap::from_pointee(Table::with_slots(slots)), count: AtomicU32::new(0) }
    }

    /// Finds a key by its digest: its record's index.
    pub fn find(&self, digest: &KeyDigest) -> Option<u32> {
        let table = self.table.load();
        table.find(&self.records, &digest_words(digest)).map(|(_, index)| index)
    }

    /// What is known of a record; `None` when its key was deleted.
    pub fn read(&self, index: u32) -> Option<KeyEntry> {
        self.records.get(index)?.read()
    }

    /// The id in a record, also of a deleted key: usage may still name it.
    pub fn id(&self, index: u32) -> Option<KeyId> {
        (index < self.len()).then(|| self.records.get(index).map(Record::id)).flatten()
    }

    /// The project in a record.
    pub fn project(&self, index: u32) -> Option<u32> {
        (index < self.len()).then(|| self.records.get(index).map(|r| r.project.load(Ordering::Relaxed))).flatten()
    }

    /// Records, those of deleted keys among them.
    pub fn len(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds or changes a key. Only the feed calls this, one call at a time.
    pub fn put(&self, entry: &KeyEntry) {
        let words = digest_words(&entry.digest);
        let table = self.table.load();
        let found = table.find(&self.records, &words);
        if let Some((_, index)) = found
            && let Some(record) = self.records.get(index)
            && record.id() == entry.id
        {
            // Monotone: a revoked key stays revoked, whatever a late source says.
            let revoked = record.rights.load(Ordering::Relaxed) & STANDING_BITS == REVOKED;
            let standing = if revoked { Standing::Revoked } else { entry.standing };
            record.update(&KeyEntry { standing, ..*entry });
            return;
        }
        let index = self.len();
        self.records.make(index).write(entry);
        self.count.store(index + 1, Ordering::Release);
        match found {
            // The same text was deleted and imported anew: another key with another id.
            Some((at, _)) => table.slots[at].store(Table::tag(&words) | (u64::from(index) + 1), Ordering::Release),
            None => {
                if (index as usize + 1) * FULL_DENOMINATOR > table.slots.len() * FULL_NUMERATOR {
                    self.grow(table.slots.len() * 2);
                } else {
                    table.put(&words, index);
                }
            }
        }
    }

    /// Marks a key gone, unless its text belongs to another key by now.
    pub fn remove(&self, digest: &KeyDigest, id: KeyId) {
        if let Some(record) = self.find(digest).and_then(|index| self.records.get(index))
            && record.id() == id
        {
            record.rights.store(GONE, Ordering::Release);
        }
    }

    /// Every key that is not gone.
    pub fn iter(&self) -> impl Iterator<Item = KeyEntry> {
        (0..self.len()).filter_map(|index| self.read(index))
    }

    fn grow(&self, slots: usize) {
        let table = Table::with_slots(slots);
        for index in 0..self.len() {
            if let Some(record) = self.records.get(index) {
                let words: [u64; 4] = std::array::from_fn(|i| record.digest[i].load(Ordering::Relaxed));
                match table.find(&self.records, &words) {
                    // A later record of the same digest replaces the earlier one.
                    Some((at, _)) => {
                        table.slots[at].store(Table::tag(&words) | (u64::from(index) + 1), Ordering::Relaxed)
                    }
                    None => table.put(&words, index),
                }
            }
        }
        self.table.store(Arc::new(table));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u32, standing: Standing) -> KeyEntry {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_le_bytes());
        digest[28..].copy_from_slice(&n.to_le_bytes());
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        KeyEntry {
            number: n,
            digest: KeyDigest::from_bytes(digest),
            id: KeyId::from_entropy(id),
            project: n,
            policy: n % 1_000,
            expires_at: n.is_multiple_of(2).then(|| Timestamp::from_secs(i64::from(n) + 1)),
            standing,
            kind: if n.is_multiple_of(3) { KeyKind::Management } else { KeyKind::Secret },
            environment: if n.is_multiple_of(5) { Environment::Test } else { Environment::Live },
        }
    }

    #[test]
    fn every_key_is_found_as_it_was_put_while_the_table_grows() {
        let keys = Keys::with_capacity(0);
        for n in 0..50_000 {
            keys.put(&entry(n, Standing::Active));
            assert!(keys.find(&entry(n, Standing::Active).digest).is_some(), "{n}");
        }
        for n in 0..50_000 {
            let wanted = entry(n, Standing::Active);
            assert_eq!(keys.find(&wanted.digest).and_then(|index| keys.read(index)), Some(wanted));
        }
        assert_eq!(keys.find(&entry(50_001, Standing::Active).digest), None);
    }

    #[test]
    fn a_revoked_key_never_comes_back() {
        let keys = Keys::with_capacity(0);
        keys.put(&entry(1, Standing::Revoked));
        keys.put(&entry(1, Standing::Active));
        let index = keys.find(&entry(1, Standing::Active).digest).unwrap();
        assert_eq!(keys.read(index).unwrap().standing, Standing::Revoked);
    }

    #[test]
    fn a_removed_key_is_gone_and_its_text_can_be_used_anew() {
        let keys = Keys::with_capacity(0);
        keys.put(&entry(1, Standing::Active));
        keys.remove(&entry(1, Standing::Active).digest, entry(1, Standing::Active).id);
        let index = keys.find(&entry(1, Standing::Active).digest).unwrap();
        assert_eq!(keys.read(index), None);
        let anew = KeyEntry { id: KeyId::from_entropy([9; 16]), ..entry(1, Standing::Active) };
        keys.put(&anew);
        let index = keys.find(&anew.digest).unwrap();
        assert_eq!(keys.read(index), Some(anew));
    }

    #[test]
    fn a_record_is_one_cache_line() {
        assert_eq!(size_of::<Record>(), 64);
    }
}
