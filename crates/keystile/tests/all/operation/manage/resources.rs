//! What can be made, read, changed and removed, in its exact shape.

use serde_json::{Value, json};

use super::super::form::{moment, problem, told};
use super::super::world::{World, id, name, shared};

const DAY: i64 = 86_400;

#[test]
fn an_api_is_made_read_changed_switched_and_removed() {
    let manage = shared().manage();
    let name = name("shop");
    let asked = json!({ "name": name, "upstream": "http://127.0.0.1:9", "hosts": ["first.example"] });
    let made = manage.create("/v1/apis", &asked);
    let mut expected = json!({
        "id": "api_…", "name": name, "active": true, "upstream": "http://127.0.0.1:9", "hosts": ["first.example"],
        "path_prefix": "/", "strip_prefix": false, "access": "key",
        "environments": ["live", "test"], "approval": "manual", "require_tls": false, "require_client_certificate": false,
        "key_locations": ["bearer", "header:x-api-key"], "key_prefix": "ks",
        "key_days": 90, "body_limit_bytes": 10_485_760, "upstream_timeout_seconds": 60, "document": null,
        "open_operations": [], "publishable_operations": [], "operation_costs": [], "rate_limits": [], "anonymous_rate_limits": [], "unknown_operations": "pass",
        "operation_permissions": "off", "shared_caching": false, "unused_keys": "report", "recoverable_keys": false,
        "client_addresses": "whole",
        "targets": [], "upstream_protocol": "http1", "upgrades": ["websocket"], "breaker_failures": 5, "idle_timeout_seconds": 300,
        "created_at": "TIME", "updated_at": "TIME",
    });
    assert_eq!(told(&made), expected);
    let path = format!("/v1/apis/{}", id(&made));
    assert_eq!(manage.get(&path), (200, made.clone()));

    let mut settings = json!({
        "name": format!("{name} 2"), "upstream": "http://127.0.0.1:10/base", "hosts": ["shop.example"],
        "path_prefix": "/shop", "strip_prefix": true, "access": "open", "environments": ["test"], "approval": "automatic", "require_tls": true, "require_client_certificate": true,
        "key_locations": ["header:x-key"],
        "key_prefix": "shop", "key_days": 7, "body_limit_bytes": 1_000, "upstream_timeout_seconds": 5,
        "targets": [{ "address": "10.0.0.5:9000", "weight": 2 }], "upstream_protocol": "http2", "breaker_failures": 9,
        "open_operations": ["GET /pets/{id}"], "unknown_operations": "refuse", "shared_caching": true,
        "anonymous_rate_limits": [{ "name": "few", "limit": 3, "window_seconds": 60, "algorithm": "sliding_window" }],
        "request_types": ["application/json", "text/*"], "response_types": ["application/*+json"],
        "max_header_bytes": 8_192, "max_header_fields": 40, "upgrades": ["websocket", "SPDY/3.1"],
        "idle_timeout_seconds": 7, "connect_timeout_seconds": 3, "total_timeout_seconds": 70,
        "health_check": {
            "path": "/healthz", "interval_seconds": 5, "timeout_seconds": 1, "healthy_after": 1, "unhealthy_after": 2
        },
    });
    let more = json!({
        "publishable_operations": ["GET /pets/**"], "client_addresses": "truncated", "max_key_days": 30,
        "rotate_key_days": 20, "unused_key_days": 10, "unused_keys": "delete", "recoverable_keys": true,
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, changed) = manage.patch(&path, &settings);
    for (field, value) in settings.as_object().unwrap() {
        expected[field] = value.clone();
    }
    assert_eq!((status, told(&changed)), (200, expected.clone()));
    assert_eq!(changed["created_at"], made["created_at"]);
    let times = ["created_at", "updated_at"].map(|field| moment(changed[field].as_str().unwrap()));
    assert!(times[0] < times[1], "{changed}");

    for (action, active) in [("disable", false), ("disable", false), ("enable", true), ("enable", true)] {
        let (status, switched) = manage.post(&format!("{path}/{action}"), &json!({}));
        expected["active"] = active.into();
        assert_eq!((status, told(&switched)), (200, expected.clone()), "{action}");
    }
    let same = json!({ "name": "Other", "upstream": "http://127.0.0.1:9", "hosts": ["shop.example"], "path_prefix": "/shop/" });
    let json_type = [("content-type", "application/json")];
    let taken = manage.request("POST", "/v1/apis", &json_type, same.to_string().as_bytes());
    assert!(problem(&taken, 409, "conflict").contains("path_prefix"), "{}", taken.text());
    let gone = manage.request("DELETE", &path, &[], b"");
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    problem(&manage.request("GET", &path, &[], b""), 404, "not_found");
    problem(&manage.request("DELETE", &path, &[], b""), 404, "not_found");
}

#[test]
fn an_api_takes_a_document_as_object_json_or_yaml_and_gives_it_back() {
    let manage = shared().manage();
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1.2" },
        "paths": { "/pets": { "get": {}, "trace": {} }, "/pets/{id}": { "get": {} } },
    });
    let yaml = "openapi: 3.0.3\ninfo: {title: Pets, version: '1.2'}\npaths:\n  /pets: {get: {}, trace: {}}\n  /pets/{id}: {get: {}}\n";
    let known = json!({ "title": "Pets", "version": "1.2", "operations": 2, "skipped": 1 });
    let wanted = json!({ "name": name("pets"), "upstream": "http://127.0.0.1:9", "hosts": ["pets.example"], "openapi": document });
    let api = manage.create("/v1/apis", &wanted);
    assert_eq!(api["document"], known);
    let path = format!("/v1/apis/{}", id(&api));
    for (said, expected) in [
        (Value::Null, Value::Null),
        (document.to_string().into(), known.clone()),
        (Value::Null, Value::Null),
        (yaml.into(), known.clone()),
    ] {
        let (status, changed) = manage.patch(&path, &json!({ "openapi": said }));
        assert_eq!((status, &changed["document"]), (200, &expected));
    }
    let (_, kept) = manage.patch(&path, &json!({ "name": name("pets") }));
    assert_eq!(kept["document"], known, "what is not said stays");
    let wrong = json!({ "openapi": "openapi: 3.1.0\npaths: [" });
    let answer = manage.request("PATCH", &path, &[("content-type", "application/json")], wrong.to_string().as_bytes());
    assert!(problem(&answer, 400, "invalid").contains("line 2"), "{}", answer.text());
}

