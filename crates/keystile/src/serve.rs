//! `keystile serve`: the settings become a running process, until a signal ends it.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use keystile_server::identity::PagesOrigin;
use keystile_server::setup::Owner;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{Exit, Screen};
use crate::config::{self, LogFormat, LogLevel};
use crate::handover::notify;
use crate::handover::predecessor::Predecessor;
use crate::handover::successor::{Successor, Successors, start_successor};
use crate::process::{Listeners, Opened, Process};

/// Threads of the control plane: management, counting, accepting. Calls have threads of their own.
const CONTROL_THREADS: usize = 2;

/// How long the control plane may take to leave what it waits for when all is done.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// Runs the server.
#[derive(Args)]
pub(crate) struct Options {
    /// The settings file; else `KEYSTILE_CONFIG`, else `keystile.toml` if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take the place of the server that runs on the same data folder, without a call lost; where none runs, just run.
    #[arg(long)]
    take_over: bool,
}

pub(crate) fn run(options: &Options, json: bool) -> ExitCode {
    let mut screen = Screen::of_process();
    let loaded = match config::load(options.config.as_deref(), config::environment()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            screen.complain(&format!("{errors}"));
            return Exit::Usage.into();
        }
    };
    log(loaded.config.log.format, loaded.config.log.level);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    harden();
    let config = loaded.config;
    run_on_control_plane(&mut screen, async |screen| {
        let mut signals = Signals::listen()?;
        let mut upgrades = signal(SignalKind::user_defined2())?;
        let asked = if options.take_over { Predecessor::ask(&config.data).await? } else { None };
        let (mut running, follower) = asked.unzip();
        let listeners = Listeners::bind(&config, running.as_mut()).await?;
        if let Some(running) = &mut running {
            running.give().await?;
        }
        let opened = Opened::open(&config).await?;
        let process = Process::start(opened, listeners, &config, follower).await?;
        if let Some(running) = running
            && let Err(error) = running.serving().await
        {
            process.end().await;
            return Err(error.into());
        }
        let successors = Successors::listen(&config.data);
        if let Err(error) = &successors {
            tracing::warn!(%error, "no other process can take over from this one");
        }
        process.hand_over_the_key(announce(&process, config.login.origin.as_ref(), json, screen)).await?;
        notify::ready();
        loop {
            tokio::select! {
                () = signals.wait() => break,
                _ = upgrades.recv() => start_successor(),
                mut successor = next(&successors) => {
                    let pid = successor.pid;
                    match while_others_are_turned_away(&successors, pid, successor.install(&process)).await {
                        Ok(()) => {
                            let leaving = leave(&process, successor, &mut signals, config.gateway.handover);
                            while_others_are_turned_away(&successors, pid, leaving).await;
                            break;
                        }
                        Err(error) => tracing::error!(%error, "the new process did not come to serve; this one goes on"),
                    }
                }
            }
        }
        tracing::info!("ending: calls that are being answered have {} s to finish", config.gateway.drain.as_secs());
        process.end().await;
        Ok(())
    })
}

/// The next successor; none ever where they can't come in.
async fn next(successors: &std::io::Result<Successors>) -> Successor {
    match successors {
        Ok(successors) => successors.next().await,
        Err(_) => std::future::pending().await,
    }
}

/// Does what there is to do for a successor. Who comes besides it is told so.
async fn while_others_are_turned_away<T>(
    successors: &std::io::Result<Successors>,
    pid: Option<i32>,
    doing: impl Future<Output = T>,
) -> T {
    let Ok(successors) = successors else { return doing.await };
    tokio::select! {
        done = doing => done,
        never = successors.turn_away(pid) => match never {},
    }
}

