//! Keystile, a turnstile for your APIs: the one binary.
//!
//! Commands only: `dev` and `serve` become a [`process`], `config` and `docs` speak of the program itself, the rest
//! talks to a running server ([`cli`]).

pub mod cli;
pub mod config;
mod db;
mod dev;
mod docs;
mod doctor;
mod echo;
mod handover;
pub mod process;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use keystile_server::world::{Clock, SystemClock};

use crate::cli::Screen;

/// A call makes some forty small allocations, all on its own core; this allocator takes half the time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A turnstile for your APIs: issues keys, checks every call that presents one, limits and counts what they do.
#[derive(Parser)]
#[command(name = "keystile", version, about, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything at once to try it out: gateway, verification, management API, a first key.
    Dev(dev::Options),
    /// Run the server.
    Serve(serve::Options),
    /// The settings of `keystile serve`.
    #[command(subcommand)]
    Config(config::Command),
    /// What keeps everything: its state, bringing it up to date, moving it.
    #[command(subcommand)]
    Db(db::Command),
    /// Look at the deployment and say what is weak, and how to mend it; exit code 3 if anything is.
    Doctor(doctor::Ask),
    /// Documents that are generated.
    #[command(hide = true)]
    Docs(docs::Options),
    #[command(flatten)]
    Client(cli::Command),
}

fn main() -> ExitCode {
    let Arguments { global, command } = Arguments::parse();
    match command {
        Command::Dev(options) => dev::run(&options, global.json),
        Command::Serve(options) => serve::run(&options, global.json),
        Command::Config(command) => config::run(command, config::environment(), &mut Screen::of_process()),
        Command::Db(command) => db::run(&command, global.json, global.yes),
        Command::Doctor(ask) => doctor::run(&ask, global.json),
        Command::Docs(options) => docs::run(&options, &mut Screen::of_process()),
        Command::Client(command) => {
            let clock = SystemClock::new();
            cli::run(cli::Client { global, command }, &|| clock.now())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_command_can_be_told_from_every_other() {
        super::Arguments::command().debug_assert();
    }
}
