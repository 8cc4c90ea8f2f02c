//! What became of the keys: counts, the first refusals for people, all of them for the report.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::fault::{Exit, Fault};
use super::super::screen::harmless;
use super::super::values::thousands;
use super::batch::{Batch, Refusal};

/// Line numbers that a person is shown.
const SHOWN: usize = 20;
/// Refusals in the JSON result; the report has all.
const IN_JSON: usize = 1_000;

/// What became of keys, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sum {
    imported: u64,
    /// Those of which only a hash was sent.
    unchecked: u64,
    /// What they came as.
    classes: BTreeMap<String, u64>,
    refused: u64,
    reasons: BTreeMap<String, u64>,
}

/// The sum of all answers.
pub(super) struct Tally {
    sum: Sum,
    listed: u64,
    /// Those that are listed, by reason: the server may count more than it lists.
    first: Vec<Refusal>,
    last_line: u64,
    dry_run: bool,
    report: Option<BufWriter<File>>,
}

impl Tally {
    /// Goes on from what became of the lines up to this one.
    pub(super) fn new(report: Option<File>, dry_run: bool, (sum, last_line): (Sum, u64)) -> Self {
        let report = report.map(BufWriter::new);
        Self { sum, listed: 0, first: Vec::new(), last_line, dry_run, report }
    }

    /// What became of them so far.
    pub(super) const fn sum(&self) -> &Sum {
        &self.sum
    }

    /// Adds what became of one batch.
    ///
    /// # Errors
    /// If the answer makes no sense, or the report can't be written.
    pub(super) fn add(&mut self, batch: &Batch, answer: &Value) -> Result<(), Fault> {
        for refusal in batch.refused() {
            self.sum.refused += 1;
            *self.sum.reasons.entry(refusal.reason.clone()).or_default() += 1;
            self.list(refusal.clone())?;
        }
        if batch.sent() > 0 {
            let count = |name: &str| answer.get(name).and_then(Value::as_u64);
            let (Some(imported), Some(refused)) = (count("imported"), count("refused_count")) else {
                return Err(self.nonsense("it does not say how many keys were imported and refused"));
            };
            if imported + refused != batch.sent() as u64 {
                return Err(self.nonsense("it speaks of another number of keys than were sent"));
            }
            self.sum.imported += imported;
            self.sum.refused += refused;
            self.sum.unchecked += count("unchecked").unwrap_or(0);
            for (sums, name) in [(&mut self.sum.classes, "classes"), (&mut self.sum.reasons, "reasons")] {
                for (word, count) in answer.get(name).and_then(Value::as_object).into_iter().flatten() {
                    *sums.entry(harmless(word)).or_default() += count.as_u64().unwrap_or(0);
                }
            }
            for refusal in answer.get("refused").and_then(Value::as_array).into_iter().flatten() {
                let line = refusal.get("line").and_then(Value::as_u64).and_then(|line| batch.line_in_file(line));
                let Some(line) = line else {
                    return Err(self.nonsense("it refuses a line that was not sent"));
                };
                // A server of an older version counts them by listing them.
                if answer.get("reasons").is_none()
                    && let Some(reason) = refusal.get("reason").and_then(Value::as_str)
                {
                    *self.sum.reasons.entry(harmless(reason)).or_default() += 1;
                }
                let text = |name: &str| harmless(refusal.get(name).and_then(Value::as_str).unwrap_or_default());
                self.list(Refusal { line, reason: text("reason"), detail: text("detail") })?;
            }
        }
        self.last_line = self.last_line.max(batch.end());
        Ok(())
    }

    fn list(&mut self, refusal: Refusal) -> Result<(), Fault> {
        self.listed += 1;
        if let Some(report) = &mut self.report {
            writeln!(report, "{}", object(&refusal)).map_err(|error| report_failed(&error))?;
        }
        if self.first.len() < IN_JSON {
            self.first.push(refusal);
        }
        Ok(())
    }

    fn nonsense(&self, why: &str) -> Fault {
        let why = format!("the server's answer is not understood: {why}");
        Fault::new(Exit::Failure, "could not import all keys", why, self.how_to_go_on())
    }

    /// Writes the end of the report.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.report.as_mut().map_or(Ok(()), |report| report.flush().map_err(|error| report_failed(&error)))
    }

    pub(super) const fn refused(&self) -> u64 {
        self.sum.refused
    }

    /// What to do after a failure in the middle.
    pub(super) fn how_to_go_on(&self) -> String {
        format!(
            "the keys up to line {} of the file are done; import the file again to go on: keys that are in already are refused as duplicates, and nothing happens twice",
            self.last_line
        )
    }

    /// For the progress bar.
    pub(super) fn progress(&self) -> String {
        format!("{} imported, {} refused", thousands(self.sum.imported), thousands(self.sum.refused))
    }

    /// For people.
    pub(super) fn text(&self, nanos: u64) -> String {
        let seconds = nanos as f64 / 1e9;
        let mut text = format!(
            "{} {} {} in {seconds:.1} s ({} keys/s)\n",
            if self.dry_run { "would import" } else { "imported" },
            thousands(self.sum.imported),
            if self.sum.imported == 1 { "key" } else { "keys" },
            thousands(self.per_second(nanos))
        );
        if self.sum.unchecked > 0 {
            let unchecked = thousands(self.sum.unchecked);
            text.push_str(&format!(
                "  {unchecked} of them as hashes: nobody can tell whether their texts could be guessed\n"
            ));
        }
        if self.sum.refused == 0 {
            return text;
        }
        text.push_str(&format!("refused {}\n", thousands(self.sum.refused)));
        for (reason, count) in &self.sum.reasons {
            let lines = self.first.iter().take(SHOWN).filter(|refusal| refusal.reason == *reason);
            let lines: Vec<String> = lines.map(|refusal| refusal.line.to_string()).collect();
            let more = if (lines.len() as u64) < *count { ", …" } else { "" };
            let lines = if lines.is_empty() { String::new() } else { format!("  lines {}{more}", lines.join(", ")) };
            text.push_str(&format!("  {reason:10} {:>9}{lines}\n", thousands(*count)));
        }
        if self.listed < self.sum.refused {
            let rest = thousands(self.sum.refused - self.listed);
            text.push_str(&format!("  {rest} more were refused without their lines; --report FILE lists every one\n"));
        } else if self.listed > SHOWN as u64 && self.report.is_none() {
            text.push_str("  --report FILE lists every line\n");
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self, nanos: u64) -> Value {
        json!({
            "imported": self.sum.imported,
            "dry_run": self.dry_run,
            "unchecked": self.sum.unchecked,
            "classes": self.sum.classes,
            "refused_count": self.sum.refused,
            "reasons": self.sum.reasons,
            "refused": self.first.iter().map(object).collect::<Vec<_>>(),
            "seconds": nanos as f64 / 1e9,
            "keys_per_second": self.per_second(nanos),
        })
    }

    fn per_second(&self, nanos: u64) -> u64 {
        let rate = u128::from(self.sum.imported) * 1_000_000_000 / u128::from(nanos.max(1));
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

fn object(refusal: &Refusal) -> Value {
    json!({ "line": refusal.line, "reason": refusal.reason, "detail": refusal.detail })
}

fn report_failed(error: &std::io::Error) -> Fault {
    Fault::new(
        Exit::Failure,
        "the report can't be written to its end",
        error.to_string(),
        "the keys before this are in; make room and import again with a new report",
    )
}
