//! Rights down to the operation (K14): what a document says that an operation needs, a key must have, at the gateway and
//! in a verification alike.

use keystile_testkit::Api;
use serde_json::{Value, json};

use super::Stage;
use super::stage::{shared, text};

fn document() -> Value {
    json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" },
        "security": [{ "oauth": ["read:all"] }],
        "paths": {
            "/pets": {
                "get": { "tags": ["Pets"], "security": [{ "oauth": ["pets.read"] }] },
                "post": { "tags": ["Pets"], "x-keystile-permission": "pets.write AND (admin OR shop)" }
            },
            "/pets/{id}": { "get": { "tags": ["Pets"] }, "delete": { "tags": ["Pets", "Admin"] } },
            "/health": { "get": { "security": [] } }
        }
    })
}

fn stage(by: &str, permissions: Value) -> Stage {
    let api = json!({ "openapi": document(), "unknown_operations": "refuse", "operation_permissions": by });
    Stage::with(api, json!({ "permissions": permissions }))
}

/// What becomes of calls: the status, and of a refusal what is missing.
fn check(stage: &Stage, calls: &[(&str, &str)]) {
    let verify = Api::new(shared().check, "");
    for (line, missing) in calls {
        let answer = stage.answer(&stage.request(line, &[], b""));
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let question = json!({
            "key": stage.key, "api": stage.api_id, "operation": { "method": method, "path": path },
        });
        let (_, verdict) = verify.post("/v1/verify", &question);
        if missing.is_empty() {
            assert_eq!((answer.status, &verdict["code"]), (200, &json!("allowed")), "{line}: {}", answer.text());
            assert!(verdict["missing_permissions"].is_null());
            assert_eq!(stage.upstream.take_requests().len(), 1, "{line}");
            continue;
        }
        stage.check_problem(&answer, 403, "permission_missing", line);
        let detail = text(&answer.json()["detail"]);
        assert!(detail.contains(&format!("lacks the permission {missing}.")), "{line}: {detail}");
        assert_eq!(verdict["code"], "permission_missing", "{line}");
        assert_eq!(verdict["missing_permissions"], json!(missing), "{line}");
        stage.saw_nothing(line);
    }
}

#[test]
fn k14_a_key_needs_what_the_operation_says_that_it_needs() {
    check(
        &stage("extension", json!(["pets.write", "shop"])),
        &[("POST /pets", ""), ("GET /pets", ""), ("DELETE /pets/1", ""), ("GET /health", "")],
    );
    check(&stage("extension", json!(["pets.*"])), &[("POST /pets", "admin OR shop"), ("GET /pets", "")]);
    check(
        &stage("security", json!(["pets.read"])),
        &[
            ("GET /pets", ""),
            ("GET /pets/1", "read:all"),
            ("DELETE /pets/1", "read:all"),
            ("GET /health", ""),
            ("POST /pets", "pets.write AND (admin OR shop)"),
        ],
    );
    check(
        &stage("tags", json!(["pets.read"])),
        &[("GET /pets", ""), ("GET /pets/1", ""), ("DELETE /pets/1", "pets.write OR admin.write"), ("GET /health", "")],
    );
    check(&stage("tags", json!(["*"])), &[("POST /pets", ""), ("DELETE /pets/1", "")]);
}

#[test]
fn k14_a_change_of_rights_and_of_the_document_is_in_force_at_once() {
    let stage = stage("security", json!([]));
    check(&stage, &[("GET /pets", "pets.read")]);
    let key = format!("/v1/keys/{}", stage.key_id);
    assert_eq!(stage.manage.patch(&key, &json!({ "permissions": ["pets.read"] })).0, 200);
    check(&stage, &[("GET /pets", "")]);
    let api = format!("/v1/apis/{}", stage.api_id);
    let mut document = document();
    document["paths"]["/pets"]["get"]["x-keystile-permission"] = json!("pets.list");
    assert_eq!(stage.manage.patch(&api, &json!({ "openapi": document })).0, 200);
    check(&stage, &[("GET /pets", "pets.list")]);
    let (status, listed) = stage.manage.get(&format!("{api}/operations"));
    assert_eq!(status, 200, "{listed}");
    let find = |method: &str, path: &str| {
        let items = listed["items"].as_array().unwrap();
        items.iter().find(|item| item["method"] == method && item["path"] == path).unwrap()["permission"].clone()
    };
    assert_eq!(find("GET", "/pets"), "pets.list");
    assert_eq!(find("DELETE", "/pets/{id}"), "read:all");
    assert_eq!(find("GET", "/health"), Value::Null);
    assert_eq!(stage.manage.patch(&api, &json!({ "operation_permissions": "off" })).0, 200);
    check(&stage, &[("GET /pets", ""), ("DELETE /pets/1", "")]);
}

#[test]
fn k14_settings_that_would_leave_operations_open_are_refused() {
    let stage = Stage::with(json!({ "openapi": document() }), json!({}));
    let api = format!("/v1/apis/{}", stage.api_id);
    let odd = |field: &str, value: Value| {
        let mut document = document();
        document["paths"]["/pets"]["get"][field] = value;
        json!({ "openapi": document, "unknown_operations": "refuse", "operation_permissions": "security" })
    };
    for (wish, words) in [
        (json!({ "operation_permissions": "tags" }), "needs unknown_operations to be refuse"),
        (
            json!({ "operation_permissions": "tags", "unknown_operations": "refuse", "openapi": null }),
            "needs an OpenAPI",
        ),
        (
            json!({ "operation_permissions": "tags", "unknown_operations": "refuse", "access": "open" }),
            "access to be key",
        ),
        (json!({ "operation_permissions": "all", "unknown_operations": "refuse" }), "off"),
        (odd("x-keystile-permission", json!("pets.*")), "GET /pets"),
        (odd("security", json!([{ "oauth": ["https://example.com/auth/pets"] }])), "GET /pets"),
        (odd("security", json!("none")), "GET /pets"),
    ] {
        let (status, told) = stage.manage.patch(&api, &wish);
        assert_eq!(status, 400, "{wish}: {told}");
        assert!(told["detail"].as_str().unwrap().contains(words), "{wish}: {told}");
    }
    let on = json!({ "operation_permissions": "tags", "unknown_operations": "refuse" });
    assert_eq!(stage.manage.patch(&api, &on).0, 200);
    assert_eq!(stage.manage.patch(&api, &json!({ "openapi": null })).0, 400, "it can't be taken away meanwhile");
    assert_eq!(stage.manage.patch(&api, &json!({ "unknown_operations": "pass" })).0, 400);
    check(&stage, &[("GET /pets", "pets.read")]);
}
