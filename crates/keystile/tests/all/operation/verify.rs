//! Verification: the same answer as the gateway's to the same call, and questions that are understood or refused.

use std::time::Duration;

use serde_json::{Value, json};

use super::form::problem;
use super::world::{Caller, World, mistyped, shared};

#[test]
fn both_doors_answer_the_same_call_with_the_same_code() {
    let world = shared();
    let manage = world.manage();
    let act = |path: String| assert_eq!(manage.post(&path, &json!({})).0, 200, "{path}");
    let plain = || world.caller(&json!({}));
    let ended = |action: &str| {
        let caller = plain();
        act(format!("/v1/keys/{}/{action}", caller.id));
        caller
    };
    let with = |fields: Value| world.caller(&fields);
    let text = |key: String| Caller { key, ..plain() };
    let other = plain();
    let marked = &other.key;
    let swapped = marked.replacen("_live_", "_test_", 1);
    let inactive = plain();
    act(format!("/v1/apis/{}/disable", inactive.api));
    let link = |action: &str| {
        let caller = plain();
        act(format!("/v1/activations/{}/{action}", caller.activation));
        caller
    };
    let unlinked = plain();
    assert_eq!(manage.delete(&format!("/v1/activations/{}", unlinked.activation)).0, 204);
    let removed = plain();
    assert_eq!(manage.delete(&format!("/v1/keys/{}", removed.id)).0, 204);
    let expired = with(json!({ "expires_at": in_two_seconds(world) }));
    let limited = with(json!({ "rate_limits": [{ "name": "one", "limit": 2, "window_seconds": 3600 }] }));
    let bucket = with(
        json!({ "rate_limits": [{ "name": "one", "limit": 2, "window_seconds": 3600, "algorithm": "token_bucket", "burst": 2 }] }),
    );
    let situations: Vec<(&str, Caller, &str, &str, &str)> = vec![
        ("a good key", plain(), "GET", "/x", "allowed"),
        ("no key of any shape", text("short".to_owned()), "GET", "/x", "key_malformed"),
        ("a typing error", text(mistyped(marked)), "GET", "/x", "key_malformed"),
        ("another environment", text(swapped), "GET", "/x", "key_malformed"),
        ("a text that nobody knows", text("0123456789abcdef0123456789abcdef".to_owned()), "GET", "/x", "key_unknown"),
        ("a removed key", removed, "GET", "/x", "key_unknown"),
        ("a revoked key", ended("revoke"), "GET", "/x", "key_revoked"),
        ("a disabled key", ended("disable"), "GET", "/x", "key_disabled"),
        (
            "a key used from elsewhere",
            with(json!({ "restrictions": { "networks": { "allow": ["10.0.0.0/8"] } } })),
            "GET",
            "/x",
            "network_forbidden",
        ),
        (
            "a key used from where it may",
            with(json!({ "restrictions": { "networks": { "allow": ["127.0.0.1"] } } })),
            "GET",
            "/x",
            "allowed",
        ),
        (
            "another method",
            with(json!({ "restrictions": { "methods": ["GET"] } })),
            "POST",
            "/x",
            "operation_forbidden",
        ),
        ("a method that it may", with(json!({ "restrictions": { "methods": ["GET"] } })), "GET", "/x", "allowed"),
        (
            "another path",
            with(json!({ "restrictions": { "paths": ["/pets/**"] } })),
            "GET",
            "/x",
            "operation_forbidden",
        ),
        ("a management key", with(json!({ "kind": "management" })), "GET", "/x", "key_kind_forbidden"),
        ("no activation", unlinked, "GET", "/x", "not_activated"),
        ("a refused activation", link("refuse"), "GET", "/x", "not_activated"),
        ("a suspended activation", link("suspend"), "GET", "/x", "suspended"),
        ("an API that is off", inactive, "GET", "/x", "api_inactive"),
        ("a path that is no path", plain(), "GET", "/a%2fb", "request_malformed"),
        ("a method that is none", plain(), "BREW", "/x", "method_not_allowed"),
    ];
    for (what, caller, method, path, code) in &situations {
        assert_eq!(doors(world, caller, method, path), (code.to_string(), code.to_string()), "{what}");
    }
    for caller in [limited, bucket] {
        assert_eq!(doors(world, &caller, "GET", "/x"), ("allowed".into(), "allowed".into()), "each door took one");
        assert_eq!(doors(world, &caller, "GET", "/x"), ("rate_limited".into(), "rate_limited".into()));
    }
    std::thread::sleep(Duration::from_millis(2_100));
    assert_eq!(doors(world, &expired, "GET", "/x"), ("key_expired".into(), "key_expired".into()));
}