#[test]
fn a_project_is_made_read_changed_and_removed_with_all_that_is_its_own() {
    let world = shared();
    let manage = world.manage();
    let name = name("app");
    let made = manage.create("/v1/projects", &json!({ "name": name }));
    let organization = made["organization_id"].clone();
    assert!(organization.as_str().is_some_and(|id| id.starts_with("org_")), "{made}");
    let mut expected = json!({
        "id": "prj_…", "organization_id": organization, "name": name, "description": "", "contact": "",
        "environment": "live", "state": "active", "suspended_at": null, "suspended_reason": "", "max_keys": null,
        "patterns": [], "labels": [], "metadata": {}, "created_at": "TIME", "updated_at": "TIME",
    });
    assert_eq!(told(&made), expected);
    let path = format!("/v1/projects/{}", id(&made));
    assert_eq!(manage.get(&path), (200, made));
    for changes in [
        json!({ "description": "Reads\npets", "contact": "a@b.example" }),
        json!({ "max_keys": 7, "labels": ["team:x", "tier-1"], "metadata": { "plan": { "name": "gold" } } }),
        json!({ "max_keys": null, "labels": [], "metadata": {} }),
    ] {
        let (status, changed) = manage.patch(&path, &changes);
        for (field, value) in changes.as_object().unwrap() {
            expected[field] = value.clone();
        }
        assert_eq!((status, told(&changed)), (200, expected.clone()));
    }
    for (wrong, words) in [
        (json!({ "labels": ["a b"] }), "a label is 1 to 64 letters"),
        (json!({ "metadata": [] }), "expected an object"),
        (json!({ "metadata": null }), "expected an object"),
        (json!({ "name": null }), "null"),
        (json!({ "metadata": { "x": "y".repeat(4_096) } }), "at most 4096 bytes"),
        (json!({ "max_keys": -1 }), "a whole number that is not below 0"),
        (json!({ "state": "suspended" }), "unknown field `state`"),
    ] {
        let (status, told) = manage.patch(&path, &wrong);
        assert_eq!(status, 400, "{wrong}: {told}");
        assert!(told["detail"].as_str().unwrap().contains(words), "{wrong}: {told}");
    }
    let test = manage
        .create("/v1/projects", &json!({ "name": name, "environment": "test", "description": "d", "contact": "c" }));
    assert_eq!(
        (&test["environment"], &test["description"], &test["contact"]),
        (&"test".into(), &"d".into(), &"c".into())
    );

    let caller = world.caller(&json!({}));
    assert_eq!(world.call(&caller.key, "GET", &caller.path).status, 200);
    assert_eq!(manage.delete(&format!("/v1/projects/{}", caller.project)).0, 204);
    for gone in [
        format!("/v1/projects/{}", caller.project),
        format!("/v1/keys/{}", caller.id),
        format!("/v1/activations/{}", caller.activation),
    ] {
        problem(&manage.request("GET", &gone, &[], b""), 404, "not_found");
    }
    problem(&world.call(&caller.key, "GET", &caller.path), 401, "key_unknown");
}

