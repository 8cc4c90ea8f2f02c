//! `keystile usage`: what was counted (`counts`), every event of it (`events`), what is recorded by hand (`record`), and whether
//! it adds up (`verify`).

mod counts;
mod events;
mod record;
mod verify;

use clap::{Args, Subcommand};
use keystile_core::time::Timestamp;

use super::fault::{Exit, Fault};
use super::session::Session;
use super::values::When;

/// What was called, or more about it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Usage {
    /// What to do, if not to count.
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    ask: counts::Ask,
}

/// What to do with usage, besides counting it.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Write every event out: for billing elsewhere.
    Export(events::Export),
    /// Record usage that is no call answered here, or correct what was counted: a refund has units below 0.
    Record(record::Record),
    /// Count all events of a time anew, and say whether that is what usage and statements are made of.
    Verify(verify::Verify),
}

pub(super) fn run(usage: Usage, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match usage.verb {
        None => counts::run(usage.ask, session),
        Some(Verb::Export(ask)) => events::run(ask, session),
        Some(Verb::Record(ask)) => record::run(ask, session),
        Some(Verb::Verify(ask)) => verify::run(&ask, session),
    }
}

/// The ends of a time, as they are asked about.
pub(super) fn between(
    since: Option<When>,
    until: Option<When>,
    now: Timestamp,
) -> Result<(Option<String>, Option<String>), Fault> {
    let (since, until) = (since.map(|since| since.seen_from(now)), until.map(|until| until.seen_from(now)));
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(Fault::usage(
            "no time is between --since and --until",
            "the one is not before the other",
            "swap them",
        ));
    }
    Ok((since.map(|since| since.to_string()), until.map(|until| until.to_string())))
}
