//! The least loaded target, by weight.

/// A target that could take the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Calls that it is answering.
    pub in_flight: u32,
    /// Its share among the others; at least 1.
    pub weight: u32,
}

impl Load {
    /// Whether it bears less than another, measured by what each can bear.
    fn is_below(self, other: Self) -> bool {
        u64::from(self.in_flight) * u64::from(other.weight) < u64::from(other.in_flight) * u64::from(self.weight)
    }
}

/// Which of the candidates takes the next call: of those with the fewest calls for their weight one by lot, where a
/// weight of 2 has two tickets. `None` if there is no candidate. `draw` is any number, evenly spread over all.
pub fn choose(candidates: &[Load], draw: u32) -> Option<usize> {
    let least = candidates.iter().copied().reduce(|least, load| if load.is_below(least) { load } else { least })?;
    let is_least = |load: &Load| !least.is_below(*load);
    let tickets: u64 = candidates.iter().filter(|load| is_least(load)).map(|load| u64::from(load.weight)).sum();
    // A multiplication, as even as a remainder (Lemire, 2019).
    let mut ticket = (u64::from(draw) * tickets) >> 32;
    for (index, load) in candidates.iter().enumerate().filter(|(_, load)| is_least(load)) {
        match ticket.checked_sub(u64::from(load.weight)) {
            Some(left) => ticket = left,
            None => return Some(index),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(in_flight: u32, weight: u32) -> Load {
        Load { in_flight, weight }
    }

    #[test]
    fn the_least_loaded_is_chosen_by_weight() {
        for (loads, chosen) in [
            (&[][..], None),
            (&[load(9, 1)], Some(0)),
            (&[load(2, 1), load(1, 1)], Some(1)),
            (&[load(2, 1), load(3, 2)], Some(1)),
            (&[load(1, 1), load(3, 2)], Some(0)),
            (&[load(u32::MAX, 1_000), load(u32::MAX, 999)], Some(0)),
        ] {
            for draw in [0, 1 << 31, u32::MAX] {
                assert_eq!(choose(loads, draw), chosen, "{loads:?}");
            }
        }
    }

    #[test]
    fn among_equals_the_weights_decide() {
        let loads = [load(0, 1), load(0, 2), load(0, 5)];
        let mut calls = [0; 3];
        for n in 0..8_000_u32 {
            let chosen = choose(&loads, n.wrapping_mul(u32::MAX / 8_000)).unwrap();
            calls[chosen] += 1;
        }
        for (calls, expected) in calls.into_iter().zip([1_000_i32, 2_000, 5_000]) {
            assert!((calls - expected).abs() < 20, "{calls} of {expected}");
        }
    }

    proptest! {
        #[test]
        fn nobody_with_less_to_do_is_passed_over(
            loads in proptest::collection::vec((0..100_u32, 1..1_000_u32), 1..64),
            draw: u32,
        ) {
            let loads: Vec<Load> = loads.into_iter().map(|(in_flight, weight)| load(in_flight, weight)).collect();
            let chosen = loads[choose(&loads, draw).unwrap()];
            prop_assert!(loads.iter().all(|other| !other.is_below(chosen)));
        }
    }
}
