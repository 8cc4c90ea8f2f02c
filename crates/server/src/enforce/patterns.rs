//! Patterns in memory: one cell each, which policies and projects share. A pattern that changes changes what its cell holds,
//! and with it what the next call meets; nothing is looked up on the way of a call.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use keystile_core::id::PatternId;
use keystile_core::pattern::{Filter, Pattern};
use keystile_store::records;

/// Where a pattern is.
pub(super) type Cell = Arc<ArcSwap<Pattern>>;

/// The cells of those that are known or named.
#[derive(Default)]
pub(super) struct Patterns {
    cells: HashMap<PatternId, Cell>,
    /// Of all that were ever known: revisions name them by number, those that are gone too.
    ids: HashMap<u32, PatternId>,
}

impl Patterns {
    /// The cells of these patterns. One that is not known, or no longer, lets nothing pass until it is.
    pub(super) fn cells(&mut self, ids: &[PatternId]) -> Box<[Cell]> {
        ids.iter().map(|id| self.cell(*id)).collect()
    }

    fn cell(&mut self, id: PatternId) -> Cell {
        self.cells.entry(id).or_insert_with(|| Arc::new(ArcSwap::from_pointee(closed(id)))).clone()
    }

    /// A pattern as it is now, or that it is gone.
    pub(super) fn learn(&mut self, number: u32, pattern: Option<records::Pattern>) {
        let Some(id) = pattern.as_ref().map(|pattern| pattern.id).or_else(|| self.ids.get(&number).copied()) else {
            return;
        };
        if pattern.is_none() && self.cells.get(&id).is_none_or(|cell| Arc::strong_count(cell) == 1) {
            // Nobody names it, and its number is never used again.
            self.cells.remove(&id);
            self.ids.remove(&number);
            return;
        }
        self.ids.insert(number, id);
        let now =
            pattern.map_or_else(|| closed(id), |pattern| Pattern { id, name: pattern.name, filter: pattern.filter });
        self.cell(id).store(Arc::new(now));
    }
}

fn closed(id: PatternId) -> Pattern {
    Pattern { id, name: "unknown".parse().expect("it is a word"), filter: Filter::closed() }
}

#[cfg(test)]
mod tests {
    use keystile_core::facts::Facts;
    use keystile_core::id::OrganizationId;
    use keystile_core::method::Method;
    use keystile_core::time::{Moment, Ticks, Timestamp};

    use super::*;

    fn pattern(n: u8, method: &str) -> records::Pattern {
        records::Pattern {
            id: PatternId::from_entropy([n; 16]),
            number: u32::from(n),
            organization: OrganizationId::from_entropy([1; 16]),
            name: format!("pattern-{n}").parse().unwrap(),
            description: String::new(),
            filter: serde_json::from_str(&format!(r#"{{"allow":[{{"methods":["{method}"]}}]}}"#)).unwrap(),
            created_at: Timestamp::from_secs(1),
            updated_at: Timestamp::from_secs(1),
            revision: 1,
        }
    }

    fn lets_get_pass(cell: &Cell) -> bool {
        let at = Moment { wall: Timestamp::from_secs(1), ticks: Ticks::from_nanos(1) };
        cell.load().filter.passes(&Facts { method: Some(Method::Get), ..Facts::at(at) })
    }

    #[test]
    fn whoever_names_a_pattern_meets_it_as_it_is_now() {
        let mut patterns = Patterns::default();
        let named = patterns.cells(&[PatternId::from_entropy([1; 16])]);
        assert!(!lets_get_pass(&named[0]), "one that is not known yet lets nothing pass");
        for (now, passes) in [
            (Some(pattern(1, "GET")), true),
            (Some(pattern(1, "POST")), false),
            (Some(pattern(1, "GET")), true),
            (None, false),
        ] {
            patterns.learn(1, now);
            assert_eq!(lets_get_pass(&named[0]), passes);
        }
        patterns.learn(7, None);
        patterns.learn(2, Some(pattern(2, "GET")));
        assert_eq!(patterns.cells.len(), 2);
        patterns.learn(2, None);
        assert_eq!((patterns.cells.len(), patterns.ids.len()), (1, 1), "what nobody names leaves nothing");
    }
}