/// Waits until everybody has left for the successor, at most so long.
async fn leave(process: &Process, mut successor: Successor, signals: &mut Signals, patience: Duration) {
    tracing::info!(pid = successor.pid, "a new process serves; who is still here leaves with the next answer");
    if let Some(pid) = successor.pid {
        notify::main_process(pid);
    }
    tokio::select! {
        () = process.until_empty() => {}
        () = tokio::time::sleep(patience) => {}
        () = successor.follow(process) => tracing::warn!("the new process is not heard of any more"),
        () = signals.wait() => {}
    }
}

/// Says where the listeners are, and the first management key: this one time. `origin` is where browsers reach the pages.
///
/// # Errors
/// If it did not get out.
fn announce(process: &Process, origin: Option<&PagesOrigin>, json: bool, screen: &mut Screen) -> std::io::Result<()> {
    let addresses = process.addresses;
    let key = process.owner.management_key.as_ref().map(|(_, key)| key.expose());
    let doors = [("gateway", addresses.gateway), ("admin", addresses.admin), ("check", addresses.check)];
    let url = |address: Option<SocketAddr>| address.map(|address| format!("http://{address}"));
    let tls_url = |address: Option<SocketAddr>| address.map(|address| format!("https://{address}"));
    if json {
        let mut line = serde_json::Map::new();
        for (name, both) in doors {
            line.insert(name.to_owned(), url(both.clear).into());
            line.insert(format!("{name}_tls"), tls_url(both.tls).into());
        }
        line.insert("management_key".to_owned(), key.into());
        line.insert("claim".to_owned(), claim(&process.owner).into());
        return screen.deliver(&format!("{}\n", serde_json::Value::from(line)));
    }
    for (name, both) in doors {
        let at: Vec<String> = url(both.clear).into_iter().chain(tls_url(both.tls)).collect();
        screen.deliver(&format!("{name}: {}\n", if at.is_empty() { "off".to_owned() } else { at.join(" ") }))?;
    }
    if let Some(key) = key {
        screen.deliver(&format!("management key: {key}\n"))?;
        screen.note(
            "Keep the management key now: it is shown this one time. Commands take it from KEYSTILE_MANAGEMENT_KEY.",
        );
    }
    if let Some(path) = claim(&process.owner) {
        let admin = addresses.admin;
        let base = origin.map(ToString::to_string).or_else(|| tls_url(admin.tls)).or_else(|| url(admin.clear));
        let base = base.unwrap_or_default();
        screen.deliver(&format!("claim: {base}{path}\n"))?;
        screen.note("Nobody can log in yet. Open that link within a day to be the first; it works once.");
    }
    Ok(())
}

/// The path of the page where the first member comes in, with its token, if nobody can log in yet.
pub(crate) fn claim(owner: &Owner) -> Option<String> {
    owner.claim.as_ref().map(|token| format!("/join#{}", token.expose()))
}

/// Runs the control plane to its end. An error is said in one line.
pub(crate) fn run_on_control_plane(
    screen: &mut Screen,
    body: impl AsyncFnOnce(&mut Screen) -> Result<(), Box<dyn std::error::Error>>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(CONTROL_THREADS).enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(body(screen));
            // Everything is written by now; a file that can't be read must not keep the process.
            runtime.shutdown_timeout(LAST_PATIENCE);
            done
        }
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            let mut text = format!("keystile: {error}");
            let mut next = error.source();
            while let Some(cause) = next {
                text.push_str(&format!(": {cause}"));
                next = cause.source();
            }
            screen.complain(&text);
            Exit::Failure.into()
        }
    }
}

/// Ctrl-C and SIGTERM, heard from the moment this is made: before anybody is told that the process runs.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the first of them.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// No core dump holds the root key, and no other process of this user reads the memory (SECURITY.md §2.3).
pub(crate) fn harden() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let done = setrlimit(Resource::Core, none).and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = done {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
}

/// What says as an error what anybody on the network can send: a passkey's answer that does not fit. We say it where it belongs.
const QUIET: &str = "webauthn_rs=off,webauthn_rs_core=off";

/// Where log lines go: standard error, as people or programs read them.
pub(crate) fn log(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{level},{QUIET}")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}
