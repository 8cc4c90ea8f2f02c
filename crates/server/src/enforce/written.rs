//! What owners wrote on keys for their programs. Few keys have any, so it stands beside the records and not in them; only
//! verification gives it back.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keystile_core::metadata::Metadata;
use parking_lot::RwLock;

/// Numbers that are looked at one by one; of more, everything that is known is looked at instead.
const FEW: u32 = 1_000;

/// Metadata of keys by the keys' numbers.
#[derive(Default)]
pub struct Written {
    /// Whether there is any at all: most installations have none, and then nobody takes the lock.
    any: AtomicBool,
    all: RwLock<HashMap<u32, Arc<Metadata>>>,
}

impl Written {
    /// What was written on a key.
    pub fn of(&self, key: u32) -> Option<Arc<Metadata>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.all.read().get(&key).cloned()
    }

    /// Replaces what was written on all keys of these numbers. Only the feed calls this.
    pub fn replace(&self, numbers: RangeInclusive<u32>, fresh: Vec<(u32, Metadata)>) {
        if fresh.is_empty() && !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut all = self.all.write();
        if numbers.end().saturating_sub(*numbers.start()) < FEW {
            for number in numbers {
                all.remove(&number);
            }
        } else {
            all.retain(|number, _| !numbers.contains(number));
        }
        all.extend(fresh.into_iter().map(|(number, metadata)| (number, Arc::new(metadata))));
        self.any.store(!all.is_empty(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(text: &str) -> Metadata {
        serde_json::from_str(&format!("{{\"is\":\"{text}\"}}")).unwrap()
    }

    #[test]
    fn what_was_read_anew_takes_the_place_of_what_was_known() {
        let written = Written::default();
        let of = |number| written.of(number).map(|found| (*found).clone());
        assert_eq!(of(1), None);
        written.replace(0..=u32::MAX, vec![(1, metadata("a")), (5, metadata("b")), (7, metadata("c"))]);
        assert_eq!((of(1), of(5), of(6)), (Some(metadata("a")), Some(metadata("b")), None));
        written.replace(5..=7, vec![(6, metadata("d"))]);
        assert_eq!((of(1), of(5), of(6), of(7)), (Some(metadata("a")), None, Some(metadata("d")), None));
        written.replace(2..=5_000, Vec::new());
        assert_eq!((of(1), of(6)), (Some(metadata("a")), None));
        written.replace(1..=1, Vec::new());
        assert_eq!(of(1), None);
    }
}
