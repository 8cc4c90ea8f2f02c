//! The versions of a key: a rotation changes its text and nothing else, and no call that was good is refused for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use keystile_testkit::raw::Client;
use keystile_testkit::{Installation, eventually};
use serde_json::{Value, json};

use super::form::problem;
use super::process::end;
use super::world::{BINARY, Caller, World, id, name, shared};

/// Rotations while calls go on.
const ROTATIONS: usize = 12;
/// Clients that call meanwhile.
const CLIENTS: usize = 4;

/// Rotates a key; its new text.
fn rotate(world: &World, key: &str, body: &Value) -> String {
    let (status, rotated) = world.manage().post(&format!("/v1/keys/{key}/rotate"), body);
    assert_eq!(status, 200, "{rotated}");
    assert_eq!(id(&rotated), key, "it is the same key");
    rotated["key"].as_str().expect("a rotated key shows its text").to_owned()
}

/// What both doors say of a text.
fn code(world: &World, caller: &Caller, text: &str) -> String {
    let call = world.call(text, "GET", &format!("{}/x", caller.path));
    let asked = world.verify(&json!({ "key": text, "api": caller.api })).json();
    let through = if call.status == 200 { "allowed".to_owned() } else { call.code() };
    assert_eq!(through, asked["code"], "both doors");
    if asked["key_id"].is_string() {
        assert_eq!(asked["key_id"], caller.id);
    }
    through
}

/// What verification says of a text.
fn asked(world: &World, caller: &Caller, text: &str) -> String {
    world.verify(&json!({ "key": text, "api": caller.api })).json()["code"].as_str().unwrap().to_owned()
}

fn versions(world: &World, key: &str) -> Vec<Value> {
    let (status, list) = world.manage().get(&format!("/v1/keys/{key}/versions"));
    assert_eq!(status, 200, "{list}");
    list["items"].as_array().unwrap().clone()
}

#[test]
fn k10_both_texts_are_good_inside_the_overlap_and_the_old_one_never_after_it() {
    let world = shared();
    let caller = world.caller(&json!({}));
    assert_eq!(code(world, &caller, &caller.key), "allowed");
    let new = rotate(world, &caller.id, &json!({ "overlap_seconds": 2 }));
    assert_ne!(new, caller.key);
    assert_eq!([&caller.key, &new].map(|text| code(world, &caller, text)), ["allowed", "allowed"]);
    eventually("the old text ends", || asked(world, &caller, &caller.key) == "key_expired");
    for _ in 0..20 {
        assert_eq!([&caller.key, &new].map(|text| code(world, &caller, text)), ["key_expired", "allowed"]);
    }
    let [latest, former] = versions(world, &caller.id).try_into().unwrap();
    assert_eq!((&latest["version"], &latest["state"], &former["version"]), (&json!(2), &json!("latest"), &json!(1)));
    assert_eq!(former["state"], "ended");
    assert!(latest.get("ends_at").is_none() && former["ends_at"].is_string(), "{latest} {former}");
}

#[test]
fn without_an_overlap_the_old_text_is_refused_at_once() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let new = rotate(world, &caller.id, &json!({ "overlap_seconds": 0 }));
    assert_eq!([&caller.key, &new].map(|text| code(world, &caller, text)), ["key_expired", "allowed"]);
}

