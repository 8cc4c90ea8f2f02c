//! What a replay prints: expected beside reported, and every difference.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::count::{Counted, Counts, Difference, Expected, Operations};
use super::log::{Log, Skip};
use super::run::Outcome;
use crate::say;

/// More differences than this say nothing new.
const MAX_SHOWN: usize = 50;

/// The clients and operations that are shown, those with most calls.
const TOP: usize = 10;

/// An answer that is not the expected one.
pub(super) struct WrongAnswer {
    /// The line of the file.
    pub line: usize,
    /// The call, made safe to print.
    pub call: String,
    /// The status expected.
    pub expected: u16,
    /// The status that came, or what went wrong.
    pub came: String,
}

/// Everything that a replay found.
pub(super) struct Report<'a> {
    /// The file's name.
    pub file: String,
    /// The log.
    pub log: &'a Log,
    /// The counts from the file.
    pub expected: Counts,
    /// The counts from the gateway.
    pub reported: Counts,
    /// How operations were compared.
    pub operations: Operations,
    /// The operation classes in the file.
    pub classes: usize,
    /// Where the counts differ.
    pub differences: Vec<Difference>,
    /// Where the answers differ.
    pub wrong_answers: Vec<WrongAnswer>,
    /// Calls that the gateway counted for nobody.
    pub strangers: u64,
    /// The projects of the clients.
    pub names: BTreeMap<String, String>,
    /// What came of the calls.
    pub outcome: &'a Outcome,
    /// Connections used.
    pub connections: usize,
}

/// The answers that are not as expected.
pub(super) fn wrong_answers(log: &Log, expected: &Expected, outcome: &Outcome) -> Vec<WrongAnswer> {
    let lines = log.lines.iter().zip(&expected.of_line).zip(&outcome.of_line);
    lines
        .filter(|((_, expectation), came)| **came != Ok(expectation.status))
        .map(|((line, expectation), came)| WrongAnswer {
            line: line.number,
            call: format!("{} {}", line.method, line.target.escape_ascii()).chars().take(160).collect(),
            expected: expectation.status,
            came: came.as_ref().map_or_else(Clone::clone, u16::to_string),
        })
        .collect()
}

impl Report<'_> {
    /// Whether all is as expected.
    pub(super) fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.wrong_answers.is_empty() && self.strangers == 0
    }

    fn calls_per_second(&self) -> f64 {
        self.log.lines.len() as f64 / self.outcome.took.as_secs_f64().max(f64::EPSILON)
    }

    /// For people.
    pub(super) fn print(&self) {
        let (log, outcome) = (self.log, self.outcome);
        say::result(format_args!("\n{}", self.file));
        say::result(format_args!(
            "{} calls of {} clients on {} connections in {:.2} s: {:.0} calls/s ({} sent again)",
            log.lines.len(),
            log.clients.len(),
            self.connections,
            outcome.took.as_secs_f64(),
            self.calls_per_second(),
            outcome.resent
        ));
        for reason in Skip::ALL {
            let lines: Vec<String> =
                log.skipped.iter().filter(|(_, skip)| *skip == reason).map(|(line, _)| line.to_string()).collect();
            if !lines.is_empty() {
                let shown = lines.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
                say::result(format_args!("{} lines left out: {} (line {shown})", lines.len(), reason.as_str()));
            }
        }
        let unsendable = log.lines.iter().filter(|line| super::expected::echoed(line.status) != line.status).count();
        if unsendable > 0 {
            say::result(format_args!("{unsendable} lines have a status that no final answer has; 200 stands for it"));
        }
        match self.operations {
            Operations::Each => say::result(format_args!("{} operation classes, each compared", self.classes)),
            Operations::Together => say::result(format_args!(
                "{} operation classes, compared together: which calls the gateway names how can't be told from the file",
                self.classes
            )),
        }
        self.table("total", usize::MAX, |_| "calls".into());
        self.table("status", usize::MAX, |counted| counted.status.to_string());
        self.table("code", usize::MAX, |counted| counted.code.clone());
        self.table("client", TOP, |counted| self.name(&counted.project_id));
        self.table("operation", TOP, |counted| counted.operation.clone());
        self.print_differences();
    }

    fn name(&self, project_id: &str) -> String {
        self.names.get(project_id).cloned().unwrap_or_else(|| project_id.to_owned())
    }

    fn table(&self, title: &str, rows: usize, part: impl Fn(&Counted) -> String) {
        let expected = self.expected.by(&part);
        let reported = self.reported.by(&part);
        let mut names: Vec<&String> =
            expected.keys().chain(reported.keys().filter(|name| !expected.contains_key(*name))).collect();
        let count = |counts: &BTreeMap<String, u64>, name: &String| counts.get(name).copied().unwrap_or_default();
        names.sort_by_key(|name| std::cmp::Reverse(count(&expected, name)));
        say::result(format_args!("\n{title:<48} {:>10} {:>10}", "expected", "reported"));
        for name in names.iter().take(rows) {
            let (wanted, got) = (count(&expected, name), count(&reported, name));
            let mark = if wanted == got { "" } else { "  <- differs" };
            let short: String = name.chars().take(48).collect();
            say::result(format_args!("{short:<48} {wanted:>10} {got:>10}{mark}"));
        }
        if names.len() > rows {
            say::result(format_args!("… and {} more", names.len() - rows));
        }
    }

    fn print_differences(&self) {
        for wrong in self.wrong_answers.iter().take(MAX_SHOWN) {
            say::result(format_args!(
                "line {}: expected {}, came {}: {}",
                wrong.line, wrong.expected, wrong.came, wrong.call
            ));
        }
        for difference in self.differences.iter().take(MAX_SHOWN) {
            let counted = &difference.counted;
            say::result(format_args!(
                "{} | {} | {} | {}: expected {}, reported {}",
                self.name(&counted.project_id),
                counted.operation,
                counted.code,
                counted.status,
                difference.expected,
                difference.reported
            ));
        }
        if self.strangers > 0 {
            say::result(format_args!("{} calls are counted for nobody", self.strangers));
        }
        if self.is_clean() {
            say::result("\nno difference");
        } else {
            say::result(format_args!(
                "\n{} wrong answers, {} different counts, {} calls of nobody (at most {MAX_SHOWN} of each are shown)",
                self.wrong_answers.len(),
                self.differences.len(),
                self.strangers
            ));
        }
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let both = |part: &dyn Fn(&Counted) -> String| json!({ "expected": self.expected.by(part), "reported": self.reported.by(part) });
        json!({
            "file": self.file,
            "calls": self.log.lines.len(),
            "clients": self.log.clients.len(),
            "skipped": self.log.skipped.len(),
            "connections": self.connections,
            "resent": self.outcome.resent,
            "seconds": self.outcome.took.as_secs_f64(),
            "calls_per_second": self.calls_per_second(),
            "operation_classes": self.classes,
            "operations_compared": match self.operations { Operations::Each => "each", Operations::Together => "together" },
            "status": both(&|counted| counted.status.to_string()),
            "code": both(&|counted| counted.code.clone()),
            "wrong_answers": self.wrong_answers.len(),
            "different_counts": self.differences.len(),
            "strangers": self.strangers,
            "matches": self.is_clean(),
        })
    }
}
