//! Limits by whom a call is for: through the gateway and verification alike, and without any key.

use keystile_testkit::raw::Answer;
use keystile_testkit::{Api, Installation, eventually};
use serde_json::{Value, json};

use super::form::problem;
use super::world::{Caller, World, shared};

fn limit(by: &[&str], limit: u32) -> Value {
    json!({ "name": "few", "limit": limit, "window_seconds": 3_600, "by": by })
}

/// An API with these limits, and a project with a key for it.
fn caller(world: &World, limits: Value) -> Caller {
    let caller = world.caller(&json!({}));
    set(world, &caller, limits);
    caller
}

fn set(world: &World, caller: &Caller, limits: Value) {
    let (status, changed) =
        world.manage().patch(&format!("/v1/apis/{}", caller.api), &json!({ "rate_limits": limits }));
    assert_eq!((status, &changed["rate_limits"][0]["name"]), (200, &limits[0]["name"]), "{changed}");
}

/// How many of some calls through the gateway pass.
fn passed(world: &World, key: &str, path: &str, calls: usize) -> usize {
    (0..calls).filter(|_| world.call(key, "GET", path).status == 200).count()
}

/// What verification says of a call of this API with more fields.
fn asked(world: &World, caller: &Caller, more: Value) -> Value {
    let mut question = json!({ "key": caller.key, "api": caller.api });
    question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = world.verify(&question);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// A question to the limits without a key.
fn check(world: &World, what: &str, question: &Value) -> Answer {
    world.ask(&format!("/v1/limits/{what}"), question)
}

#[test]
fn k24_keys_of_a_project_share_its_limit_and_others_have_their_own() {
    let world = shared();
    let one = caller(world, json!([limit(&["project"], 3)]));
    let (_, second) = world.key(&one.project, &json!({}));
    let path = format!("{}/x", one.path);
    assert_eq!(passed(world, &one.key, &path, 2), 2);
    assert_eq!(passed(world, &second, &path, 3), 1, "one was left for the two of them");
    assert_eq!(asked(world, &one, json!({}))["code"], "rate_limited", "verification asks the same counters");
    let other = world.project();
    world.manage().create("/v1/activations", &json!({ "project_id": other, "api_id": one.api }));
    let (_, third) = world.key(&other, &json!({}));
    assert_eq!(passed(world, &third, &path, 5), 3);
    set(world, &one, json!([limit(&["organization"], 4)]));
    assert_eq!(passed(world, &one.key, &path, 3) + passed(world, &third, &path, 3), 4, "the same organization");
}

#[test]
fn k24_what_is_left_is_told_to_whom_it_belongs() {
    let world = shared();
    let one = caller(world, json!([limit(&["project"], 3)]));
    let path = format!("{}/x", one.path);
    let answer = world.call(&one.key, "GET", &path);
    assert_eq!(answer.field("ratelimit-policy"), Some("\"few\";q=3;w=3600"));
    assert!(answer.field("ratelimit").unwrap().starts_with("\"few\";r=2;t="), "{:?}", answer.fields);
    for other in [&[][..], &["operation"], &["tag:region"]] {
        set(world, &one, json!([limit(other, 1)]));
        let answer = world.call(&one.key, "GET", &path);
        assert_eq!(
            (answer.status, answer.field("ratelimit")),
            (200, None),
            "how much others call is not told: {other:?}"
        );
        let refused = world.call(&one.key, "GET", &path);
        problem(&refused, 429, "rate_limited");
        assert!(refused.field("retry-after").is_some() && refused.field("ratelimit-policy").is_none());
        let told = asked(world, &one, json!({ "operation": { "method": "GET", "path": path } }));
        assert_eq!(told["limits"][0]["of"], "api", "the owner's own services are told: {told}");
    }
    // Together with the key's own, each for itself.
    let with_own = json!({ "rate_limits": [{ "name": "own", "limit": 9, "window_seconds": 60 }] });
    assert_eq!(world.manage().patch(&format!("/v1/keys/{}", one.id), &with_own).0, 200);
    set(world, &one, json!([limit(&["key"], 5)]));
    let answer = world.call(&one.key, "GET", &path);
    assert_eq!(answer.field("ratelimit-policy"), Some("\"own\";q=9;w=60, \"few\";q=5;w=3600"));
    let told = asked(world, &one, json!({ "cost": 0 }));
    let limits: Vec<_> =
        told["limits"].as_array().unwrap().iter().map(|limit| (&limit["of"], &limit["remaining"])).collect();
    assert_eq!(limits, [(&json!("key"), &json!(8)), (&json!("api"), &json!(4))], "{told}");
}

#[test]
fn k24_operations_and_addresses_have_their_own() {
    let world = shared();
    let one = caller(world, json!([limit(&["operation"], 2)]));
    let paths = ["pets", "shops"].map(|name| format!("{}/{name}", one.path));
    assert_eq!(paths.each_ref().map(|path| passed(world, &one.key, path, 5)), [2, 2]);
    // With a document, a template is one operation, whatever stands in it; the gateway and verification count the same.
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" },
        "paths": { format!("{}/pets/{{id}}", one.path): { "get": { "responses": {} }, "put": { "responses": {} } } }
    });
    assert_eq!(world.manage().patch(&format!("/v1/apis/{}", one.api), &json!({ "openapi": document })).0, 200);
    let path = |id: u32| format!("{}/pets/{id}", one.path);
    let told = (0..5).filter(|id| {
        let question = json!({ "operation": { "method": "GET", "path": path(*id) } });
        asked(world, &one, question)["allowed"] == true
    });
    assert_eq!(told.count(), 2);
    assert_eq!(world.call(&one.key, "GET", &path(9)).status, 429);
    assert_eq!(world.call(&one.key, "PUT", &path(9)).status, 200);
    set(world, &one, json!([limit(&["client_address"], 2)]));
    let from = |ip: &str| asked(world, &one, json!({ "client": { "ip": ip } }))["allowed"] == true;
    assert_eq!(["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"].map(from), [true, true, false, true]);
    assert_eq!(passed(world, &one.key, &path(9), 3), 2, "this machine's");
}