#[test]
fn a_day_is_the_overlap_and_what_nobody_mentioned_stays() {
    let world = shared();
    let caller = world.caller(&json!({
        "permissions": ["pets.read"], "prefix": "acme", "expires_in_days": 10,
        "rate_limits": [{ "name": "some", "limit": 50, "window_seconds": 3600 }],
    }));
    let path = format!("/v1/keys/{}", caller.id);
    let before = world.manage().get(&path).1;
    let rotated = world.manage().request("POST", &format!("{path}/rotate"), &[], b"").json();
    assert!(rotated["key"].as_str().unwrap().starts_with("acme_live_"), "{rotated}");
    let after = world.manage().get(&path).1;
    assert!(after.get("key").is_none(), "it is shown once");
    for field in ["id", "name", "project_id", "permissions", "rate_limits", "created_at", "kind", "environment"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    assert_eq!((&before["version"], &after["version"]), (&json!(1), &json!(2)));
    let moment = |value: &Value| super::form::moment(value.as_str().unwrap());
    let life = moment(&after["expires_at"]).as_secs() - moment(&after["rotated_at"]).as_secs();
    assert_eq!(life, 10 * 86_400, "as long a life as it had, counted from now");
    let former = &versions(world, &caller.id)[1];
    assert_eq!(moment(&former["ends_at"]).as_secs() - moment(&former["superseded_at"]).as_secs(), 86_400);
}

#[test]
fn all_texts_of_a_key_share_its_limits_and_its_end() {
    let world = shared();
    let caller = world.caller(&json!({ "rate_limits": [{ "name": "few", "limit": 4, "window_seconds": 3600 }] }));
    let call = |text: &str| world.call(text, "GET", &format!("{}/x", caller.path)).status;
    assert_eq!(call(&caller.key), 200);
    let second = rotate(world, &caller.id, &json!({}));
    let third = rotate(world, &caller.id, &json!({}));
    assert_eq!([&caller.key, &second, &third].map(|text| call(text)), [200, 200, 200]);
    assert_eq!([&caller.key, &second, &third].map(|text| call(text)), [429, 429, 429], "four calls in all");
    assert_eq!(world.manage().post(&format!("/v1/keys/{}/disable", caller.id), &json!({})).0, 200);
    for text in [&caller.key, &second, &third] {
        assert_eq!(code(world, &caller, text), "key_disabled");
    }
    assert_eq!(world.manage().post(&format!("/v1/keys/{}/revoke", caller.id), &json!({})).0, 200);
    for text in [&caller.key, &second, &third] {
        assert_eq!(code(world, &caller, text), "key_revoked");
    }
    problem(&raw_post(world, &format!("/v1/keys/{}/rotate", caller.id), "{}"), 409, "conflict");
}

#[test]
fn who_still_uses_the_old_text_is_told_by_version() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let call = |text: &str| world.call(text, "GET", &format!("{}/x", caller.path)).status;
    assert_eq!(call(&caller.key), 200);
    let new = rotate(world, &caller.id, &json!({}));
    assert_eq!((call(&caller.key), call(&caller.key), call(&new)), (200, 200, 200));
    let [latest, former] = versions(world, &caller.id).try_into().unwrap();
    assert_eq!((&latest["calls"], &former["calls"]), (&json!(1), &json!(2)), "since the rotation");
    assert!(former["last_used_at"].is_string());
    let path = format!("/v1/keys/{}/versions/1/end", caller.id);
    let (status, ended) = world.manage().post(&path, &json!({}));
    assert_eq!((status, &ended["state"]), (200, &json!("ended")), "{ended}");
    assert_eq!(call(&caller.key), 401);
    let former = &versions(world, &caller.id)[1];
    assert_eq!((&former["calls"], &former["refused"]), (&json!(3), &json!(1)));
    let usage = world.manage().get(&format!("/v1/usage?key_id={}", caller.id)).1;
    assert_eq!(usage["items"][0]["calls"], 5, "and all of it is the key's: {usage}");
}

#[test]
fn the_end_of_an_old_text_is_moved_until_it_has_come() {
    let world = shared();
    let caller = world.caller(&json!({}));
    rotate(world, &caller.id, &json!({ "overlap_seconds": 60 }));
    let at = |version: &str, action: &str| format!("/v1/keys/{}/versions/{version}/{action}", caller.id);
    let (status, extended) = world.manage().post(&at("1", "extend"), &json!({ "overlap_seconds": 604_800 }));
    assert_eq!((status, &extended["state"]), (200, &json!("overlap")), "{extended}");
    for (body, detail) in [
        (json!({ "overlap_seconds": 604_801 }), "seven days"),
        (json!({ "overlap_seconds": 0 }), "use its `end`"),
        (json!({ "overlap": 5 }), "unknown field"),
    ] {
        let refused = raw_post(world, &at("1", "extend"), &body.to_string());
        problem(&refused, 400, "invalid");
        assert!(refused.text().contains(detail), "{}", refused.text());
    }
    problem(&raw_post(world, &at("2", "end"), ""), 409, "conflict");
    for version in ["0", "3", "x", "70000"] {
        problem(&raw_post(world, &at(version, "end"), ""), 404, "not_found");
    }
    assert_eq!(world.manage().post(&at("1", "end"), &json!({})).0, 200);
    problem(&raw_post(world, &at("1", "extend"), "{}"), 409, "conflict");
    assert_eq!(code(world, &caller, &caller.key), "key_expired");
    problem(
        &raw_post(world, &format!("/v1/keys/{}/rotate", caller.id), "{\"overlap_seconds\":604801}"),
        400,
        "invalid",
    );
}

