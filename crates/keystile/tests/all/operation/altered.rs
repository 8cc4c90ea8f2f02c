//! What somebody else, or the disk, made of the files: a start says so, and whoever has nothing better takes it.

use std::fs;

use keystile_testkit::Api;
use rustix::process::Signal;
use serde_json::json;

use super::process::{Ended, Server, keystile, run, settings};

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
    let says =
        |text: &str| text.contains("of projects is not as Keystile wrote it") && text.contains("keystile db check");
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
