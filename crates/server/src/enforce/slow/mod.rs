//! Keys that other systems kept under a slow hash (bcrypt, Argon2) and whose text was not presented yet.
//!
//! Their texts have no digest to be looked up by. A text that nobody is known by, and that begins as such a key does, is
//! verified aside of the threads that carry calls ([`prover`]), and what came of it is remembered ([`memory`]). If it fits,
//! the call goes on, and [`super::rehash`] gives the key the digest of its text in the catalogue; from then on it is a key like
//! others. Only texts that could be guessed, taken over with `weak=argon2id`, keep their slow hash for good.
//!
//! Nothing here is asked before a text was looked up in vain, nor if there is no such key at all.

mod hash;
mod memory;
mod prover;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keystile_core::key::{KeyDigest, Lookup, Pepper};
use keystile_store::records::FeedSlow;
use parking_lot::RwLock;

pub use hash::{SALT_LEN, fits, stretched};
pub use prover::Proof;
pub use table::Candidate;

use super::rehash::Rehashes;
use prover::Prover;
use table::Table;

/// What is known of them.
#[derive(Default)]
pub struct SlowKeys {
    table: RwLock<Table>,
    is_any: AtomicBool,
    has_tokens: AtomicBool,
    prover: Arc<Prover>,
}

impl SlowKeys {
    /// Whether there is one.
    pub fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// Whether there is a key that is found by its short token and the SHA-256 of the long one.
    pub fn has_tokens(&self) -> bool {
        self.has_tokens.load(Ordering::Relaxed)
    }

    /// From now on there is one.
    pub fn note_tokens(&self) {
        self.has_tokens.store(true, Ordering::Relaxed);
    }

    /// Adds one at a start, when nobody asks yet.
    pub fn load(&self, slow: FeedSlow) {
        self.is_any.store(true, Ordering::Relaxed);
        self.table.write().put(slow);
    }

    /// Puts what is known of the keys with these numbers in the place of what was. Only the feed calls this.
    pub fn put(&self, numbers: std::ops::RangeInclusive<u32>, slow: impl IntoIterator<Item = FeedSlow>) {
        let mut is_any_new = false;
        let mut table = self.table.write();
        table.remove(numbers);
        for slow in slow {
            is_any_new |= slow.slow.is_some();
            table.put(slow);
        }
        self.is_any.store(!table.is_empty(), Ordering::Relaxed);
        drop(table);
        if is_any_new {
            // What was known to be none may be one now.
            self.prover.memory.write().forget_refused();
        }
    }

    /// The slow hashes that a text may belong to.
    pub fn candidates(&self, text: &str, peppers: &[Pepper]) -> Vec<Candidate> {
        if self.is_any() { self.table.read().candidates(text, peppers) } else { Vec::new() }
    }

    /// How many slow hashes a lookup leads to.
    pub fn count(&self, lookup: Lookup) -> usize {
        self.table.read().count(lookup)
    }

    /// Texts of keys that are to get another digest.
    pub(super) fn rehashes(&self) -> &Rehashes {
        &self.prover.rehashes
    }

    /// What was verified is a little older; what is old is forgotten.
    pub(super) fn grow_older(&self) {
        self.prover.memory.write().grow_older();
    }

    /// What stands for the digest of a text that was verified.
    pub fn proven(&self, digest: &KeyDigest) -> Option<KeyDigest> {
        self.prover.memory.read().proven(digest)
    }
}
