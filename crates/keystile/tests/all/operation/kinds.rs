//! The kinds of keys: what each opens, and what becomes of a canary that somebody uses.

use keystile_testkit::{Api, eventually};
use serde_json::{Value, json};

use super::form::problem;
use super::world::{World, shared};

fn post(world: &World, path: &str, body: &Value) -> keystile_testkit::raw::Answer {
    world.manage().request("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
}

#[test]
fn k18_a_publishable_key_is_bound_to_pages_and_calls_only_what_is_open_to_it() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let new = |restrictions: Value| {
        let body = json!({ "project_id": caller.project, "name": "page", "kind": "publishable", "restrictions": restrictions });
        post(world, "/v1/keys", &body)
    };
    for restrictions in [
        json!({}),
        json!({ "networks": { "allow": ["127.0.0.1"] } }),
        json!({ "origins": ["https://app.example.com"], "shadow": ["origins"] }),
    ] {
        let refused = new(restrictions);
        problem(&refused, 400, "invalid");
        assert!(refused.text().contains("restrictions.origins"), "{}", refused.text());
    }
    let made = new(json!({ "origins": ["https://app.example.com"] })).json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let call = |method: &str, path: &str, origin: &str| {
        let fields = [("origin", origin)];
        let fields = if origin.is_empty() { &[][..] } else { &fields[..] };
        let answer =
            Api::new(world.installation.gateway, key).request(method, &format!("{}{path}", caller.path), fields, b"");
        if answer.status == 200 { "allowed".to_owned() } else { answer.code() }
    };
    let ours = "https://app.example.com";
    assert_eq!(call("GET", "/catalog/1", ours), "key_kind_forbidden", "nothing is open unless somebody opens it");
    let open = json!({ "publishable_operations": [format!("GET {}/catalog/**", caller.path)] });
    assert_eq!(world.manage().patch(&format!("/v1/apis/{}", caller.api), &open).0, 200);
    for (method, path, origin, code) in [
        ("GET", "/catalog/1", ours, "allowed"),
        ("GET", "/catalog/1", "https://evil.example.com", "origin_forbidden"),
        ("GET", "/catalog/1", "", "origin_forbidden"),
        ("DELETE", "/catalog/1", ours, "key_kind_forbidden"),
        ("GET", "/orders", ours, "key_kind_forbidden"),
    ] {
        assert_eq!(call(method, path, origin), code, "{method} {path} {origin}");
        let question = json!({ "key": key, "api": caller.api, "client": if origin.is_empty() { json!({}) } else { json!({ "origin": origin }) },
            "operation": { "method": method, "path": format!("{}{path}", caller.path) } });
        assert_eq!(world.verify(&question).json()["code"], code, "{method} {path} {origin}");
    }
    // A secret key goes on calling everything.
    assert_eq!(world.call(&caller.key, "DELETE", &format!("{}/orders", caller.path)).status, 200);
    // Its binding can be changed and not taken away; nor does it open the management API.
    let path = format!("/v1/keys/{id}");
    let fields = [("content-type", "application/json")];
    problem(&world.manage().request("PATCH", &path, &fields, b"{\"restrictions\":{}}"), 400, "invalid");
    problem(&world.manage_as(key).request("GET", "/v1/apis", &[], b""), 403, "key_kind_forbidden");
    for wrong in ["GET", "BREW /x", "GET /a/../b"] {
        let wrong = json!({ "publishable_operations": [wrong] }).to_string();
        let path = format!("/v1/apis/{}", caller.api);
        problem(&world.manage().request("PATCH", &path, &fields, wrong.as_bytes()), 400, "invalid");
    }
}

