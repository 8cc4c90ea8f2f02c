//! The project's own tasks, run as `cargo xtask …`: replay, bench, generate, check.
//!
//! They look at the project from outside: none of its crates is used here, so that a task which checks them can't
//! share their mistakes.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod clock;
mod deps;
mod gateway;
mod generate;
mod hostile;
mod overload;
mod pages;
mod python;
mod replay;
mod say;
mod schema;
mod test;
mod tidy;
mod tls;

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Replay(replay::Options),
    Gen(generate::Options),
    Tidy,
    Deps,
    Bench(bench::Options),
    Overload(overload::Options),
    Test(test::Options),
    Hostile(hostile::Options),
    Schema(schema::Options),
    Pages(pages::Options),
    Tls(tls::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Replay(options) => replay::main(&options),
        Task::Gen(options) => generate::main(&options),
        Task::Tidy => tidy::main(),
        Task::Deps => deps::main(),
        Task::Bench(options) => bench::main(&options),
        Task::Overload(options) => overload::main(&options),
        Task::Test(options) => test::main(&options),
        Task::Hostile(options) => hostile::main(&options),
        Task::Pages(options) => pages::main(&options),
        Task::Schema(options) => schema::main(&options),
        Task::Tls(options) => tls::main(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::note(format_args!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

/// The workspace, which the tasks are always run on, from whichever folder.
pub(crate) fn root() -> PathBuf {
    // `cargo run` sets this at run time; the value of compile time would be wrong for a tree that was moved.
    let own = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("xtask"), PathBuf::from);
    own.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The cargo that runs this.
pub(crate) fn cargo() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Where cargo builds to.
pub(crate) fn target_folder() -> io::Result<PathBuf> {
    let metadata = deps::metadata(&["--no-deps"])?;
    let folder = metadata["target_directory"].as_str().map(PathBuf::from);
    folder.ok_or_else(|| io::Error::other("cargo metadata names no target directory"))
}
