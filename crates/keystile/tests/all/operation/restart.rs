//! What a start finds on disk besides the catalogue, which is the one truth: an old or broken saved copy of the keys
//! changes no answer, and counts that are gone are no reason not to serve.

use std::path::{Path, PathBuf};

use keystile_testkit::{Api, Installation};
use serde_json::json;

use super::dev::one_clear_line;
use super::form::problem;
use super::process::{Server, end, free_ports, keystile, run};
use super::world::{BINARY, World};

/// A folder with a trial in it, and the keys to it.
struct Kept {
    _folder: tempfile::TempDir,
    data: PathBuf,
    owner: String,
    key: String,
    project: String,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut running = Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
        let kept = Self {
            _folder: folder,
            data,
            owner: running.management_key.clone().unwrap(),
            key: running.secret().to_owned(),
            project: running.project_id.clone(),
        };
        let (status, _) = end(&mut running);
        assert!(status.success(), "{status}: {}", running.log());
        kept
    }

    fn start(&self) -> World {
        World::of(Installation::start(BINARY, &["--data", self.data.to_str().unwrap()]), Some(&self.owner))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    fn refused(&self) -> String {
        let port = free_ports().to_string();
        let ended = run(keystile(&["dev", "--json", "--port-base", &port, "--data"]).arg(&self.data));
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{}", ended.err);
        ended.err
    }
}

#[test]
fn an_old_copy_of_the_keys_brings_no_revoked_key_back() {
    let kept = Kept::new();
    let snapshot = kept.file("snapshot.keys");
    let mut world = kept.start();
    let (removed_id, removed) = world.key(&kept.project, &json!({}));
    let (disabled_id, disabled) = world.key(&kept.project, &json!({}));
    let (revoked_id, revoked) = world.key(&kept.project, &json!({}));
    assert!(end(&mut world.installation).0.success());
    let old = std::fs::read(&snapshot).expect("the keys are saved at the end");

    let mut world = kept.start();
    let manage = world.manage();
    assert_eq!(manage.post(&format!("/v1/keys/{revoked_id}/revoke"), &json!({})).0, 200);
    assert_eq!(manage.post(&format!("/v1/keys/{disabled_id}/disable"), &json!({})).0, 200);
    assert_eq!(manage.delete(&format!("/v1/keys/{removed_id}")).0, 204);
    let (_, new) = world.key(&kept.project, &json!({}));
    world.installation.kill();
    std::fs::write(&snapshot, old).unwrap();

    let world = kept.start();
    for (key, status, code) in
        [(&revoked, 401, "key_revoked"), (&disabled, 401, "key_disabled"), (&removed, 401, "key_unknown")]
    {
        problem(&world.call(key, "GET", "/"), status, code);
    }
    assert_eq!(world.call(&new, "GET", "/").status, 200);
    assert_eq!(world.call(&kept.key, "GET", "/").status, 200);
}

#[test]
fn a_broken_or_strange_copy_of_the_keys_changes_no_answer() {
    let kept = Kept::new();
    let snapshot = kept.file("snapshot.keys");
    let sound = std::fs::read(&snapshot).unwrap();
    let other = std::fs::read(Kept::new().file("snapshot.keys")).unwrap();
    let flipped =
        |at: usize| sound.iter().enumerate().map(|(n, byte)| if n == at { byte ^ 1 } else { *byte }).collect();
    let broken: [Vec<u8>; 8] = [
        Vec::new(),
        vec![0; 4_096],
        sound[..sound.len() / 2].to_vec(),
        [sound.as_slice(), b"more"].concat(),
        flipped(0),
        flipped(sound.len() / 2),
        flipped(sound.len() - 1),
        other,
    ];
    for (n, bytes) in broken.iter().enumerate() {
        std::fs::write(&snapshot, bytes).unwrap();
        let mut world = kept.start();
        assert_eq!(world.call(&kept.key, "GET", "/").status, 200, "copy {n}");
        assert_eq!(world.manage().get("/v1/keys").0, 200, "copy {n}");
        world.installation.kill();
    }
}

