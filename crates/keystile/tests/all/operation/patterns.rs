//! Patterns: what they allow and deny holds at once at both doors for the keys and projects that have them, in shadow it is
//! only told, and nobody is shut out of the management API by them (PRODUCT.md K16).

use keystile_testkit::Api;
use serde_json::{Value, json};

use super::process::{keystile, run};
use super::world::{BINARY, Caller, World, id, name, shared};

/// A pattern of these parts.
fn pattern(world: &World, parts: &Value) -> (String, String) {
    let mut body = json!({ "name": name("pattern") });
    body.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    let made = world.manage().create("/v1/patterns", &body);
    (id(&made), made["name"].as_str().unwrap().to_owned())
}

/// The code with which both doors answer a call with these fields of its head, which they must agree in.
#[track_caller]
fn code(world: &World, caller: &Caller, (method, path): (&str, &str), headers: &[(&str, &str)]) -> String {
    let api = Api::new(world.installation.gateway, &caller.key);
    let called = api.request(method, &format!("{}{path}", caller.path), headers, b"");
    let mut told = json!({});
    for (name, value) in headers {
        match told[*name].as_array_mut() {
            Some(values) => values.push(json!(value)),
            None => told[*name] = json!([value]),
        }
    }
    // The gateway's own fields besides.
    let operation = json!({ "method": method, "path": format!("{}{path}", caller.path), "headers": told });
    let question =
        json!({ "key": caller.key, "api": caller.api, "operation": operation, "client": { "ip": "127.0.0.1" } });
    let verified = world.verify(&question).code();
    let called = if called.status == 200 { "allowed".to_owned() } else { called.code() };
    assert_eq!(called, verified, "{method} {path} {headers:?}");
    called
}

fn change(manage: &Api, path: &str, body: &Value) {
    let (status, changed) = manage.patch(path, body);
    assert_eq!(status, 200, "{path} {body}: {changed}");
}

const GET: (&str, &str) = ("GET", "/pets/7");
const POST: (&str, &str) = ("POST", "/pets/7");

#[test]
fn a_pattern_holds_for_the_keys_and_projects_that_have_it_from_the_next_call_on() {
    let world = shared();
    let manage = world.manage();
    let (reading, reading_name) = pattern(world, &json!({ "allow": [{ "methods": ["GET"] }] }));
    let (with, without) = (world.caller(&json!({ "patterns": [reading_name] })), world.caller(&json!({})));
    let shown = manage.get(&format!("/v1/keys/{}", with.id)).1;
    assert_eq!(shown["patterns"], json!([reading]), "{shown}");
    let both = |caller: &Caller| [GET, POST].map(|call| code(world, caller, call, &[]));
    assert_eq!(both(&with), ["allowed", "pattern_forbidden"]);
    assert_eq!(both(&without), ["allowed", "allowed"]);

    // Of a project, it holds for all of its keys.
    change(&manage, &format!("/v1/projects/{}", without.project), &json!({ "patterns": [reading] }));
    assert_eq!(both(&without), ["allowed", "pattern_forbidden"]);
    assert_eq!(manage.get(&format!("/v1/projects/{}", without.project)).1["patterns"], json!([reading]));
    for (parts, expected) in [
        (json!({ "allow": [{ "methods": ["POST"] }] }), ["pattern_forbidden", "allowed"]),
        (json!({ "allow": [{ "methods": ["GET"] }, { "paths": ["/none"] }] }), ["allowed", "pattern_forbidden"]),
        (json!({ "allow": [], "deny": [{ "methods": ["GET"] }] }), ["pattern_forbidden", "allowed"]),
        (json!({ "shadow": true }), ["allowed", "allowed"]),
        (json!({ "shadow": false }), ["pattern_forbidden", "allowed"]),
    ] {
        change(&manage, &format!("/v1/patterns/{reading}"), &parts);
        assert_eq!(both(&with), expected, "{parts}");
        assert_eq!(both(&without), expected, "{parts}");
    }
    change(&manage, &format!("/v1/projects/{}", without.project), &json!({ "name": name("renamed") }));
    assert_eq!(both(&without), ["pattern_forbidden", "allowed"], "what is not said stays");
    change(&manage, &format!("/v1/projects/{}", without.project), &json!({ "patterns": [] }));
    assert_eq!(both(&without), ["allowed", "allowed"]);

    // All of them must let a call pass.
    let (other, _) = pattern(world, &json!({ "deny": [{ "paths": [format!("{}/pets/7", with.path), "/pets/7"] }] }));
    change(&manage, &format!("/v1/keys/{}", with.id), &json!({ "patterns": [reading, other] }));
    assert_eq!(both(&with), ["pattern_forbidden", "pattern_forbidden"]);
    let refused = manage.delete(&format!("/v1/patterns/{reading}"));
    assert_eq!(refused.0, 409, "{}", refused.1);
    assert!(refused.1["detail"].as_str().unwrap().contains("unassign=true"), "{}", refused.1);
    assert_eq!(manage.delete(&format!("/v1/patterns/{reading}?unassign=true")).0, 204);
    assert_eq!(both(&with), ["pattern_forbidden", "pattern_forbidden"], "the other one is still there");
    assert_eq!(manage.delete(&format!("/v1/patterns/{other}?unassign=true")).0, 204);
    assert_eq!(both(&with), ["allowed", "allowed"]);
}

