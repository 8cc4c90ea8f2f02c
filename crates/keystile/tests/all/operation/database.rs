//! An installation in PostgreSQL: what a server does with files it does with a database too, the database's absence is no
//! refusal for known keys, and `keystile db` moves an installation so that every key verifies there.

use std::process::{Command, Stdio};

use keystile_testkit::{Api, Postgres, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::{Server, keystile, run, settings};
use super::world::id;

/// A text that could be a key and is none.
const UNKNOWN: &str = "0123456789abcdef0123456789abcdef";

/// A server on a folder of its own, with an API, a project and a key.
struct Place {
    folder: tempfile::TempDir,
    file: String,
    server: Server,
    owner: String,
    api: String,
    project: String,
    key: (String, String),
}

impl Place {
    /// With these lines at the top of its settings.
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = settings(folder.path(), more);
        let server = Server::serve(&file);
        let owner = server.said("management_key").to_owned();
        let manage = server.manage();
        let api = id(&manage.create("/v1/apis", &json!({ "name": "api", "upstream": "http://127.0.0.1:9" })));
        let project = id(&manage.create("/v1/projects", &json!({ "name": "project" })));
        manage.create("/v1/activations", &json!({ "project_id": project, "api_id": api }));
        let key = new_key(&manage, &project);
        Self { folder, file, server, owner, api, project, key }
    }

    fn manage(&self) -> Api {
        Api::new(self.server.address("admin"), &self.owner)
    }

    fn verdict(&self, key: &str) -> (u16, Value) {
        let check = Api::new(self.server.address("check"), "");
        check.post("/v1/verify", &json!({ "key": key, "api": self.api }))
    }

    fn code(&self, key: &str) -> String {
        let (status, verdict) = self.verdict(key);
        assert_eq!(status, 200, "{verdict}");
        verdict["code"].as_str().unwrap().to_owned()
    }

    fn counted(&self) -> u64 {
        let (status, usage) = self.manage().get(&format!("/v1/usage?key_id={}", self.key.0));
        assert_eq!(status, 200, "{usage}");
        usage["items"][0]["calls"].as_u64().unwrap_or(0)
    }

    fn restart(&mut self) {
        assert_eq!(self.server.end(Signal::TERM).0, 0, "{}", self.server.err());
        self.server = Server::serve(&self.file);
    }
}

fn new_key(manage: &Api, project: &str) -> (String, String) {
    let key = manage.create("/v1/keys", &json!({ "project_id": project, "name": "key" }));
    (id(&key), key["key"].as_str().unwrap().to_owned())
}

fn in_database(url: &str) -> String {
    format!("database = {url:?}")
}

#[test]
fn everything_is_kept_in_the_database_and_found_there_again() {
    let mut place = Place::new(&in_database(&Postgres::shared().database()));
    let (revoked_id, revoked) = new_key(&place.manage(), &place.project);
    assert_eq!((place.code(&place.key.1), place.code(&revoked)), ("allowed".to_owned(), "allowed".to_owned()));
    assert_eq!(place.manage().post(&format!("/v1/keys/{revoked_id}/revoke"), &json!({})).0, 200);
    assert_eq!(place.code(&revoked), "key_revoked", "from the next question on");
    assert_eq!(place.counted(), 1);
    for snapshot_is_kept in [true, false] {
        place.restart();
        if !snapshot_is_kept {
            std::fs::remove_file(place.folder.path().join("data/snapshot.keys")).unwrap();
        }
        assert_eq!((place.code(&place.key.1), place.code(&revoked)), ("allowed".into(), "key_revoked".into()));
        assert_eq!(place.code(UNKNOWN), "key_unknown");
    }
    assert_eq!(place.counted(), 3);
    assert!(!place.folder.path().join("data/catalog.db").exists(), "no file is made for it");
}