#[test]
fn needed_permissions_are_asked_for_in_the_question() {
    let world = shared();
    let caller = world.caller(&json!({ "permissions": ["pets.read", "photos.*"] }));
    for (question, code) in [
        ("pets.read", "allowed"),
        ("photos.write AND pets.read", "allowed"),
        ("pets.write OR (pets.read AND photos.a.b)", "allowed"),
        ("pets.write", "permission_missing"),
        ("pets.read AND pets.write", "permission_missing"),
    ] {
        let answer = world.verify(&json!({ "key": caller.key, "api": caller.api, "permissions": question }));
        assert_eq!((answer.status, answer.code().as_str()), (200, code), "{question}");
    }
    for wrong in ["", "pets.*", "a AND", "a b", "(a", "NOT a", "a AND OR b"] {
        problem(&world.verify(&json!({ "key": caller.key, "permissions": wrong })), 400, "invalid");
    }
}

#[test]
fn an_answer_says_whose_key_it_is_and_what_is_left() {
    let world = shared();
    let rule = json!({ "name": "per-hour", "limit": 10, "window_seconds": 3600 });
    let caller =
        world.caller(&json!({ "permissions": ["a.b"], "rate_limits": [rule], "expires_at": "2100-01-31T12:00:00Z" }));
    let (_, project) = world.manage().get(&format!("/v1/projects/{}", caller.project));
    let mut answer = world.verify(&json!({ "key": caller.key, "api": caller.api })).json();
    assert!(answer["request_id"].as_str().is_some_and(|id| id.starts_with("req_")));
    answer["request_id"] = Value::Null;
    let reset = answer["limits"][0]["reset"].take();
    assert!(reset.as_u64().is_some_and(|seconds| (1..=7_200).contains(&seconds)), "{reset}");
    let expected = json!({
        "allowed": true, "code": "allowed", "key_id": caller.id, "project_id": caller.project,
        "organization_id": project["organization_id"], "environment": "live", "kind": "secret", "permissions": ["a.b"],
        "roles": [], "metadata": {},
        "limits": [{ "name": "per-hour", "of": "key", "limit": 10, "remaining": 9, "reset": null }],
        "expires_at": "2100-01-31T12:00:00Z", "request_id": null,
    });
    assert_eq!(answer, expected);
    let mut unknown = world.verify(&json!({ "key": "0123456789abcdef0123456789abcdef" })).json();
    unknown["request_id"] = Value::Null;
    let nobody = json!({
        "allowed": false, "code": "key_unknown", "key_id": null, "project_id": null, "organization_id": null,
        "environment": null, "kind": null, "permissions": [], "roles": [], "metadata": null, "limits": [], "expires_at": null,
        "request_id": null,
    });
    assert_eq!(unknown, nobody);
}