#[test]
fn k24_end_users_and_tags_that_a_verification_names_have_their_own() {
    let world = shared();
    let one = caller(world, json!([limit(&["end_user", "tag:model"], 2)]));
    let ask = |user: &str, model: &str| {
        asked(world, &one, json!({ "end_user": user, "tags": { "model": model, "region": "eu" } }))["allowed"] == true
    };
    assert_eq!([ask("ada", "large"), ask("ada", "large"), ask("ada", "large")], [true, true, false]);
    assert_eq!([ask("ada", "small"), ask("bob", "large"), ask("ada", "large")], [true, true, false]);
    // A key can have such a limit of its own, which is for its own end users alone.
    let own = json!({ "rate_limits": [{ "name": "each", "limit": 1, "window_seconds": 60, "by": ["end_user"] }] });
    let two = world.caller(&own);
    let three = world.caller(&own);
    let ask = |caller: &Caller, user: &str| asked(world, caller, json!({ "end_user": user }))["code"].clone();
    assert_eq!([ask(&two, "ada"), ask(&two, "ada"), ask(&two, "bob")], ["allowed", "rate_limited", "allowed"]);
    assert_eq!(ask(&three, "ada"), "allowed");
    for wrong in [
        json!({ "end_user": "" }),
        json!({ "end_user": "x".repeat(257) }),
        json!({ "end_user": 7 }),
        json!({ "tags": { "Model": "x" } }),
        json!({ "tags": { "model": 7 } }),
        json!({ "tags": { "model": "x".repeat(257) } }),
        json!({ "tags": ["model"] }),
        json!({ "tags": (0..17).map(|n| (format!("t{n}"), json!("x"))).collect::<serde_json::Map<_, _>>() }),
    ] {
        let mut question = json!({ "key": one.key, "api": one.api });
        question.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        problem(&world.verify(&question), 400, "invalid");
    }
    let twice = format!(r#"{{"key":"{}","tags":{{"a":"1","a":"2"}}}}"#, one.key);
    let fields = [("content-type", "application/json"), ("authorization", "none")];
    let twice = Api::new(world.installation.check, "").request("POST", "/v1/verify", &fields, twice.as_bytes());
    problem(&twice, 400, "invalid");
}

#[test]
fn k24_some_have_another_limit_and_who_has_none_is_let_through_never() {
    let world = shared();
    let other = |subject: &str, limit: u32| json!({ "subject": subject, "limit": limit });
    let rule = json!({ "name": "few", "limit": 2, "window_seconds": 3_600, "by": ["end_user"],
        "overrides": [other("banned@*", 0), other("vip-*", 4)] });
    let one = caller(world, json!([rule]));
    let of = |user: &str| (0..6).filter(|_| asked(world, &one, json!({ "end_user": user }))["allowed"] == true).count();
    assert_eq!(["ada", "vip-ada", "banned@b.c"].map(of), [2, 4, 0]);
    let banned = asked(world, &one, json!({ "end_user": "banned@b.c" }));
    assert_eq!((&banned["code"], &banned["limits"][0]["limit"]), (&json!("rate_limited"), &json!(0)));
    // By what it is: a project by its id, an address by its network. Whoever is banned is told no time to wait for.
    set(
        world,
        &one,
        json!([{ "name": "few", "limit": 2, "window_seconds": 3_600, "by": ["project"],
        "overrides": [other(&one.project, 0)] }]),
    );
    let refused = world.call(&one.key, "GET", &format!("{}/x", one.path));
    problem(&refused, 429, "rate_limited");
    assert_eq!(refused.field("retry-after"), None);
    assert_eq!(refused.field("ratelimit-policy"), Some("\"few\";q=0;w=3600"));
    set(
        world,
        &one,
        json!([{ "name": "few", "limit": 2, "window_seconds": 3_600, "by": ["client_address"],
        "overrides": [other("192.0.2.0/24", 0), other("2001:db8::/32", 1)] }]),
    );
    let from =
        |ip: &str| (0..5).filter(|_| asked(world, &one, json!({ "client": { "ip": ip } }))["allowed"] == true).count();
    assert_eq!(["192.0.2.9", "198.51.100.1", "2001:db8::9"].map(from), [0, 2, 1]);
}

#[test]
fn k24_a_limit_that_is_tried_out_is_told_and_refuses_nothing() {
    let world = shared();
    let mut rule = limit(&["project"], 1);
    rule["shadow"] = json!(true);
    let one = caller(world, json!([rule]));
    let path = format!("{}/x", one.path);
    let before = refusals_in_shadow(world);
    for _ in 0..4 {
        let answer = world.call(&one.key, "GET", &path);
        assert_eq!((answer.status, answer.field("ratelimit")), (200, None));
    }
    assert!(refusals_in_shadow(world) >= before + 3.0);
    let question = json!({ "operation": { "method": "GET", "path": path } });
    let (_, explained) = world.manage().post(&format!("/v1/keys/{}/explain", one.id), &question);
    assert_eq!((&explained["allowed"], &explained["shadow"]), (&json!(true), &json!(["rate_limits"])), "{explained}");
}

fn refusals_in_shadow(world: &World) -> f64 {
    let metrics = Api::new(world.installation.admin, world.management_key()).request("GET", "/metrics", &[], b"");
    let text = metrics.text();
    let line = text.lines().find(|line| line.starts_with("keystile_shadow_refusals_total{rule=\"rate_limits\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn k24_what_no_limit_can_be_is_refused_where_it_stands() {
    let world = shared();
    let one = caller(world, json!([limit(&["key"], 9)]));
    for wrong in [
        limit(&["keys"], 1),
        limit(&["key", "key"], 1),
        limit(&["key", "project", "organization", "end_user", "operation"], 1),
        json!({ "name": "a", "limit": 1, "window_seconds": 1, "algorithm": "leaky" }),
        json!({ "name": "a", "limit": 1 }),
        json!({ "name": "a", "limit": 1, "window_seconds": 1, "overrides": [{ "subject": "x", "limit": 1 }] }),
        json!({ "name": "a", "limit": 1, "window_seconds": 1, "by": ["operation"], "overrides": [{ "subject": "x", "limit": 1 }] }),
        json!({ "name": "a", "limit": 1, "window_seconds": 1, "by": ["key"], "overrides": [{ "subject": "x", "limit": -1 }] }),
    ] {
        let (status, told) = world.manage().patch(&format!("/v1/apis/{}", one.api), &json!({ "rate_limits": [wrong] }));
        assert_eq!(status, 400, "{wrong}: {told}");
    }
    for (rule, says) in [(limit(&["project"], 1), "stands on the API"), (limit(&["key"], 1), "stands on the API")] {
        let (status, told) = world.manage().patch(&format!("/v1/keys/{}", one.id), &json!({ "rate_limits": [rule] }));
        assert_eq!(status, 400, "{told}");
        assert!(told["detail"].as_str().unwrap().contains(says), "{told}");
    }
    let anonymous = json!({ "anonymous_rate_limits": [limit(&["client_address"], 1)] });
    assert_eq!(world.manage().patch(&format!("/v1/apis/{}", one.api), &anonymous).0, 400);
}

#[test]
fn l03_calls_in_flight_that_verification_lets_through_end_when_it_is_told_or_their_time_is_over() {
    let world = shared();
    let rule =
        json!({ "name": "calls", "limit": 2, "window_seconds": 2, "algorithm": "concurrency", "by": ["end_user"] });
    let one = caller(world, json!([rule]));
    let ask = || asked(world, &one, json!({ "end_user": "ada" }));
    let (first, second) = (ask(), ask());
    assert_eq!(first["limits"][0]["remaining"], 1, "{first}");
    assert_eq!((&second["allowed"], &ask()["code"]), (&json!(true), &json!("rate_limited")));
    assert!(ask().get("lease").is_none(), "what is refused holds nothing");
    assert!(asked(world, &one, json!({ "end_user": "bob" }))["lease"]["expires_at"].is_string());
    let lease = json!({ "lease": first["lease"]["id"] });
    let released = |question: &Value| check(world, "release", question).json()["released"].clone();
    assert_eq!([released(&lease), released(&lease)], [true, false]);
    assert_eq!(ask()["allowed"], true);
    assert_eq!(ask()["allowed"], false);
    // Of the others nobody says anything.
    eventually("their time is over", || ask()["allowed"] == true);
    for wrong in [json!({}), json!({ "lease": "x" }), json!({ "lease": first["lease"]["id"], "more": 1 })] {
        problem(&check(world, "release", &wrong), 400, "invalid");
    }
}

#[test]
fn a_limit_without_a_key_is_in_the_question() {
    let world = shared();
    let name = super::world::name("mails");
    let mut question = json!({ "name": name, "subject": "ada", "limit": 2, "window_seconds": 3_600 });
    let ask = |question: &Value| {
        let answer = check(world, "check", question);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let told = ask(&question);
    assert_eq!((&told["allowed"], &told["limit"], &told["remaining"]), (&json!(true), &json!(2), &json!(1)), "{told}");
    assert!(told["request_id"].as_str().unwrap().starts_with("req_") && told.get("lease").is_none());
    question["cost"] = json!(0);
    assert_eq!(ask(&question)["remaining"], 1, "to look costs nothing");
    question["cost"] = json!(2);
    let refused = ask(&question);
    assert_eq!((&refused["code"], &refused["remaining"]), (&json!("rate_limited"), &json!(1)), "{refused}");
    assert!((1..=7_200).contains(&refused["retry_after"].as_u64().unwrap()), "{refused}");
    question["cost"] = json!(3);
    assert!(ask(&question).get("retry_after").is_none(), "that never fits");
    question["subject"] = json!("bob");
    question["cost"] = json!(1);
    assert_eq!(ask(&question)["allowed"], true);
    let flight = json!({ "name": name, "subject": "ada", "limit": 1, "algorithm": "concurrency" });
    let lease = ask(&flight)["lease"]["id"].clone();
    assert_eq!(ask(&flight)["code"], "rate_limited");
    assert_eq!(check(world, "release", &json!({ "lease": lease })).json()["released"], true);
    assert_eq!(ask(&flight)["allowed"], true);
}

#[test]
fn several_limits_without_a_key_count_all_or_nothing() {
    let world = shared();
    let [mails, bytes] = ["mails", "bytes"].map(super::world::name);
    let ask = |cost: u32| {
        let question = json!({ "limits": [
            { "name": mails, "subject": "ada", "limit": 3, "window_seconds": 3_600 },
            { "name": bytes, "subject": "ada", "limit": 1_000, "window_seconds": 3_600, "cost": cost, "algorithm": "fixed_window" },
        ] });
        let answer = check(world, "multi", &question);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.json();
        let left = |n: usize| told["limits"][n]["remaining"].as_u64().unwrap();
        (told["allowed"] == true, left(0), left(1))
    };
    assert_eq!(ask(900), (true, 2, 100));
    assert_eq!(ask(101), (false, 2, 100), "the mail is not counted");
    assert_eq!(ask(100), (true, 1, 0));
}

#[test]
fn l05_what_is_no_question_about_limits_is_refused() {
    let world = shared();
    let sound = json!({ "name": "a", "subject": "x", "limit": 1, "window_seconds": 60 });
    let with = |field: &str, value: Value| {
        let mut question = sound.clone();
        question[field] = value;
        question
    };
    for wrong in [
        json!({}),
        json!([]),
        with("name", json!("a b")),
        with("name", json!("")),
        with("subject", json!("")),
        with("subject", json!("x".repeat(257))),
        with("limit", json!(0)),
        with("limit", json!(-1)),
        with("limit", json!(1_000_000_001)),
        with("limit", json!(1.5)),
        with("window_seconds", json!(0)),
        with("window_seconds", json!(31 * 86_400 + 1)),
        with("window_seconds", Value::Null),
        with("algorithm", json!("leaky")),
        with("burst", json!(5)),
        with("cost", json!(-1)),
        with("cost", json!(4_294_967_296_u64)),
        with("more", json!(1)),
    ] {
        problem(&check(world, "check", &wrong), 400, "invalid");
    }
    let flight = |window: u32| json!({ "name": "a", "subject": "x", "limit": 9, "algorithm": "concurrency", "window_seconds": window });
    for wrong in [
        json!({ "limits": [] }),
        json!({ "limits": vec![&sound; 17] }),
        json!({ "limits": [sound, sound] }),
        // They are counted in one place, however long a lease lasts.
        json!({ "limits": [flight(60), flight(61)] }),
    ] {
        problem(&check(world, "multi", &wrong), 400, "invalid");
    }
    assert_eq!(check(world, "check", &with("cost", json!(u32::MAX))).json()["code"], "rate_limited");
    let api = Api::new(world.installation.check, "");
    problem(&api.request("GET", "/v1/limits/check", &[("authorization", "none")], b""), 405, "method_not_allowed");
    problem(&api.request("POST", "/v1/limits/other", &[("authorization", "none")], b"{}"), 404, "route_unknown");
}

/// A world in which questions take a management key.
pub(super) fn asked_by_key_holders() -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "data = \"{}/data\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [check]\nlisten = \"127.0.0.1:0\"\nrequire_key = true\n",
        folder.path().display()
    );
    let installation = Installation::serve(env!("CARGO_BIN_EXE_keystile"), &text, folder.path());
    (folder, World::bare(installation))
}

#[test]
fn who_asks_about_limits_needs_the_right_to_and_has_names_of_their_own() {
    let (_folder, world) = asked_by_key_holders();
    let manage = world.manage();
    let project = manage.create("/v1/projects", &json!({ "name": "p" }))["id"].clone();
    let make = |permission: &str| {
        let body = json!({ "project_id": project, "name": "k", "kind": "management", "permissions": [permission] });
        manage.create("/v1/keys", &body)["key"].as_str().unwrap().to_owned()
    };
    let question = json!({ "name": "a", "subject": "x", "limit": 1, "window_seconds": 60 }).to_string();
    let ask = |key: &str| {
        let check = Api::new(world.installation.check, "");
        let authorization = format!("Bearer {key}");
        check.request("POST", "/v1/limits/check", &[("authorization", &authorization)], question.as_bytes())
    };
    problem(&ask(&make("keys.verify")), 403, "permission_missing");
    assert_eq!(ask(&make("limits.check")).code(), "allowed");
    assert_eq!(ask(&make("limits.check")).code(), "rate_limited", "the same organization");
}

#[test]
fn k27_what_a_verified_call_cost_is_told_once_and_put_right() {
    let world = shared();
    let one = caller(world, json!([{ "name": "tokens", "limit": 1_000, "window_seconds": 3_600, "by": ["project"] }]));
    let ask = |cost: u32| asked(world, &one, json!({ "cost": cost, "report": true }));
    let report = |lease: &Value, cost: Value| world.ask("/v1/usage/report", &json!({ "lease": lease, "cost": cost }));
    let left = || asked(world, &one, json!({ "cost": 0 }))["limits"][0]["remaining"].clone();
    let usage = || {
        let (_, usage) = world.manage().get(&format!("/v1/usage?api_id={}&code=allowed", one.api));
        usage["items"][0]["cost"].clone()
    };
    let (first, second) = (ask(100), ask(100));
    assert_eq!((left(), usage()), (json!(800), json!(200)));
    let lease = &first["lease"]["id"];
    assert_eq!(report(lease, json!(750)).json()["reported"], true);
    assert_eq!((left(), usage()), (json!(150), json!(850)));
    assert_eq!(report(lease, json!(1)).json()["reported"], false, "once");
    assert_eq!(report(&second["lease"]["id"], json!(0)).json()["reported"], true);
    assert_eq!((left(), usage()), (json!(250), json!(750)));
    assert!(asked(world, &one, json!({ "cost": 1 })).get("lease").is_none(), "of which no cost is to be told");
    let refused = ask(500);
    assert_eq!((&refused["code"], refused.get("lease")), (&json!("rate_limited"), None));
    let third = ask(1);
    for wrong in [json!(-1), json!(1_000_000_001), json!("x"), json!(null)] {
        problem(&report(&third["lease"]["id"], wrong), 400, "invalid");
    }
    // A call that is let go without a word costs what was thought.
    let released = check(world, "release", &json!({ "lease": third["lease"]["id"] }));
    assert_eq!(released.json()["released"], true);
    assert_eq!(report(&third["lease"]["id"], json!(9)).json()["reported"], false);
    assert_eq!((left(), usage()), (json!(248), json!(752)));
}

#[test]
fn k27_operations_cost_what_their_api_says_unless_the_question_does() {
    let world = shared();
    let one = caller(world, json!([{ "name": "units", "limit": 100, "window_seconds": 3_600, "by": ["project"] }]));
    let path = format!("{}/images/7", one.path);
    let costs = json!([{ "operation": format!("POST {}/images/{{id}}", one.path), "cost": 10 }]);
    let (status, api) = world.manage().patch(&format!("/v1/apis/{}", one.api), &json!({ "operation_costs": costs }));
    assert_eq!((status, &api["operation_costs"]), (200, &costs), "{api}");
    let left = |method: &str, more: Value| {
        let mut question = json!({ "operation": { "method": method, "path": path } });
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked(world, &one, question)["limits"][0]["remaining"].as_u64().unwrap()
    };
    assert_eq!([left("POST", json!({})), left("GET", json!({})), left("POST", json!({ "cost": 2 }))], [90, 89, 87]);
    assert_eq!(world.call(&one.key, "POST", &path).status, 200);
    assert_eq!(left("GET", json!({ "cost": 0 })), 77);
    for wrong in [
        json!({ "operation_costs": [{ "operation": "POST images", "cost": 1 }] }),
        json!({ "operation_costs": [{ "operation": "POST /images", "cost": -1 }] }),
        json!({ "operation_costs": [{ "operation": "POST /a/{b}", "cost": 1 }, { "operation": "POST /a/{c}", "cost": 1 }] }),
        json!({ "cost_header": "Content-Length" }),
        json!({ "cost_header": "X-Request-Id" }),
    ] {
        let (status, told) = world.manage().patch(&format!("/v1/apis/{}", one.api), &wrong);
        assert_eq!(status, 400, "{wrong}: {told}");
    }
}

#[test]
fn z05_another_organizations_questions_take_nothing_of_an_apis_limits() {
    let (_folder, world) = asked_by_key_holders();
    let api = world.manage().create(
        "/v1/apis",
        &json!({ "name": "Pets", "upstream": "http://127.0.0.1:9", "approval": "automatic",
            "rate_limits": [limit(&["client_address"], 2)] }),
    );
    let (_, person) = world.tenant("owner");
    let theirs = world.as_person(&person);
    let project = theirs.create("/v1/projects", &json!({ "name": "theirs" }))["id"].clone();
    theirs.create("/v1/activations", &json!({ "project_id": project, "api_id": api["id"] }));
    let make = |more: Value| {
        let mut wish = json!({ "project_id": project, "name": "k" });
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        theirs.create("/v1/keys", &wish)["key"].as_str().unwrap().to_owned()
    };
    let key = make(json!({}));
    let asker = make(json!({ "kind": "management", "permissions": ["keys.verify"] }));
    let ask = |asker: &str| {
        let question = json!({ "key": key, "api": api["id"], "client": { "ip": "192.0.2.1" } }).to_string();
        let authorization = format!("Bearer {asker}");
        let check = Api::new(world.installation.check, "");
        check.request("POST", "/v1/verify", &[("authorization", &authorization)], question.as_bytes()).code()
    };
    for _ in 0..5 {
        assert_eq!(ask(&asker), "allowed");
    }
    assert_eq!([0; 3].map(|_| ask(world.management_key())), ["allowed", "allowed", "rate_limited"]);
    assert_eq!(ask(&asker), "allowed", "nor do they learn of it");
}
