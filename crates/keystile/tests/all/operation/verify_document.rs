//! The document of verification at `/openapi.json`: what it allows is answered, what it does not is refused, every answer is one
//! that it describes, and its examples work. (Every other test that asks verification is held against it too: `World::ask`.)

use std::collections::{BTreeSet, HashMap};
use std::process::Command;

use keystile_testkit::raw::{Answer, Client};
use keystile_testkit::{Api, Installation};
use serde_json::{Value, json};

use super::form::problem;
use super::schema::{faults, fits, resolved};
use super::world::{BINARY, World, id, mistyped};

/// What no schema can say: which APIs there are, how questions about permissions are built, which countries there are, how long
/// a bucket takes to fill.
const BEYOND_SCHEMAS: [&str; 4] = ["api", "permissions", "country", "burst"];

/// What examples of credits call the project that they are about.
const EXAMPLE_PROJECT: &str = "prj_0Xf4sD7gL2pZ9wB5eR8uK1";

/// A world in which the examples are true, the text of the key that they are about, and a project that has credits.
fn example_world() -> (World, String, String) {
    let world = World::start();
    let manage = world.manage();
    let api = json!({ "name": "Pets", "upstream": world.echo, "path_prefix": "/pets" });
    let api = id(&manage.create("/v1/apis", &api));
    let project = world.project();
    manage.create("/v1/activations", &json!({ "project_id": project, "api_id": api }));
    let key = world.key(
        &project,
        &json!({ "permissions": ["pets.read"], "metadata": { "tier": "gold" }, "restrictions": { "methods": ["GET"] },
            "rate_limits": [{ "name": "per-hour", "limit": 100, "window_seconds": 3_600 }] }),
    );
    let prepaid = prepaid(&world, &api);
    (world, key.1, prepaid)
}

/// A project whose calls of an API are paid by credits, of which it has 10,000.
fn prepaid(world: &World, api: &str) -> String {
    let manage = world.manage();
    let plan = json!({ "api_id": api, "name": "Prepaid", "credits": {} });
    let plan = id(&manage.create("/v1/plans", &plan));
    let project = world.project();
    manage.create("/v1/activations", &json!({ "project_id": project, "api_id": api, "plan_id": plan }));
    manage.create("/v1/credits", &json!({ "project_id": project, "amount": 10_000 }));
    project
}

/// Every operation with its path.
fn operations(document: &Value) -> Vec<(&str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().map(|(path, item)| (path.as_str(), &item["post"])).collect()
}

fn body(operation: &Value) -> &Value {
    &operation["requestBody"]["content"]["application/json"]
}

/// The questions of the examples, by path, with their answers.
fn examples(document: &Value) -> Vec<(&str, &Value, &Value)> {
    let mut all = Vec::new();
    for (path, operation) in operations(document) {
        let answers = &operation["responses"]["200"]["content"]["application/json"]["examples"];
        for (name, example) in body(operation)["examples"].as_object().unwrap() {
            all.push((path, &example["value"], &answers[name]["value"]));
        }
    }
    all
}

#[test]
fn the_document_is_read_without_a_key_and_is_the_one_that_is_printed() {
    let (_folder, world) = super::limits::asked_by_key_holders();
    let check = Api::new(world.installation.check, "");
    let nobody = [("authorization", "none")];
    let answer = check.request("GET", "/openapi.json", &nobody, b"");
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    let of_manage = Api::new(world.installation.admin, "").request("GET", "/openapi.json", &nobody, b"");
    for name in ["content-type", "cache-control"] {
        assert_eq!(answer.field(name), of_manage.field(name), "{name}");
    }
    let head = check.request("HEAD", "/openapi.json", &nobody, b"");
    assert_eq!((head.status, head.field("content-length")), (200, answer.field("content-length")));
    let printed = Command::new(BINARY).args(["docs", "openapi-verification"]).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), answer.json());
    problem(&check.request("POST", "/openapi.json", &nobody, b"{}"), 405, "method_not_allowed");
    for (path, _) in operations(&answer.json()) {
        problem(&check.request("GET", path, &nobody, b""), 405, "method_not_allowed");
        problem(&check.request("POST", path, &nobody, b"{}"), 401, "key_missing");
    }
    problem(&check.request("POST", "/v1/others", &nobody, b"{}"), 404, "route_unknown");
}

