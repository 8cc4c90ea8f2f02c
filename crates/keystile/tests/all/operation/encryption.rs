//! What protects what is kept, changed while everything goes on (SECURITY.md C-3, K-6, C-9).

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keystile_testkit::{Installation, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::{Ended, Server, end, keystile, run};
use super::world::{BINARY, World};

/// A command to a world's server.
fn command(world: &World, arguments: &[&str]) -> Ended {
    let mut command = keystile(arguments);
    command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
    run(&mut command)
}

fn encryption(world: &World) -> Value {
    let (status, encryption) = world.manage().get("/v1/encryption");
    assert_eq!(status, 200, "{encryption}");
    encryption
}

/// Says that it is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn k06_a_pepper_is_rotated_under_load_without_a_failed_call_and_retired_when_every_key_was_used() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut world = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), None);
    let project = world.project();
    let keys: Vec<(String, String)> = (0..60).map(|_| world.key(&project, &json!({}))).collect();
    // One that has two texts, of which the former is still good.
    let rotated = world.manage().post(&format!("/v1/keys/{}/rotate", keys[0].0), &json!({})).1;
    let second = rotated["key"].as_str().unwrap().to_owned();
    let mut texts: Vec<String> = keys.iter().map(|(_, text)| text.clone()).collect();
    texts.push(second);
    texts.extend(world.installation.key.clone());
    let (idle, revoked) = (world.key(&project, &json!({})), world.key(&project, &json!({})));
    assert_eq!(world.manage().post(&format!("/v1/keys/{}/revoke", revoked.0), &json!({})).0, 200);

    let (is_over, failed, calls) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let world_seen = &world;
    std::thread::scope(|scope| {
        // Whatever fails below, the threads end.
        let over = Over(&is_over);
        for part in texts.chunks(texts.len().div_ceil(3)) {
            let (is_over, failed, calls) = (&is_over, &failed, &calls);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    for text in part {
                        let answer = world_seen.verify(&json!({ "key": text }));
                        calls.fetch_add(1, Ordering::Relaxed);
                        if answer.code() != "allowed" {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        for round in 2..=4_u64 {
            let told = command(world_seen, &["encryption", "rotate-pepper"]);
            assert!(told.code == 0 && told.err.contains("as soon as it is presented"), "{told:?}");
            let newest = &encryption(world_seen)["peppers"][0];
            assert_eq!(newest["version"], round);
            let older = |encryption: &Value| -> u64 {
                let peppers = encryption["peppers"].as_array().unwrap();
                peppers.iter().skip(1).map(|pepper| pepper["digests"].as_u64().unwrap()).sum()
            };
            // The management key calls too, with each question.
            eventually("every key that is used has the newest pepper", || older(&encryption(world_seen)) == 1);
        }
        drop(over);
    });
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {} calls", calls.load(Ordering::Relaxed));
    println!("{} calls, {} keys, three peppers, 0 failed", calls.load(Ordering::Relaxed), texts.len());

    // Keys that nobody uses hold the old ones, and are named as the reason.
    let refused = command(&world, &["encryption", "retire-pepper", "1", "--yes"]);
    assert!(refused.code == 6 && refused.err.contains("needed for 1 of"), "{refused:?}");
    assert_eq!(world.manage().post(&format!("/v1/keys/{}/revoke", idle.0), &json!({})).0, 200);
    let told = command(&world, &["key", "list", "--pepper", "1", "--json"]);
    let listed: Value = serde_json::from_str(&told.out).unwrap();
    let ids: Vec<&str> = listed["items"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&idle.0.as_str()) && ids.contains(&revoked.0.as_str()) && ids.len() == 2, "{ids:?}");
    // Unknown, their texts could be imported as good keys.
    let refused = command(&world, &["encryption", "retire-pepper", "1", "--yes"]);
    assert!(refused.code == 6 && refused.err.contains("still tells 2 of"), "{refused:?}");
    for version in ["1", "2", "3"] {
        let retired = command(&world, &["encryption", "retire-pepper", version, "--forget", "--yes"]);
        assert!(retired.code == 0, "{retired:?}");
    }
    let all_good = |world: &World| {
        for text in &texts {
            assert_eq!(world.verify(&json!({ "key": text })).code(), "allowed");
        }
        assert_eq!(world.verify(&json!({ "key": revoked.1 })).code(), "key_unknown", "its pepper is gone");
        assert_eq!(encryption(world)["peppers"].as_array().unwrap().len(), 1);
    };
    all_good(&world);
    let management_key = world.management_key().to_owned();
    for file in ["", "snapshot.keys"] {
        assert!(end(&mut world.installation).0.success());
        // With the saved snapshot, and from the catalogue.
        if !file.is_empty() {
            fs::remove_file(data.join(file)).unwrap();
        }
        world = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), Some(&management_key));
        all_good(&world);
    }
}

