//! Metering that can be billed (PRODUCT.md K28): every event once and for ever, what is recorded by hand, corrections that alter
//! nothing, and counting anew.

use std::collections::HashSet;

use keystile_testkit::Api;
use serde_json::{Value, json};

use super::form::problem;
use super::process::{Ended, keystile, run};
use super::world::{Caller, World, id, name, shared};

fn record(manage: &Api, usage: Value) -> (u16, Value) {
    manage.post("/v1/usage/record", &json!({ "usage": usage }))
}

fn export(world: &World, query: &str) -> Vec<Value> {
    let answer = world.manage().request("GET", &format!("/v1/usage/export?{query}"), &[], b"");
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/x-ndjson")), "{}", answer.text());
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn usage(world: &World, caller: &Caller) -> (u64, i64) {
    let row = &world.manage().get(&format!("/v1/usage?project_id={}", caller.project)).1["items"][0];
    (row["calls"].as_u64().unwrap_or(0), row["cost"].as_i64().unwrap_or(0))
}

fn shell(world: &World, args: &[&str]) -> Ended {
    let mut command = keystile(args);
    command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
    run(&mut command)
}

#[test]
fn k28_every_call_is_exported_once_and_what_is_counted_is_what_events_come_to() {
    let world = shared();
    let caller = world.caller(&json!({}));
    for _ in 0..5 {
        assert_eq!(world.call(&caller.key, "GET", &format!("{}/x", caller.path)).status, 200);
    }
    world.verify(&json!({ "key": caller.key, "api": caller.api, "cost": 7 }));
    let refused = world.verify(&json!({ "key": caller.key, "api": caller.api, "permissions": "no.such" }));
    assert_eq!(refused.json()["code"], "permission_missing");
    let query = format!("project_id={}", caller.project);
    let events = export(world, &query);
    let sum = |name: &str| events.iter().map(|event| event[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!((events.len(), sum("calls"), sum("units")), (7, 7, 12), "{events:?}");
    let ids: HashSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 7);
    for event in &events {
        assert_eq!((&event["kind"], &event["api_id"]), (&json!("call"), &json!(caller.api)), "{event}");
        assert_eq!((&event["project_id"], &event["key_id"]), (&json!(caller.project), &json!(caller.id)));
        assert!(event["recorded_at"].as_str() >= event["at"].as_str() && event.get("client").is_none(), "{event}");
    }
    // The same ones again, and none that are older than asked for.
    assert_eq!(export(world, &query), events);
    // What was recorded lately of long ago is there without a word of when it happened.
    let late = json!({ "id": name("late"), "activation_id": caller.activation, "units": 0, "calls": 1, "at": "2026-06-01T00:00:00Z" });
    assert_eq!(record(&world.manage(), json!([late])).0, 200);
    let lately = format!("{query}&recorded_from={}", events[0]["recorded_at"].as_str().unwrap());
    assert_eq!(export(world, &lately).len(), 8);
    let later = format!("{query}&recorded_from=2099-01-01T00:00:00Z");
    assert_eq!(export(world, &later), [json!(null); 0]);
    assert_eq!(export(world, &format!("api_id={}", caller.api)).len(), 7);
    assert_eq!(export(world, &format!("key_id={}", caller.id)).len(), 7);

    let (status, verdict) = world.manage().get("/v1/usage/verify");
    assert_eq!((status, &verdict["intact"], &verdict["differences"]), (200, &json!(true), &json!([])), "{verdict}");
    assert!(verdict["events"].as_u64() >= Some(7), "{verdict}");
    for (query, because) in [
        ("from=2027-01-02T00:00:00Z&until=2027-01-01T00:00:00Z", "from is not before until"),
        ("from=2026-01-01T00:00:00Z&until=2026-03-01T00:00:00Z", "At most 35 days"),
    ] {
        let refused = world.manage().request("GET", &format!("/v1/usage/verify?{query}"), &[], b"");
        assert!(problem(&refused, 400, "invalid").contains(because), "{}", refused.text());
    }
}

#[test]
fn k28_what_is_recorded_counts_once_and_is_corrected_by_counter_entries() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let manage = world.manage();
    let job = name("job");
    let new = json!({ "id": job, "activation_id": caller.activation, "calls": 2, "units": 250, "note": "a batch job" });
    let (status, told) = record(&manage, json!([new]));
    assert_eq!(status, 200, "{told}");
    let one = &told["usage"][0];
    assert_eq!((&one["repeated"], &one["late"], &one["units"]), (&json!(false), &json!(false), &json!(250)), "{one}");
    // However often it is sent.
    let back = json!({ "id": name("back"), "activation_id": caller.activation, "units": -50, "corrects": job });
    for repeated in [false, true, true] {
        let (status, told) = record(&manage, json!([new, back]));
        assert_eq!((status, &told["usage"][1]["repeated"]), (200, &json!(repeated)), "{told}");
        assert_eq!((&told["usage"][0]["repeated"], &told["usage"][0]["at"]), (&json!(true), &one["at"]));
    }
    assert_eq!(usage(world, &caller), (2, 200));
    let events = export(world, &format!("project_id={}", caller.project));
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["kind"], &events[0]["operation"]), (&json!("recorded"), &json!("(recorded)")), "{events:?}");
    assert_eq!((&events[1]["corrects"], &events[1]["units"]), (&json!(job), &json!(-50)));
    assert_eq!((&events[0]["record_id"], &events[0]["id"]), (&json!(job), &json!(format!("{}/{job}", caller.api))));
    assert_eq!(events[0]["recorded_by"], world.manage().get("/v1/whoami").1["key_id"]);

    // Nothing that was recorded is altered, and of what does not fit nothing is recorded.
    let fresh = || json!({ "id": name("fresh"), "activation_id": caller.activation, "units": 1 });
    let with = |field: &str, value: Value| {
        let mut wrong = new.clone();
        wrong[field] = value;
        wrong
    };
    let another = world.caller(&json!({}));
    for wrong in [with("units", json!(251)), with("note", json!("")), with("activation_id", json!(another.activation))]
    {
        let (status, refused) = record(&manage, json!([fresh(), wrong]));
        assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused}");
        assert!(refused["detail"].as_str().unwrap().starts_with("usage[1]: something else was recorded"), "{refused}");
    }
    let mut nothing = fresh();
    nothing["corrects"] = json!("nothing");
    let (status, refused) = record(&manage, json!([fresh(), nothing]));
    assert_eq!(status, 409, "{refused}");
    for (field, value, because) in [
        ("id", json!(""), "an id is 1 to 128 bytes"),
        ("units", json!(2_000_000_000_000_u64), "calls are 0 to"),
        ("at", json!("2099-01-01T00:00:00Z"), "not one to come"),
        ("at", json!("2020-01-01T00:00:00Z"), "last 400 days"),
        ("units", json!(0), "nothing to record"),
        ("units", json!(i64::MIN), "calls are 0 to"),
        ("units", json!(1.5), "expected a whole number"),
    ] {
        let mut wrong = fresh();
        wrong[field] = value;
        let (status, refused) = record(&manage, json!([fresh(), wrong]));
        assert_eq!(status, 400, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains(because), "{refused}");
    }
    assert_eq!(record(&manage, json!([])).0, 400);
    assert_eq!(record(&manage, Value::from(vec![fresh(); 1_001])).0, 400);
    assert_eq!(usage(world, &caller), (2, 200));
    // Two of one request can't have one id for different things; the same thing twice is one.
    let twice = fresh();
    let (status, told) = record(&manage, json!([twice, twice]));
    assert_eq!((status, &told["usage"][1]["repeated"]), (200, &json!(true)), "{told}");
    assert_eq!(usage(world, &caller), (2, 201));
    // It is in the audit, once for each request that recorded something.
    let audit = world.manage().get(&format!("/v1/audit?type=usage.record&subject_id={}", caller.activation)).1;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(3), "{audit}");
    let noted = &audit["items"][2]["after"]["usage"][0];
    assert_eq!((&noted["id"], &noted["units"]), (&json!(job), &json!(250)), "{audit}");
    // Nothing is recorded on a condition, and nothing is only tried.
    let body = json!({ "usage": [fresh()] }).to_string();
    for (path, fields) in [("/v1/usage/record", &[("if-match", "\"x\"")][..]), ("/v1/usage/record?dry_run=true", &[])] {
        let fields = [&[("content-type", "application/json")], fields].concat();
        problem(&manage.request("POST", path, &fields, body.as_bytes()), 400, "invalid");
    }
    assert_eq!(usage(world, &caller), (2, 201));
    assert_eq!(world.manage().get("/v1/usage/verify").1["intact"], true);
}

