//! A key that others know: one call ends it, makes another, and tells everything that was done with it (K11).

use serde_json::{Value, json};

use super::form::problem;
use super::process::run;
use super::world::{id, name, shared};

#[test]
fn k11_one_call_ends_a_key_makes_another_and_tells_what_it_did() {
    let world = shared();
    let limits = json!([{ "name": "two", "limit": 2, "window_seconds": 3600 }]);
    let caller = world.caller(&json!({ "rate_limits": limits, "permissions": ["pets.read"] }));
    let call = |text: &str, path: &str| world.call(text, "GET", &format!("{}/{path}", caller.path)).status;
    assert_eq!([call(&caller.key, "pets"), call(&caller.key, "pets"), call(&caller.key, "owners")], [200, 200, 429]);
    let elsewhere = json!({ "key": caller.key, "api": caller.api, "client": { "ip": "203.0.113.9" },
        "operation": { "method": "DELETE", "path": "/x" } });
    assert_eq!(world.verify(&elsewhere).json()["code"], "rate_limited");

    let path = format!("/v1/keys/{}/compromised", caller.id);
    let (status, done) = world.manage().post(&path, &json!({ "reason": "found in a public repository" }));
    assert_eq!(status, 200, "{done}");
    assert_eq!((&done["key"]["id"], &done["key"]["state"]), (&json!(caller.id), &json!("revoked")));
    let other = &done["replacement"];
    let text = other["key"].as_str().expect("the other key's text");
    assert_ne!(id(other), caller.id);
    for field in ["name", "project_id", "rate_limits", "permissions"] {
        assert_eq!(other[field], done["key"][field], "{field}");
    }
    assert_eq!((call(&caller.key, "pets"), call(text, "pets")), (401, 200), "in force when it is answered");

    let told = &done["activity"];
    assert_eq!((&told["allowed"], &told["refused"]), (&json!(2), &json!(2)), "{told}");
    assert_eq!(told["codes"], json!([{ "code": "allowed", "calls": 2 }, { "code": "rate_limited", "calls": 2 }]));
    let operations = told["operations"].as_array().unwrap();
    assert!(operations.iter().all(|operation| operation["api_id"] == caller.api.as_str()), "{told}");
    let of = |text: &str| operations.iter().find(|one| one["operation"].as_str().unwrap().starts_with(text));
    assert!(of("GET").is_some() && of("DELETE").is_some(), "{told}");
    let from = |text: &str| {
        let addresses = told["addresses"].as_array().unwrap();
        addresses.iter().find(|one| one["address"] == text).cloned().unwrap_or(Value::Null)
    };
    assert_eq!((&from("127.0.0.1")["calls"], &from("127.0.0.1")["refused"]), (&json!(3), &json!(1)), "{told}");
    assert_eq!((&from("203.0.113.9")["calls"], &from("203.0.113.9")["refused"]), (&json!(1), &json!(1)), "{told}");

    // What it does afterwards is seen too: somebody goes on trying.
    let (_, later) = world.manage().get(&format!("/v1/keys/{}/activity", caller.id));
    assert_eq!((&later["allowed"], &later["refused"]), (&json!(2), &json!(3)), "{later}");
    let since = later["until"].as_str().unwrap();
    let refused =
        world.manage().request("GET", &format!("/v1/keys/{}/activity?since=2999-01-01T00:00:00Z", caller.id), &[], b"");
    problem(&refused, 400, "invalid");
    let (_, nothing) = world.manage().get(&format!("/v1/keys/{}/activity?since={since}", id(other)));
    assert!(nothing["allowed"].as_u64().unwrap() <= 1, "{nothing}");
}

#[test]
fn a_replacement_can_be_left_out_and_a_call_sent_again_makes_no_second_one() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let path = format!("/v1/keys/{}/compromised", caller.id);
    let keys = || world.manage().get(&format!("/v1/keys?project_id={}", caller.project)).1["items"].clone();
    let (status, done) = world.manage().post(&path, &json!({ "replace": false }));
    assert_eq!((status, &done["replacement"], keys().as_array().unwrap().len()), (200, &Value::Null, 1), "{done}");
    let fields = [("content-type", "application/json"), ("idempotency-key", &*name("leak"))];
    // It was ended already: another click makes no other key, unless that is said.
    assert_eq!(world.manage().post(&path, &json!({})).1["replacement"], Value::Null);
    let send = || world.manage().request("POST", &path, &fields, br#"{"replace":true}"#).json();
    let (first, second) = (send(), send());
    assert!(first["replacement"]["key"].is_string(), "{first}");
    assert_eq!(first["replacement"]["id"], second["replacement"]["id"]);
    assert!(second["replacement"].get("key").is_none() && keys().as_array().unwrap().len() == 2, "{second}");
}