#[test]
fn a_pattern_goes_by_header_fields_networks_countries_and_hours() {
    let world = shared();
    let mobile = json!({ "headers": [{ "name": "X-Client", "values": ["mobile/*"] }] });
    for (parts, headers, expected) in [
        (json!({ "allow": [mobile] }), &[("x-client", "mobile/2.1")][..], "allowed"),
        (json!({ "allow": [mobile] }), &[("x-client", "web")], "pattern_forbidden"),
        (json!({ "allow": [mobile] }), &[], "pattern_forbidden"),
        (json!({ "deny": [mobile] }), &[("x-client", "mobile/2.1")], "pattern_forbidden"),
        (json!({ "deny": [mobile] }), &[("x-client", "web")], "allowed"),
        // Nobody knows which of two is meant.
        (json!({ "deny": [mobile] }), &[("x-client", "web"), ("x-client", "mobile/2")], "pattern_forbidden"),
        (json!({ "allow": [mobile] }), &[("x-client", "mobile/1"), ("x-client", "mobile/2")], "pattern_forbidden"),
        (json!({ "allow": [{ "networks": { "allow": ["127.0.0.0/8"] } }] }), &[], "allowed"),
        (json!({ "deny": [{ "networks": { "allow": ["127.0.0.0/8"] } }] }), &[], "pattern_forbidden"),
        // Nobody knows the country of this address.
        (json!({ "deny": [{ "countries": { "allow": ["DE"] } }] }), &[], "pattern_forbidden"),
        (
            json!({ "allow": [{ "times": { "time_zone": "UTC", "windows": [{ "from": "00:00", "until": "24:00" }] } }] }),
            &[],
            "allowed",
        ),
    ] {
        let (pattern, _) = pattern(world, &parts);
        let caller = world.caller(&json!({ "patterns": [pattern] }));
        assert_eq!(code(world, &caller, GET, headers), expected, "{parts} {headers:?}");
    }
}

