//! What came of texts that were verified, for a while. Texts are known by their keyed digests.

use std::collections::HashMap;

use keystile_core::key::{KeyDigest, Lookup};
use keystile_core::time::Ticks;

use super::Candidate;

/// Texts that are remembered, in each of two ages.
const MAX_TEXTS: usize = 10_000;
/// Texts that are tried for one lookup in a minute: more than one key's callers mistype, and little work.
pub(super) const MAX_TRIES: u32 = 30;
const MINUTE_NANOS: u64 = 60_000_000_000;

/// What is remembered of texts. What was not told again before everything has grown old twice is forgotten.
struct Texts<T> {
    young: HashMap<[u8; 32], T>,
    old: HashMap<[u8; 32], T>,
}

impl<T> Default for Texts<T> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<T: Copy> Texts<T> {
    fn get(&self, digest: &KeyDigest) -> Option<T> {
        self.young.get(digest.as_bytes()).or_else(|| self.old.get(digest.as_bytes())).copied()
    }

    fn put(&mut self, digest: &KeyDigest, what: T) {
        if self.young.len() >= MAX_TEXTS {
            self.grow_older();
        }
        self.young.insert(*digest.as_bytes(), what);
    }

    fn grow_older(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

/// Texts that fit, texts that did not, and how often it was tried.
#[derive(Default)]
pub(super) struct Memory {
    fitting: Texts<KeyDigest>,
    refused: Texts<()>,
    tries: HashMap<Lookup, u32>,
    minute: u64,
}

impl Memory {
    /// What stands for the digest of this text, if it was found to fit.
    pub(super) fn proven(&self, digest: &KeyDigest) -> Option<KeyDigest> {
        self.fitting.get(digest)
    }

    pub(super) fn was_refused(&self, digest: &KeyDigest) -> bool {
        self.refused.get(digest).is_some()
    }

    pub(super) fn note(&mut self, digest: &KeyDigest, found: Option<KeyDigest>) {
        match found {
            Some(placeholder) => self.fitting.put(digest, placeholder),
            None => self.refused.put(digest, ()),
        }
    }

    pub(super) fn forget_refused(&mut self) {
        self.refused = Texts::default();
    }

    pub(super) fn grow_older(&mut self) {
        self.fitting.grow_older();
        self.refused.grow_older();
    }

    /// Whether one more text may be tried for all that these are found by. Counts it if so.
    pub(super) fn may_try(&mut self, candidates: &[Candidate], at: Ticks) -> bool {
        let minute = at.as_nanos() / MINUTE_NANOS;
        if minute != self.minute {
            self.minute = minute;
            self.tries = HashMap::new();
        }
        let mut lookups: Vec<Lookup> = candidates.iter().map(|candidate| candidate.lookup).collect();
        lookups.sort_unstable();
        lookups.dedup();
        let is_allowed = lookups.iter().all(|lookup| self.tries.get(lookup).is_none_or(|tries| *tries < MAX_TRIES));
        if is_allowed {
            lookups.into_iter().for_each(|lookup| *self.tries.entry(lookup).or_default() += 1);
        }
        is_allowed
    }
}