#[test]
fn cost_0_looks_without_counting_and_a_larger_cost_counts_more() {
    let world = shared();
    let caller = world.caller(&json!({ "rate_limits": [{ "name": "a", "limit": 10, "window_seconds": 3600 }] }));
    let left = |cost: Value| {
        let answer = world.verify(&json!({ "key": caller.key, "api": caller.api, "cost": cost })).json();
        (answer["code"].as_str().unwrap().to_owned(), answer["limits"][0]["remaining"].as_u64().unwrap())
    };
    for _ in 0..20 {
        assert_eq!(left(json!(0)), ("allowed".into(), 10));
    }
    assert_eq!(left(json!(4)), ("allowed".into(), 6));
    assert_eq!(left(json!(7)), ("rate_limited".into(), 6), "what does not fit costs nothing");
    assert_eq!(left(json!(6)), ("allowed".into(), 0));
    assert_eq!(left(json!(0)).1, 0);
    assert_eq!(left(json!(1)), ("rate_limited".into(), 0));
    for wrong in [json!(-1), json!(1.5), json!("1"), json!(5_000_000_000_u64)] {
        problem(&world.verify(&json!({ "key": caller.key, "cost": wrong })), 400, "invalid");
    }
}

#[test]
fn explain_shows_every_question_up_to_the_first_no() {
    let world = shared();
    let caller = world.caller(&json!({ "restrictions": { "methods": ["GET"] }, "rate_limits": [{ "name": "a", "limit": 1, "window_seconds": 3600 }] }));
    let trace = |method: &str| {
        let question = json!({ "key": caller.key, "api": caller.api, "explain": true, "operation": { "method": method, "path": "/x" } });
        let answer = world.verify(&question).json();
        let steps = answer["trace"].as_array().unwrap().iter();
        let steps: Vec<(String, String)> = steps
            .map(|step| (step["step"].as_str().unwrap().to_owned(), step["code"].as_str().unwrap().to_owned()))
            .collect();
        (answer["code"].as_str().unwrap().to_owned(), steps)
    };
    let all = [
        "state",
        "expiry",
        "kind",
        "activation",
        "environment",
        "formats",
        "restrictions",
        "patterns",
        "permissions",
        "limits",
    ];
    let (code, steps) = trace("GET");
    assert_eq!(code, "allowed");
    assert_eq!(steps.iter().map(|(step, _)| step.as_str()).collect::<Vec<_>>(), all);
    assert!(steps.iter().all(|(_, code)| code == "allowed"));
    let (code, steps) = trace("GET");
    assert_eq!((code.as_str(), steps.last().unwrap().1.as_str()), ("rate_limited", "rate_limited"));
    let (code, steps) = trace("POST");
    assert_eq!(code, "operation_forbidden");
    assert_eq!(steps.last().unwrap(), &("restrictions".to_owned(), "operation_forbidden".to_owned()));
    let silent = world.verify(&json!({ "key": caller.key, "api": caller.api }));
    assert!(silent.json().get("trace").is_none());
}