#[test]
fn counts_that_are_gone_are_said_and_counted_from_zero() {
    let kept = Kept::new();
    remove(&kept.data, "usage.db");
    let world = kept.start();
    assert!(world.installation.log().contains("usage.db"), "{}", world.installation.log());
    assert_eq!(world.call(&kept.key, "GET", "/").status, 200);
    let usage = world.manage().get("/v1/usage").1;
    assert_eq!(usage["items"][0]["calls"], 1, "{usage}");
}

#[test]
fn files_that_do_not_belong_together_or_are_none_are_refused_in_one_line() {
    let kept = Kept::new();
    let other = Kept::new();
    let (catalog, usage) = (kept.file("catalog.db"), kept.file("usage.db"));
    let (own_catalog, own_usage) = (std::fs::read(&catalog).unwrap(), std::fs::read(&usage).unwrap());
    std::fs::copy(other.file("usage.db"), &usage).unwrap();
    one_clear_line(&kept.refused(), &[kept.data.to_str().unwrap()]);
    std::fs::write(&usage, &own_usage).unwrap();
    std::fs::copy(other.file("catalog.db"), &catalog).unwrap();
    one_clear_line(&kept.refused(), &["root.key"]);
    for broken in [vec![0; 8_192], b"this is no database".repeat(300), own_catalog[..own_catalog.len() / 2].to_vec()] {
        std::fs::write(&catalog, broken).unwrap();
        one_clear_line(&kept.refused(), &[kept.data.to_str().unwrap()]);
    }
    std::fs::remove_file(&catalog).unwrap();
    one_clear_line(&kept.refused(), &["catalog.db is missing"]);
    assert!(!catalog.exists(), "no other one is made in its place");
    std::fs::write(&catalog, &own_catalog).unwrap();
    assert_eq!(kept.start().call(&kept.key, "GET", "/").status, 200);
}

#[test]
fn a_request_repeated_after_a_crash_makes_nothing_twice() {
    let kept = Kept::new();
    let body = json!({ "project_id": kept.project, "name": "once" }).to_string();
    let fields = [("content-type", "application/json"), ("idempotency-key", "a-crash-came-between")];
    let mut world = kept.start();
    let first = world.manage().request("POST", "/v1/keys", &fields, body.as_bytes());
    assert_eq!(first.status, 201, "{}", first.text());
    world.installation.kill();
    let world = kept.start();
    let second = world.manage().request("POST", "/v1/keys", &fields, body.as_bytes());
    assert_eq!((second.status, &second.json()["id"]), (201, &first.json()["id"]));
    assert!(second.json().get("key").is_none());
    let listed = world.manage().get(&format!("/v1/keys?project_id={}", kept.project)).1;
    assert_eq!(listed["items"].as_array().unwrap().iter().filter(|key| key["name"] == "once").count(), 1);
}

#[test]
fn a_server_says_when_it_is_ready() {
    let server = Server::dev(&[]);
    let anybody = Api::new(server.address("admin"), "");
    for _ in 0..10 {
        let (status, ready) = anybody.get("/readyz");
        assert_eq!((status, &ready["status"]), (200, &json!("ready")), "{ready}");
        let made = server.manage().create("/v1/projects", &json!({ "name": "p" }));
        assert!(made["id"].is_string());
    }
    let figures = anybody.request("GET", "/metrics", &[], b"").text();
    for line in ["keystile_snapshot_keys 2", "# TYPE keystile_snapshot_revision gauge"] {
        assert!(figures.lines().any(|other| other == line), "{line} in {figures}");
    }
}

#[test]
fn a_server_stays_ready_while_things_are_changed() {
    let server = Server::dev(&[]);
    let anybody = Api::new(server.address("admin"), "");
    let unready = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let manage = server.manage();
                scope.spawn(move || (0..60).for_each(|_| drop(manage.create("/v1/projects", &json!({ "name": "p" })))))
            })
            .collect();
        let mut unready = Vec::new();
        while !writers.iter().all(|writer| writer.is_finished()) {
            unready.extend(Some(anybody.get("/readyz")).filter(|(status, _)| *status != 200));
        }
        unready
    });
    assert_eq!(unready.first(), None, "{} times", unready.len());
}

fn remove(folder: &Path, stem: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(stem)) {
            std::fs::remove_file(path).unwrap();
        }
    }
}
