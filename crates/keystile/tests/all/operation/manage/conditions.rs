//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110 §13), and `?dry_run=true`.

use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::super::form::problem;
use super::super::world::{World, id, name, shared};

fn send(world: &World, method: &str, path: &str, fields: &[(&str, &str)], body: &Value) -> Answer {
    let fields = [&[("content-type", "application/json")][..], fields].concat();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    world.manage().request(method, path, &fields, body.as_bytes())
}

fn tag(answer: &Answer) -> String {
    let tag = answer.field("etag").unwrap_or_else(|| panic!("no ETag: {}", answer.text()));
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "{tag} is not strong");
    tag.to_owned()
}

/// Whether the text of a key is in it: more than its hint, which stands in all answers.
fn holds_text(answer: &str) -> bool {
    let texts = answer.split("ks_live_").skip(1);
    texts.map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).count()).any(|length| length > 8)
}

#[test]
fn every_thing_says_its_state_and_changes_only_in_the_one_that_is_named() {
    let world = shared();
    let (api, _) = world.api();
    let (project, other) = (world.project(), world.project());
    let link = id(&world.manage().create("/v1/activations", &json!({ "project_id": project, "api_id": api })));
    let (key, _) = world.key(&other, &json!({}));
    let role = id(&world.manage().create("/v1/roles", &json!({ "name": name("role") })));
    let reading = |name: String| json!({ "name": name, "allow": [{ "methods": ["GET"] }] });
    let pattern = id(&world.manage().create("/v1/patterns", &reading(name("pattern"))));
    for (path, actions) in [
        // First: with its API or its project it goes too.
        (format!("/v1/activations/{link}"), vec!["suspend", "approve"]),
        (format!("/v1/apis/{api}"), vec!["disable", "enable"]),
        (format!("/v1/projects/{project}"), vec!["suspend", "resume"]),
        (format!("/v1/keys/{key}"), vec!["disable", "enable", "rotate"]),
        (format!("/v1/roles/{role}"), vec![]),
        (format!("/v1/patterns/{pattern}"), vec![]),
    ] {
        let mut now = tag(&send(world, "GET", &path, &[], &Value::Null));
        let changes = actions.iter().map(|action| ("POST", format!("{path}/{action}"), json!({})));
        let renames =
            (!path.contains("activations")).then(|| ("PATCH", path.clone(), json!({ "name": name("again") })));
        for (method, at, body) in changes.chain(renames) {
            let title = format!("{method} {at}");
            let before = now.clone();
            for refused in ["\"0\"", &format!("W/{before}"), &format!("W/{before}, \"0\"")] {
                let answer = send(world, method, &at, &[("if-match", refused)], &body);
                assert_eq!(answer.status, 412, "{title} {refused}: {}", answer.text());
                problem(&answer, 412, "precondition_failed");
            }
            assert_eq!(tag(&send(world, "GET", &path, &[], &Value::Null)), before, "{title} was made");
            let made = send(world, method, &at, &[("if-match", &format!("\"0\", {before}"))], &body);
            assert_eq!(made.status, 200, "{title}: {}", made.text());
            now = tag(&made);
            assert_ne!(now, before, "{title}");
            let read = send(world, "GET", &path, &[("if-none-match", &before)], &Value::Null);
            assert_eq!((read.status, tag(&read)), (200, now.clone()), "{title}");
        }
        for known in ["*", &now, &format!("W/{now}"), &format!("\"0\", {now}")] {
            let read = send(world, "GET", &path, &[("if-none-match", known)], &Value::Null);
            assert_eq!((read.status, read.body.len(), tag(&read)), (304, 0, now.clone()), "{path} {known}");
        }
        for unreadable in ["", "0", "\"0", "*, \"0\""] {
            problem(&send(world, "DELETE", &path, &[("if-match", unreadable)], &Value::Null), 400, "invalid");
        }
        problem(&send(world, "DELETE", &path, &[("if-match", "\"0\"")], &Value::Null), 412, "precondition_failed");
        let any = ["*", &now][usize::from(path.contains("keys"))];
        assert_eq!(send(world, "DELETE", &path, &[("if-match", any)], &Value::Null).status, 204, "{path}");
        problem(&send(world, "DELETE", &path, &[("if-match", "*")], &Value::Null), 404, "not_found");
    }
}

#[test]
fn lists_and_reports_have_no_state() {
    let world = shared();
    let (key, _) = world.key(&world.project(), &json!({}));
    for path in ["/v1/keys".to_owned(), format!("/v1/keys/{key}/versions"), format!("/v1/keys/{key}/activity")] {
        let answer = send(world, "GET", &path, &[], &Value::Null);
        assert_eq!((answer.status, answer.field("etag")), (200, None), "{path}");
    }
}

