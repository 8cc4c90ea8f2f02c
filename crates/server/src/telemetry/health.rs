//! Whether the process can do its work, check by check, each with its reason in words.
//!
//! A check is needed, or its failure only takes something away: then the process still answers calls as it should,
//! and whoever balances load must not take it away, but an operator should look.

use serde::Serialize;

/// What a failed check means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The process must not get calls.
    Needed,
    /// Calls are answered as they should be.
    Degrades,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name: `[a-z_]`, and always the same, because metrics have it as a label.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What is wrong, and what holds meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip)]
    weight: Weight,
}

impl Check {
    /// A check: `Err` says what is wrong.
    pub fn new(name: &'static str, weight: Weight, found: Result<(), String>) -> Self {
        Self { name, ok: found.is_ok(), reason: found.err(), weight }
    }
}

/// What the checks say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All is as it should be.
    Ready,
    /// Calls are answered, and an operator should look.
    Degraded,
    /// It must not get calls.
    NotReady,
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Health {
    /// What they say together.
    pub fn status(&self) -> Status {
        let failed = |weight| self.checks.iter().any(|check| !check.ok && check.weight == weight);
        match (failed(Weight::Needed), failed(Weight::Degrades)) {
            (true, _) => Status::NotReady,
            (false, true) => Status::Degraded,
            (false, false) => Status::Ready,
        }
    }

    /// Why it is not as it should be, in sentences.
    pub fn reasons(&self) -> String {
        let reasons = self.checks.iter().filter_map(|check| check.reason.as_deref());
        reasons.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides() {
        let bad = || Err("Bad.".to_owned());
        for (needed, degrades, status) in [
            (Ok(()), Ok(()), Status::Ready),
            (Ok(()), bad(), Status::Degraded),
            (bad(), Ok(()), Status::NotReady),
            (bad(), bad(), Status::NotReady),
        ] {
            let checks = vec![Check::new("a", Weight::Needed, needed), Check::new("b", Weight::Degrades, degrades)];
            assert_eq!(Health { checks }.status(), status);
        }
    }
}
