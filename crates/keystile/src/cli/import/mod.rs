//! `keystile key import`: takes over keys that exist already, from a file of any size.
//!
//! One thread reads the file and prepares batches (`batch`), this one sends them over one kept connection and adds
//! up what the server said (`tally`). Whatever is refused is told by its line in the file, never by its text.

mod batch;
mod lines;
mod progress;
mod tally;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::fault::{Exit, Fault};
use super::policy::PolicyArgs;
use super::session::{PROJECT, Session};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use batch::{Batch, Preparer, Size};
use progress::Keeper;
use tally::Tally;

/// Batches that wait for the server: one is sent, one is ready, one is being made.
const READY_BATCHES: usize = 1;

/// How often the progress bar is drawn: the clock in it should not look stuck.
const REDRAW: Duration = Duration::from_millis(250);

/// After how long a batch is sent again that did not get through; then the command ends.
const RETRIES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// Keys to take over.
#[derive(Debug, Args)]
pub struct Ask {
    /// The file, or `-` for standard input.
    file: PathBuf,
    /// The project whose keys they will be, by id or name.
    #[arg(long)]
    project: String,
    /// How the file is written.
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    /// The keys stand there as SHA-256, in hexadecimal or base64.
    #[arg(long)]
    sha256: bool,
    /// Keep texts that could be guessed under a slow hash instead of refusing them.
    #[arg(long, value_name = "argon2id", value_parser = ["argon2id"])]
    weak: Option<String>,
    /// Read, check and report, and change nothing.
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Go on where an import of this file broke off, with the same options.
    #[arg(long, conflicts_with = "from_line")]
    resume: bool,
    /// Leave out the lines before this one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    from_line: Option<u64>,
    /// Write every refusal to this new file, a JSON object a line.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// They end after so many days; without it they don't expire, unless the file says so.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_in_days: Option<u32>,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// How a file of keys is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Look at the first line.
    Auto,
    /// A key a line, perhaps with a space and a name after it.
    Text,
    /// A header with the column key (or sha256; or hash and lookup; or long_token_hash and short_token), and perhaps name and
    /// expires_at, then a key a line.
    Csv,
    /// A JSON object a line: {"key" (or "sha256", or …), "name"?, "expires_at"?}.
    Ndjson,
}

pub(super) fn run(ask: Ask, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let policy = ask.policy.fields()?;
    let project = session.project(&ask.project)?;
    // Asked first, because a server that refuses a large body may hang up before it says why.
    session.server.get("import the keys", &format!("{}/{project}", PROJECT.path), &[])?;

    let (input, length): (Box<dyn Read + Send>, Option<u64>) = open(&ask.file, session)?;
    let size = if ask.weak.is_some() { Size::stretched() } else { Size::of(ask.report.is_some()) };
    let project = project.to_string();
    let days = ask.expires_in_days.map(|days| days.to_string());
    let policy = (!policy.is_empty()).then(|| Value::Object(policy).to_string());
    let yes = ask.dry_run.then(|| "true".to_owned());
    let query = [
        ("project_id", Some(&project)),
        ("expires_in_days", days.as_ref()),
        ("policy", policy.as_ref()),
        ("weak", ask.weak.as_ref()),
        ("dry_run", yes.as_ref()),
    ];
    let query: Vec<(&str, &str)> =
        query.into_iter().filter_map(|(name, value)| Some((name, value?.as_str()))).collect();

    let file = length.filter(|_| !ask.dry_run).map(|length| (ask.file.as_path(), length));
    let mut keeper = Keeper::begin(file, ask.resume, &query, size.lines)?;
    let size = Size { lines: keeper.progress.batch_lines, ..size };
    let mut preparer = Preparer::open(input, ask.format, ask.sha256, size)?;
    let reading = format!("reading {} as {}", ask.file.display(), preparer.describe());
    session.screen.note(&reading);
    let done_line = ask.from_line.map_or(keeper.progress.done_line, |line| line - 1);
    preparer.skip_to(done_line).map_err(|error| {
        Fault::new(Exit::Failure, "the file of keys can't be read", error.to_string(), "check the file")
    })?;
    let report = ask.report.as_deref().map(create_report).transpose()?;
    let mut tally = Tally::new(report, ask.dry_run, (keeper.progress.sum.clone(), done_line));

    let bar = progress(session, length);
    let start = (session.clock)().ticks;
    let sent = send_all(preparer, session, &query, (&mut tally, &mut keeper), &bar);
    bar.finish_and_clear();
    let nanos = (session.clock)().ticks.nanos_since(start);
    let report = tally.finish();
    if session.global.json {
        session.screen.out(&format!("{}\n", tally.json(nanos)));
    } else if !session.global.quiet {
        session.screen.out(&tally.text(nanos));
    }
    sent?;
    report?;
    keeper.end();
    Ok(if tally.refused() > 0 { Exit::Findings } else { Exit::Ok })
}