#[test]
fn what_is_only_tried_is_answered_as_it_would_be_and_leaves_nothing_behind() {
    let world = shared();
    let project = world.project();
    let (key, text) = world.key(&project, &json!({}));
    let caller = world.caller(&json!({}));
    let role = world.manage().create("/v1/roles", &json!({ "name": name("role") }));
    let roles = format!("/v1/roles/{}", id(&role));
    let pattern =
        world.manage().create("/v1/patterns", &json!({ "name": name("pattern"), "allow": [{ "paths": ["/**"] }] }));
    let patterns = format!("/v1/patterns/{}", id(&pattern));
    let events = || {
        let page = world.manage().get(&format!("/v1/events?subject_id={key}")).1;
        page["items"].as_array().unwrap().len()
    };
    let (before, known) = (events(), world.manage().get(&format!("/v1/keys/{key}")).1);
    let keys = format!("/v1/keys?project_id={project}");
    for (method, path, body, status) in [
        ("POST", "/v1/keys".to_owned(), json!({ "project_id": project, "name": name("tried") }), 201),
        ("POST", "/v1/projects".to_owned(), json!({ "name": name("tried") }), 201),
        ("PATCH", format!("/v1/keys/{key}"), json!({ "name": "another" }), 200),
        ("POST", format!("/v1/keys/{key}/revoke"), Value::Null, 200),
        ("POST", format!("/v1/keys/{key}/rotate"), json!({}), 200),
        ("POST", format!("/v1/keys/{key}/compromised"), json!({}), 200),
        ("DELETE", format!("/v1/keys/{key}"), Value::Null, 204),
        ("DELETE", format!("/v1/projects/{project}"), Value::Null, 204),
        ("POST", format!("/v1/activations/{}/suspend", caller.activation), json!({}), 200),
        ("POST", "/v1/roles".to_owned(), json!({ "name": name("tried") }), 201),
        ("PATCH", roles.clone(), json!({ "description": "another" }), 200),
        ("DELETE", roles.clone(), Value::Null, 204),
        ("POST", "/v1/patterns".to_owned(), json!({ "name": name("tried"), "deny": [{ "methods": ["GET"] }] }), 201),
        ("PATCH", patterns.clone(), json!({ "description": "another", "shadow": true }), 200),
        ("DELETE", patterns.clone(), Value::Null, 204),
    ] {
        let title = format!("{method} {path}");
        let answer = send(world, method, &format!("{path}?dry_run=true"), &[("idempotency-key", "tried")], &body);
        assert_eq!(answer.status, status, "{title}: {}", answer.text());
        assert_eq!(answer.field("keystile-dry-run"), Some("true"), "{title}");
        assert!(!holds_text(&answer.text()), "{title}: {}", answer.text());
        if method == "PATCH" {
            assert!(answer.text().contains("another"), "{title}: {}", answer.text());
        }
        if path.ends_with("/revoke") {
            assert_eq!(answer.json()["state"], "revoked");
        }
        if path.ends_with("/rotate") {
            assert_eq!((answer.json()["version"].clone(), answer.json().get("key")), (json!(2), None));
        }
        if path.ends_with("/compromised") {
            assert_eq!(answer.json()["key"]["state"], "revoked");
            assert!(
                answer.json()["replacement"]["id"].is_string() && answer.json()["replacement"].get("key").is_none()
            );
        }
    }
    assert_eq!(world.manage().get(&format!("/v1/keys/{key}")).1, known);
    assert_eq!(world.manage().get(&keys).1["items"].as_array().unwrap().len(), 1, "no key was made");
    assert_eq!(world.manage().get(&roles), (200, role));
    assert_eq!(world.manage().get(&patterns), (200, pattern));
    assert_eq!(events(), before, "nothing was told");
    assert_eq!(world.verify(&json!({ "key": text })).code(), "allowed");
    assert_eq!(world.call(&caller.key, "GET", &caller.path).status, 200);

    // What would be refused is refused, and it is said that nothing would have been done.
    let refused = send(world, "POST", "/v1/keys?dry_run=true", &[], &json!({ "project_id": project, "name": "" }));
    problem(&refused, 400, "invalid");
    assert_eq!(refused.field("keystile-dry-run"), Some("true"));
    for wrong in ["dry_run", "dry_run=1", "dry_run=true&dry_run=true"] {
        problem(&send(world, "DELETE", &format!("/v1/keys/{key}?{wrong}"), &[], &Value::Null), 400, "invalid");
    }
    let real = send(world, "DELETE", &format!("/v1/keys/{key}?dry_run=false"), &[], &Value::Null);
    assert_eq!((real.status, real.field("keystile-dry-run")), (204, None));
}
