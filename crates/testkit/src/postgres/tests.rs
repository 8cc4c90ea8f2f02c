//! Servers that serve, crash, come back and leave nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitStatus;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// What the test below runs itself with, to be another process that ends.
const AS_VICTIM: &str = "KEYSTILE_TEST_POSTGRES_VICTIM";

/// How long the servers of a process that ended may take to be gone: one of them may have to be made first.
const LAST_DUTY: Duration = Duration::from_secs(60);

/// Says something to a database as its user and gives the answer, or why there is none.
fn ask(postgres: &Postgres, url: &str, question: &str) -> Result<String, String> {
    let mut command = Command::new(postgres.programs.join("psql"));
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-c", question, url]);
    let ran = without_settings(&mut command).output().expect("psql can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stderr)) }
}

#[test]
fn databases_are_fresh_and_apart() {
    let postgres = Postgres::shared();
    let (one, other) = (postgres.database(), postgres.database());
    assert_ne!(one, other);
    assert!(one.starts_with(&format!("postgres://keystile@127.0.0.1:{}/", postgres.port())), "{one}");
    ask(postgres, &one, "CREATE TABLE note (text TEXT)").expect("its user may");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(ask(postgres, &one, tables).as_deref(), Ok("1"));
    assert_eq!(ask(postgres, &other, tables).as_deref(), Ok("0"));
}

#[test]
fn databases_are_as_an_operator_would_make_them() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    let asked = [
        ("SHOW server_encoding", "UTF8"),
        ("SHOW is_superuser", "off"),
        // By the bytes, `B` would come first.
        ("SELECT 'a' < 'B'", "t"),
    ];
    for (question, answer) in asked.into_iter().take(if postgres.is_modern() { 3 } else { 2 }) {
        assert_eq!(ask(postgres, &url, question).as_deref(), Ok(answer), "{question}");
    }
}

#[test]
fn what_was_committed_survives_a_stop_and_a_crash() {
    let mut postgres = Postgres::start();
    let url = postgres.database();
    assert_eq!(ask(&postgres, &url, "SHOW fsync").as_deref(), Ok("on"));
    ask(&postgres, &url, "CREATE TABLE note (text TEXT)").expect("a table");
    for end in [Postgres::stop, Postgres::kill, Postgres::kill] {
        ask(&postgres, &url, "INSERT INTO note VALUES ('kept')").expect("a row");
        let port = postgres.port();
        end(&mut postgres);
        let refused = ask(&postgres, &url, "SELECT 1").expect_err("nobody is there");
        assert!(refused.contains("refused"), "{refused}");
        postgres.start_again();
        assert_eq!(postgres.port(), port);
    }
    assert_eq!(ask(&postgres, &url, "SELECT count(*) FROM note").as_deref(), Ok("3"));
}

#[test]
fn a_kill_ends_every_process() {
    let mut postgres = Postgres::start();
    let server = postgres.server.expect("it runs");
    let all = children(server);
    assert!(all.len() > 2, "its own workers: {all:?}");
    postgres.kill();
    assert!(all.into_iter().chain([server]).all(is_gone));
}

#[test]
fn a_server_that_is_dropped_leaves_nothing() {
    for end in [|_: &mut Postgres| (), Postgres::stop, Postgres::kill] {
        let mut postgres = Postgres::start();
        let (server, folder) = (postgres.server.expect("it runs"), postgres.folder.clone());
        let memory = shared_memory(&folder);
        assert!(holds_memory(&memory), "{memory}");
        end(&mut postgres);
        drop(postgres);
        assert!(is_gone(server));
        eventually("its folder is gone", || !folder.exists());
        assert!(!holds_memory(&memory), "{memory}");
    }
}

/// When a process ends that has servers.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Its first server is being made.
    Making,
    /// A server starts.
    Starting,
    /// Two servers run.
    Running,
    /// By itself, when it is done.
    Done,
}

#[test]
fn nothing_outlives_the_process_however_it_ends() {
    if let Ok(moment) = std::env::var(AS_VICTIM) {
        return be_the_victim(&moment);
    }
    for moment in [Moment::Making, Moment::Starting, Moment::Running, Moment::Done] {
        let temporary = TempDir::new().expect("a folder");
        // The user that the server runs as has to get in.
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
        let status = run_victim(moment, temporary.path());
        assert_eq!(status.success(), matches!(moment, Moment::Done), "{moment:?}: {status}");
        let began = now();
        while !is_empty(temporary.path()) || is_named(temporary.path()) {
            assert!(began.elapsed() < LAST_DUTY, "{moment:?}: something is left");
            std::thread::sleep(LOOK);
        }
    }
}

/// In a process of its own: has servers, says so, and ends only if it should.
fn be_the_victim(moment: &str) {
    let _shared = Postgres::shared();
    let own = Postgres::start();
    println!("\nrunning two");
    if moment != "Done" {
        std::thread::sleep(LAST_DUTY);
    }
    drop(own);
}

fn run_victim(moment: Moment, temporary: &Path) -> ExitStatus {
    let mut victim = Command::new(std::env::current_exe().expect("it has a name"))
        .args(["--exact", "--nocapture", "postgres::tests::nothing_outlives_the_process_however_it_ends"])
        .env(AS_VICTIM, format!("{moment:?}"))
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a test can be started");
    let mut lines = BufReader::new(victim.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let holds = |file: &str| {
        let folders = fs::read_dir(temporary).into_iter().flatten().flatten();
        folders.into_iter().any(|folder| folder.path().join(file).exists())
    };
    match moment {
        Moment::Making => eventually("a folder is filled", || holds("data/PG_VERSION")),
        Moment::Starting => eventually("a server began", || holds("data/postmaster.pid")),
        Moment::Running => assert!(lines.any(|line| line == "running two"), "no servers"),
        Moment::Done => {
            lines.for_each(drop);
            return victim.wait().expect("it is our child");
        }
    }
    victim.kill().expect("it is our child");
    victim.wait().expect("it is our child")
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("it is there").next().is_none()
}

/// Whether the command of a process names this folder.
fn is_named(folder: &Path) -> bool {
    let folder = folder.to_str().expect("paths of tests are UTF-8");
    let commands = fs::read_dir("/proc").expect("Linux").flatten().map(|entry| entry.path().join("cmdline"));
    commands.filter_map(|file| fs::read(file).ok()).any(|command| String::from_utf8_lossy(&command).contains(folder))
}

/// The number of the piece of shared memory that a running server has.
fn shared_memory(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("data/postmaster.pid")).expect("it runs");
    text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)).expect("a number").to_owned()
}

fn holds_memory(number: &str) -> bool {
    let list = fs::read_to_string("/proc/sysvipc/shm").expect("Linux lists them");
    list.lines().any(|line| line.split_whitespace().nth(1) == Some(number))
}

#[test]
fn the_newest_whole_version_is_taken() {
    let versions = TempDir::new().expect("a folder");
    for (version, programs) in [("9", 2), ("15", 2), ("17", 1), ("common", 2)] {
        let folder = versions.path().join(version).join("bin");
        fs::create_dir_all(&folder).expect("a folder");
        for program in &["initdb", "postgres"][..programs] {
            fs::write(folder.join(program), "").expect("a file");
        }
    }
    assert_eq!(programs(versions.path()), Some(versions.path().join("15/bin")));
}
