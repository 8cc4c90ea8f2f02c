//! A PostgreSQL server of one's own, from Debian's package, that needs no set-up and never outlives the test process.
//!
//! Tests that only need a database ask the server that all tests of a process share for a fresh one. Tests that stop or
//! kill a server start their own. A script ([`KEEPER`]) owns the server: it ends it and removes its folder when its
//! input ends, which is when this process ends, however that happens.
//!
//! Left out on purpose: a client. Whoever asks for a database has one.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, OnceLock};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::ports::{TRIES, free_base};
use crate::{LOOK, PATIENCE, eventually, now};

const KEEPER: &str = include_str!("postgres/keeper.sh");

/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Who the server runs as if the tests are root, which it refuses to be. The package makes this user.
const SYSTEM_USER: &str = "postgres";

/// Who made the cluster and may do anything in it.
const SUPERUSER: &str = "postgres";

/// Whose databases they are: one without special rights, as a careful operator gives one.
const USER: &str = "keystile";

/// Small, on this machine only, and with nothing outside of its folder. As many connections as many tests at once need.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "dynamic_shared_memory_type=mmap",
    "shared_buffers=32MB",
    "max_connections=200",
];

/// What a server can do without that is never meant to survive a crash.
const FORGETFUL: &[&str] =
    &["fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0"];

/// After a crash, one call to the system instead of one for each of a thousand files: 1 s instead of 6.
const LASTING: &[&str] = &["recovery_init_sync_method=syncfs"];

/// The version that knows the setting above, how to sort by itself, and how to copy a template as files.
const MODERN: u32 = 15;

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    /// Whether it waits for the disk.
    is_lasting: bool,
    programs: PathBuf,
    folder: PathBuf,
    /// Its first process, while it runs.
    server: Option<u32>,
    keeper: Keeper,
}

impl Postgres {
    /// The one that the tests of this process share. It keeps nothing safe from a crash, which makes it fast.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start_as(false))
    }

    /// One of one's own, to be stopped and killed. What it said it has kept, it has kept.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub fn start() -> Self {
        Self::start_as(true)
    }

    fn start_as(is_lasting: bool) -> Self {
        let programs = programs(Path::new(VERSIONS)).unwrap_or_else(|| {
            panic!(
                "PostgreSQL is not installed. As root on Debian, `cargo xtask test` installs it; \
                 else: apt-get install postgresql"
            )
        });
        let mut keeper = Keeper::new(&programs);
        let folder = match keeper.answer().strip_prefix("folder ") {
            Some(folder) => PathBuf::from(folder),
            None => panic!("no folder could be made for PostgreSQL: {}", keeper.last),
        };
        let mut postgres = Self { port: 0, is_lasting, programs, folder, server: None, keeper };
        postgres.init();
        let mut complaint = String::new();
        for _ in 0..TRIES {
            postgres.port = free_base();
            match postgres.launch() {
                Ok(()) => {
                    postgres.run("createuser", &[USER]);
                    return postgres;
                }
                // Another test process was faster.
                Err(log) if log.contains("in use") => complaint = log,
                Err(log) => panic!("PostgreSQL did not start:\n{log}"),
            }
        }
        panic!("no free port was found for PostgreSQL; the last complaint:\n{complaint}");
    }

    /// The port that it listens on, at 127.0.0.1. It stays the same.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a fresh, empty database and gives its URL.
    ///
    /// # Panics
    /// If the server does not run.
    pub fn database(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        let mut arguments = vec!["--owner", USER, "--template", "template0", &name];
        if !self.is_lasting && self.is_modern() {
            // 15 ms instead of 25, but only where nothing waits for the disk.
            arguments.push("--strategy=file_copy");
        }
        self.run("createdb", &arguments);
        format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port)
    }

    /// Ends it in order: whoever is connected is sent away, everything is written.
    ///
    /// # Panics
    /// If it does not run, or does not end in time.
    pub fn stop(&mut self) {
        self.server.take().expect("it runs");
        assert_eq!(self.keeper.ask("end INT"), "ended", "PostgreSQL does not end");
    }

    /// Kills all its processes at once, and waits until they are gone.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let server = self.server.take().expect("it runs");
        // Stopped first, so that it neither begins another process nor tidies up after those that go.
        signal(server, Signal::STOP);
        eventually("it is stopped", || matches!(state(server), Some('T')) || is_gone(server));
        let children = children(server);
        for process in children.iter().chain([&server]) {
            signal(*process, Signal::KILL);
        }
        assert_eq!(self.keeper.ask("end KILL"), "ended", "PostgreSQL does not die");
        eventually("no process of the server is left", || children.iter().all(|child| is_gone(*child)));
    }

    /// Starts it once more after [`Postgres::stop`] or [`Postgres::kill`], with all that it keeps, and waits until it
    /// has recovered.
    ///
    /// # Panics
    /// If it runs or does not start.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        self.launch().unwrap_or_else(|log| panic!("PostgreSQL did not start again:\n{log}"));
    }

    /// Makes what all databases have in common.
    fn init(&mut self) {
        // Text is sorted as most servers sort it, by the rules of a language: what relies on the order of bytes without
        // saying so is found. Older versions can't do that without the system's help.
        let sorted = "--locale-provider=icu --icu-locale=en-US --locale=C.UTF-8";
        let locale = if self.is_modern() { sorted } else { "--locale=C.UTF-8" };
        let order = format!("init --username={SUPERUSER} --auth=trust --encoding=UTF8 --no-sync {locale}");
        let answer = self.keeper.ask(&order);
        assert_eq!(answer, "made", "initdb could not make a cluster:\n{}", self.log());
    }

    /// Starts the server and waits until it lets clients in; the error is what it logged.
    fn launch(&mut self) -> Result<(), String> {
        let more = match (self.is_lasting, self.is_modern()) {
            (false, _) => FORGETFUL,
            (true, true) => LASTING,
            (true, false) => &[],
        };
        let settings: String = SETTINGS.iter().chain(more).map(|setting| format!(" -c {setting}")).collect();
        let answer = self.keeper.ask(&format!("start -p {}{settings}", self.port));
        let number = answer.strip_prefix("started ").and_then(|number| number.parse().ok());
        let server = number.unwrap_or_else(|| panic!("PostgreSQL could not be started: {answer}"));
        let began = now();
        while !self.is_ready(server) {
            if is_gone(server) {
                self.keeper.ask("end KILL");
                return Err(self.log());
            }
            assert!(began.elapsed() < PATIENCE, "PostgreSQL does not get ready:\n{}", self.log());
            std::thread::sleep(LOOK);
        }
        self.server = Some(server);
        Ok(())
    }

    /// Whether the file that says which process serves this folder names this one as ready.
    fn is_ready(&self, server: u32) -> bool {
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        lines.next() == Some(server.to_string().as_str()) && lines.nth(6) == Some("ready")
    }

    /// Runs one of its programs as its superuser.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command.args(["--no-password", "--host=127.0.0.1", "--username", SUPERUSER, "--port", &self.port.to_string()]);
        let ran = without_settings(&mut command).args(arguments).output().expect("the program can be started");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{program} {}: {said}", arguments.join(" "));
    }

    /// Whether its version is known to be new enough. One on the path says nothing.
    fn is_modern(&self) -> bool {
        let version = self.programs.parent().and_then(|folder| folder.file_name()?.to_str()?.parse::<u32>().ok());
        version.is_some_and(|version| version >= MODERN)
    }

    /// What was logged since it was started last.
    fn log(&self) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