#[test]
fn who_may_not_see_keys_ends_one_without_being_told_what_was_done_with_it() {
    let world = shared();
    let (id, _) = world.key(&world.project(), &json!({}));
    let writer = world.manage_as(&world.management_key_for(&["keys.write"]));
    let (status, done) = writer.post(&format!("/v1/keys/{id}/compromised"), &json!({ "replace": false }));
    assert_eq!((status, &done["key"]["state"], done.get("activity")), (200, &json!("revoked"), None), "{done}");
}

#[test]
fn k14_a_replacement_is_no_way_to_more_rights() {
    let world = shared();
    let narrow = world.management_key_for(&["keys.write"]);
    let fields = json!({ "kind": "management", "permissions": ["*"] });
    let (powerful, _) = world.key(&world.installation.project_id, &fields);
    let path = format!("/v1/keys/{powerful}/compromised");
    let fields = [("content-type", "application/json")];
    problem(&world.manage_as(&narrow).request("POST", &path, &fields, b"{}"), 403, "permission_missing");
    assert_eq!(world.manage().get(&format!("/v1/keys/{powerful}")).1["state"], "active");
    // To end it, its right is enough.
    let ended = world.manage_as(&narrow).request("POST", &path, &fields, b"{\"replace\":false}");
    assert_eq!((ended.status, &ended.json()["key"]["state"]), (200, &json!("revoked")), "{}", ended.text());
}

#[test]
fn k43_no_more_of_an_address_is_kept_than_the_api_allows() {
    let world = shared();
    for (rule, kept) in [("whole", json!("127.0.0.1")), ("truncated", json!("127.0.0.0")), ("none", Value::Null)] {
        let caller = world.caller(&json!({}));
        let api = format!("/v1/apis/{}", caller.api);
        assert_eq!(world.manage().patch(&api, &json!({ "client_addresses": rule })).0, 200);
        assert_eq!(world.call(&caller.key, "GET", &format!("{}/x", caller.path)).status, 200);
        let (_, told) = world.manage().get(&format!("/v1/keys/{}/activity", caller.id));
        assert_eq!((&told["allowed"], &told["addresses"][0]["address"]), (&json!(1), &kept), "{rule}: {told}");
    }
}

#[test]
fn the_command_prints_the_other_key_alone_and_what_was_done_beside_it() {
    let world = shared();
    let caller = world.caller(&json!({}));
    assert_eq!(world.call(&caller.key, "GET", &format!("{}/pets", caller.path)).status, 200);
    let mut command =
        super::process::keystile(&["key", "compromised", &caller.id, "--yes", "--server", &world.admin_url()]);
    let ended = run(command.env("KEYSTILE_MANAGEMENT_KEY", world.management_key()));
    assert_eq!(ended.code, 0, "{}", ended.err);
    let text = ended.out.strip_suffix('\n').unwrap();
    assert!(text.starts_with("ks_live_") && !text.contains('\n') && !ended.err.contains(text), "{}", ended.err);
    for part in [&format!("revoked {}", caller.id), "1 calls let through, 0 refused", "from 127.0.0.1: 1 calls"] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    assert_eq!(world.call(text, "GET", &format!("{}/pets", caller.path)).status, 200);

    // Once more by the name that the other one has now: that one is not ended.
    let name = world.manage().get(&format!("/v1/keys/{}", caller.id)).1["name"].as_str().unwrap().to_owned();
    let mut command = super::process::keystile(&["key", "compromised", &name, "--yes", "--server", &world.admin_url()]);
    let again = run(command.env("KEYSTILE_MANAGEMENT_KEY", world.management_key()));
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains(&caller.id) && again.err.contains("say the id"), "{}", again.err);
    assert_eq!(world.call(text, "GET", &format!("{}/pets", caller.path)).status, 200);
}