#[test]
fn k18_a_publishable_key_is_bound_to_apps_too() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let open = json!({ "publishable_operations": [format!("GET {}/catalog/**", caller.path)] });
    assert_eq!(world.manage().patch(&format!("/v1/apis/{}", caller.api), &open).0, 200);
    let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    let apps =
        json!({ "ios": ["com.example.app"], "android": [{ "package": "com.example.app", "certificate": sha1 }] });
    let (_, key) = world.key(&caller.project, &json!({ "kind": "publishable", "restrictions": { "apps": apps } }));
    for (fields, code) in [
        (&[("x-ios-bundle-identifier", "com.example.app")][..], "allowed"),
        (&[("x-ios-bundle-identifier", "com.example.other")], "app_forbidden"),
        (&[("x-android-package", "com.example.app"), ("x-android-cert", sha1)], "allowed"),
        (&[("x-android-package", "com.example.app")], "app_forbidden"),
        (&[], "app_forbidden"),
    ] {
        let path = format!("{}/catalog/1", caller.path);
        let answer = Api::new(world.installation.gateway, &key).request("GET", &path, fields, b"");
        let called = if answer.status == 200 { "allowed".to_owned() } else { answer.code() };
        let headers: serde_json::Map<String, Value> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let operation = json!({ "method": "GET", "path": path, "headers": headers });
        let verified = world.verify(&json!({ "key": key, "api": caller.api, "operation": operation })).code();
        assert_eq!((called.as_str(), verified.as_str()), (code, code), "{fields:?}");
    }
}

#[test]
fn k37_a_canary_is_answered_like_a_revoked_key_and_its_owner_is_told_once() {
    let world = shared();
    let caller = world.caller(&json!({}));
    for door in ["gateway", "verify", "manage"] {
        let (id, canary) = world.key(&caller.project, &json!({ "kind": "canary" }));
        let path = format!("/v1/keys/{id}");
        let before = world.manage().get(&path).1;
        assert_eq!((&before["state"], &before["expires_at"]), (&json!("active"), &Value::Null), "it waits");
        let (_, revoked) = world.key(&caller.project, &json!({}));
        let revoked_id = world.verify(&json!({ "key": revoked })).json()["key_id"].as_str().unwrap().to_owned();
        assert_eq!(world.manage().post(&format!("/v1/keys/{revoked_id}/revoke"), &json!({})).0, 200);
        let present = |text: &str| match door {
            "gateway" => world.call(text, "GET", &format!("{}/x", caller.path)).code(),
            "verify" => {
                world.verify(&json!({ "key": text, "api": caller.api })).json()["code"].as_str().unwrap().to_owned()
            }
            _ => world.manage_as(text).request("GET", "/v1/apis", &[], b"").code(),
        };
        assert_eq!(
            (present(&canary), present(&revoked)),
            ("key_revoked".to_owned(), "key_revoked".to_owned()),
            "{door}"
        );
        eventually("it is noted", || world.manage().get(&path).1["exposed_at"].is_string());
        let first = world.manage().get(&path).1["exposed_at"].clone();
        assert_eq!(present(&canary), "key_revoked");
        assert_eq!(world.manage().get(&path).1["exposed_at"], first, "{door}: since when, not when last");
        let told = world.manage().get(&format!("{path}/activity")).1;
        if door != "manage" {
            assert_eq!(told["refused"], 2, "{door}: what a thief does is seen: {told}");
            assert_eq!(told["addresses"][0]["calls"].as_u64().unwrap_or(0), if door == "gateway" { 2 } else { 0 });
        }
    }
}

#[test]
fn k37_a_canary_that_is_shown_where_no_key_belongs_is_heard_as_well() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let kinds = |id: &str| {
        let events = world.manage().get("/v1/events?limit=100").1;
        let of_it = events["items"].as_array().unwrap().iter().filter(|event| event["subject_id"] == id);
        of_it.map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for place in ["query", "cookie"] {
        let (id, canary) = world.key(&caller.project, &json!({ "kind": "canary" }));
        let path = format!("{}/x", caller.path);
        let gateway = Api::new(world.installation.gateway, &caller.key);
        let cookie = format!("session={canary}");
        match place {
            "query" => gateway.request("GET", &format!("{path}?api_key={canary}"), &[], b""),
            _ => gateway.request("GET", &path, &[("cookie", &cookie)], b""),
        };
        eventually(&format!("the canary in the {place} is heard"), || {
            kinds(&id).contains(&"key.canary_used".to_owned())
        });
        assert!(!kinds(&id).contains(&"key.expose".to_owned()), "{place}");
    }
}

#[test]
fn a_service_that_asks_about_a_key_alone_learns_its_kind_and_takes_no_management_key() {
    let world = shared();
    let answer = world.verify(&json!({ "key": world.management_key() })).json();
    assert_eq!((&answer["code"], &answer["kind"]), (&json!("key_kind_forbidden"), &json!("management")));
    let caller = world.caller(&json!({}));
    let answer = world.verify(&json!({ "key": caller.key })).json();
    assert_eq!((&answer["code"], &answer["kind"]), (&json!("allowed"), &json!("secret")));
}
