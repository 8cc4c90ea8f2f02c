//! Texts of keys that can be had back: where the owner of all APIs allows it, by whoever has the right, each time written
//! down; the data alone does not have them.

use keystile_testkit::Installation;
use serde_json::{Value, json};

use super::form::problem;
use super::process::{keystile, run};
use super::world::{BINARY, Caller, World, name, shared};

/// A caller of an API that allows it, with such a key.
fn caller(world: &World) -> Caller {
    let caller = world.caller(&json!({}));
    let (status, changed) =
        world.manage().patch(&format!("/v1/apis/{}", caller.api), &json!({ "recoverable_keys": true }));
    assert_eq!(status, 200, "{changed}");
    let (id, key) = world.key(&caller.project, &json!({ "recoverable": true }));
    Caller { id, key, ..caller }
}

fn reveal(world: &World, id: &str) -> (u16, Value) {
    world.manage().post(&format!("/v1/keys/{id}/reveal"), &json!({}))
}

#[test]
fn a_text_is_had_back_as_long_as_the_key_can_be_used() {
    let world = shared();
    let manage = world.manage();
    let caller = caller(world);
    assert_eq!(manage.get(&format!("/v1/keys/{}", caller.id)).1["recoverable"], true);
    assert_eq!(reveal(world, &caller.id), (200, json!({ "id": caller.id, "version": 1, "key": caller.key })));
    let told = manage.get(&format!("/v1/events?subject_id={}", caller.id)).1;
    assert_eq!(told["items"][0]["type"], "key.reveal", "{told}");
    assert!(!told.to_string().contains(&caller.key));

    let rotated = manage.post(&format!("/v1/keys/{}/rotate", caller.id), &json!({})).1;
    let (status, again) = reveal(world, &caller.id);
    assert_eq!((status, &again["version"], &again["key"]), (200, &json!(2), &rotated["key"]), "{again}");
    assert_eq!(manage.post(&format!("/v1/keys/{}/rotate", caller.id), &json!({ "recoverable": false })).0, 200);
    assert_eq!(reveal(world, &caller.id).0, 409);
    assert_eq!(manage.post(&format!("/v1/keys/{}/rotate", caller.id), &json!({ "recoverable": true })).0, 200);
    assert_eq!(reveal(world, &caller.id).0, 200);
    assert_eq!(manage.post(&format!("/v1/keys/{}/revoke", caller.id), &json!({})).0, 200);
    assert_eq!(reveal(world, &caller.id).0, 409);
    assert_eq!(reveal(world, "key_2Zk9mQ4tR7vX1bN6cL8dF3").0, 404);
}

#[test]
fn it_takes_a_right_of_its_own() {
    let world = shared();
    let caller = caller(world);
    let path = format!("/v1/keys/{}/reveal", caller.id);
    for (permissions, status) in [(&["keys.read", "keys.write"][..], 403), (&["keys.reveal"], 200)] {
        let manage = world.manage_as(&world.management_key_for(permissions));
        let (answered, told) = manage.post(&path, &json!({}));
        assert_eq!(answered, status, "{permissions:?}: {told}");
    }
    let tried = world.manage().request("POST", &format!("{path}?dry_run=true"), &[], b"");
    problem(&tried, 400, "invalid");
}

#[test]
fn every_api_must_allow_it_and_there_must_be_one() {
    let world = shared();
    let manage = world.manage();
    let wish = |project: &str| json!({ "project_id": project, "name": name("k"), "recoverable": true });
    let refused = |project: &str| {
        let (status, told) = manage.post("/v1/keys", &wish(project));
        assert!(status == 400 && told["detail"].as_str().unwrap().contains("recoverable_keys"), "{told}");
    };
    refused(&world.project());
    let caller = caller(world);
    let (other, _) = world.api();
    manage.create("/v1/activations", &json!({ "project_id": caller.project, "api_id": other }));
    refused(&caller.project);
    assert_eq!(reveal(world, &caller.id).0, 409, "the owner of the other one does not want it");
    assert_eq!(manage.patch(&format!("/v1/apis/{other}"), &json!({ "recoverable_keys": true })).0, 200);
    assert_eq!(reveal(world, &caller.id).0, 409, "it was wiped");
    let (status, made) = manage.post("/v1/keys", &wish(&caller.project));
    assert_eq!((status, &made["recoverable"]), (201, &json!(true)), "{made}");
    assert_eq!(reveal(world, made["id"].as_str().unwrap()).0, 200);
    let mut management = wish(&caller.project);
    management["kind"] = json!("management");
    let (status, told) = manage.post("/v1/keys", &management);
    assert!(status == 400 && told["detail"].as_str().unwrap().contains("management key is never kept"), "{told}");
}

#[test]
fn the_data_alone_does_not_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let world = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), None);
    let caller = caller(&world);
    assert_eq!(reveal(&world, &caller.id).0, 200);
    let mut files = 0;
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                files += 1;
                let bytes = std::fs::read(&path).unwrap();
                let found = bytes.windows(caller.key.len()).any(|window| window == caller.key.as_bytes());
                assert!(!found, "{} holds the text", path.display());
            }
        }
    }
    assert!(files > 2, "there are files");
}

#[test]
fn the_command_line_has_it_back() {
    let world = shared();
    let caller = caller(world);
    let does = |args: &[&str]| {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        run(&mut command)
    };
    let kept = name("kept");
    let made = does(&["key", "create", "--project", &caller.project, "--name", &kept, "--recoverable"]);
    assert!(made.code == 0 && made.err.contains("keystile key reveal"), "{made:?}");
    let again = does(&["key", "reveal", &kept, "--project", &caller.project]);
    assert_eq!((again.code, &again.out), (0, &made.out), "{again:?}");
    assert!(again.err.contains("written down"), "{again:?}");
    let rotated = does(&["key", "rotate", &kept, "--project", &caller.project, "--recoverable", "false"]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    let refused = does(&["key", "reveal", &kept, "--project", &caller.project]);
    assert!(refused.code != 0 && refused.err.contains("not kept"), "{refused:?}");
    let allowed = does(&["api", "update", &caller.api, "--recoverable-keys", "false"]);
    assert_eq!(allowed.code, 0, "{allowed:?}");
}
