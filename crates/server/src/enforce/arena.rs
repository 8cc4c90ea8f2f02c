//! Growing storage that is read without a lock: chunks are added, never moved, so an index stays good for ever.
//!
//! Who writes is settled by whoever uses it (the feed alone, or under a lock); any number read.

use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwapOption, Guard};

/// Items of the first chunk; each later chunk is as large as all before it, so 32 chunks are enough for 2^32.
const FIRST_CHUNK: usize = 1 << 10;
const FIRST_CHUNK_BITS: u32 = FIRST_CHUNK.trailing_zeros();
/// Chunks until an index passes 32 bits.
const CHUNKS: usize = 32 - FIRST_CHUNK_BITS as usize + 1;

/// Storage of `T`, each made with `Default` and changed through `&T`.
pub struct Arena<T> {
    chunks: [OnceLock<Box<[T]>>; CHUNKS],
}

/// Which chunk holds an index, and where in it.
fn place(index: u32) -> (usize, usize) {
    let index = index as usize;
    let chunk = (index >> FIRST_CHUNK_BITS).checked_ilog2().map_or(0, |log| log as usize + 1);
    let start = if chunk == 0 { 0 } else { FIRST_CHUNK << (chunk - 1) };
    (chunk, index - start)
}

impl<T: Default> Arena<T> {
    /// Empty storage; nothing is allocated until something is stored.
    pub fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    /// The item, if its chunk exists.
    pub fn get(&self, index: u32) -> Option<&T> {
        let (chunk, offset) = place(index);
        self.chunks[chunk].get()?.get(offset)
    }

    /// Every item of the chunks that exist.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().filter_map(OnceLock::get).flatten()
    }

    /// The item, in a new chunk if need be.
    pub fn make(&self, index: u32) -> &T {
        let (chunk, offset) = place(index);
        let len = if chunk == 0 { FIRST_CHUNK } else { FIRST_CHUNK << (chunk - 1) };
        let items = self.chunks[chunk].get_or_init(|| (0..len).map(|_| T::default()).collect());
        &items[offset]
    }
}

impl<T: Default> Default for Arena<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Shared views by index: APIs, projects, policies. A change swaps the whole view.
pub struct Views<T> {
    slots: Arena<ArcSwapOption<T>>,
}

impl<T> Views<T> {
    /// No views yet.
    pub fn new() -> Self {
        Self { slots: Arena::new() }
    }

    /// The view as it is now.
    pub fn get(&self, index: u32) -> Guard<Option<Arc<T>>> {
        self.slots.get(index).map_or_else(|| Guard::from_inner(None), ArcSwapOption::load)
    }

    /// Every view as it is now.
    pub fn each(&self, mut each: impl FnMut(&T)) {
        for slot in self.slots.all() {
            if let Some(view) = &*slot.load() {
                each(view);
            }
        }
    }

    /// Puts a view in place, or takes it away.
    pub fn set(&self, index: u32, view: Option<Arc<T>>) {
        self.slots.make(index).store(view);
    }
}

impl<T> Default for Views<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn every_index_has_a_place_of_its_own() {
        let arena = Arena::<AtomicU32>::new();
        for index in 0..20_000 {
            assert!(arena.make(index).swap(index + 1, Ordering::Relaxed) == 0, "{index} was used before");
        }
        assert!((0..20_000).all(|index| arena.get(index).unwrap().load(Ordering::Relaxed) == index + 1));
        assert!(arena.get(u32::MAX).is_none());
        assert_eq!(place(u32::MAX).0, CHUNKS - 1);
    }
}
