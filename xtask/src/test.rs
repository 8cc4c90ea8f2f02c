//! `cargo xtask test`: the one command that tests everything: what the tests need is installed or named, then the
//! workspace's tests run, then the replays, a short run of hostile requests, a look at TLS, and the pages in a browser.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use crate::hostile::Kind;
use crate::pages;
use crate::say;

/// A program that tests start, or the file of a library, and Debian's package of it.
const PROGRAMS: [(&str, &str); 8] = [
    ("nginx", "nginx"),
    ("slowhttptest", "slowhttptest"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("sqlite3", "sqlite3"),
    // Each test process runs servers of its own; the system's may run or not.
    ("initdb", "postgresql"),
    // Prometheus' own reader of metrics: 45 KB, where the server with its checker would be 19 MB.
    ("/usr/lib/python3/dist-packages/prometheus_client/parser.py", "python3-prometheus-client"),
    // The calendar by which a month is billed a second time.
    ("/usr/share/zoneinfo/Europe/Vienna", "tzdata"),
];

/// Logs that lie beside a checkout of those who have them; the smallest is replayed too.
const SHARED_LOGS: &str = "../shared/data/logs";

/// Hostile cases, always the same: enough for each kind of change at each kind of request, in seconds. New ones are for
/// `cargo xtask hostile`, which nobody's change waits for.
const HOSTILE: [&str; 5] = ["hostile", "--count", "5000", "--seed", "1"];

/// Tests everything.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Install nothing; only say what is missing.
    #[arg(long)]
    no_install: bool,
    /// Leave the replays out.
    #[arg(long)]
    no_replay: bool,
    /// Leave the hostile requests out.
    #[arg(long)]
    no_hostile: bool,
    /// Leave the look at the listeners with TLS out.
    #[arg(long)]
    no_tls: bool,
    /// Leave the pages in a browser out.
    #[arg(long)]
    no_pages: bool,
}

/// Runs all tests; `false` if one failed.
///
/// # Errors
/// If a needed program is missing and can't be installed, or cargo can't be run.
pub(crate) fn main(options: &Options) -> io::Result<bool> {
    programs(options)?;
    let counts = cargo_test()?;
    let mut tasks: Vec<Vec<OsString>> = Vec::new();
    if !options.no_replay {
        tasks.extend(logs()?.into_iter().map(|log| vec!["replay".into(), log.into()]));
    }
    if !options.no_hostile {
        tasks.push(HOSTILE.map(OsString::from).to_vec());
    }
    if !options.no_tls {
        tasks.push(vec!["tls".into()]);
    }
    if !options.no_pages {
        tasks.push(vec!["pages".into()]);
    }
    let (mut passed, mut failed) = (counts.passed, counts.failed);
    for arguments in tasks {
        say::note(format_args!("{}", arguments.join(" ".as_ref()).display()));
        let is_well = Command::new(std::env::current_exe()?).args(arguments).status()?.success();
        *(if is_well { &mut passed } else { &mut failed }) += 1;
    }
    say::result(format_args!("{passed} passed, {failed} failed"));
    Ok(counts.all_well && failed == 0)
}

fn programs(options: &Options) -> io::Result<()> {
    let mut missing: Vec<(&str, &str)> = PROGRAMS.into_iter().filter(|(program, _)| !is_installed(program)).collect();
    if !options.no_hostile {
        missing.extend(Kind::ALL.into_iter().flat_map(Kind::missing));
        missing.sort_unstable();
        missing.dedup();
    }
    if !options.no_pages {
        missing.extend(pages::missing());
        missing.sort_unstable();
        missing.dedup();
    }
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    let command = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if options.no_install || !rustix::process::geteuid().is_root() || !is_installed("apt-get") {
        let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
        return Err(io::Error::other(format!("missing for the tests: {}; install: {command}", names.join(", "))));
    }
    apt_install(&packages)
}

/// Installs Debian packages, saying so.
///
/// # Errors
/// If apt-get fails.
pub(crate) fn apt_install(packages: &[&str]) -> io::Result<()> {
    for arguments in [
        &["update", "--quiet=2"][..],
        &[&["install", "-y", "--quiet=2", "--no-install-recommends"][..], packages].concat(),
    ] {
        say::note(format_args!("apt-get {}", arguments.join(" ")));
        let mut command = Command::new("apt-get");
        // A package that starts its service at once would take ports that the tests use.
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdout(Stdio::null());
        if !command.status()?.success() {
            return Err(io::Error::other(format!("apt-get {} failed", arguments.join(" "))));
        }
    }
    Ok(())
}

/// Whether a program is on the path, or where Debian keeps servers.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // PostgreSQL has a folder for each of its versions.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .chain(versions.map(|version| version.path().join("bin")))
        .any(|folder| folder.join(program).is_file())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    all_well: bool,
}

/// The workspace's tests, shown as they run and counted from what cargo says.
fn cargo_test() -> io::Result<Counts> {
    let mut command = Command::new(crate::cargo());
    command.args(["test", "--workspace", "--no-fail-fast"]).current_dir(crate::root()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut counts = Counts::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            counts.read(&line);
            say::result(line);
        }
    }
    counts.all_well = child.wait()?.success() && counts.failed == 0;
    Ok(counts)
}

impl Counts {
    /// Reads `test result: ok. 12 passed; 0 failed; …`.
    fn read(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        for part in rest.split([';', '.']) {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// The made-up log of the project, and the smallest real one if they are there.
fn logs() -> io::Result<Vec<PathBuf>> {
    let root = crate::root();
    let mut logs = vec![root.join("xtask/testdata/made-up.log")];
    logs.extend(smallest(&root.join(SHARED_LOGS))?);
    Ok(logs)
}

fn smallest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(None) };
    let mut logs = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".tsv.gz") {
            logs.push((entry.metadata()?.len(), entry.path()));
        }
    }
    Ok(logs.into_iter().min().map(|(_, path)| path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_cargo_test_are_added_up() {
        let mut counts = Counts::default();
        counts.read("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        counts
            .read("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        counts.read("test a ... ok");
        assert_eq!(counts, Counts { passed: 15, failed: 2, all_well: false });
    }

    #[test]
    fn a_missing_folder_of_logs_is_no_fault() {
        assert_eq!(smallest(Path::new("/nonexistent")).expect("no error"), None);
    }
}