/// The running script: one order a line, one answer a line.
#[derive(Debug)]
struct Keeper {
    /// Closed by the end of this process too; then the script does its last duty.
    orders: Option<ChildStdin>,
    answers: Mutex<Receiver<String>>,
    last: String,
}

impl Keeper {
    fn new(programs: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(std::env::temp_dir()).arg(programs);
        if geteuid().is_root() {
            command.args(["setpriv", "--reuid", SYSTEM_USER, "--regid", SYSTEM_USER, "--init-groups"]);
        }
        let mut child = without_settings(&mut command)
            // A Ctrl-C is for the tests; the script then finds that they ended.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        let (orders, stdout) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
            let _ = child.wait();
        });
        Self { orders, answers: Mutex::new(answers), last: String::new() }
    }

    fn ask(&mut self, order: &str) -> String {
        let orders = self.orders.as_mut().expect("it is open until the end");
        writeln!(orders, "{order}").expect("the keeper of PostgreSQL runs");
        self.answer().to_owned()
    }

    /// The next answer, or nothing if none comes in time.
    fn answer(&mut self) -> &str {
        let answers = self.answers.get_mut().expect("no holder panics");
        self.last = answers.recv_timeout(PATIENCE).unwrap_or_default();
        &self.last
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders = None;
        // The folder goes after that, for which nobody has to wait.
        while !["gone", ""].contains(&self.answer()) {}
    }
}

/// The folder of the newest version that is installed, or the one on the path.
fn programs(versions: &Path) -> Option<PathBuf> {
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = std::fs::read_dir(versions).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = folders.filter(|folder| version(folder).is_some()).collect();
    found.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = found.into_iter().map(|folder| folder.join("bin")).chain(std::env::split_paths(&path));
    // A client alone has no `initdb`.
    places.find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// Takes away what the environment may say about some other server.
fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C")
}

fn signal(process: u32, signal: Signal) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(process, signal);
    }
}

fn children(process: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    list.expect("Linux lists them").split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// The letter of a process, if it is there.
fn state(process: u32) -> Option<char> {
    let line = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    line.rsplit_once(") ")?.1.chars().next()
}

/// Whether it has ended; nobody may have asked yet how.
fn is_gone(process: u32) -> bool {
    matches!(state(process), None | Some('Z' | 'X'))
}

#[cfg(test)]
mod tests;
