//! Slow hashes by what finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use keystile_core::key::{KeyDigest, LOOKUP_CHARS, Lookup, MAX_CANDIDATES, Pepper};
use keystile_store::records::FeedSlow;

/// A slow hash that a text may belong to.
#[derive(Clone)]
pub struct Candidate {
    /// Which version of its key it is of.
    pub version: u16,
    /// What stands for the digest of its text.
    pub placeholder: KeyDigest,
    /// What finds it.
    pub lookup: Lookup,
    /// The hash.
    pub hash: Arc<str>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Table {
    by_key: BTreeMap<u32, Vec<Candidate>>,
    by_lookup: BTreeSet<(Lookup, u32)>,
    /// How many there are of each length of a beginning; 0 is of those that are found by their whole text.
    lengths: BTreeMap<usize, usize>,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Adds one, or changes it. One whose text was presented is gone.
    pub(super) fn put(&mut self, slow: FeedSlow) {
        let Some(hash) = slow.slow else { return };
        let lookup = hash.lookup;
        let (version, placeholder) = (slow.version, slow.digest);
        let candidate = Candidate { version, placeholder, lookup, hash: hash.hash.into() };
        let of_key = self.by_key.entry(slow.key).or_default();
        of_key.retain(|known| known.version != version);
        // Nearly all have one: room for four would be most of the memory of a million.
        of_key.reserve_exact(1);
        of_key.push(candidate);
        if self.by_lookup.insert((lookup, slow.key)) {
            *self.lengths.entry(lookup.chars()).or_default() += 1;
        }
    }

    /// Takes away all of the keys with these numbers.
    pub(super) fn remove(&mut self, numbers: RangeInclusive<u32>) {
        let keys: Vec<u32> = self.by_key.range(numbers).map(|(key, _)| *key).collect();
        for key in keys {
            for candidate in self.by_key.remove(&key).unwrap_or_default() {
                let length = candidate.lookup.chars();
                if self.by_lookup.remove(&(candidate.lookup, key))
                    && let Some(count) = self.lengths.get_mut(&length)
                {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
            }
        }
    }

    /// Those that a text may belong to, by each of the ways of finding them; as many as are tried at most, for each pepper that
    /// they were taken over under.
    pub(super) fn candidates(&self, text: &str, peppers: &[Pepper]) -> Vec<Candidate> {
        let lookups = self.lengths.keys().flat_map(|length| {
            let beginning = text.get(..*length).filter(|_| LOOKUP_CHARS.contains(length));
            peppers.iter().filter_map(move |pepper| match (length, beginning) {
                (0, _) => Some(pepper.lookup_of_whole(text)),
                (_, Some(beginning)) => Some(pepper.lookup_of_beginning(beginning)),
                (_, None) => None,
            })
        });
        // A row that somebody else wrote opens nothing (K-5).
        let is_ours =
            |one: &Candidate| peppers.iter().any(|pepper| pepper.stands_for(&one.placeholder, one.lookup, &one.hash));
        lookups.flat_map(|lookup| self.found_by(lookup)).filter(is_ours).take(MAX_CANDIDATES * peppers.len()).collect()
    }

    /// How many a lookup leads to.
    pub(super) fn count(&self, lookup: Lookup) -> usize {
        self.found_by(lookup).count()
    }

    fn found_by(&self, lookup: Lookup) -> impl Iterator<Item = Candidate> {
        let keys = self.by_lookup.range((lookup, 0)..=(lookup, u32::MAX)).filter_map(|(_, key)| self.by_key.get(key));
        keys.flatten().filter(move |candidate| candidate.lookup == lookup).cloned()
    }
}
