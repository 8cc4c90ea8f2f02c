//! The real binary, running.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::ports::{TRIES, free_base};
use crate::watchdog::Watchdog;
use crate::{Api, PATIENCE, now};

/// A running server. It is killed when it is dropped, and also when the test process ends without that.
#[derive(Debug)]
pub struct Installation {
    /// Where consumers call.
    pub gateway: SocketAddr,
    /// Where the management API is.
    pub admin: SocketAddr,
    /// Where services ask.
    pub check: SocketAddr,
    /// The same three with TLS, as far as they are on.
    pub tls: [Option<SocketAddr>; 3],
    /// Shown on the first start on a data folder only.
    pub management_key: Option<String>,
    /// The path by which the first member comes in, while nobody can log in.
    pub claim: Option<String>,
    /// The first API; empty after [`Installation::serve`], which makes none.
    pub api_id: String,
    /// The first project; empty after [`Installation::serve`].
    pub project_id: String,
    /// The first key; empty after [`Installation::serve`].
    pub key_id: String,
    /// The text of the first key: shown on the first start of `dev` on a data folder only.
    pub key: Option<String>,
    /// The folder given with `--data`, or in [`Installation::serve`] the folder given there.
    pub data: Option<PathBuf>,
    child: Child,
    log: Arc<Mutex<Vec<u8>>>,
    /// Dropped before the folder, which it would remove too.
    watchdog: Option<Watchdog>,
    _temporary: TempDir,
}

impl Installation {
    /// Runs `keystile dev --json` with further arguments on free ports. `binary` is
    /// `env!("CARGO_BIN_EXE_keystile")`, which only the tests of that crate know.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(binary: &str, args: &[&str]) -> Self {
        let data = args.iter().position(|arg| *arg == "--data").and_then(|at| args.get(at + 1)).map(PathBuf::from);
        let mut complaint = String::new();
        for _ in 0..TRIES {
            let base = free_base().to_string();
            let mut arguments = vec!["dev", "--unclaimed", "--json", "--port-base", &base];
            arguments.extend_from_slice(args);
            match Self::run(binary, &arguments, data.clone()) {
                Ok(running) => return running,
                // Another test process was faster.
                Err(log) if log.contains("in use") => complaint = log,
                Err(log) => panic!("`keystile dev` did not start:\n{log}"),
            }
        }
        panic!("no free ports were found; the last complaint:\n{complaint}");
    }

    /// Runs `keystile serve --json` with a settings file, which is written into `dir`. With `listen = "127.0.0.1:0"` a
    /// listener takes a free port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn serve(binary: &str, config_text: &str, dir: &Path) -> Self {
        let config = dir.join("keystile.toml");
        std::fs::write(&config, config_text).expect("the settings file can be written");
        let config = config.to_str().expect("paths of tests are UTF-8");
        match Self::run(binary, &["serve", "--json", "--config", config], Some(dir.to_owned())) {
            Ok(running) => running,
            Err(log) => panic!("`keystile serve` did not start:\n{log}"),
        }
    }

    /// Starts it and waits for its line; the error is what it wrote to standard error.
    fn run(binary: &str, arguments: &[&str], data: Option<PathBuf>) -> Result<Self, String> {
        let temporary = tempfile::Builder::new().prefix("keystile-test-").tempdir().expect("a folder can be made");
        let mut child = Command::new(binary)
            .args(arguments)
            // Whatever it makes for itself goes with this folder, even after it was killed.
            .env("TMPDIR", temporary.path())
            .env_remove("KEYSTILE_CONFIG")
            .env_remove("KEYSTILE_URL")
            .env_remove("KEYSTILE_MANAGEMENT_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let watchdog = Watchdog::over(child.id(), temporary.path());
        let log = Arc::new(Mutex::new(Vec::new()));
        let logging = follow(child.stderr.take().expect("it is piped"), log.clone());
        let (sender, first_line) = mpsc::channel();
        let stdout = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            let mut line = String::new();
            let _ = lines.read_line(&mut line);
            let _ = sender.send(line);
            // Read to the end, so that a full pipe never stops the server.
            let _ = std::io::copy(&mut lines, &mut std::io::sink());
        });
        let line = first_line.recv_timeout(PATIENCE).unwrap_or_default();
        if line.is_empty() {
            let _ = child.kill();
            let _ = child.wait();
            let _ = logging.join();
            let log = log.lock().expect("no holder panics");
            return Err(String::from_utf8_lossy(&log).into_owned());
        }
        let said: Value = serde_json::from_str(&line).expect("the line is JSON");
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        let address = |name: &str| {
            let url = text(name).unwrap_or_else(|| panic!("{name} is missing: {line}"));
            url.strip_prefix("http://").and_then(|rest| rest.parse().ok()).unwrap_or_else(|| panic!("{name}: {url}"))
        };
        Ok(Self {
            gateway: address("gateway"),
            admin: address("admin"),
            check: address("check"),
            tls: ["gateway_tls", "admin_tls", "check_tls"]
                .map(|name| text(name).and_then(|url| url.strip_prefix("https://")?.parse().ok())),
            management_key: text("management_key"),
            claim: text("claim"),
            api_id: text("api_id").unwrap_or_default(),
            project_id: text("project_id").unwrap_or_default(),
            key_id: text("key_id").unwrap_or_default(),
            key: text("key"),
            data,
            child,
            log,
            watchdog: Some(watchdog),
            _temporary: temporary,
        })
    }

    /// A client of its management API, with the key that it showed at its start.
    ///
    /// # Panics
    /// If it showed none.
    pub fn api(&self) -> Api {
        Api::new(self.admin, self.management_key.as_deref().expect("only a first start shows its management key"))
    }

    /// The text of the first key.
    ///
    /// # Panics
    /// If it was not shown.
    pub fn secret(&self) -> &str {
        self.key.as_deref().expect("only a first start shows its key")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().expect("no holder panics")).into_owned()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        self.watchdog = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and waits; says how it ended and how long that took.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let began = now();
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has a number");
        kill_process(pid, Signal::TERM).expect("it still runs");
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                self.watchdog = None;
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.kill();
    }
}

fn follow(mut from: impl Read + Send + 'static, to: Arc<Mutex<Vec<u8>>>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut piece = [0; 4_096];
        while let Ok(len @ 1..) = from.read(&mut piece) {
            to.lock().expect("no holder panics").extend_from_slice(&piece[..len]);
        }
    })
}