#[test]
fn an_activation_is_asked_for_judged_and_taken_back() {
    let world = shared();
    let manage = world.manage();
    let (api, _) = world.api();
    let project = world.project();
    let wanted = json!({ "project_id": project, "api_id": api });
    let made = manage.create("/v1/activations", &wanted);
    let mut expected = json!({
        "id": "act_…", "project_id": project, "api_id": api, "state": "approved", "reason": "", "note": "",
        "requested_permissions": null, "granted_permissions": null, "judged_by": made["judged_by"], "judged_at": "TIME",
        "plan_id": null, "plan": null, "plan_since": null, "requested_plan_id": null, "ceilings": [],
        "created_at": "TIME", "updated_at": "TIME",
    });
    assert_eq!(told(&made), expected);
    assert!(made["judged_by"].as_str().is_some_and(|id| id.starts_with("key_")), "{made}");
    let path = format!("/v1/activations/{}", id(&made));
    assert_eq!(manage.get(&path), (200, made.clone()));
    assert_eq!(manage.post("/v1/activations", &wanted).0, 409, "a project is linked to an API once");
    for (action, body, state, reason) in [
        ("suspend", json!({ "reason": "not paid" }), "suspended", "not paid"),
        ("refuse", json!({}), "refused", ""),
        ("refuse", json!({ "reason": "no" }), "refused", "no"),
        ("approve", json!({}), "approved", ""),
        ("suspend", json!({}), "suspended", ""),
    ] {
        let (status, judged) = manage.post(&format!("{path}/{action}"), &body);
        expected["state"] = state.into();
        expected["reason"] = reason.into();
        assert_eq!((status, told(&judged)), (200, expected.clone()), "{action}");
    }
    let without_body = manage.request("POST", &format!("{path}/suspend"), &[], b"");
    assert_eq!(without_body.status, 200, "{}", without_body.text());
    assert_eq!(manage.delete(&path).0, 204);
    assert_eq!(manage.get(&path).0, 404);
    manage.create("/v1/activations", &wanted);
}

#[test]
fn a_key_is_made_shown_once_changed_switched_revoked_and_removed() {
    let world = shared();
    let manage = world.manage();
    let project = world.project();
    let mut made = manage.create("/v1/keys", &json!({ "project_id": project, "name": "first" }));
    let text = made.as_object_mut().unwrap().remove("key").expect("its text, this one time");
    let text = text.as_str().unwrap();
    let hint = format!("{}••••{}", &text[..12], &text[text.len() - 4..]);
    let mut expected = json!({
        "id": "key_…", "project_id": project, "name": "first", "kind": "secret", "environment": "live", "hint": hint,
        "state": "active", "expires_at": "TIME", "permissions": [], "roles": [], "patterns": [],
        "restrictions": {}, "rate_limits": [], "recoverable": false, "version": 1, "labels": [], "metadata": {},
        "created_at": "TIME", "updated_at": "TIME",
    });
    assert_eq!(told(&made), expected);
    let path = format!("/v1/keys/{}", id(&made));
    assert_eq!(manage.get(&path), (200, made));

    let policy = json!({
        "name": "second", "permissions": ["pets.photos.*", "pets.read"], "expires_at": null,
        "restrictions": { "networks": { "allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": ["10.1.0.0/16"] },
            "methods": ["GET", "POST"], "paths": ["/pets/{id}", "/pets/**"],
            "formats": { "request_types": ["application/json"], "response_types": ["*/*"], "max_body_bytes": 0 } },
        "rate_limits": [
            { "name": "per-minute", "limit": 60, "window_seconds": 60, "algorithm": "sliding_window" },
            { "name": "burst", "limit": 10, "window_seconds": 1, "algorithm": "token_bucket", "burst": 20 },
        ],
    });
    let (status, changed) = manage.patch(&path, &policy);
    for (field, value) in policy.as_object().unwrap() {
        expected[field] = value.clone();
    }
    assert_eq!((status, told(&changed)), (200, expected.clone()));
    assert_eq!(manage.patch(&path, &json!({})).0, 200);
    assert_eq!(told(&manage.get(&path).1), expected, "what is not said stays");

    for (action, state) in
        [("disable", "disabled"), ("enable", "active"), ("disable", "disabled"), ("revoke", "revoked")]
    {
        let (status, switched) = manage.post(&format!("{path}/{action}"), &json!({}));
        assert_eq!((status, &switched["state"]), (200, &state.into()));
        assert_eq!(switched.get("state_since").is_some(), state != "active", "{switched}");
    }
    let revoked = manage.get(&path).1;
    expected["state"] = "revoked".into();
    expected["state_since"] = "TIME".into();
    assert_eq!(told(&revoked), expected);
    let again = manage.post(&format!("{path}/revoke"), &json!({})).1;
    assert_eq!(again["state_since"], revoked["state_since"], "a repeated revoke keeps the first moment");
    for action in ["enable", "disable"] {
        problem(&manage.request("POST", &format!("{path}/{action}"), &[], b""), 409, "conflict");
    }
    assert_eq!(manage.delete(&path).0, 204);
    assert_eq!(manage.get(&path).0, 404);
}