#[test]
fn k28_somebody_who_left_is_found_and_gets_a_refund() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let price = json!({ "currency": "EUR", "unit_price": "0.50" });
    let plan = json!({ "api_id": caller.api, "name": name("plan"), "price": price });
    let plan = id(&world.manage().create("/v1/plans", &plan));
    let link = format!("/v1/activations/{}", caller.activation);
    assert_eq!(world.manage().post(&format!("{link}/plan"), &json!({ "plan_id": plan })).0, 200);
    world.verify(&json!({ "key": caller.key, "api": caller.api, "cost": 7 }));
    assert_eq!(world.manage().delete(&link).0, 204);
    let refund = json!({ "id": name("refund"), "activation_id": caller.activation, "units": -3 });
    assert_eq!(record(&world.manage(), json!([refund])).0, 200);
    let list = world.manage().get(&format!("/v1/statements?activation_id={}&api_id={}", caller.activation, caller.api));
    assert_eq!(list.0, 200, "{}", list.1);
    // Its own time was shorter than a minute, so what there was of it is on no statement; the month that is billed twice has more of
    // those who leave.
    assert_eq!(usage(world, &caller), (1, 4));
}

#[test]
fn k28_only_whose_api_it_is_records_what_was_used_of_it() {
    let world = shared();
    let owned = world.caller(&json!({}));
    let (_, admin) = world.tenant("consumer");
    let theirs = world.as_person(&admin);
    let project = id(&theirs.create("/v1/projects", &json!({ "name": name("app") })));
    let link = theirs.create("/v1/activations", &json!({ "project_id": project, "api_id": owned.api }));
    let link = id(&link);
    let new = json!([{ "id": name("own"), "activation_id": link, "units": -1_000 }]);
    let refused = record(&theirs, new.clone());
    assert_eq!(refused.0, 403, "no role of a consumer lets anybody record: {}", refused.1);
    let (status, told) = record(&world.manage(), new);
    assert_eq!(status, 200, "{told}");
    // Both sides see it; who recorded it the owner alone.
    let seen = theirs.request("GET", &format!("/v1/usage/export?project_id={project}"), &[], b"").text();
    assert!(seen.contains("-1000") && !seen.contains("recorded_by"), "{seen}");
    assert!(export(world, &format!("api_id={}", owned.api)).iter().any(|event| event["recorded_by"].is_string()));
    assert_eq!(theirs.get("/v1/usage/verify").1["intact"], true);
}

