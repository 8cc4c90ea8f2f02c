//! Keys: what they are made of, where their text never is, and that what is done to one holds for the next call.

use std::collections::{HashMap, HashSet};

use keystile_core::key::{Environment, KeyText, Prefix, Presented};
use keystile_server::world::{SystemEntropy, random};
use keystile_testkit::Api;
use keystile_testkit::raw::Client;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::disk::{contains, contents, holders};
use super::form::problem;
use super::process::{Server, keystile, run_with};
use super::world::shared;

/// Keys that are issued; SECURITY.md's 10⁶ take a minute and are for the nightly run.
const ISSUED: usize = 10_000;
/// Characters that a key draws.
const RANDOM_CHARS: usize = 32;
/// Digits that a character can be.
const DIGITS: f64 = 62.0;
/// How often a key's state is changed back and forth.
const TURNS: usize = 100;

#[test]
fn k01_k02_keys_of_the_systems_randomness_do_not_repeat_and_favour_no_character() {
    let mut seen = HashSet::new();
    let mut counts: HashMap<char, f64> = HashMap::new();
    for _ in 0..ISSUED {
        let entropy = random(&SystemEntropy).unwrap();
        let text = KeyText::issue(&Prefix::default(), Environment::Live, &entropy).unwrap();
        let drawn = &text.expose()["ks_live_".len()..][..RANDOM_CHARS];
        drawn.chars().for_each(|digit| *counts.entry(digit).or_default() += 1.0);
        assert_eq!(Presented::parse(text.expose()), Ok(Presented::Marked { environment: Environment::Live }));
        assert!(seen.insert(text.expose().to_owned()), "a key came twice");
    }
    let expected = (ISSUED * RANDOM_CHARS) as f64 / DIGITS;
    let chi_square: f64 = counts.values().map(|count| (count - expected).powi(2) / expected).sum();
    // 61 degrees of freedom: above 122 lies one of 200,000 sound runs, and below 23 as well.
    assert!(counts.len() == 62 && (23.0..122.0).contains(&chi_square), "{chi_square}");
}

#[test]
fn k01_keys_that_the_server_issues_do_not_repeat() {
    let world = shared();
    let project = world.project();
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let (id, text) = world.key(&project, &json!({}));
        let alike = matches!(Presented::parse(&text), Ok(Presented::Marked { environment: Environment::Live }));
        assert!(alike && seen.insert(id) && seen.insert(text));
    }
}

#[test]
fn k04_e02_the_text_of_a_key_is_in_no_file_and_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let settings = super::process::settings(folder.path(), "[log]\nlevel = \"debug\"\n");
    let mut server = Server::serve(&settings);
    let manage = server.manage();
    let (gateway, check) = (server.address("gateway"), server.address("check"));
    let mut texts = vec![server.said("management_key").to_owned()];
    let project = manage.create("/v1/projects", &json!({ "name": "p" }))["id"].as_str().unwrap().to_owned();
    let api = manage.create("/v1/apis", &json!({ "name": "a", "upstream": "http://127.0.0.1:9" }));
    manage.create("/v1/activations", &json!({ "project_id": project, "api_id": api["id"] }));
    for (name, fields) in [
        ("plain", json!({})),
        ("limited", json!({ "rate_limits": [{ "name": "a", "limit": 1, "window_seconds": 60 }] })),
        ("manager", json!({ "kind": "management", "permissions": ["*"] })),
    ] {
        let mut body = json!({ "project_id": project, "name": name });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let sent = [("content-type", "application/json"), ("idempotency-key", name)];
        let made = manage.request("POST", "/v1/keys", &sent, body.to_string().as_bytes()).json();
        texts.push(made["key"].as_str().unwrap().to_owned());
    }
    let imported = "imported-key-9f8e7d6c5b4a39281706f5e4d3c2b1a0";
    texts.push(imported.to_owned());
    let mut command = keystile(&["--server", server.said("admin"), "key", "import", "--project", "p", "-"]);
    command.env("KEYSTILE_MANAGEMENT_KEY", server.said("management_key"));
    assert_eq!(run_with(&mut command, imported.as_bytes()).code, 0);
    for text in &texts {
        wander(gateway, check, server.address("admin"), text);
    }
    let revoked = manage.get("/v1/keys?limit=1").1["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(manage.post(&format!("/v1/keys/{revoked}/revoke"), &json!({})).0, 200);
    assert_eq!(manage.get("/v1/usage?group_by=key,operation,code,status").0, 200);
    let answers: String = ["/metrics", "/", "/openapi.json", "/v1/keys?limit=200", "/v1/usage?group_by=operation"]
        .iter()
        .map(|path| manage.request("GET", path, &[], b"").text())
        .collect();
    let running = contents(&data);
    assert_eq!(server.end(Signal::TERM).0, 0);
    let ended = contents(&data);
    for (n, text) in texts.iter().enumerate() {
        assert!(holders(&running, text).is_empty(), "key {n} in {:?} while it runs", holders(&running, text));
        assert!(holders(&ended, text).is_empty(), "key {n} in {:?}", holders(&ended, text));
        assert!(!contains(server.err().as_bytes(), text.as_bytes()), "key {n} in the log");
        assert_eq!(server.out().matches(text.as_str()).count(), usize::from(n == 0), "key {n} in the announcement");
        assert!(!answers.contains(text.as_str()), "key {n} in an answer");
    }
    assert!(!server.err().is_empty(), "the log was on");
}