fn open(file: &Path, session: &mut Session<'_>) -> Result<(Box<dyn Read + Send>, Option<u64>), Fault> {
    if file == Path::new("-") {
        let input = std::mem::replace(&mut session.input, Box::new(std::io::empty()));
        return Ok((input, None));
    }
    let failed = |why: String| {
        Fault::usage("the file of keys can't be read", format!("{}: {why}", file.display()), "check the file's name")
    };
    let opened = File::open(file).map_err(|error| failed(error.to_string()))?;
    let about = opened.metadata().map_err(|error| failed(error.to_string()))?;
    if about.is_dir() {
        return Err(failed("it is a folder".to_owned()));
    }
    Ok((Box::new(opened), Some(about.len()).filter(|length| *length > 0)))
}

/// A new file, never an old one: the report must not overwrite the keys.
fn create_report(file: &Path) -> Result<File, Fault> {
    File::create_new(file).map_err(|error| {
        Fault::usage(
            "the report can't be written",
            format!("{}: {error}", file.display()),
            "name a file that is not there yet",
        )
    })
}

fn progress(session: &Session<'_>, length: Option<u64>) -> ProgressBar {
    let target =
        if session.screen.draws_progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(length, target);
    let template = match length {
        Some(_) => "{elapsed_precise} {bar:30} {bytes} of {total_bytes}, {eta} left, {msg}",
        None => "{elapsed_precise} {spinner} {bytes}, {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message("0 imported");
    if session.screen.draws_progress() {
        bar.enable_steady_tick(REDRAW);
    }
    bar
}

/// Sends batch after batch while the next is prepared.
fn send_all(
    mut preparer: Preparer,
    session: &Session<'_>,
    query: &[(&str, &str)],
    (tally, keeper): (&mut Tally, &mut Keeper),
    bar: &ProgressBar,
) -> Result<(), Fault> {
    // The names of its requests are known before the first one is sent.
    keeper.note(keeper.progress.done_line, tally.sum())?;
    let (ready, batches) = mpsc::sync_channel(READY_BATCHES);
    let (give_back, used) = mpsc::channel::<Batch>();
    // Not joined: it may be waiting for a standard input that nobody will end, after the server has failed.
    std::thread::spawn(move || {
        loop {
            let batch = preparer.next_batch(used.try_recv().ok());
            let last = !matches!(&batch, Ok(Some(_)));
            if ready.send(batch).is_err() || last {
                break;
            }
        }
    });
    for batch in batches {
        let batch = batch.map_err(|error| {
            Fault::new(
                Exit::Failure,
                "the file of keys can't be read to its end",
                error.to_string(),
                tally.how_to_go_on(),
            )
        })?;
        let Some(batch) = batch else { return Ok(()) };
        let answer = match batch.body() {
            [] => Value::Null,
            body => {
                let name = keeper.request(batch.first_line());
                send(session, query, body, &name).map_err(|mut fault| {
                    fault.todo = format!("{}; {}", fault.todo, tally.how_to_go_on());
                    if keeper.is_kept() {
                        fault.todo.push_str(" (or give --resume, and they are not sent again)");
                    }
                    fault
                })?
            }
        };
        tally.add(&batch, &answer)?;
        keeper.note(batch.end(), tally.sum())?;
        bar.inc(batch.read_bytes());
        bar.set_message(tally.progress());
        // If the other thread is done already it needs no batch back.
        let _ = give_back.send(batch);
    }
    Err(Fault::new(Exit::Failure, "could not import the keys", "reading the file stopped", tally.how_to_go_on()))
}

/// Sends a batch, again if the connection breaks: the server does once what has one name.
fn send(session: &Session<'_>, query: &[(&str, &str)], body: &[u8], name: &str) -> Result<Value, Fault> {
    let mut waits = RETRIES.iter();
    loop {
        match session.server.send_once("import the keys", "/v1/keys/import", query, body, name) {
            Err(fault) if fault.exit == Exit::Network => match waits.next() {
                Some(wait) => std::thread::sleep(*wait),
                None => return Err(fault),
            },
            done => return done,
        }
    }
}