#[test]
fn an_expired_key_that_is_rotated_lives_again_and_its_old_text_does_not() {
    let world = shared();
    let project = world.manage().create("/v1/projects", &json!({ "name": name("clock") }));
    let soon = super::form::moment(project["created_at"].as_str().unwrap()).plus_secs(1);
    let caller = world.caller(&json!({ "expires_at": soon.to_string() }));
    eventually("it ends", || asked(world, &caller, &caller.key) == "key_expired");
    let new = rotate(world, &caller.id, &json!({ "expires_in_days": 1 }));
    assert_eq!([&caller.key, &new].map(|text| code(world, &caller, text)), ["key_expired", "allowed"]);
}

#[test]
fn a_rotation_that_is_sent_again_is_done_once_and_shows_no_text_again() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let path = format!("/v1/keys/{}/rotate", caller.id);
    let fields = [("content-type", "application/json"), ("idempotency-key", &*name("rotation"))];
    let send = || world.manage().request("POST", &path, &fields, b"{}").json();
    let (first, second) = (send(), send());
    assert!(first["key"].is_string() && second.get("key").is_none(), "{second}");
    assert_eq!((&first["version"], &second["version"]), (&json!(2), &json!(2)));
}

#[test]
fn k14_no_management_key_rotates_one_that_may_do_more() {
    let world = shared();
    let narrow = world.management_key_for(&["keys.write"]);
    let fields = json!({ "kind": "management", "permissions": ["*"] });
    let (powerful, _) = world.key(&world.installation.project_id, &fields);
    let path = format!("/v1/keys/{powerful}/rotate");
    let fields = [("content-type", "application/json")];
    problem(&world.manage_as(&narrow).request("POST", &path, &fields, b"{}"), 403, "permission_missing");
    assert_eq!(world.manage().get(&format!("/v1/keys/{powerful}")).1["version"], 1);
}