#[test]
fn c03_encryption_keys_are_changed_while_calls_carry_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut world = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), None);
    let caller = world.caller(&json!({}));
    let secret = format!("/v1/apis/{}/secrets/header:x-canary", caller.api);
    let put = |world: &World, value: &str| {
        world
            .manage()
            .request(
                "PUT",
                &secret,
                &[("content-type", "application/json")],
                json!({ "value": value }).to_string().as_bytes(),
            )
            .status
    };
    assert_eq!(put(&world, "canary-of-the-upstream"), 204);
    let seen = |world: &World| {
        world.call(&caller.key, "GET", &format!("{}/pets", caller.path)).text().contains("canary-of-the-upstream")
    };
    assert!(seen(&world));
    for (arguments, code, text) in [
        (&["encryption", "retire", "1", "--yes"][..], 6, "rotate first"),
        (&["encryption", "rotate", "--algorithm", "des"], 2, "aes-256-gcm or xchacha20-poly1305"),
        (&["encryption", "rotate", "--algorithm", "xchacha20-poly1305"], 0, "rewrap"),
        (&["encryption", "retire", "1", "--yes"], 6, "rewrap first"),
        (&["encryption", "rewrap"], 0, "secrets are under older versions"),
        (&["encryption", "retire", "1", "--yes"], 0, "retired version 1"),
        (&["encryption", "retire", "1", "--yes"], 5, ""),
        (&["encryption", "retire", "one", "--yes"], 2, ""),
    ] {
        let told = command(&world, arguments);
        assert!(told.code == code && told.err.contains(text), "{arguments:?}: {told:?}");
        assert!(seen(&world), "after {arguments:?}");
    }
    let status = command(&world, &["encryption", "status"]);
    assert!(status.out.contains("xchacha20-poly1305") && status.out.contains("PEPPER"), "{status:?}");
    let told = encryption(&world);
    assert_eq!((&told["keys"][0]["version"], &told["older_records"]), (&json!(2), &json!(0)));
    // A change of the API reads its secrets anew.
    assert_eq!(put(&world, "canary-of-the-upstream-2"), 204);
    assert!(seen(&world));
    let management_key = world.management_key().to_owned();
    assert!(end(&mut world.installation).0.success());
    let again = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), Some(&management_key));
    assert_eq!(encryption(&again)["keys"][0]["algorithm"], "xchacha20-poly1305");
}

/// What `keystile serve` says with these settings and this environment: until it serves and is told to end, or until it ends
/// by itself.
fn serve(folder: &Path, settings: &str, environment: &[(&str, &str)], works: bool) -> Ended {
    let file = folder.join("keystile.toml");
    let off = "[gateway]\nlisten = \"off\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[check]\nlisten = \"off\"\n";
    fs::write(&file, format!("data = {:?}\n{settings}{off}", folder.join("data").display().to_string())).unwrap();
    let mut command = keystile(&["serve", "--config", file.to_str().unwrap()]);
    command.envs(environment.iter().copied());
    if works {
        command.arg("--json");
        let mut server = Server::start(command);
        let (code, took) = server.end(Signal::TERM);
        return Ended { code, out: server.out(), err: server.err(), took };
    }
    run(&mut command)
}

#[test]
fn c09_the_root_key_is_given_otherwise_and_changed_at_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let key = "5a".repeat(32);
    fs::write(here.join("phrase"), "six words that were drawn by lot\n").unwrap();
    fs::write(here.join("short"), "too short\n").unwrap();
    fs::create_dir(here.join("credentials")).unwrap();
    fs::write(here.join("credentials/root"), format!("{key}\n")).unwrap();
    let credentials = here.join("credentials").display().to_string();
    fs::write(here.join("lines"), "six words that were drawn by lot\nand a second line\n").unwrap();
    let lines = format!("root_key = \"passphrase:{}\"\n", here.join("lines").display());
    let phrase = format!("root_key = \"passphrase:{}\"\n", here.join("phrase").display());
    let file = format!("root_key = {:?}\n", here.join("root.key").display().to_string());
    let (env, credential) = ("root_key = \"env:ROOT\"\n", "root_key = \"credential:root\"\n");
    let short = format!("root_key = \"passphrase:{}\"\n", here.join("short").display());

    for (settings, environment, works, says) in [
        (&short[..], &[][..], false, "too short"),
        (&lines, &[], false, "has several lines"),
        ("root_key = \"file:/x\"\n", &[], false, "`file:` is not known here"),
        (env, &[], false, "the environment variable ROOT is missing"),
        (env, &[("ROOT", "not a key")], false, "is not a root key"),
        (credential, &[], false, "the credential root is missing"),
        // Nothing was made by all that, so a new installation begins here, under a passphrase.
        (&phrase, &[], true, ""),
        (env, &[("ROOT", &key)], false, "name that one in previous_root_key"),
        (&format!("{env}previous_{phrase}"), &[("ROOT", &key)], true, "under another root key now"),
        // What it was before need not be there any more.
        (&format!("{env}previous_root_key = \"env:GONE\"\n"), &[("ROOT", &key)], true, ""),
        (env, &[("ROOT", &key)], true, "whoever may look at this process may read it"),
        (&phrase, &[], false, "of another installation"),
        // The same key, from elsewhere.
        (credential, &[("CREDENTIALS_DIRECTORY", &credentials)], true, ""),
        (&file, &[], false, "is missing"),
    ] {
        let told = serve(here, settings, environment, works);
        assert_eq!(told.code == 0, works, "{settings}: {told:?}");
        assert!(told.err.contains(says), "{settings}: {told:?}");
        assert!(!told.err.contains(&key) && !told.err.contains("six words that"), "{told:?}");
    }
}
