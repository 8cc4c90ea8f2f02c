//! What somebody else, or the disk, made of the files: a start says so, and whoever has nothing better takes it.

use std::fs;

use keystile_testkit::Api;
use rustix::process::Signal;
use serde_json::json;

use super::process::{Ended, Server, keystile, run, settings};
use super::world::id;

const NAME: &[u8] = b"a-name-to-be-found";

#[test]
fn r04_a_row_that_was_altered_is_named_and_taken_only_by_whoever_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path(), "");
    let mut server = Server::serve(&file);
    let owner = server.said("management_key").to_owned();
    Api::new(server.address("admin"), &owner).create("/v1/projects", &json!({ "name": String::from_utf8_lossy(NAME) }));
    assert_eq!(server.end(Signal::TERM).0, 0);

    let db = folder.path().join("data/catalog.db");
    let sound = fs::read(&db).unwrap();
    let mut bytes = sound.clone();
    // In the row itself, not in what the audit says of it.
    let places = (1..bytes.len()).filter(|at| bytes[*at..].starts_with(NAME) && bytes[at - 1] != b'"');
    let places: Vec<usize> = places.collect();
    assert_eq!(places.len(), 1, "one row has this name");
    bytes[places[0]] ^= 2;
    fs::write(&db, &bytes).unwrap();

    let command = |words: &[&str]| -> Ended { run(&mut keystile(&[words, &["--config", &file]].concat())) };
    let refused = command(&["serve", "--json"]);
    let says = |text: &str| {
        ["of projects in", "is not as Keystile wrote it", "keystile db check"].iter().all(|part| text.contains(part))
    };
    assert!(refused.code == 1 && says(&refused.err), "{refused:?}");
    let checked = command(&["db", "check"]);
    assert!(checked.code == 3 && checked.out.contains("of projects was altered"), "{checked:?}");
    let unasked = command(&["db", "seal"]);
    assert!(
        unasked.code == 3 && unasked.err.contains("Nothing was done") && unasked.err.contains("--yes"),
        "{unasked:?}"
    );
    assert_eq!(command(&["serve", "--json"]).code, 1);

    let taken = command(&["db", "seal", "--yes"]);
    assert!(taken.code == 0 && taken.out.contains("store.seal"), "{taken:?}");
    let mut server = Server::serve(&file);
    let (_, entries) = Api::new(server.address("admin"), &owner).get("/v1/audit?type=store.seal");
    assert_eq!(entries["items"][0]["actor"], "system:setup", "{entries}");
    assert_eq!(command(&["db", "check"]).code, 0, "beside a server");
    let beside = command(&["db", "seal", "--yes"]);
    assert!(beside.code == 1 && beside.err.contains("in use by another Keystile process"), "{beside:?}");
    assert_eq!(server.end(Signal::TERM).0, 0);
    // An older copy is told, too.
    fs::write(&db, &sound).unwrap();
    let behind = command(&["serve", "--json"]);
    assert!(behind.code == 1 && behind.err.contains("catalog.newest"), "{behind:?}");
}

#[test]
fn r04_a_key_that_was_altered_is_refused_with_its_next_change_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path(), "");
    let mut server = Server::serve(&file);
    let owner = server.said("management_key").to_owned();
    let manage = Api::new(server.address("admin"), &owner);
    let api = id(&manage.create("/v1/apis", &json!({ "name": "api", "upstream": "http://127.0.0.1:9" })));
    let project = id(&manage.create("/v1/projects", &json!({ "name": "project" })));
    manage.create("/v1/activations", &json!({ "project_id": project, "api_id": api }));
    let key = |name: &str| {
        let made = manage.create("/v1/keys", &json!({ "project_id": project, "name": name, "expires_at": null }));
        (id(&made), made["key"].as_str().unwrap().to_owned())
    };
    let (altered, neighbour) = (key("altered"), key("neighbour"));
    let check = Api::new(server.address("check"), "");
    let code = |key: &(String, String)| {
        check.post("/v1/verify", &json!({ "key": key.1, "api": api })).1["code"].as_str().unwrap().to_owned()
    };
    assert_eq!((code(&altered), code(&neighbour)), ("allowed".to_owned(), "allowed".to_owned()));

    // Somebody who can write to the file gives the key another text and more rights.
    let change =
        "UPDATE keys SET digest = randomblob(32), policy = (SELECT min(number) FROM policies) WHERE name = 'altered'";
    let db = folder.path().join("data/catalog.db");
    assert!(std::process::Command::new("sqlite3").arg(&db).arg(change).status().unwrap().success());
    assert_eq!(
        manage.post(&format!("/v1/keys/{}/revoke", altered.0), &json!({})).0,
        200,
        "a revocation is never refused"
    );
    assert_eq!(code(&altered), "key_unknown", "whatever its row says by now");
    assert_eq!(code(&neighbour), "allowed");
    let later = key("later");
    assert_eq!(code(&later), "allowed", "changes go on");
    let checked = run(&mut keystile(&["db", "check", "--config", &file]));
    assert!(checked.code == 3 && checked.out.contains(&format!("{} was altered", altered.0)), "{checked:?}");
    assert_eq!(server.end(Signal::TERM).0, 0);
    // A start without the saved snapshot reads the rows, and serves all but that one.
    fs::remove_file(folder.path().join("data/snapshot.keys")).unwrap();
    let server = Server::serve(&file);
    let check = Api::new(server.address("check"), "");
    for (key, expected) in [(&altered, "key_unknown"), (&neighbour, "allowed"), (&later, "allowed")] {
        assert_eq!(check.post("/v1/verify", &json!({ "key": key.1, "api": api })).1["code"], expected);
    }
}