#[test]
fn what_a_call_sends_and_takes_is_judged_by_what_is_said_of_it() {
    let world = shared();
    let of_key = |formats: Value| world.caller(&json!({ "restrictions": { "formats": formats } }));
    let of_api = |settings: Value| {
        let caller = world.caller(&json!({}));
        assert_eq!(world.manage().patch(&format!("/v1/apis/{}", caller.api), &settings).0, 200);
        caller
    };
    let types = json!({ "request_types": ["application/json"] });
    let sends = (of_key(types.clone()), "restrictions", "format_forbidden");
    let taken = (of_api(types), "formats", "media_type_unsupported");
    let takes = (of_key(json!({ "response_types": ["application/json"] })), "restrictions", "format_forbidden");
    let small = (of_key(json!({ "max_body_bytes": 10 })), "restrictions", "content_too_large");
    let json_type = json!({ "content_type": "Application/JSON; charset=utf-8" });
    for (caller, said, allowed) in [
        (&sends, &json_type, true),
        (&sends, &json!({ "body_bytes": 0 }), true),
        (&sends, &json!({ "content_type": "text/xml", "body_bytes": 0 }), true),
        (&sends, &json!({ "content_type": "text/xml" }), false),
        (&sends, &json!({ "content_type": "application/json, text/xml" }), false),
        (&sends, &json!({ "content_type": "json" }), false),
        (&sends, &json!({ "body_bytes": 1 }), false),
        // Nothing said is not nothing sent.
        (&sends, &json!({}), false),
        (&taken, &json_type, true),
        (&taken, &json!({ "content_type": "text/xml" }), false),
        (&taken, &json!({}), false),
        (&takes, &json!({}), true),
        (&takes, &json!({ "accept": "text/html, */*;q=0.1" }), true),
        (&takes, &json!({ "accept": "text/html" }), false),
        (&small, &json!({ "body_bytes": 10 }), true),
        (&small, &json!({ "body_bytes": 11 }), false),
        (&small, &json_type, false),
        (&small, &json!({}), false),
    ] {
        let (caller, step, code) = caller;
        let mut operation = json!({ "method": "POST", "path": "/x" });
        operation.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        let question = json!({ "key": caller.key, "api": caller.api, "operation": operation, "explain": true });
        let answer = world.verify(&question).json();
        let last = answer["trace"].as_array().unwrap().last().unwrap().clone();
        let expected = if allowed { ("limits", "allowed") } else { (*step, *code) };
        assert_eq!((&last["step"], &last["code"]), (&expected.0.into(), &expected.1.into()), "{said}: {answer}");
        assert_eq!(answer["code"], expected.1, "{said}");
    }
    let key = &sends.0.key;
    for wrong in [json!({ "content_type": 7 }), json!({ "body_bytes": -1 }), json!({ "type": "text/xml" })] {
        let mut operation = json!({ "method": "POST", "path": "/x" });
        operation.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        problem(&world.verify(&json!({ "key": key, "operation": operation })), 400, "invalid");
    }
}

#[test]
fn a_question_that_is_not_understood_is_refused() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let key = &caller.key;
    for question in [
        json!({}),
        json!({ "key": 7 }),
        json!({ "key": key, "surprise": 1 }),
        json!({ "key": key, "operation": { "method": "GET" } }),
        json!({ "key": key, "operation": { "method": "GET", "path": "/", "surprise": 1 } }),
        json!({ "key": key, "client": { "ip": "x" } }),
        json!({ "key": key, "client": { "ip": "127.0.0.1", "surprise": 1 } }),
        json!({ "key": key, "client": { "origin": 7 } }),
        json!({ "key": key, "client": { "country": "UK" } }),
        json!({ "key": key, "client": { "host": "a.example" } }),
        json!({ "key": key, "api": "no such name" }),
        json!({ "key": key, "api": "api_2Zk9mQ4tR7vX1bN6cL8dF3" }),
        json!({ "key": key, "api": caller.project }),
        json!({ "key": key, "explain": "yes" }),
        json!("x"),
        json!(null),
    ] {
        problem(&world.verify(&question), 400, "invalid");
    }
    for (name, api) in [("its id", caller.api.as_str()), ("its name", caller.path.trim_start_matches('/'))] {
        let answer = world.verify(&json!({ "key": key, "api": api })).json();
        assert_eq!((name, &answer["allowed"]), (name, &json!(true)));
    }
    let check = keystile_testkit::Api::new(world.installation.check, "");
    problem(&check.request("GET", "/v1/verify", &[], b""), 405, "method_not_allowed");
    problem(&check.request("POST", "/v1/nothing", &[], b"{}"), 404, "route_unknown");
    let large = format!("{{\"key\":\"{}\"}}", "x".repeat(65 << 10));
    problem(&check.request("POST", "/v1/verify", &[], large.as_bytes()), 413, "content_too_large");
    problem(&check.request("POST", "/v1/verify", &[], b"{"), 400, "invalid");
}

