//! The binary as a process: commands that are run to their end, and servers of which everything that they print is kept.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use keystile_testkit::{Api, Installation, PATIENCE, eventually, now};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::world::BINARY;

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit code; -1 if a signal ended it.
    pub(super) code: i32,
    /// Standard output.
    pub(super) out: String,
    /// Standard error.
    pub(super) err: String,
    /// How long it took.
    pub(super) took: Duration,
}

/// The binary with arguments, and none of the variables of whoever runs the tests.
pub(super) fn keystile(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"KEYSTILE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
pub(super) fn run(command: &mut Command) -> Ended {
    run_with(command, b"")
}

/// Runs a command to its end with something on its standard input.
pub(super) fn run_with(command: &mut Command, input: &[u8]) -> Ended {
    let began = now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that fails early reads nothing.
    let _ = stdin.write_all(input);
    drop(stdin);
    let id = child.id();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if wait.recv_timeout(PATIENCE * 3).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout) {
            signal(id, Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("it is our child");
    drop(done);
    let _ = guard.join();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the binary prints UTF-8");
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
        took: began.elapsed(),
    }
}

/// Waits for a server to end, and says how long that took.
pub(super) fn until_ended(child: &mut Child, limit: Duration) -> (i32, Duration) {
    let began = now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return (status.code().unwrap_or(-1), began.elapsed());
        }
        if began.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ends a server in order, and says how long that took. That one who has just read its line can do so is a test of its
/// own (`dev`); here it first listens to signals.
pub(super) fn end(running: &mut Installation) -> (ExitStatus, Duration) {
    until_it_listens_to_signals(running.pid());
    running.terminate()
}

fn until_it_listens_to_signals(process: u32) {
    const SIGTERM: u64 = 1 << 14;
    eventually("it listens to signals", || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & SIGTERM != 0)
    });
}

/// Sends a signal to a process that we started.
pub(super) fn signal(process: u32, signal: Signal) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process has a number");
    let _ = kill_process(pid, signal);
}

/// A settings file in a folder, of listeners on free ports and a data folder beside it.
pub(super) fn settings(folder: &Path, more: &str) -> String {
    let data = folder.join("data");
    let free = "listen = \"127.0.0.1:0\"\n";
    let text = format!("data = {data:?}\n{more}\n[gateway]\n{free}[admin]\n{free}[check]\n{free}");
    let file = folder.join("keystile.toml");
    std::fs::write(&file, &text).expect("a settings file can be written");
    file.to_str().expect("paths of tests are UTF-8").to_owned()
}

/// A server with everything that it prints in files, to the end of its life.
pub(super) struct Server {
    pub(super) child: Child,
    /// What it announced.
    pub(super) line: Value,
    folder: TempDir,
}

impl Server {
    /// Starts it and waits for its announcement.
    pub(super) fn start(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = |name: &str| File::create(folder.path().join(name)).expect("a file can be made");
        let child = command.stdout(file("out")).stderr(file("err")).spawn().expect("the binary can be started");
        let mut server = Self { child, line: Value::Null, folder };
        let began = now();
        while !server.out().ends_with('\n') {
            let ended = server.child.try_wait().expect("it is our child");
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "it did not start: {}", server.err());
            std::thread::sleep(Duration::from_millis(2));
        }
        server.line = serde_json::from_str(&server.out()).expect("the announcement is JSON");
        server
    }

    /// `keystile serve --json` with a settings file.
    pub(super) fn serve(settings: &str) -> Self {
        Self::start(keystile(&["serve", "--json", "--config", settings]))
    }

    /// `keystile dev --json` with further arguments, on ports that are free.
    pub(super) fn dev(args: &[&str]) -> Self {
        Self::start(keystile(&[&["dev", "--json", "--port-base", &free_ports().to_string()], args].concat()))
    }

    /// What it has printed.
    pub(super) fn out(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    /// What it has complained about, and its log.
    pub(super) fn err(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("err")).unwrap_or_default()
    }

    /// A text of the announcement.
    pub(super) fn said(&self, name: &str) -> &str {
        self.line[name].as_str().unwrap_or_else(|| panic!("{name} is not in {}", self.line))
    }

    /// Where a listener is.
    pub(super) fn address(&self, name: &str) -> SocketAddr {
        self.said(name).strip_prefix("http://").and_then(|rest| rest.parse().ok()).expect("an address")
    }

    /// Its management API, with the key that it announced.
    pub(super) fn manage(&self) -> Api {
        Api::new(self.address("admin"), self.said("management_key"))
    }

    /// Asks it to end and waits for that.
    pub(super) fn end(&mut self, with: Signal) -> (i32, Duration) {
        until_it_listens_to_signals(self.child.id());
        signal(self.child.id(), with);
        until_ended(&mut self.child, PATIENCE)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first of five ports that were free a moment ago, below those of the test kit.
pub(super) fn free_ports() -> u16 {
    static ASKED: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 200).expect("it is small") * 30;
    loop {
        let base = 12_000 + (first + ASKED.fetch_add(5, Ordering::Relaxed)) % 7_990;
        if (base..base + 5).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
}