#[test]
fn no_good_call_is_refused_while_a_key_is_rotated_under_load() {
    let world = World::start();
    let caller = Arc::new(world.caller(&json!({})));
    let good = Arc::new(RwLock::new(caller.key.clone()));
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (good, stop, calls, caller) = (good.clone(), stop.clone(), calls.clone(), caller.clone());
            let gateway = world.installation.gateway;
            std::thread::spawn(move || {
                let mut client = Client::connect(gateway);
                while !stop.load(Ordering::Relaxed) {
                    // Held while the call goes on: its text is good until it is answered.
                    let text = good.read().unwrap();
                    let head =
                        format!("GET {}/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", caller.path, *text);
                    client.write(head).unwrap();
                    let answer = client.answer().unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut former: Vec<String> = Vec::new();
    for _ in 0..ROTATIONS {
        let new = rotate(&world, &caller.id, &json!({ "overlap_seconds": 600 }));
        std::thread::sleep(Duration::from_millis(50));
        let old = std::mem::replace(&mut *good.write().unwrap(), new);
        // Nobody uses it any more: from the answer on it is refused, and never taken again.
        let version = versions(&world, &caller.id)[1]["version"].clone();
        let path = format!("/v1/keys/{}/versions/{version}/end", caller.id);
        assert_eq!(world.manage().post(&path, &json!({})).0, 200);
        former.push(old);
        for old in &former {
            assert_eq!(world.call(old, "GET", &format!("{}/x", caller.path)).status, 401);
        }
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("no good call was refused"));
    let calls = calls.load(Ordering::Relaxed);
    println!("{calls} calls during {ROTATIONS} rotations");
    assert!(calls > 500, "{calls}");
    // What was counted by version is all that was called.
    let told: u64 = versions(&world, &caller.id).iter().map(|version| version["calls"].as_u64().unwrap()).sum();
    let refused = (ROTATIONS * (ROTATIONS + 1) / 2) as u64;
    let first = world.manage().get(&format!("/v1/usage?key_id={}", caller.id)).1["items"][0]["calls"].as_u64().unwrap();
    assert_eq!(first, calls + refused);
    assert!(
        told <= first && told > first - calls / 2,
        "{told} of {first}: only calls before the first rotation are not"
    );
}

#[test]
fn versions_outlive_the_end_and_the_death_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
    let mut world = World::of(start(), None);
    let owner = world.management_key().to_owned();
    let caller = world.caller(&json!({}));
    let second = rotate(&world, &caller.id, &json!({}));
    let codes = |world: &World, texts: [&str; 3]| texts.map(|text| asked(world, &caller, text));
    // Saved when it ends, and read from there.
    assert!(end(&mut world.installation).0.success());
    let mut world = World::of(start(), Some(&owner));
    let third = rotate(&world, &caller.id, &json!({}));
    let path = format!("/v1/keys/{}/versions/1/end", caller.id);
    assert_eq!(world.manage().post(&path, &json!({})).0, 200);
    assert_eq!(codes(&world, [&caller.key, &second, &third]), ["key_expired", "allowed", "allowed"]);
    // Killed: the saved keys are older than the last rotation.
    world.installation.kill();
    let mut world = World::of(start(), Some(&owner));
    assert_eq!(codes(&world, [&caller.key, &second, &third]), ["key_expired", "allowed", "allowed"]);
    // And without saved keys.
    world.installation.kill();
    std::fs::remove_file(data.join("snapshot.keys")).unwrap();
    let world = World::of(start(), Some(&owner));
    assert_eq!(codes(&world, [&caller.key, &second, &third]), ["key_expired", "allowed", "allowed"]);
}

#[test]
fn k10_a_deleted_key_comes_back_as_it_was_and_only_to_its_owner() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let new = rotate(world, &caller.id, &json!({}));
    let path = format!("/v1/keys/{}", caller.id);
    problem(&raw_post(world, &format!("{path}/undelete"), ""), 404, "not_found");
    assert_eq!(world.manage().delete(&path).0, 204);
    assert_eq!([&caller.key, &new].map(|text| code(world, &caller, text)), ["key_unknown", "key_unknown"]);
    let deleted = world.manage().get(&format!("/v1/keys?deleted=true&project_id={}", caller.project)).1;
    assert_eq!((&deleted["items"][0]["id"], deleted["items"].as_array().unwrap().len()), (&json!(caller.id), 1));
    assert!(deleted["items"][0]["deleted_at"].is_string());
    let (status, back) = world.manage().post(&format!("{path}/undelete"), &json!({}));
    assert_eq!((status, back.get("deleted_at")), (200, None), "{back}");
    assert_eq!([&caller.key, &new].map(|text| code(world, &caller, text)), ["allowed", "allowed"]);
    // A revoked one is still revoked.
    assert_eq!(world.manage().post(&format!("{path}/revoke"), &json!({})).0, 200);
    assert_eq!(world.manage().delete(&path).0, 204);
    assert_eq!(world.manage().post(&format!("{path}/undelete"), &json!({})).0, 200);
    assert_eq!([&caller.key, &new].map(|text| code(world, &caller, text)), ["key_revoked", "key_revoked"]);
}

#[test]
fn k08_an_api_says_how_long_keys_may_live() {
    let world = shared();
    let caller = world.caller(&json!({ "expires_at": null }));
    let api = format!("/v1/apis/{}", caller.api);
    assert_eq!(world.manage().patch(&api, &json!({ "max_key_days": 30 })).0, 200);
    let new = |fields: Value| {
        let mut body = json!({ "project_id": caller.project, "name": name("key") });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        raw_post(world, "/v1/keys", &body.to_string())
    };
    for fields in [json!({ "expires_at": null }), json!({ "expires_in_days": 31 })] {
        let refused = new(fields);
        problem(&refused, 400, "invalid");
        assert!(refused.text().contains("30 days"), "{}", refused.text());
    }
    let days = |key: &Value| {
        let moment = |field: &str| super::form::moment(key[field].as_str().unwrap()).as_secs();
        (moment("expires_at") - moment("created_at")) / 86_400
    };
    assert_eq!(days(&new(json!({})).json()), 30, "90 would be the usual life");
    assert_eq!(days(&new(json!({ "expires_in_days": 7 })).json()), 7);
    let path = format!("/v1/keys/{}", caller.id);
    problem(&raw(world, "PATCH", &path, "{\"expires_at\":null}"), 400, "invalid");
    assert_eq!(world.manage().patch(&path, &json!({ "name": "renamed" })).0, 200, "what it has stays");
    let rotated = world.manage().post(&format!("{path}/rotate"), &json!({})).1;
    let moment = |field: &str| super::form::moment(rotated[field].as_str().unwrap()).as_secs();
    assert_eq!(moment("expires_at") - moment("rotated_at"), 30 * 86_400, "and ends when it is rotated");
    for wrong in [json!({ "max_key_days": 0 }), json!({ "unused_keys": "burn" }), json!({ "rotate_key_days": 4_000 })] {
        problem(&raw(world, "PATCH", &api, &wrong.to_string()), 400, "invalid");
    }
}

fn raw_post(world: &World, path: &str, body: &str) -> keystile_testkit::raw::Answer {
    raw(world, "POST", path, body)
}

fn raw(world: &World, method: &str, path: &str, body: &str) -> keystile_testkit::raw::Answer {
    world.manage().request(method, path, &[("content-type", "application/json")], body.as_bytes())
}

#[test]
fn k14_nobody_brings_back_what_may_do_more() {
    let world = shared();
    let narrow = world.management_key_for(&["keys.write", "keys.read"]);
    let fields = json!({ "kind": "management", "permissions": ["*"] });
    let (powerful, _) = world.key(&world.installation.project_id, &fields);
    let path = format!("/v1/keys/{powerful}");
    let owner =
        |action: &str| assert_eq!(world.manage().post(&format!("{path}/{action}"), &json!({})).0, 200, "{action}");
    let tries = |action: &str| {
        let answer = world.manage_as(&narrow).request("POST", &format!("{path}/{action}"), &[], b"");
        problem(&answer, 403, "permission_missing");
    };
    owner("rotate");
    tries("versions/1/extend");
    owner("disable");
    tries("enable");
    assert_eq!(world.manage().delete(&path).0, 204);
    tries("undelete");
    owner("undelete");
    owner("enable");
    // To end it, the right to is enough.
    assert_eq!(world.manage_as(&narrow).request("POST", &format!("{path}/revoke"), &[], b"").status, 200);
}

#[test]
fn k10_a_revocation_comes_through_whatever_else_is_done_to_the_key() {
    let world = shared();
    for _ in 0..6 {
        let caller = world.caller(&json!({}));
        let (rotate, revoke) = (format!("/v1/keys/{}/rotate", caller.id), format!("/v1/keys/{}/revoke", caller.id));
        std::thread::scope(|scope| {
            let rotations: Vec<_> =
                (0..3).map(|_| scope.spawn(|| world.manage().post(&rotate, &json!({})).0)).collect();
            assert_eq!(world.manage().post(&revoke, &json!({})).0, 200);
            for rotation in rotations {
                assert!([200, 409].contains(&rotation.join().unwrap()));
            }
        });
        assert_eq!(asked(world, &caller, &caller.key), "key_revoked");
    }
}

#[test]
fn the_project_of_ones_own_management_key_is_not_deleted_by_mistake() {
    let world = World::start();
    let keys = world.manage().get("/v1/keys?kind=management").1;
    let project = keys["items"][0]["project_id"].as_str().unwrap();
    let answer = world.manage().request("DELETE", &format!("/v1/projects/{project}"), &[], b"");
    problem(&answer, 409, "conflict");
    assert_eq!(world.manage().get("/v1/keys").0, 200);
}
