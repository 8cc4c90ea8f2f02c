//! The table from digests to records.

use std::sync::atomic::{AtomicU64, Ordering};

use super::record::Record;
use crate::enforce::arena::Arena;

/// Open addressing with linear probing. A slot holds 32 bits of the digest and the record's index + 1; 0 is free.
pub(super) struct Table {
    slots: Box<[AtomicU64]>,
}

impl Table {
    pub(super) fn with_slots(count: usize) -> Self {
        Self { slots: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    fn start(&self, words: &[u64; 4]) -> usize {
        // The digest is keyed, so nobody can choose keys that collide here.
        words[0] as usize & (self.slots.len() - 1)
    }

    fn tag(words: &[u64; 4]) -> u64 {
        words[1] & 0xFFFF_FFFF_0000_0000
    }

    pub(super) fn put(&self, words: &[u64; 4], index: u32) {
        let mut at = self.start(words);
        while self.slots[at].load(Ordering::Relaxed) != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.set(at, words, index);
    }

    /// How many slots it has.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Lets the slot of a digest lead to another record.
    pub(super) fn set(&self, slot: usize, words: &[u64; 4], index: u32) {
        self.slots[slot].store(Self::tag(words) | (u64::from(index) + 1), Ordering::Release);
    }

    /// The slot and the record index of a digest.
    pub(super) fn find(&self, records: &Arena<Record>, words: &[u64; 4]) -> Option<(usize, u32)> {
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