#[test]
fn k04_k12_a_key_in_a_path_is_in_no_file_and_no_usage() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::dev(&["--data", data.to_str().unwrap()]);
    let key = server.said("key").to_owned();
    for path in [format!("/{key}"), format!("/bot/{key}/send"), format!("/a?key={key}")] {
        Api::new(server.address("gateway"), &key).request("GET", &path, &[], b"");
    }
    let usage = server.manage().request("GET", "/v1/usage?group_by=operation", &[], b"").text();
    assert_eq!(server.end(Signal::TERM).0, 0);
    let found = holders(&contents(&data), &key);
    assert!(!usage.contains(&key) && found.is_empty(), "in usage: {}, in {found:?}", usage.contains(&key));
}

/// Presents a text wherever one can be presented, rightly and wrongly.
fn wander(gateway: std::net::SocketAddr, check: std::net::SocketAddr, admin: std::net::SocketAddr, text: &str) {
    let calls = Api::new(gateway, text);
    for path in ["/a", &format!("/a?key={text}"), "/a/../b", "/%00"] {
        calls.request("GET", path, &[], b"");
    }
    calls.request("GET", "/a", &[("x-api-key", text)], b"");
    calls.request("GET", "/a", &[("authorization", "none"), ("x-api-key", text)], b"");
    calls.request("GET", "/a", &[("cookie", &format!("key={text}"))], b"");
    calls.request("GET", "/a", &[("authorization", &format!("Basic {text}"))], b"");
    calls.request("BREW", "/a", &[], b"");
    let mut broken = Client::connect(gateway);
    let _ = broken.write(format!("GET / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {text}\r\nx y: {text}\r\n\r\n"));
    let _ = broken.answer();
    let json = [("content-type", "application/json")];
    let mine = Api::new(check, text);
    for question in [
        json!({ "key": text, "explain": true }),
        json!({ "key": text, "api": text }),
        json!({ "key": text, "surprise": text }),
        json!({ text: 1 }),
    ] {
        mine.request("POST", "/v1/verify", &json, question.to_string().as_bytes());
    }
    let owner = Api::new(admin, text);
    for body in [json!({ "name": text, "project_id": text }), json!({ text: text }), json!({ "key": text })] {
        owner.request(
            "POST",
            "/v1/keys",
            &[("content-type", "application/json"), ("idempotency-key", text)],
            body.to_string().as_bytes(),
        );
    }
    for path in [
        format!("/v1/keys/{text}"),
        format!("/v1/keys?project_id={text}"),
        format!("/v1/usage?key_id={text}"),
        format!("/{text}"),
    ] {
        owner.request("GET", &path, &[], b"");
    }
    let lines = [("content-type", "application/x-ndjson")];
    owner.request(
        "POST",
        "/v1/keys/import?project_id=prj_2Zk9mQ4tR7vX1bN6cL8dF3",
        &lines,
        format!("{{\"key\":\"{text}\",\"x\":1}}\n{text}\n").as_bytes(),
    );
}

#[test]
fn k11_what_is_done_to_a_key_holds_for_the_very_next_call() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let manage = world.manage();
    let path = format!("/v1/keys/{}", caller.id);
    // Kept connections to the gateway, one a worker if it has several: none may lag behind.
    let request = format!("GET {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", caller.path, caller.key);
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(world.installation.gateway)).collect();
    let mut everywhere = |expected: (u16, &str), turn: usize| {
        for client in &mut clients {
            client.write(&request).unwrap();
            let answer = client.answer().unwrap();
            assert_eq!((answer.status, answer.code().as_str()), expected, "turn {turn}");
        }
        let verified = world.verify(&json!({ "key": caller.key, "api": caller.api })).json();
        assert_eq!(verified["allowed"], expected.0 == 200, "turn {turn}");
    };
    for turn in 0..TURNS {
        assert_eq!(manage.post(&format!("{path}/disable"), &json!({})).0, 200);
        everywhere((401, "key_disabled"), turn);
        assert_eq!(manage.post(&format!("{path}/enable"), &json!({})).0, 200);
        everywhere((200, ""), turn);
    }
}