#[test]
fn a_network_restriction_is_judged_by_the_address_in_the_question() {
    let world = shared();
    let caller = world.caller(&json!({ "restrictions": { "networks": { "allow": ["10.0.0.0/8"] } } }));
    for (client, code) in [
        (json!({ "ip": "10.1.2.3" }), "allowed"),
        (json!({ "ip": "::ffff:10.1.2.3" }), "allowed"),
        (json!({ "ip": "11.0.0.1" }), "network_forbidden"),
        (json!({}), "network_forbidden"),
    ] {
        let answer = world.verify(&json!({ "key": caller.key, "api": caller.api, "client": client }));
        assert_eq!(answer.code(), code, "{client}");
    }
    let answer = world.verify(&json!({ "key": caller.key, "api": caller.api }));
    assert_eq!(answer.code(), "network_forbidden", "an address that nobody says is not assumed");
}

#[test]
fn where_the_settings_say_so_only_holders_of_a_management_key_may_ask() {
    let folder = tempfile::tempdir().unwrap();
    let file = super::process::settings(folder.path(), "");
    let text = std::fs::read_to_string(&file).unwrap().replace("[check]\n", "[check]\nrequire_key = true\n");
    std::fs::write(&file, text).unwrap();
    let server = super::process::Server::serve(&file);
    let manage = server.manage();
    let project = manage.create("/v1/projects", &json!({ "name": "p" }))["id"].clone();
    let make = |fields: Value| {
        let mut body = json!({ "project_id": project, "name": "k" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        manage.create("/v1/keys", &body)["key"].as_str().unwrap().to_owned()
    };
    let secret = make(json!({}));
    let asker = make(json!({ "kind": "management", "permissions": ["keys.verify"] }));
    let other = make(json!({ "kind": "management", "permissions": ["keys.read"] }));
    let question = json!({ "key": secret }).to_string();
    let ask = |authorization: &str| {
        let check = keystile_testkit::Api::new(server.address("check"), "");
        check.request("POST", "/v1/verify", &[("authorization", authorization)], question.as_bytes())
    };
    for (authorization, status, code) in [
        ("none".to_owned(), 401, "key_missing"),
        (format!("Bearer {}", mistyped(&asker)), 401, "key_malformed"),
        (format!("Bearer {secret}"), 403, "key_kind_forbidden"),
        (format!("Bearer {other}"), 403, "permission_missing"),
    ] {
        problem(&ask(&authorization), status, code);
    }
    let check = keystile_testkit::Api::new(server.address("check"), "");
    let (good, another) = (format!("Bearer {asker}"), format!("Bearer {other}"));
    for two in [[&good, &another], [&another, &good]] {
        let fields = two.map(|value| ("authorization", value.as_str()));
        problem(&check.request("POST", "/v1/verify", &fields, question.as_bytes()), 400, "credentials_ambiguous");
    }
    for authorization in
        [format!("Bearer {asker}"), format!("bearer {asker}"), format!("Bearer {}", server.said("management_key"))]
    {
        let answer = ask(&authorization);
        assert_eq!((answer.status, answer.code().as_str()), (200, "allowed"), "{}", answer.text());
    }
}

/// The codes of the gateway and of verification for the same call.
fn doors(world: &World, caller: &Caller, method: &str, path: &str) -> (String, String) {
    let path = format!("{}{path}", caller.path);
    let called = world.call(&caller.key, method, &path);
    let gateway = if called.status == 200 { "allowed".to_owned() } else { called.code() };
    let question = json!({
        "key": caller.key, "api": caller.api, "client": { "ip": "127.0.0.1" },
        "operation": { "method": method, "path": path },
    });
    let verified = world.verify(&question);
    assert_eq!(verified.status, 200, "{}", verified.text());
    assert_eq!(verified.json()["allowed"], verified.code() == "allowed");
    (gateway, verified.code())
}

/// A moment that comes soon, by the server's own clock.
fn in_two_seconds(world: &World) -> String {
    let made = world.manage().create("/v1/projects", &json!({ "name": super::world::name("clock") }));
    super::form::moment(made["created_at"].as_str().unwrap()).plus_secs(2).to_string()
}

#[test]
fn where_a_call_comes_from_is_judged_by_what_is_said_of_it() {
    let world = shared();
    let of = |restrictions: Value| world.caller(&json!({ "restrictions": restrictions })).key;
    let origins = of(json!({ "origins": ["https://app.example.com", "https://*.example.org"] }));
    let pages = of(json!({ "referrers": ["https://app.example.com/shop/*"] }));
    let countries = of(json!({ "countries": { "allow": ["DE", "at"] } }));
    let elsewhere = of(json!({ "countries": { "deny": ["KP"] } }));
    for (key, client, code) in [
        (&origins, json!({ "origin": "https://app.example.com" }), "allowed"),
        (&origins, json!({ "origin": "https://a.example.org" }), "allowed"),
        (&origins, json!({ "referrer": "https://app.example.com/x" }), "allowed"),
        (&origins, json!({ "origin": "null" }), "origin_forbidden"),
        (&origins, json!({ "origin": "https://app.example.com.evil.test" }), "origin_forbidden"),
        (&origins, json!({}), "origin_forbidden"),
        (&pages, json!({ "referrer": "https://app.example.com/shop/1" }), "allowed"),
        (&pages, json!({ "referrer": "https://app.example.com/" }), "origin_forbidden"),
        (&countries, json!({ "country": "de" }), "allowed"),
        (&countries, json!({ "country": "FR" }), "country_forbidden"),
        // This server has no file of countries.
        (&countries, json!({ "ip": "192.0.2.1" }), "country_forbidden"),
        (&countries, json!({}), "country_forbidden"),
        (&elsewhere, json!({ "country": "DE" }), "allowed"),
        (&elsewhere, json!({ "country": "KP" }), "country_forbidden"),
        (&elsewhere, json!({}), "country_forbidden"),
    ] {
        let answer = world.verify(&json!({ "key": key, "client": client }));
        assert_eq!(answer.code(), code, "{client}");
    }
    let (first, second) = (["mon", "tue", "wed"], ["thu", "fri", "sat", "sun"]);
    let half = |days: &[&str]| {
        let window = json!({ "days": days, "from": "00:00", "until": "24:00" });
        let times = json!({ "time_zone": "Pacific/Auckland", "windows": [window] });
        world.verify(&json!({ "key": of(json!({ "times": times })) })).code()
    };
    let mut halves = [half(&first), half(&second)];
    halves.sort();
    assert_eq!(halves, ["allowed", "time_forbidden"], "it is one of the days there");
}

#[test]
fn explain_shows_what_every_restriction_says_and_what_is_in_shadow() {
    let world = shared();
    let caller = world.caller(&json!({ "restrictions": {
        "networks": { "allow": ["10.0.0.0/8"] }, "countries": { "allow": ["DE"] }, "methods": ["GET"],
        "shadow": ["countries", "methods"],
    } }));
    let ask = |ip: &str, method: &str| {
        let question = json!({ "key": caller.key, "api": caller.api, "explain": true, "client": { "ip": ip },
            "operation": { "method": method, "path": "/x" } });
        let answer = world.verify(&question).json();
        let step = answer["trace"].as_array().unwrap().iter().find(|step| step["step"] == "restrictions").unwrap();
        (answer["code"].clone(), step.clone())
    };
    let said = |rule: &str, code: &str, shadow: bool| json!({ "rule": rule, "code": code, "shadow": shadow });
    let countries = said("countries", "country_forbidden", true);
    let (code, step) = ask("10.0.0.1", "GET");
    assert_eq!((&code, &step["code"]), (&json!("allowed"), &json!("allowed")));
    let all = [said("networks", "allowed", false), countries.clone(), said("methods", "allowed", true)];
    assert_eq!(step["restrictions"], json!(all));
    let (code, step) = ask("11.0.0.1", "POST");
    assert_eq!((&code, &step["code"]), (&json!("network_forbidden"), &json!("network_forbidden")));
    let all = [said("networks", "network_forbidden", false), countries, said("methods", "operation_forbidden", true)];
    assert_eq!(step["restrictions"], json!(all));
}