#[test]
fn the_examples_work() {
    let (world, key, prepaid) = example_world();
    let document = world.verification();
    let example_key = &body(&document["paths"]["/v1/verify"]["post"])["examples"]["call"]["value"]["key"];
    let mut all = examples(&document);
    // Calls end after they began, and what is settled was reserved.
    let order = ["/v1/credits/charge", "/v1/credits/reserve", "/v1/credits/post", "/v1/credits/void"];
    let place = |path: &str| order.iter().position(|one| *one == path);
    all.sort_by_key(|(path, question, _)| (question["lease"].is_string(), place(path)));
    let mut leases = HashMap::new();
    for (path, question, told) in all {
        let operation = &document["paths"][path]["post"];
        let content = &operation["responses"]["200"]["content"]["application/json"];
        fits(&document, &body(operation)["schema"], question, path);
        fits(&document, &content["schema"], told, path);
        let mut question = question.clone();
        if question["key"] == *example_key {
            question["key"] = key.as_str().into();
        }
        if question["project_id"] == EXAMPLE_PROJECT {
            question["project_id"] = prepaid.as_str().into();
        }
        if let Some(lease) = question["lease"].as_str() {
            question["lease"] = Value::clone(&leases[lease]);
        }
        let answer = world.ask(path, &question);
        assert_eq!(answer.status, 200, "{path} {question}: {}", answer.text());
        let answer = answer.json();
        if let Some(lease) = told["lease"]["id"].as_str() {
            leases.insert(lease.to_owned(), answer["lease"]["id"].clone());
        }
        assert_eq!(settled(&answer), settled(told), "{path} {question}");
    }
}

/// An answer without what differs from time to time.
fn settled(answer: &Value) -> Value {
    match answer {
        Value::Object(fields) => {
            let settled = |(name, value): (&String, &Value)| {
                let passes =
                    ["id", "expires_at", "reset", "retry_after"].contains(&name.as_str()) || name.ends_with("_id");
                let value = if passes && !value.is_null() { Value::from("…") } else { settled(value) };
                (name.clone(), value)
            };
            Value::Object(fields.iter().map(settled).collect())
        }
        Value::Array(items) => items.iter().map(settled).collect(),
        value => value.clone(),
    }
}

#[test]
fn questions_are_answered_if_the_document_allows_them_and_refused_if_not() {
    let (world, key, prepaid) = example_world();
    let document = world.verification();
    let full = json!({
        "key": key, "api": "Pets", "permissions": "pets.read", "cost": 0, "report": false, "end_user": "ada",
        "tags": { "model": "large" }, "explain": false,
        "client": { "ip": "192.0.2.1", "certificate": "ab".repeat(32), "origin": "https://a.example", "referrer": "https://a.example/", "country": "DE" },
        "operation": { "method": "GET", "path": "/pets/7", "content_type": "application/json", "body_bytes": 7, "accept": "*/*",
            "headers": { "x-a": "1", "x-b": ["2", "3"] } },
    });
    let bucket = json!({ "name": "a", "subject": "b", "limit": 5, "window_seconds": 60, "algorithm": "token_bucket", "burst": 5, "cost": 0 });
    let mut sound = vec![("/v1/verify", full), ("/v1/limits/check", bucket)];
    sound.extend(examples(&document).into_iter().map(|(path, question, _)| (path, question.clone())));
    let (mut answered, mut refused) = (0, 0);
    for (path, mut question) in sound {
        if question["project_id"] == EXAMPLE_PROJECT {
            question["project_id"] = prepaid.as_str().into();
        }
        // What became of an id before is no business of a schema's either.
        let remembers = path.starts_with("/v1/credits/");
        let schema = &body(&document["paths"][path]["post"])["schema"];
        for (field, varied) in variants(&document, schema, &question) {
            let faults = faults(&document, schema, &varied);
            // Each is held against the document by `ask` itself.
            let answer = world.ask(path, &varied);
            if !faults.is_empty() {
                let code = answer.code();
                assert_eq!((answer.status, code.as_str()), (400, "invalid"), "{path} took {varied}: {faults:?}");
                refused += 1;
            } else if !BEYOND_SCHEMAS.contains(&field.as_str()) {
                let is_known = remembers && matches!(answer.status, 404 | 409);
                assert!(answer.status == 200 || is_known, "{path} {field} {varied}: {}", answer.text());
                answered += 1;
            }
        }
    }
    assert!(answered > 200 && refused > 500, "only {answered} and {refused}");
}