#[test]
fn a_key_ends_after_90_days_unless_something_else_is_said() {
    let world = shared();
    let manage = world.manage();
    let project = world.project();
    let life = |fields: Value| {
        let (id, _) = world.key(&project, &fields);
        let key = manage.get(&format!("/v1/keys/{id}")).1;
        let end = key["expires_at"].as_str().map(moment)?;
        Some(end.as_secs() - moment(key["created_at"].as_str().unwrap()).as_secs())
    };
    let about = |secs: Option<i64>, days: i64| secs.is_some_and(|secs| (secs - days * DAY).abs() <= 2);
    assert!(about(life(json!({})), 90));
    assert!(about(life(json!({ "expires_in_days": 1 })), 1));
    assert_eq!(life(json!({ "expires_at": null })), None);
    let end = "2100-01-31T12:00:00Z";
    let (id, _) = world.key(&project, &json!({ "expires_at": end }));
    assert_eq!(manage.get(&format!("/v1/keys/{id}")).1["expires_at"], end);
    for wrong in [
        json!({ "expires_at": "2001-01-01T00:00:00Z" }),
        json!({ "expires_at": "2999-01-01T00:00:00Z" }),
        json!({ "expires_at": "tomorrow" }),
        json!({ "expires_in_days": 0 }),
        json!({ "expires_in_days": 1, "expires_at": end }),
        json!({ "expires_in_days": 1, "expires_at": null }),
    ] {
        assert_eq!(refused_key(world, &project, &wrong), 400, "{wrong}");
    }
}

#[test]
fn the_one_api_of_a_project_says_how_its_keys_look_and_how_long_they_live() {
    let world = shared();
    let manage = world.manage();
    let habits = |project: &str| {
        let (id, text) = world.key(project, &json!({}));
        let key = manage.get(&format!("/v1/keys/{id}")).1;
        let life = moment(key["expires_at"].as_str().unwrap()).as_secs()
            - moment(key["created_at"].as_str().unwrap()).as_secs();
        (text.split('_').next().unwrap().to_owned(), (life + DAY / 2) / DAY)
    };
    let caller = world.caller(&json!({}));
    manage.patch(&format!("/v1/apis/{}", caller.api), &json!({ "key_prefix": "acme", "key_days": 7 }));
    assert_eq!(habits(&caller.project), ("acme".to_owned(), 7));
    let (other, _) = world.api();
    manage.create("/v1/activations", &json!({ "project_id": caller.project, "api_id": other }));
    assert_eq!(habits(&caller.project), ("ks".to_owned(), 90), "of two APIs neither decides");
}

#[test]
fn keys_of_a_test_project_are_test_keys() {
    let world = shared();
    let project = world.manage().create("/v1/projects", &json!({ "name": name("trial"), "environment": "test" }));
    let (id, text) = world.key(&id(&project), &json!({ "prefix": "acme" }));
    assert!(text.starts_with("acme_test_"), "{}", &text[..10]);
    assert_eq!(world.manage().get(&format!("/v1/keys/{id}")).1["environment"], "test");
}

fn refused_key(world: &World, project: &str, fields: &Value) -> u16 {
    let mut body = json!({ "project_id": project, "name": "refused" });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    world.manage().post("/v1/keys", &body).0
}
