//! Backups as operators make them: of a running server, into one file, and back on an empty machine (SECURITY.md O-6).

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use keystile_testkit::Installation;
use serde_json::{Value, json};

use super::process::{end, keystile, run};
use super::world::{BINARY, World};

/// A settings file for commands that need no server.
fn settings(folder: &Path, data: &Path) -> String {
    let file = folder.join("keystile.toml");
    fs::write(&file, format!("data = {:?}\n", data.display().to_string())).unwrap();
    file.display().to_string()
}

#[test]
fn o06_r16_every_key_verifies_on_an_empty_machine_with_the_root_key_and_none_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, empty) = (folder.path().join("data"), folder.path().join("empty"));
    let mut world = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), None);
    let project = world.project();
    let before: Vec<String> = (0..40).map(|_| world.key(&project, &json!({})).1).collect();
    let [identity, file] = ["identity", "backup.age"].map(|name| folder.path().join(name).display().to_string());
    let made = run(&mut keystile(&["db", "identity", &identity]));
    assert!(made.code == 0 && made.out.starts_with("age1") && made.err.contains("Keep it apart"), "{made:?}");
    let recipient = made.out.trim();

    // While others make keys.
    let here = settings(folder.path(), &data);
    let is_over = AtomicBool::new(false);
    let backed_up = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                world.key(&project, &json!({}));
            }
        });
        let backed_up =
            run(&mut keystile(&["db", "backup", &file, "--recipient", recipient, "--config", &here, "--json"]));
        is_over.store(true, Ordering::Relaxed);
        backed_up
    });
    assert_eq!(backed_up.code, 0, "{backed_up:?}");
    let said: Value = serde_json::from_str(&backed_up.out).unwrap();
    assert!(said["keys"].as_u64().unwrap() >= 40 && said["manifest"]["revision"].as_u64().unwrap() > 40, "{said}");
    let again = run(&mut keystile(&["db", "backup", &file, "--recipient", recipient, "--config", &here]));
    assert!(again.code == 1 && again.err.contains("is there already"), "{again:?}");
    let management_key = world.management_key().to_owned();
    assert!(end(&mut world.installation).0.success());

    fs::create_dir(folder.path().join("there")).unwrap();
    let there = settings(&folder.path().join("there"), &empty);
    let restore = || run(&mut keystile(&["db", "restore", &file, "--identity", &identity, "--config", &there]));
    let without = restore();
    assert!(
        without.code == 1 && without.err.contains("root key file") && without.err.contains("missing"),
        "{without:?}"
    );
    assert!(!empty.join("catalog.db").exists());
    fs::create_dir_all(&empty).unwrap();
    fs::copy(data.join("root.key"), empty.join("root.key")).unwrap();
    let restored = restore();
    assert!(restored.code == 0 && restored.err.contains("revoke them anew"), "{restored:?}");
    assert!(restore().err.contains("holds an installation already"));

    let world = World::of(Installation::start(BINARY, &["--data", empty.to_str().unwrap()]), Some(&management_key));
    for key in &before {
        assert_eq!(world.verify(&json!({ "key": key })).code(), "allowed");
    }
    let (_, verdict) = world.manage().get("/v1/audit/verify");
    assert_eq!(verdict["intact"], true, "{verdict}");
}

#[test]
fn a_backup_needs_somebody_who_can_open_it_and_a_restore_what_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    let [file, phrase, short] = ["b.age", "phrase", "short"].map(|name| folder.path().join(name).display().to_string());
    fs::write(&phrase, "a phrase that is long enough\n").unwrap();
    fs::write(&short, "short\n").unwrap();
    let data = folder.path().join("data");
    let world = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), None);
    let here = settings(folder.path(), &data);
    for (arguments, code, why) in [
        (&["db", "backup", &file, "--config", &here][..], 2, "--recipient"),
        (&["db", "backup", &file, "--config", &here, "--recipient", "age1nobody"], 2, "age1nobody"),
        (&["db", "backup", &file, "--config", &here, "--passphrase-file", &short], 1, "at least 15 characters"),
        (&["db", "restore", &file, "--config", &here], 2, "--identity"),
        (&["db", "restore", &file, "--config", &here, "--passphrase-file", &phrase], 1, "b.age"),
        (&["db", "restore", &phrase, "--config", &here, "--passphrase-file", &phrase], 1, "can't be decrypted"),
        (&["db", "identity", &phrase], 1, "name another file"),
    ] {
        let told = run(&mut keystile(arguments));
        assert!(told.code == code && told.err.contains(why), "{arguments:?}: {told:?}");
    }
    let made = run(&mut keystile(&["db", "backup", &file, "--config", &here, "--passphrase-file", &phrase]));
    assert!(made.code == 0 && made.err.contains("root key is not in it"), "{made:?}");
    drop(world);
}