/// Questions that differ from a sound one in one field, at any depth, with the name of that field.
fn variants(document: &Value, schema: &Value, sound: &Value) -> Vec<(String, Value)> {
    let schema = resolved(document, schema);
    let mut all = vec![(String::new(), json!([])), (String::new(), Value::Null), (String::new(), json!("x"))];
    match sound {
        Value::Object(fields) => {
            all.push(("surprise".to_owned(), with(sound, "surprise", json!(1))));
            let named = schema["properties"].as_object().into_iter().flatten();
            for (name, schema) in named {
                for value in values(document, schema) {
                    all.push((name.clone(), with(sound, name, value)));
                }
            }
            for (name, value) in fields {
                let mut without = sound.clone();
                without.as_object_mut().unwrap().remove(name);
                all.push((name.clone(), without));
                let inner = variants(document, &schema["properties"][name], value);
                all.extend(inner.into_iter().map(|(field, value)| {
                    (if field.is_empty() { name.clone() } else { field }, with(sound, name, value))
                }));
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                for (field, value) in variants(document, &schema["items"], item) {
                    let mut items = items.clone();
                    items[n] = value;
                    all.push((field, items.into()));
                }
            }
        }
        _ => {}
    }
    all
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

/// Values of every kind, and those at the bounds that a schema names and just beyond.
fn values(document: &Value, schema: &Value) -> Vec<Value> {
    let schema = resolved(document, schema);
    let mut all = vec![json!(null), json!(true), json!(-1), json!(0), json!(1), json!(1.5), json!("x"), json!("a b")];
    all.extend([json!([]), json!(["x"]), json!({}), json!({ "x": "y" }), json!({ "x": 1 }), json!({ "X": "y" })]);
    all.extend(schema["enum"].as_array().into_iter().flatten().cloned());
    if let Some(least) = schema["minimum"].as_i64() {
        all.extend([json!(least), json!(least - 1)]);
    }
    if let Some(most) = schema["maximum"].as_i64() {
        all.extend([json!(most), json!(most + 1)]);
    }
    for bound in ["minLength", "maxLength"].iter().filter_map(|name| schema[name].as_u64()) {
        let text = |length: u64| json!("x".repeat(length as usize));
        all.extend([text(bound), text(bound + 1), text(bound.saturating_sub(1))]);
    }
    all.extend(["::ffff:10.1.2.3", "2001:db8::1", "10.0.0", "lea_4Ju7dK0qB9zN6iO3lF8aV2", "lea_x"].map(Value::from));
    all.extend(["AB:".repeat(31) + "AB", "ab".repeat(33), "de".to_owned()].map(Value::from));
    all
}

/// Every status that is described but 503, which only comes when the server can't do better.
#[test]
fn refusals_are_those_that_the_document_describes() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "data = \"{}/data\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nbody_stall_seconds = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [check]\nlisten = \"127.0.0.1:0\"\nrequire_key = true\n",
        folder.path().display()
    );
    let world = World::bare(Installation::serve(BINARY, &text, folder.path()));
    let document = world.verification();
    let manage = world.manage();
    let project = id(&manage.create("/v1/projects", &json!({ "name": "p" })));
    let make = |fields: Value| {
        let mut wish = json!({ "kind": "management", "permissions": ["keys.verify", "limits.check", "usage.report", "credits.spend"] });
        wish.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        world.key(&project, &wish)
    };
    let good = make(json!({})).1;
    let (revoked, ended) = make(json!({}));
    assert_eq!(manage.post(&format!("/v1/keys/{revoked}/revoke"), &json!({})).0, 200);
    let elsewhere = make(json!({ "restrictions": { "networks": { "allow": ["10.0.0.0/8"] } } })).1;
    let none = make(json!({ "permissions": [] })).1;
    let secret = world.key(&project, &json!({})).1;
    let once = json!({ "rate_limits": [{ "name": "one", "limit": 1, "window_seconds": 3_600 }] });
    let check = |path: &str, fields: &[(&str, &str)], body: &[u8]| {
        Api::new(world.installation.check, &good).request("POST", path, fields, body)
    };
    let lease = "lea_4Ju7dK0qB9zN6iO3lF8aV2";
    let api = json!({ "name": "Pets", "upstream": "http://127.0.0.1:1", "path_prefix": "/pets" });
    let prepaid = prepaid(&world, &id(&manage.create("/v1/apis", &api)));
    let charge = |id: &str, amount: u64| json!({ "id": id, "api": "Pets", "project_id": prepaid, "amount": amount });
    for id in ["posted", "voided"] {
        assert_eq!(check("/v1/credits/reserve", &[], charge(id, 5).to_string().as_bytes()).status, 200);
    }
    let settle = |id: &str| json!({ "id": id, "api": "Pets" });
    let own = |path: &str| match path {
        "/v1/credits/charge" => vec![(charge("charged", 6), "conflict")],
        "/v1/credits/reserve" => vec![(charge("reserved", 6), "conflict")],
        "/v1/credits/post" => vec![(settle("none"), "not_found"), (settle("voided"), "conflict")],
        "/v1/credits/void" => vec![(settle("none"), "not_found"), (settle("posted"), "conflict")],
        _ => vec![],
    };
    // Settled before what is settled otherwise is refused.
    assert_eq!(check("/v1/credits/post", &[], settle("posted").to_string().as_bytes()).status, 200);
    assert_eq!(check("/v1/credits/void", &[], settle("voided").to_string().as_bytes()).status, 200);
    for (path, question) in [
        ("/v1/credits/charge", charge("charged", 5)),
        ("/v1/credits/reserve", charge("reserved", 5)),
        ("/v1/credits/post", settle("posted")),
        ("/v1/credits/void", settle("voided")),
        ("/v1/verify", json!({ "key": secret })),
        ("/v1/limits/check", json!({ "name": "a", "subject": "b", "limit": 9, "window_seconds": 60 })),
        ("/v1/limits/multi", json!({ "limits": [{ "name": "a", "subject": "b", "limit": 9, "window_seconds": 60 }] })),
        ("/v1/limits/release", json!({ "lease": lease })),
        ("/v1/usage/report", json!({ "lease": lease, "cost": 1 })),
    ] {
        let answers = &document["paths"][path]["post"]["responses"];
        let mut seen = BTreeSet::new();
        let mut refused = |answer: Answer, code: &str| {
            let status = answer.status.to_string();
            problem(&answer, answer.status, code);
            let told = &answers[&status];
            fits(&document, &told["content"]["application/problem+json"]["schema"], &answer.json(), path);
            for name in told["headers"].as_object().unwrap().keys() {
                assert!(answer.field(name).is_some(), "{path} {status} has no {name}");
            }
            seen.insert(status);
        };
        let question = question.to_string();
        let as_key = |key: &str| check(path, &[("authorization", &format!("Bearer {key}"))], question.as_bytes());
        assert_eq!(as_key(&good).status, 200);
        refused(check(path, &[("authorization", "none")], question.as_bytes()), "key_missing");
        refused(as_key(&mistyped(&good)), "key_malformed");
        refused(as_key("0123456789abcdef0123456789abcdef"), "key_unknown");
        refused(as_key(&ended), "key_revoked");
        refused(as_key(&secret), "key_kind_forbidden");
        refused(as_key(&none), "permission_missing");
        for (question, code) in own(path) {
            refused(check(path, &[], question.to_string().as_bytes()), code);
        }
        refused(as_key(&elsewhere), "network_forbidden");
        let few = make(once.clone()).1;
        assert_eq!(as_key(&few).status, 200);
        refused(as_key(&few), "rate_limited");
        refused(as_key(&format!("{good}, {good}")), "credentials_ambiguous");
        refused(check(path, &[], b"{"), "invalid");
        refused(check(path, &[], &vec![b' '; 65 << 10]), "content_too_large");
        refused(check(&format!("{path}?{}", "x".repeat(9 << 10)), &[], b"{}"), "target_too_long");
        let long = "x".repeat(33 << 10);
        refused(check(path, &[("x-long", &long)], b"{}"), "headers_too_large");
        refused(check(path, &[("transfer-encoding", "gzip, chunked")], b""), "not_implemented");
        refused(check(path, &[("content-length", "x")], b""), "request_malformed");
        let mut slow = Client::connect(world.installation.check);
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {good}\r\ncontent-length: 9\r\n\r\n{{");
        slow.write(head).unwrap();
        refused(slow.answer().unwrap(), "request_timeout");
        let told: BTreeSet<String> = answers.as_object().unwrap().keys().cloned().collect();
        let open: Vec<_> = told.difference(&seen).map(String::as_str).collect();
        assert_eq!(open, ["200", "503"], "{path}: these are described and were not seen");
    }
}

#[test]
fn what_the_documents_do_not_say_is_found_by_what_checks_them() {
    let document = json!({ "components": { "schemas": { "Pet": { "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string", "maxLength": 3, "pattern": "^[a-z]+$" }, "age": { "type": ["integer", "null"], "minimum": 1 } } } } } });
    let pet = json!({ "$ref": "#/components/schemas/Pet" });
    let or_none = json!({ "oneOf": [pet, { "type": "null" }] });
    for (schema, value, fits) in [
        (&pet, json!({ "name": "rex" }), true),
        (&pet, json!({ "name": "rex", "age": null }), true),
        (&pet, json!({ "name": "rex", "age": 0 }), false),
        (&pet, json!({ "name": "rex", "tail": 1 }), false),
        (&pet, json!({ "name": "Rex" }), false),
        (&pet, json!({ "name": "rexy" }), false),
        (&pet, json!({}), false),
        (&pet, json!(null), false),
        (&or_none, json!(null), true),
        (&or_none, json!({ "name": "rex" }), true),
        (&or_none, json!({ "name": "rex", "tail": 1 }), false),
        (&or_none, json!([]), false),
    ] {
        assert_eq!(faults(&document, schema, &value).is_empty(), fits, "{value}");
    }
}
