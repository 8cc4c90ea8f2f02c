//! Counts of calls, made from the file and reported by the gateway, and where they differ.

use std::collections::{BTreeMap, HashSet};

use super::expected::{Expectation, INVALID, MAX_CLASSES, OTHER, expect};
use super::log::Log;

/// What calls are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counted {
    /// The project; empty for calls of nobody.
    pub project_id: String,
    /// The operation class.
    pub operation: String,
    /// The code.
    pub code: String,
    /// The status.
    pub status: u16,
}

/// Calls by what they are counted by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<Counted, u64>);

/// A count that is not the same on both sides.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// What is counted.
    pub counted: Counted,
    /// How many the file has.
    pub expected: u64,
    /// How many the gateway reports.
    pub reported: u64,
}

/// How finely operations are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operations {
    /// Each by itself.
    Each,
    /// All together, because the gateway's names can't be told from the file.
    Together,
}

impl Counts {
    /// Adds calls.
    pub(super) fn add(&mut self, counted: Counted, calls: u64) {
        *self.0.entry(counted).or_default() += calls;
    }

    /// All calls.
    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Only the calls of these projects, and how many others there are.
    pub(super) fn of_projects(self, projects: &HashSet<&str>) -> (Self, u64) {
        let (ours, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.0.into_iter().partition(|(counted, _)| projects.contains(counted.project_id.as_str()));
        (Self(ours), others.values().sum())
    }

    /// The same calls with all operations in one, but for those that are refused beforehand.
    pub(super) fn with(self, operations: Operations) -> Self {
        match operations {
            Operations::Each => self,
            Operations::Together => {
                let mut together = Self::default();
                for (mut counted, calls) in self.0 {
                    if counted.operation != INVALID {
                        counted.operation = "(any)".into();
                    }
                    together.add(counted, calls);
                }
                together
            }
        }
    }

    /// Sums by one part of what is counted, most calls first.
    pub(super) fn by(&self, part: impl Fn(&Counted) -> String) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (counted, calls) in &self.0 {
            *sums.entry(part(counted)).or_default() += calls;
        }
        sums
    }

    /// Where the reported counts are not these.
    pub(super) fn differences(&self, reported: &Self) -> Vec<Difference> {
        let all: BTreeMap<&Counted, ()> = self.0.keys().chain(reported.0.keys()).map(|counted| (counted, ())).collect();
        all.into_keys()
            .map(|counted| Difference {
                counted: counted.clone(),
                expected: self.0.get(counted).copied().unwrap_or_default(),
                reported: reported.0.get(counted).copied().unwrap_or_default(),
            })
            .filter(|difference| difference.expected != difference.reported)
            .collect()
    }
}

/// What each line must give, in the order of the log.
pub(super) struct Expected {
    /// One for each line.
    pub of_line: Vec<Expectation>,
    /// The operation classes, without `(invalid)`.
    pub classes: usize,
}

impl Expected {
    /// Decides every line. Classes past the bound become `(other)` in order of appearance, which is the gateway's
    /// order too if the calls go out one after the other.
    pub(super) fn of(log: &Log, host: &str) -> Self {
        let mut known: HashSet<String> = HashSet::new();
        let mut classes = HashSet::new();
        let mut of_line = Vec::with_capacity(log.lines.len());
        for line in &log.lines {
            let mut expectation = expect(line, host);
            if expectation.operation != INVALID {
                classes.insert(expectation.operation.clone());
                if known.len() < MAX_CLASSES {
                    known.insert(expectation.operation.clone());
                } else if !known.contains(&expectation.operation) {
                    expectation.operation = OTHER.into();
                }
            }
            of_line.push(expectation);
        }
        Self { of_line, classes: classes.len() }
    }

    /// The counts that these lines must give.
    pub(super) fn counts<'a>(&self, log: &Log, project: impl Fn(usize) -> &'a str) -> Counts {
        let mut counts = Counts::default();
        for (line, expectation) in log.lines.iter().zip(&self.of_line) {
            let counted = Counted {
                project_id: project(line.client).to_owned(),
                operation: expectation.operation.clone(),
                code: expectation.code.to_owned(),
                status: expectation.status,
            };
            counts.add(counted, 1);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(targets: impl IntoIterator<Item = (&'static str, String)>) -> Log {
        let mut text = b"t_ms\tclient\tmethod\tpath\tstatus\tbytes\tua\tflags\n".to_vec();
        for (client, target) in targets {
            text.extend_from_slice(format!("0\t{client}\tGET\t{target}\t200\t0\t0\t\n").as_bytes());
        }
        Log::of_columns(&text, b"")
    }

    #[test]
    fn classes_past_the_bound_are_one() {
        let targets =
            (0..MAX_CLASSES + 2).map(|n| ("a", format!("/p{n}"))).chain([("a", "/p0".into()), ("a", "/..".into())]);
        let log = log(targets);
        let expected = Expected::of(&log, "h");
        assert_eq!(expected.classes, MAX_CLASSES + 2);
        let counts = expected.counts(&log, |_| "prj_1").by(|counted| counted.operation.clone());
        assert_eq!((counts["GET /p0"], counts[OTHER], counts[INVALID]), (2, 2, 1));
        assert!(!counts.contains_key("GET /p1001"));
    }

    #[test]
    fn every_difference_is_found_in_both_directions() {
        let log = log([("a", "/x".into()), ("a", "/x".into()), ("b", "/x".into())]);
        let expected = Expected::of(&log, "h").counts(&log, |client| ["prj_a", "prj_b"][client]);
        assert_eq!(expected.differences(&expected.clone()), []);
        let mut reported = expected.clone();
        let strange =
            Counted { project_id: "prj_b".into(), operation: "GET /y".into(), code: "allowed".into(), status: 200 };
        reported.add(strange.clone(), 4);
        assert_eq!(expected.differences(&reported), [Difference { counted: strange, expected: 0, reported: 4 }]);
        assert_eq!(reported.differences(&expected).len(), 1);
        let together = |counts: Counts| counts.with(Operations::Together);
        assert_eq!(together(expected.clone()).differences(&together(reported)).len(), 1);
        let (ours, others) = expected.of_projects(&HashSet::from(["prj_a"]));
        assert_eq!((ours.total(), others), (2, 1));
    }
}