#[test]
fn usage_is_recorded_exported_and_verified_from_the_command_line() {
    let world = shared();
    let caller = world.caller(&json!({}));
    world.call(&caller.key, "GET", &caller.path);
    let refund = name("refund");
    let command = ["usage", "record", &refund, "--activation", &caller.activation, "--units", "-3", "--note", "=1+1"];
    let told = shell(world, &command);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.starts_with("recorded: ") && told.out.contains("3 units"), "{}", told.out);
    assert!(shell(world, &command).out.starts_with("recorded, as it was before: "));
    let at = ["--at", "2026-11-01"];
    let late = shell(
        world,
        &[&["usage", "record", &name("late"), "--activation", &caller.activation, "--units", "1"], &at[..]].concat(),
    );
    assert!(late.err.contains("adjustment of a later one"), "{} {}", late.out, late.err);
    let csv = shell(world, &["usage", "export", "--project", &caller.project, "--format", "csv"]).out;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.starts_with("id,kind,at,") && csv.contains("'=1+1"), "O-7: {csv}");
    let lines = shell(world, &["usage", "export", "--project", &caller.project, "--since", "2026-10-01"]).out;
    assert_eq!(lines.lines().count(), 3, "{lines}");
    let verified = shell(world, &["usage", "verify"]);
    assert_eq!((verified.code, verified.out.starts_with("intact: ")), (0, true), "{} {}", verified.out, verified.err);
    let counted = shell(world, &["usage", "--project", &caller.project, "--by", "operation"]);
    assert!(counted.out.contains("(recorded)"), "{}", counted.out);
}