#[test]
fn k11_a_revoked_and_a_removed_key_are_refused_on_the_very_next_call() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let manage = world.manage();
    for turn in 0..TURNS {
        let (id, key) = world.key(&caller.project, &json!({}));
        assert_eq!(world.call(&key, "GET", &caller.path).status, 200, "turn {turn}: a new key is in force at once");
        if turn % 2 == 0 {
            assert_eq!(manage.post(&format!("/v1/keys/{id}/revoke"), &json!({})).0, 200);
            problem(&world.call(&key, "GET", &caller.path), 401, "key_revoked");
            assert_eq!(
                manage.patch(&format!("/v1/keys/{id}"), &json!({ "name": "again" })).0,
                409,
                "it stays as it was"
            );
        } else {
            assert_eq!(manage.delete(&format!("/v1/keys/{id}")).0, 204);
            problem(&world.call(&key, "GET", &caller.path), 401, "key_unknown");
        }
    }
}

#[test]
fn whatever_else_is_changed_holds_for_the_very_next_call() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let manage = world.manage();
    let (key, api, link) = (
        format!("/v1/keys/{}", caller.id),
        format!("/v1/apis/{}", caller.api),
        format!("/v1/activations/{}", caller.activation),
    );
    let steps: [(&str, &str, Value, u16, &str); 8] = [
        ("PATCH", &key, json!({ "restrictions": { "methods": ["POST"] } }), 403, "operation_forbidden"),
        ("PATCH", &key, json!({ "restrictions": {} }), 200, ""),
        (
            "PATCH",
            &key,
            json!({ "restrictions": { "networks": { "deny": ["127.0.0.0/8"] } } }),
            403,
            "network_forbidden",
        ),
        ("PATCH", &key, json!({ "restrictions": {} }), 200, ""),
        ("POST", &format!("{api}/disable"), json!({}), 403, "api_inactive"),
        ("POST", &format!("{api}/enable"), json!({}), 200, ""),
        ("POST", &format!("{link}/suspend"), json!({}), 403, "suspended"),
        ("POST", &format!("{link}/approve"), json!({}), 200, ""),
    ];
    for turn in 0..TURNS / 10 {
        for (method, path, body, status, code) in &steps {
            let fields = [("content-type", "application/json")];
            let changed = manage.request(method, path, &fields, body.to_string().as_bytes());
            assert_eq!(changed.status, 200, "{}", changed.text());
            let answer = world.call(&caller.key, "GET", &caller.path);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (*status, *code),
                "turn {turn}: {method} {path} {body}"
            );
        }
    }
}

