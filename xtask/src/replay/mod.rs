//! `cargo xtask replay`: a real access log, sent through a gateway, whose count must be the file's own.
//!
//! [`log`] reads the file, [`expected`] decides what each line must give, [`stage`] makes a
//! project and key for each client, [`run`] sends the lines over [`wire`], [`count`] compares, [`report`] prints.
//! Nothing here uses the project's own crates: what they do is what is being checked.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{clock, say};

mod count;
mod expected;

mod log;
mod report;
mod run;
mod stage;
mod wire;

use count::{Counts, Expected, Operations};
use log::Log;
use stage::Stage;

/// Connections unless told otherwise, for a log whose operations the gateway can name all.
const CONNECTIONS: usize = 8;

/// How long the last calls may take to show in the usage.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// Replays access logs through a gateway and compares what it counted with the files.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Logs: `.tsv` or the common or combined format, plain or `.gz`.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Use the gateway that runs here; the management key comes from the environment.
    #[arg(long, requires = "admin_url", value_name = "GATEWAY")]
    url: Option<String>,
    /// The management API of that gateway.
    #[arg(long, requires = "url")]
    admin_url: Option<String>,
    /// A management key of that gateway.
    #[arg(long, env = "KEYSTILE_MANAGEMENT_KEY", hide = true, hide_env_values = true)]
    management_key: Option<String>,
    /// Make an API there with this upstream, which must be an echo like that of `keystile dev`.
    #[arg(long, requires = "url", conflicts_with = "api")]
    upstream: Option<String>,
    /// Use this API there.
    #[arg(long, requires = "url")]
    api: Option<String>,
    /// Start this binary instead of building one.
    #[arg(long, conflicts_with = "url")]
    binary: Option<PathBuf>,
    /// Give the API this OpenAPI document; operations are then compared together.
    #[arg(long)]
    openapi: Option<PathBuf>,
    /// Divide the time of the log by this [default: as fast as possible].
    #[arg(long, value_parser = positive)]
    speed: Option<f64>,
    /// Connections that the clients share [default: 8, or 1 if the log has more operations than the gateway names].
    #[arg(long)]
    connections: Option<usize>,
    /// Print one JSON object a file.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|speed: &f64| *speed > 0.0 && speed.is_finite()).ok_or("a number above 0".into())
}

/// Replays each file; `false` if there was any difference.
///
/// # Errors
/// If a replay could not be made.
pub(crate) fn main(options: &Options) -> io::Result<bool> {
    let binary = match (&options.url, &options.binary) {
        (Some(_), _) => None,
        (None, Some(binary)) => Some(binary.clone()),
        (None, None) => Some(crate::gateway::build()?),
    };
    let mut all_match = true;
    for file in &options.files {
        all_match &= replay(file, options, binary.as_deref())?;
    }
    Ok(all_match)
}

fn stage_for(options: &Options, binary: Option<&Path>) -> io::Result<Stage> {
    if let Some(binary) = binary {
        return Stage::start(binary, options.openapi.as_deref());
    }
    let (Some(url), Some(admin)) = (&options.url, &options.admin_url) else {
        return Err(io::Error::other("give --url and --admin-url"));
    };
    let key = options.management_key.clone();
    let key = key.ok_or(io::Error::other("set KEYSTILE_MANAGEMENT_KEY to a management key of that gateway"))?;
    match (&options.api, &options.upstream) {
        (Some(api), _) => Stage::running(url, admin.clone(), key, api.clone()),
        (None, Some(upstream)) => {
            Stage::running_with_own_api(url, admin.clone(), key, upstream, options.openapi.as_deref())
        }
        (None, None) => Err(io::Error::other("with --url, give --upstream (an echo) or --api")),
    }
}

fn replay(file: &Path, options: &Options, binary: Option<&Path>) -> io::Result<bool> {
    let log = Log::read(file).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    let gateway = stage_for(options, binary)?;
    let expected = Expected::of(&log, &gateway.host);
    let all_named = expected.classes <= expected::MAX_CLASSES;
    // The gateway names operations in order of appearance until it has its number. One connection keeps that order
    // the file's; with several, calls overtake each other and which operation is the first past the bound is chance.
    let connections = options.connections.unwrap_or(if all_named { CONNECTIONS } else { 1 }).max(1);
    let operations = if options.openapi.is_none() && (all_named || connections == 1) {
        Operations::Each
    } else {
        Operations::Together
    };

    let bar = bar(log.clients.len(), "projects and keys");
    let callers = gateway.set_up(&log.clients, || bar.inc(1))?;
    bar.finish_and_clear();
    let bar = self::bar(log.lines.len(), "calls");
    let pace = run::Pace { speed: options.speed, connections };
    let outcome = run::run(&log, &callers, gateway.address, &gateway.host, pace, &bar);
    bar.finish_and_clear();

    let expected_counts = expected.counts(&log, |client| &callers[client].project_id).with(operations);
    let projects: HashSet<&str> = callers.iter().map(|caller| caller.project_id.as_str()).collect();
    let (reported, others) = settled_usage(&gateway, &projects, expected_counts.total())?;
    let reported = reported.with(operations);
    let names = callers.iter().zip(&log.clients).map(|(caller, name)| (caller.project_id.clone(), name.clone()));
    let report = report::Report {
        file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        log: &log,
        differences: expected_counts.differences(&reported),
        expected: expected_counts,
        reported,
        operations,
        classes: expected.classes,
        wrong_answers: report::wrong_answers(&log, &expected, &outcome),
        // A gateway that others use too has calls of theirs.
        strangers: if binary.is_some() { others } else { 0 },
        names: names.collect::<BTreeMap<_, _>>(),
        outcome: &outcome,
        connections,
    };
    if options.json {
        say::result(report.to_json());
    } else {
        report.print();
    }
    Ok(report.is_clean())
}

/// The usage of our projects once it has as many calls as we made. A call is counted when its answer is complete, which
/// can be a moment after we have it.
fn settled_usage(gateway: &Stage, projects: &HashSet<&str>, calls: u64) -> io::Result<(Counts, u64)> {
    let asked = clock::now();
    loop {
        let (counts, others) = gateway.usage()?.of_projects(projects);
        if counts.total() >= calls || asked.elapsed() > SETTLE_WITHIN {
            return Ok((counts, others));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn bar(length: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}");
    let bar = ProgressBar::new(length as u64).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
