//! Chance that can be repeated: a case is its seed and its number, and nothing else.

/// Steele, Lea and Flood's SplitMix64: short, and good enough to choose bytes with.
pub(super) struct Chance(u64);

impl Chance {
    /// The chance of this case.
    pub(super) fn of_case(seed: u64, case: u64) -> Self {
        let mut chance = Self(seed);
        Self(chance.next() ^ case.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, and without, this one; 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        // What `%` favours is far too little to matter here.
        (self.next() % end.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these, which must be some.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_case_has_the_same_chance_and_another_one_has_not() {
        let draw = |seed, case| {
            let mut chance = Chance::of_case(seed, case);
            (0..8).map(|_| chance.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 7), draw(1, 7));
        assert_ne!(draw(1, 7), draw(1, 8));
        assert_ne!(draw(1, 7), draw(2, 7));
    }
}
