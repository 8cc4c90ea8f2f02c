//! The store is gone while the server runs: held by another program, moved away, replaced, its disk full. Known
//! keys go on from memory, unknown ones are told to come again, changes are refused with a reason, and when the store is
//! back all is well without a restart, counts too.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use keystile_testkit::{Api, Installation, eventually, now};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use super::form::problem;
use super::holder::Holder;
use super::process::{Server, end, keystile, settings};
use super::world::{BINARY, Caller, World, id, mistyped};

/// A text that could be a key and is none.
const UNKNOWN: &str = "0123456789abcdef0123456789abcdef";

/// An installation in a folder that the test may break, with a key that calls through it.
struct Kept {
    world: World,
    data: PathBuf,
    caller: Caller,
    calls: u64,
    _folder: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        Self::running(BINARY, tempfile::tempdir().unwrap())
    }

    fn running(binary: &str, folder: tempfile::TempDir) -> Self {
        let data = folder.path().join("data");
        let world = World::of(Installation::start(binary, &["--data", data.to_str().unwrap()]), None);
        let caller = world.caller(&json!({}));
        Self { world, data, caller, calls: 0, _folder: folder }
    }

    /// Calls with the known key, so often.
    fn call(&mut self, times: u64) {
        for _ in 0..times {
            let answer = self.world.call(&self.caller.key, "GET", &self.caller.path);
            assert_eq!(answer.status, 200, "a known key: {}", answer.text());
        }
        self.calls += times;
    }

    fn unknown(&self) -> u16 {
        self.world.call(UNKNOWN, "GET", &self.caller.path).status
    }

    fn verified(&self, key: &str) -> Value {
        let answer = self.world.verify(&json!({ "key": key, "api": self.caller.api }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["code"].clone()
    }

    /// What holds while the store is gone; `why` is a word of the reason.
    fn is_gone(&mut self, why: &str) {
        self.is_gone_and_says(why, 503, "store_unavailable");
    }

    /// The same, with what a change is answered with.
    fn is_gone_and_says(&mut self, why: &str, status: u16, code: &str) {
        eventually("the store is missed", || self.unknown() == 503);
        let told = self.world.call(UNKNOWN, "GET", &self.caller.path);
        problem(&told, 503, "stale");
        assert_eq!(told.all("retry-after"), ["2"]);
        problem(&self.world.call(&mistyped(&self.caller.key), "GET", &self.caller.path), 401, "key_malformed");
        assert_eq!(self.verified(UNKNOWN), "stale");
        self.call(5);
        assert_eq!(self.verified(&self.caller.key), "allowed");
        self.calls += 1;
        let ready = Api::new(self.world.installation.admin, "").get("/readyz");
        assert_eq!((ready.0, &ready.1["status"]), (200, &json!("degraded")), "{}", ready.1);
        assert!(ready.1["checks"].to_string().contains(why), "{why} in {}", ready.1);
        let (before, body) = (self.projects(), json!({ "name": "in vain" }).to_string());
        let fields = [("content-type", "application/json")];
        let refused = self.world.manage().request("POST", "/v1/projects", &fields, body.as_bytes());
        problem(&refused, status, code);
        assert_eq!(refused.all("retry-after"), ["2"]);
        assert_eq!(self.projects(), before, "nothing was changed");
        let revoked = self.world.manage().post(&format!("/v1/keys/{}/revoke", self.caller.id), &json!({}));
        assert_eq!(revoked.0, status, "{}", revoked.1);
        self.call(5);
    }

    /// What holds when it is back, by itself; says how long that took.
    fn is_back(&mut self) -> Duration {
        let began = now();
        eventually("the store is found again", || self.unknown() == 401);
        let took = began.elapsed();
        self.call(5);
        self.world.project();
        let ready = Api::new(self.world.installation.admin, "").get("/readyz");
        assert_eq!(ready.0, 200, "{}", ready.1);
        let mut counted = Value::Null;
        eventually("counts can be read", || {
            let (status, usage) = self.world.manage().get(&format!("/v1/usage?key_id={}", self.caller.id));
            counted = usage["items"][0]["calls"].clone();
            status == 200
        });
        assert_eq!(counted, self.calls, "every call is counted once");
        took
    }

    fn projects(&self) -> usize {
        self.world.manage().get("/v1/projects?limit=200").1["items"].as_array().unwrap().len()
    }

    fn limit_files_to(&self, bytes: Option<u64>) {
        let pid = i32::try_from(self.world.installation.pid()).ok().and_then(Pid::from_raw);
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// Ends it and says of both files whether they are sound.
    fn ends_sound(mut self) {
        let (status, _) = end(&mut self.world.installation);
        assert!(status.success(), "{status}: {}", self.world.installation.log());
        for file in ["catalog.db", "usage.db"] {
            let checked = Command::new("sqlite3").arg(self.data.join(file)).arg("PRAGMA integrity_check").output();
            assert_eq!(String::from_utf8_lossy(&checked.unwrap().stdout).trim(), "ok", "{file}");
        }
    }
}

#[test]
fn r14_while_another_program_holds_the_store_known_keys_go_on_and_unknown_ones_are_told_to_come_again() {
    let mut kept = Kept::new();
    kept.call(3);
    assert_eq!(kept.unknown(), 401);
    let holders = ["catalog.db", "usage.db"].map(|file| Holder::of(&kept.data.join(file)));
    kept.is_gone("another program");
    holders.into_iter().for_each(Holder::lets_go);
    println!("back after {:?}", kept.is_back());
    kept.ends_sound();
}

#[test]
fn r14_files_that_are_moved_away_are_missed_and_nothing_is_written_to_them_until_they_are_back() {
    let mut kept = Kept::new();
    kept.call(3);
    for gone in ["catalog.db", "catalog.db-wal"] {
        let (here, away) = (kept.data.join(gone), kept.data.join("away"));
        fs::rename(&here, &away).unwrap();
        kept.is_gone("is gone");
        fs::rename(&away, &here).unwrap();
        println!("back after {:?}", kept.is_back());
    }
    // Without its ledger it counts in memory; keys are not the ledger's matter.
    let (here, away) = (kept.data.join("usage.db"), kept.data.join("away"));
    fs::rename(&here, &away).unwrap();
    kept.call(20);
    assert_eq!(kept.unknown(), 401);
    let usage = kept.world.manage().get("/v1/usage");
    assert_eq!((usage.0, &usage.1["code"]), (503, &json!("store_unavailable")), "{}", usage.1);
    fs::rename(&away, &here).unwrap();
    kept.is_back();
    assert!(kept.world.installation.log().contains("catalog.db is gone; put it back"));
    kept.ends_sound();
}

#[test]
fn r14_another_file_in_the_place_of_the_catalogue_is_not_taken_for_it() {
    let mut kept = Kept::new();
    let (here, away) = (kept.data.join("catalog.db"), kept.data.join("away"));
    fs::rename(&here, &away).unwrap();
    fs::copy(&away, &here).unwrap();
    kept.is_gone("another file");
    fs::rename(&away, &here).unwrap();
    kept.is_back();
    kept.ends_sound();
}

#[test]
fn r14_on_a_full_disk_calls_go_on_and_are_counted_when_there_is_room() {
    // The limit of the system on a file's size stands for the disk's end: no right to mount anything is needed.
    let folder = tempfile::tempdir().unwrap();
    let stands = folder.path().join("keystile");
    fs::write(&stands, format!("#!/bin/sh\ntrap '' XFSZ\nexec {BINARY} \"$@\"\n")).unwrap();
    fs::set_permissions(&stands, fs::Permissions::from_mode(0o755)).unwrap();
    let mut kept = Kept::running(stands.to_str().unwrap(), tempfile::tempdir().unwrap());
    for _ in 0..2 {
        kept.call(3);
        kept.limit_files_to(Some(0));
        kept.is_gone("");
        kept.limit_files_to(None);
        println!("back after {:?}", kept.is_back());
    }
    kept.ends_sound();
}

#[test]
fn r14_on_a_file_system_without_room_changes_are_answered_with_507() {
    let folder = tempfile::tempdir().unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(folder.path()).output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!("left out: nothing may be mounted here (the test before does it with a limit on files)");
        return;
    }
    let _mounted = Mounted(folder.path().to_owned());
    let mut kept = Kept::running(BINARY, folder);
    kept.call(3);
    let ballast = kept.data.join("ballast");
    let mut filling = fs::File::create(&ballast).unwrap();
    for size in [1 << 20, 4_096] {
        while filling.write_all(&vec![0; size]).is_ok() {}
    }
    // What the files have already may hold some more.
    eventually("it is full", || {
        kept.call(20);
        kept.unknown() == 503
    });
    kept.is_gone_and_says("full", 507, "insufficient_storage");
    drop(filling);
    fs::remove_file(&ballast).unwrap();
    println!("back after {:?}", kept.is_back());
    kept.ends_sound();
}

/// A file system that is taken away when it is dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn r14_after_max_staleness_nobody_is_let_through_and_with_zero_at_once() {
    for seconds in ["4", "0"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = keystile(&["serve", "--json", "--config", &settings(folder.path(), "")]);
        command.env("KEYSTILE_GATEWAY_MAX_STALENESS_SECONDS", seconds);
        let server = Server::start(command);
        let project = id(&server.manage().create("/v1/projects", &json!({ "name": "asks" })));
        let made = server.manage().create("/v1/keys", &json!({ "project_id": project, "name": "asks" }));
        let key = &made["key"];
        let code = || {
            let question = json!({ "key": key }).to_string();
            let fields = [("content-type", "application/json"), ("authorization", "none")];
            let answer =
                Api::new(server.address("check"), "").request("POST", "/v1/verify", &fields, question.as_bytes());
            answer.json()["code"].clone()
        };
        assert_eq!(code(), "allowed");
        let (here, away) = (folder.path().join("data/catalog.db"), folder.path().join("data/away"));
        fs::rename(&here, &away).unwrap();
        eventually("it closes", || code() == "stale");
        let ready = Api::new(server.address("admin"), "").get("/readyz");
        assert_eq!((ready.0, &ready.1["code"]), (503, &json!("not_ready")), "{}", ready.1);
        let (status, told) = server.manage().get("/v1/projects");
        assert_eq!((status, &told["code"]), (503, &json!("stale")), "{told}");
        fs::rename(&away, &here).unwrap();
        eventually("it opens again", || code() == "allowed");
        assert_eq!(server.manage().get("/v1/projects").0, 200);
    }
}