#[test]
fn a_key_is_explained_by_its_id_and_nothing_is_counted() {
    let world = shared();
    let manage = world.manage();
    let caller = world.caller(&json!({
        "permissions": ["pets.read"], "rate_limits": [{ "name": "one", "limit": 1, "window_seconds": 3600 }],
        "restrictions": { "countries": { "allow": ["DE"] }, "origins": ["https://a.test"], "shadow": ["origins"] },
    }));
    let explain = |body: Value| {
        let (status, answer) = manage.post(&format!("/v1/keys/{}/explain", caller.id), &body);
        assert_eq!(status, 200, "{body}: {answer}");
        answer
    };
    let here = json!({ "country": "DE" });
    let operation = json!({ "method": "GET", "path": caller.path });
    for _ in 0..3 {
        let answer = explain(json!({ "api": caller.api, "client": here, "operation": operation }));
        assert_eq!((&answer["allowed"], &answer["code"]), (&json!(true), &json!("allowed")), "{answer}");
        assert_eq!(answer["shadow"], json!(["origins"]));
    }
    for (body, code) in [
        (json!({ "client": here, "operation": operation }), "allowed"),
        (json!({ "client": here }), "allowed"),
        (json!({ "client": here, "permissions": "pets.read AND pets.write" }), "permission_missing"),
        (json!({}), "country_forbidden"),
        (json!({ "client": here, "operation": { "method": "GET", "path": "/a%2fb" } }), "request_malformed"),
        (json!({ "client": here, "operation": { "method": "GET", "path": "/elsewhere" } }), "not_activated"),
        (json!({ "client": here, "at": "2999-01-01T00:00:00Z" }), "key_expired"),
    ] {
        assert_eq!(explain(body.clone())["code"], code, "{body}");
    }
    let answer = explain(json!({ "client": here, "permissions": "pets.read AND pets.write" }));
    assert_eq!(answer["missing_permissions"], "pets.write");
    // The limit's one call is still there; once it is made, the next would be refused.
    assert_eq!(world.verify(&json!({ "key": caller.key, "api": caller.api, "client": here })).code(), "allowed");
    let answer = explain(json!({ "api": caller.api, "client": here }));
    let last = answer["trace"].as_array().unwrap().last().unwrap();
    assert_eq!((&answer["code"], &last["code"]), (&json!("rate_limited"), &json!("rate_limited")), "{answer}");
    assert_eq!(manage.post(&format!("/v1/keys/{}/revoke", caller.id), &json!({})).0, 200);
    let answer = explain(json!({ "client": here }));
    assert_eq!(answer["trace"], json!([{ "step": "state", "code": "key_revoked" }]));
    for wrong in [
        json!({ "key": caller.key }),
        json!({ "client": { "country": "UK" } }),
        json!({ "client": { "host": "x" } }),
        json!({ "operation": { "method": "GET" } }),
        json!({ "api": "no such name" }),
        json!({ "permissions": "a AND" }),
        json!({ "at": "soon" }),
    ] {
        let (status, problem) = manage.post(&format!("/v1/keys/{}/explain", caller.id), &wrong);
        assert_eq!((status, &problem["code"]), (400, &json!("invalid")), "{wrong}: {problem}");
    }
    assert_eq!(manage.post("/v1/keys/key_2Zk9mQ4tR7vX1bN6cL8dF3/explain", &json!({})).0, 404);
    let blind = world.manage_as(&world.management_key_for(&["keys.write"]));
    assert_eq!(blind.post(&format!("/v1/keys/{}/explain", caller.id), &json!({})).0, 403);
}

#[test]
fn what_an_owner_wrote_on_a_key_is_found_listed_and_given_back_by_verification() {
    let world = shared();
    let manage = world.manage();
    let caller = world.caller(&json!({ "labels": ["team:billing", "eu"], "metadata": { "plan": "gold", "seats": 5 } }));
    let (plain_id, plain) = world.key(&caller.project, &json!({}));
    let metadata = |key: &str| world.verify(&json!({ "key": key, "api": caller.api })).json()["metadata"].clone();
    assert_eq!(metadata(&caller.key), json!({ "plan": "gold", "seats": 5 }));
    assert_eq!(metadata(&plain), json!({}));
    assert_eq!(metadata("an-unknown-key-of-another-format-123456"), Value::Null);
    let listed = |query: &str| {
        let (status, list) = manage.get(&format!("/v1/keys?project_id={}&{query}", caller.project));
        assert_eq!(status, 200, "{list}");
        let ids: Vec<String> = list["items"].as_array().unwrap().iter().map(super::world::id).collect();
        ids
    };
    assert_eq!(listed("label=team:billing"), *std::slice::from_ref(&caller.id));
    assert_eq!(listed("label=team:billing,eu"), *std::slice::from_ref(&caller.id));
    assert_eq!(listed("label=team:billing,us"), [""; 0]);
    assert_eq!(listed("label=billing"), [""; 0]);
    // What is changed holds for the next question; what nobody mentioned stays.
    let path = format!("/v1/keys/{}", caller.id);
    let (status, changed) = manage.patch(&path, &json!({ "metadata": { "plan": "silver" } }));
    assert_eq!((status, &changed["labels"]), (200, &json!(["eu", "team:billing"])), "{changed}");
    assert_eq!(metadata(&caller.key), json!({ "plan": "silver" }));
    assert_eq!(manage.patch(&format!("/v1/keys/{plain_id}"), &json!({ "metadata": { "late": true } })).0, 200);
    assert_eq!(metadata(&plain), json!({ "late": true }));
    let rotated = manage.post(&format!("{path}/rotate"), &json!({})).1;
    assert_eq!(metadata(rotated["key"].as_str().unwrap()), json!({ "plan": "silver" }), "of every version");
    assert_eq!(manage.patch(&path, &json!({ "metadata": {}, "labels": [] })).0, 200);
    assert_eq!(metadata(&caller.key), json!({}));
    for wrong in [
        json!({ "labels": ["two words"] }),
        json!({ "labels": "eu" }),
        json!({ "metadata": [] }),
        json!({ "metadata": { "long": "x".repeat(5_000) } }),
    ] {
        let answer =
            manage.request("PATCH", &path, &[("content-type", "application/json")], wrong.to_string().as_bytes());
        problem(&answer, 400, "invalid");
    }
}
