//! Counters of rate limits: in memory, exact on one node, charged all or nothing.
//!
//! A key's slots lie side by side in an arena and are allocated when its first call is counted. A call holds the
//! one lock of its key's stripe while it weighs and charges; two cores meet there only when they count the same
//! key, or by a chance of 1 in 256. So 100 calls at once against a limit of `L` admit exactly `L`, and a call that
//! one rule refuses is charged by none.
//!
//! Counters are not kept across a restart: a window begins anew. Changing a key's limits also begins anew.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use keystile_core::decide::{Admission, Weights};
use keystile_core::limit::{Slot, Weighed};
use keystile_core::time::Ticks;
use parking_lot::Mutex;

use super::arena::Arena;

/// Locks; many more than cores, so that two keys in use at once rarely share one.
const STRIPES: usize = 256;

/// On a cache line of its own, so that two stripes do not slow each other down.
#[derive(Default)]
#[repr(align(64))]
struct Stripe(Mutex<()>);

/// Two words; written only under the stripe's lock.
#[derive(Default)]
struct Cell([AtomicU64; 2]);

impl Cell {
    fn load(&self) -> [u64; 2] {
        [self.0[0].load(Ordering::Relaxed), self.0[1].load(Ordering::Relaxed)]
    }

    fn store(&self, words: [u64; 2]) {
        self.0[0].store(words[0], Ordering::Relaxed);
        self.0[1].store(words[1], Ordering::Relaxed);
    }
}

/// The counters of every key.
pub struct Counters {
    stripes: Box<[Stripe]>,
    /// Per key, where its block begins; 0 for none.
    blocks: Arena<AtomicU32>,
    /// Blocks: a head (fingerprint of the rules, room in cells), then a cell a rule.
    cells: Arena<Cell>,
    used: AtomicU32,
}

impl Counters {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let stripes = (0..STRIPES).map(|_| Stripe::default()).collect();
        Self { stripes, blocks: Arena::new(), cells: Arena::new(), used: AtomicU32::new(1) }
    }

    /// Weighs a call at every rule, and counts it at all of them if it fits all of them.
    ///
    /// `fingerprint` tells one list of rules from another: counts made under other rules are forgotten. What each rule
    /// said is put into `weights`, which is long and therefore stays where it is.
    pub fn charge(&self, key: u32, admission: &Admission<'_>, fingerprint: u64, now: Ticks, weights: &mut Weights) {
        weights.clear();
        if admission.rules.is_empty() {
            return;
        }
        let _held = self.stripes[key as usize % STRIPES].0.lock();
        let first = self.block(key, admission.rules.len() as u32, fingerprint);
        let cells = |rule: usize| self.cells.make(first + rule as u32);
        let mut fits = true;
        for (index, rule) in admission.rules.iter().enumerate() {
            let weighed = rule.weigh(Slot(cells(index).load()), admission.cost, now);
            fits &= matches!(weighed, Weighed::Fits { .. });
            weights.push(weighed);
        }
        for (index, (rule, weighed)) in admission.rules.iter().zip(weights).enumerate() {
            match weighed {
                Weighed::Fits { slot, .. } if fits => cells(index).store(slot.0),
                // Not charged after all, so what is left is what was left before.
                Weighed::Fits { reading, .. } => *reading = rule.peek(Slot(cells(index).load()), now),
                Weighed::Over { .. } => {}
            }
        }
    }

    /// The first cell of the key's rules; called under its lock.
    fn block(&self, key: u32, rules: u32, fingerprint: u64) -> u32 {
        let place = self.blocks.make(key);
        let head = place.load(Ordering::Relaxed);
        if head != 0 {
            let [known, room] = self.cells.make(head).load();
            if known == fingerprint {
                return head + 1;
            }
            if room >= u64::from(rules) {
                self.clear(head, rules, room, fingerprint);
                return head + 1;
            }
        }
        let head = self.used.fetch_add(rules + 1, Ordering::Relaxed);
        self.clear(head, rules, u64::from(rules), fingerprint);
        place.store(head, Ordering::Relaxed);
        head + 1
    }

    fn clear(&self, head: u32, rules: u32, room: u64, fingerprint: u64) {
        self.cells.make(head).store([fingerprint, room]);
        for rule in 0..rules {
            self.cells.make(head + 1 + rule).store([0, 0]);
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::decide::settle;
    use keystile_core::limit::{Algorithm, LimitRule};
    use keystile_core::restrict::Rules;

    fn rules(limits: &[(Algorithm, u32)]) -> Vec<LimitRule> {
        let rule = |(i, (algorithm, limit)): (usize, &(Algorithm, u32))| {
            LimitRule::new(&format!("r{i}"), *limit, 3_600, *algorithm, None).unwrap()
        };
        limits.iter().enumerate().map(rule).collect()
    }

    const NOW: Ticks = Ticks::from_nanos(1 << 60);

    fn charged(counters: &Counters, key: u32, rules: &[LimitRule], fingerprint: u64) -> Weights {
        let mut weights = Weights::new();
        counters.charge(key, &Admission { rules, cost: 1, shadow: Rules::NONE }, fingerprint, NOW, &mut weights);
        weights
    }

    fn admitted_by_100_tasks(rules: &[LimitRule]) -> usize {
        let counters = Counters::new();
        std::thread::scope(|scope| {
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50).filter(|_| settle(&charged(&counters, 7, rules, 1)).code.is_allowed()).count()
                    })
                })
                .collect();
            tasks.into_iter().map(|task| task.join().unwrap()).sum()
        })
    }

    #[test]
    fn a_hundred_tasks_against_a_limit_admit_exactly_the_limit() {
        for algorithm in [Algorithm::SlidingWindow, Algorithm::TokenBucket] {
            for limit in [1, 99, 1_000] {
                assert_eq!(admitted_by_100_tasks(&rules(&[(algorithm, limit)])), limit as usize);
                let three = rules(&[(algorithm, limit + 7), (Algorithm::TokenBucket, limit), (algorithm, 4_000)]);
                assert_eq!(admitted_by_100_tasks(&three), limit as usize, "all three or none");
            }
        }
    }

    #[test]
    fn a_refusal_costs_nothing() {
        let counters = Counters::new();
        let rules = rules(&[(Algorithm::SlidingWindow, 100), (Algorithm::TokenBucket, 1)]);
        for _ in 0..50 {
            charged(&counters, 1, &rules, 1);
        }
        let weights = charged(&counters, 1, &rules, 1);
        assert_eq!(keystile_core::decide::reading(&weights[0]).remaining, 99, "only the admitted call was counted");
    }

    #[test]
    fn other_rules_begin_anew_and_other_keys_are_left_alone() {
        let counters = Counters::new();
        let (one, two) = (rules(&[(Algorithm::SlidingWindow, 1)]), rules(&[(Algorithm::SlidingWindow, 1); 2]));
        let allowed = |key, rules: &[LimitRule], fingerprint| {
            settle(&charged(&counters, key, rules, fingerprint)).code.is_allowed()
        };
        assert!(allowed(1, &one, 1));
        assert!(!allowed(1, &one, 1));
        assert!(allowed(2, &one, 1));
        assert!(allowed(1, &two, 2));
        assert!(!allowed(1, &two, 2));
        assert!(!allowed(2, &one, 1));
    }
}