#[test]
fn what_each_pattern_says_is_explained_and_what_one_in_shadow_would_refuse_is_counted() {
    let world = shared();
    let (reading, reading_name) = pattern(world, &json!({ "allow": [{ "methods": ["GET"] }], "shadow": true }));
    let (office, office_name) = pattern(world, &json!({ "allow": [{ "networks": { "allow": ["10.0.0.0/8"] } }] }));
    let caller = world.caller(&json!({ "patterns": [reading] }));
    change(&world.manage(), &format!("/v1/projects/{}", caller.project), &json!({ "patterns": [office] }));
    let explained = |ip: &str| {
        let call =
            json!({ "api": caller.api, "operation": { "method": "POST", "path": "/x" }, "client": { "ip": ip } });
        let (status, told) = world.manage().post(&format!("/v1/keys/{}/explain", caller.id), &call);
        assert_eq!(status, 200, "{told}");
        told
    };
    let told = explained("10.0.0.1");
    assert_eq!((&told["code"], &told["shadow"]), (&json!("allowed"), &json!(["patterns"])), "{told}");
    let step = |told: &Value| {
        let trace = told["trace"].as_array().unwrap();
        trace.iter().find(|step| step["step"] == "patterns").unwrap_or_else(|| panic!("{told}")).clone()
    };
    let said = |id: &str, name: &str, code: &str, shadow: bool| json!({ "id": id, "name": name, "code": code, "shadow": shadow });
    assert_eq!(
        step(&told),
        json!({ "step": "patterns", "code": "allowed", "patterns": [
            said(&reading, &reading_name, "pattern_forbidden", true), said(&office, &office_name, "allowed", false),
        ] })
    );
    let told = explained("192.0.2.1");
    assert_eq!((&told["code"], &step(&told)["code"]), (&json!("pattern_forbidden"), &json!("pattern_forbidden")));

    let counted = || {
        let metrics = Api::new(world.installation.admin, "").request("GET", "/metrics", &[], b"").text();
        let line = metrics.lines().find(|line| line.starts_with("keystile_shadow_refusals_total{rule=\"patterns\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or_else(|| panic!("{metrics}"))
    };
    change(&world.manage(), &format!("/v1/projects/{}", caller.project), &json!({ "patterns": [] }));
    let before = counted();
    assert_eq!(code(world, &caller, POST, &[]), "allowed");
    assert!(counted() >= before + 2, "at both doors");
}

#[test]
fn k14_a_management_key_takes_no_patterns_and_those_of_its_project_leave_it_alone() {
    let world = shared();
    let manage = world.manage();
    let (nothing, _) = pattern(world, &json!({ "deny": [{ "paths": ["/**"] }] }));
    let project = world.project();
    let wish = json!({ "project_id": project, "name": name("m"), "kind": "management", "patterns": [nothing] });
    let (status, refused) = manage.post("/v1/keys", &wish);
    assert!(status == 400 && refused["detail"].as_str().unwrap().contains("takes no patterns"), "{refused}");
    let (_, text) = world.key(&project, &json!({ "kind": "management", "permissions": ["projects.read"] }));
    change(&manage, &format!("/v1/projects/{project}"), &json!({ "patterns": [nothing] }));
    assert_eq!(world.manage_as(&text).get(&format!("/v1/projects/{project}")).0, 200);
    assert_eq!(manage.delete(&format!("/v1/patterns/{nothing}?unassign=true")).0, 204);
}

#[test]
fn what_is_no_pattern_is_refused_and_says_why() {
    let world = shared();
    let manage = world.manage();
    let (known, known_name) = pattern(world, &json!({ "allow": [{ "methods": ["GET"] }] }));
    let allow = |conditions: Value| json!({ "name": name("p"), "allow": [conditions] });
    for (body, status, why) in [
        (json!({ "name": known_name, "allow": [{ "methods": ["GET"] }] }), 409, "of this name"),
        (json!({ "name": "two words", "allow": [{ "methods": ["GET"] }] }), 400, "a pattern's name is a word"),
        (json!({ "name": name("p") }), 400, "1 to 32 alternatives"),
        (allow(json!({})), 400, "at least one of methods"),
        (allow(json!({ "methods": ["FETCH"] })), 400, "a method here is one of GET"),
        (allow(json!({ "formats": {} })), 400, "unknown field"),
        (allow(json!({ "headers": [{ "name": "cookie" }] })), 400, "cookie holds secrets"),
    ] {
        let (answered, told) = manage.post("/v1/patterns", &body);
        assert_eq!(answered, status, "{body}: {told}");
        assert!(told["detail"].as_str().unwrap().contains(why), "{body}: {told}");
    }
    // The last alternative can't be taken away.
    let (status, told) = manage.patch(&format!("/v1/patterns/{known}"), &json!({ "allow": [] }));
    assert!(status == 400 && told["detail"].as_str().unwrap().contains("1 to 32 alternatives"), "{told}");
    let many: Vec<String> = (0..17).map(|_| pattern(world, &json!({ "allow": [{ "methods": ["GET"] }] })).0).collect();
    for (path, body) in [
        ("/v1/projects", json!({ "name": name("p"), "patterns": many })),
        ("/v1/keys", json!({ "project_id": world.project(), "name": "k", "patterns": many })),
    ] {
        let (status, told) = manage.post(path, &body);
        assert!(status == 400 && told["detail"].as_str().unwrap().contains("at most 16 patterns"), "{path}: {told}");
    }
}

#[test]
fn the_command_line_makes_gives_and_takes_patterns() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let does = |args: &[&str]| {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        run(&mut command)
    };
    let office = name("office");
    let made = does(&[
        "pattern",
        "create",
        "--name",
        &office,
        "--allow",
        "method=GET; header=x-client: web*",
        "--deny",
        "path=/secret/**",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    let listed = does(&["pattern", "list"]);
    assert!(
        listed.out.contains("method=GET; header=x-client: web*") && listed.out.contains("path=/secret/**"),
        "{listed:?}"
    );
    assert_eq!(does(&["key", "update", &caller.id, "--pattern", &office]).code, 0);
    let test = |fields: &[&str]| {
        let call = ["route", "test", "GET", "/x", "--key", &caller.id, "--api", &caller.api];
        does(&[&call[..], fields].concat())
    };
    let allowed = test(&["--header", "X-Client: web/1"]);
    assert!(allowed.code == 0 && allowed.out.contains(&office), "{allowed:?}");
    let refused = test(&["--header", "x-client: mobile"]);
    assert!(refused.code == 3 && refused.out.contains("pattern_forbidden"), "{refused:?}");
    assert_eq!(test(&[]).code, 3, "nobody says what it is");
    assert_eq!(does(&["pattern", "update", &office, "--shadow", "true"]).code, 0);
    let tried = test(&[]);
    assert!(tried.code == 0 && tried.out.contains("(in shadow)"), "{tried:?}");
    assert_eq!(does(&["pattern", "update", &office, "--shadow", "false", "--no-deny"]).code, 0);
    assert!(does(&["pattern", "delete", &office, "--yes"]).err.contains("1 key and 0 projects have this pattern"));
    assert_eq!(does(&["project", "update", &caller.project, "--pattern", &office]).code, 0);
    assert_eq!(does(&["key", "update", &caller.id, "--no-patterns"]).code, 0);
    assert_eq!(test(&[]).code, 3, "the project has it");
    assert_eq!(does(&["pattern", "delete", &office, "--unassign", "--yes"]).code, 0);
    assert_eq!(test(&[]).code, 0);
    let wrong = does(&["pattern", "create", "--name", "x", "--allow", "hours=08:00-18:00"]);
    assert!(wrong.code == 2 && wrong.err.contains("hours need zone"), "{wrong:?}");
}

#[test]
fn patterns_outlive_a_restart() {
    use keystile_testkit::Installation;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
    let mut world = World::of(start(), None);
    let (reading, _) = pattern(&world, &json!({ "allow": [{ "methods": ["GET"] }] }));
    let of_key = world.caller(&json!({ "patterns": [reading] }));
    let of_project = world.caller(&json!({}));
    change(&world.manage(), &format!("/v1/projects/{}", of_project.project), &json!({ "patterns": [reading] }));
    let management_key = world.management_key().to_owned();
    assert!(super::process::end(&mut world.installation).0.success());
    let world = World::of(start(), Some(&management_key));
    for caller in [&of_key, &of_project] {
        // The upstream has another port by now.
        for ((method, path), expected) in [(GET, "allowed"), (POST, "pattern_forbidden")] {
            let operation = json!({ "method": method, "path": path });
            let question = json!({ "key": caller.key, "api": caller.api, "operation": operation });
            assert_eq!(world.verify(&question).code(), expected);
        }
    }
}