#[test]
fn one_process_uses_a_database_and_its_password_is_shown_nowhere() {
    let url = Postgres::shared().database().replacen("keystile@", "keystile:open-sesame@", 1);
    let mut place = Place::new(&in_database(&url));
    let other = tempfile::tempdir().unwrap();
    let other = settings(other.path(), &in_database(&url));
    let refused = run(&mut keystile(&["serve", "--json", "--config", &other]));
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(refused.err.contains("in use by another Keystile process"), "{}", refused.err);
    let shown = run(&mut keystile(&["config", "show", "--config", &other]));
    assert!(shown.out.contains("database = \"postgres://127.0.0.1:"), "{}", shown.out);
    let status = run(&mut keystile(&["db", "status", "--config", &other]));
    assert_eq!(status.code, 0, "{}", status.err);
    assert!(status.out.contains("up to date") && status.out.contains("keys           2"), "{}", status.out);
    place.server.end(Signal::TERM);
    for text in [refused.err, shown.out, status.out, place.server.out(), place.server.err()] {
        assert!(!text.contains("open-sesame"), "{text}");
    }
    let wrong = run(keystile(&["config", "check"]).env("KEYSTILE_DATABASE", "mysql://u:open-sesame@h/d"));
    assert!(wrong.code == 3 && wrong.err.contains("database") && !wrong.err.contains("open-sesame"), "{}", wrong.err);
}

#[test]
fn r14_while_the_database_is_away_known_keys_go_on_and_all_is_well_when_it_is_back() {
    let mut postgres = Postgres::start();
    let place = Place::new(&in_database(&postgres.database()));
    let create = || place.manage().post("/v1/keys", &json!({ "project_id": place.project, "name": "later" }));
    assert_eq!(place.code(&place.key.1), "allowed");
    postgres.kill();
    for _ in 0..20 {
        assert_eq!(place.code(&place.key.1), "allowed");
    }
    eventually("an unknown key is told to come again", || place.code(UNKNOWN) == "stale");
    let (status, refusal) = create();
    assert_eq!(status, 503, "{refusal}");
    postgres.start_again();
    eventually("changes are made again", || create().0 == 201);
    eventually("unknown keys are unknown again", || place.code(UNKNOWN) == "key_unknown");
    eventually("every call is counted", || place.counted() == 21);
}

#[test]
fn a_database_that_was_started_again_is_still_one_processes_alone() {
    let mut postgres = Postgres::start();
    let url = postgres.database();
    let place = Place::new(&in_database(&url));
    postgres.stop();
    postgres.start_again();
    eventually("changes are made again", || {
        place.manage().post("/v1/keys", &json!({ "project_id": place.project, "name": "later" })).0 == 201
    });
    eventually("its lock is taken again", || place.server.err().contains("is taken again"));
    let other = tempfile::tempdir().unwrap();
    let other = settings(other.path(), &in_database(&url));
    let refused = run(&mut keystile(&["serve", "--json", "--config", &other]));
    assert!(refused.code == 1 && refused.err.contains("in use by another"), "{}", refused.err);
    let target = tempfile::tempdir().unwrap();
    let target = format!("sqlite://{}", target.path().join("data").display());
    let refused = run(&mut keystile(&["db", "copy", "--to", &target, "--config", &other]));
    assert!(refused.code == 1 && refused.err.contains("in use by another"), "{}", refused.err);
}

#[test]
fn what_somebody_holds_locked_in_the_database_refuses_changes_and_no_calls() {
    let url = Postgres::shared().database();
    let place = Place::new(&in_database(&url));
    let locked = "BEGIN; LOCK TABLE keystile.keys IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)";
    let mut holder = Command::new("psql").args(["-q", &url, "-c", locked]).stdout(Stdio::null()).spawn().unwrap();
    let create = || place.manage().post("/v1/keys", &json!({ "project_id": place.project, "name": "later" })).0;
    eventually("the table is held, and a change is refused", || create() == 503);
    assert_eq!(place.code(&place.key.1), "allowed");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'";
    assert!(Command::new("psql").args(["-q", &url, "-c", end]).stdout(Stdio::null()).status().unwrap().success());
    eventually("changes are made again", || create() == 201);
}

