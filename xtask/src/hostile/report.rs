//! Prints what came of a run.

use super::case::Cases;
use super::run::Outcome;
use crate::say;

/// Disagreements that are shown in full.
const SHOWN: usize = 20;

/// One case in so many must be passed on to each upstream, or a run of some length proves nothing.
const FORWARDED_AT_LEAST: u64 = 8;
/// That length.
const SOME_LENGTH: u64 = 1_000;

/// Prints it; `false` if there was a disagreement, or too little to disagree about.
pub(super) fn print(outcome: &Outcome, seed: u64, cases: &Cases) -> bool {
    for found in outcome.disagreements.iter().take(SHOWN) {
        say::result(format_args!("case {} to {}: {}", found.case, found.upstream, found.what));
        if let Some(number) = found.case.strip_prefix('#').and_then(|number| number.parse().ok()) {
            say::result(Cases::one(seed, number).get(0).kept());
            say::result(format_args!("again: cargo xtask hostile --seed {seed} --case {number}\n"));
        }
    }
    let refused: u64 = outcome.refused.values().sum();
    let by_code: Vec<String> = outcome.refused.iter().map(|(code, count)| format!("{code} {count}")).collect();
    let forwarded: u64 = outcome.forwarded.values().sum();
    let by_upstream: Vec<String> = outcome.forwarded.iter().map(|(name, count)| format!("{name} {count}")).collect();
    say::result(format_args!("refused: {}", by_code.join(", ")));
    say::result(format_args!(
        "hostile: seed {seed}, {} cases, {} connections in {:.0} s: {forwarded} requests forwarded ({}), {refused} refused, \
         {} connections without a whole request; {} disagreements",
        cases.count(),
        outcome.connections,
        outcome.took.as_secs_f64(),
        by_upstream.join(", "),
        outcome.silent,
        outcome.disagreements.len()
    ));
    let is_thin = |forwarded: &u64| forwarded * FORWARDED_AT_LEAST < cases.count();
    let is_well = outcome.disagreements.is_empty();
    if is_well && cases.count() >= SOME_LENGTH && outcome.forwarded.values().any(is_thin) {
        say::result(format_args!("fewer than one case in {FORWARDED_AT_LEAST} was forwarded: that proves nothing"));
        return false;
    }
    is_well
}
