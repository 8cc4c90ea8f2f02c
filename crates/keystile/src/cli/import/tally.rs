//! What became of the keys: counts, the first refusals for people, all of them for the report.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use serde_json::{Value, json};

use super::super::fault::{Exit, Fault};
use super::super::screen::harmless;
use super::super::values::thousands;
use super::batch::{Batch, Refusal};

/// Line numbers that a person is shown.
const SHOWN: usize = 20;
/// Refusals in the JSON result; the report has all.
const IN_JSON: usize = 1_000;

/// The sum of all answers.
pub(super) struct Tally {
    imported: u64,
    refused: u64,
    listed: u64,
    reasons: BTreeMap<String, u64>,
    first: Vec<Refusal>,
    last_line: u64,
    report: Option<BufWriter<File>>,
}

impl Tally {
    pub(super) fn new(report: Option<File>) -> Self {
        let (imported, refused, listed, last_line) = (0, 0, 0, 0);
        let report = report.map(BufWriter::new);
        Self { imported, refused, listed, reasons: BTreeMap::new(), first: Vec::new(), last_line, report }
    }

    /// Adds what became of one batch.
    ///
    /// # Errors
    /// If the answer makes no sense, or the report can't be written.
    pub(super) fn add(&mut self, batch: &Batch, answer: &Value) -> Result<(), Fault> {
        for refusal in batch.refused() {
            self.refused += 1;
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
            self.imported += imported;
            self.refused += refused;
            for refusal in answer.get("refused").and_then(Value::as_array).into_iter().flatten() {
                let line = refusal.get("line").and_then(Value::as_u64).and_then(|line| batch.line_in_file(line));
                let Some(line) = line else {
                    return Err(self.nonsense("it refuses a line that was not sent"));
                };
                let text = |name: &str| harmless(refusal.get(name).and_then(Value::as_str).unwrap_or_default());
                self.list(Refusal { line, reason: text("reason"), detail: text("detail") })?;
            }
        }
        self.last_line = self.last_line.max(batch.end());
        Ok(())
    }

    fn list(&mut self, refusal: Refusal) -> Result<(), Fault> {
        self.listed += 1;
        *self.reasons.entry(refusal.reason.clone()).or_default() += 1;
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
        self.refused
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
        format!("{} imported, {} refused", thousands(self.imported), thousands(self.refused))
    }

    /// For people.
    pub(super) fn text(&self, nanos: u64) -> String {
        let seconds = nanos as f64 / 1e9;
        let mut text = format!(
            "imported {} {} in {seconds:.1} s ({} keys/s)\n",
            thousands(self.imported),
            if self.imported == 1 { "key" } else { "keys" },
            thousands(self.per_second(nanos))
        );
        if self.refused == 0 {
            return text;
        }
        text.push_str(&format!("refused {}\n", thousands(self.refused)));
        for (reason, count) in &self.reasons {
            let lines = self.first.iter().take(SHOWN).filter(|refusal| refusal.reason == *reason);
            let lines: Vec<String> = lines.map(|refusal| refusal.line.to_string()).collect();
            let more = if (lines.len() as u64) < *count { ", …" } else { "" };
            let lines = if lines.is_empty() { String::new() } else { format!("  lines {}{more}", lines.join(", ")) };
            text.push_str(&format!("  {reason:10} {:>9}{lines}\n", thousands(*count)));
        }
        if self.listed < self.refused {
            let rest = thousands(self.refused - self.listed);
            text.push_str(&format!("  {rest} more were refused without their lines; --report FILE lists every one\n"));
        } else if self.listed > SHOWN as u64 && self.report.is_none() {
            text.push_str("  --report FILE lists every line\n");
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self, nanos: u64) -> Value {
        json!({
            "imported": self.imported,
            "refused_count": self.refused,
            "reasons": self.reasons,
            "refused": self.first.iter().map(object).collect::<Vec<_>>(),
            "seconds": nanos as f64 / 1e9,
            "keys_per_second": self.per_second(nanos),
        })
    }

    fn per_second(&self, nanos: u64) -> u64 {
        let rate = u128::from(self.imported) * 1_000_000_000 / u128::from(nanos.max(1));
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