#[test]
fn what_is_wrong_with_the_url_of_a_database_is_said_without_its_password() {
    for (tail, words) in [
        ("@h/n?sslmod=require", "sslmode, "),
        ("@h/n?sslmode=banana", "verify-full"),
        ("@e/x@h/n", "escaped"),
        ("#x@h/n", "escaped"),
    ] {
        let url = format!("postgres://u:open-sesame{tail}");
        let checked = run(keystile(&["config", "check"]).env("KEYSTILE_DATABASE", &url));
        let copied = run(&mut keystile(&["db", "copy", "--from", "sqlite:///nowhere", "--to", &url]));
        assert_eq!((checked.code, copied.code), (3, 2), "{tail}: {} {}", checked.err, copied.err);
        for told in [checked.err, copied.err] {
            assert!(
                told.contains(words) && !told.contains("open-sesame") && !told.contains("banana"),
                "{tail}: {told}"
            );
        }
    }
}

#[test]
fn an_installation_moves_into_a_database_and_back_and_every_key_verifies_there() {
    let mut place = Place::new("");
    let (revoked_id, revoked) = new_key(&place.manage(), &place.project);
    assert_eq!(place.manage().post(&format!("/v1/keys/{revoked_id}/revoke"), &json!({})).0, 200);
    assert_eq!(place.code(&place.key.1), "allowed");
    let url = Postgres::shared().database();
    let move_to = |url: &str, file: &str| run(&mut keystile(&["db", "copy", "--to", url, "--config", file]));
    let refused = move_to(&url, &place.file);
    assert!(refused.code == 1 && refused.err.contains("in use"), "while the server runs: {}", refused.err);
    assert_eq!(place.server.end(Signal::TERM).0, 0);
    let moved = move_to(&url, &place.file);
    assert_eq!(moved.code, 0, "{}", moved.err);
    assert!(moved.out.contains("keys") && moved.err.contains("both hold the same"), "{} {}", moved.out, moved.err);
    let again = move_to(&url, &place.file);
    assert!(again.code == 1 && again.err.contains("nothing is written over it"), "{}", again.err);

    // The data folder keeps the root key; what else is in it is another installation's now.
    let data = place.folder.path().join("data");
    for file in ["catalog.db", "usage.db", "snapshot.keys"] {
        std::fs::remove_file(data.join(file)).unwrap();
    }
    place.file = settings(place.folder.path(), &in_database(&url));
    place.server = Server::serve(&place.file);
    assert_eq!((place.code(&place.key.1), place.code(&revoked)), ("allowed".into(), "key_revoked".into()));
    assert_eq!(place.counted(), 2, "what was counted moved too");
    let (_, later) = new_key(&place.manage(), &place.project);
    assert_eq!(place.server.end(Signal::TERM).0, 0);

    let back = tempfile::tempdir().unwrap();
    let target = format!("sqlite://{}", back.path().join("data").display());
    let moved = move_to(&target, &place.file);
    assert_eq!(moved.code, 0, "{}", moved.err);
    std::fs::copy(data.join("root.key"), back.path().join("data/root.key")).unwrap();
    place.file = settings(back.path(), "");
    place.server = Server::serve(&place.file);
    for (key, code) in [(&place.key.1, "allowed"), (&later, "allowed"), (&revoked, "key_revoked")] {
        assert_eq!(place.code(key), code);
    }
}

#[test]
fn c09_a_database_opens_with_its_root_key_alone() {
    let url = Postgres::shared().database();
    let mut place = Place::new(&in_database(&url));
    assert_eq!(place.server.end(Signal::TERM).0, 0);
    let elsewhere = tempfile::tempdir().unwrap();
    let file = settings(elsewhere.path(), &in_database(&url));
    let refused = run(&mut keystile(&["serve", "--json", "--config", &file]));
    assert!(refused.code == 1 && refused.err.contains("root key"), "missing: {}", refused.err);
    assert!(!elsewhere.path().join("data/root.key").exists(), "none is made over existing data");
    std::fs::write(elsewhere.path().join("data/root.key"), format!("{}\n", "ab".repeat(32))).unwrap();
    let refused = run(&mut keystile(&["serve", "--json", "--config", &file]));
    assert!(refused.code == 1 && refused.err.contains("another installation"), "{}", refused.err);
}
