//! What usage can be asked about (PRODUCT.md K29, K30): whose customers called, from where and for whom, how long it took, what there
//! is most of, and what it was in the time before.

use keystile_testkit::{Installation, mmdb};
use serde_json::{Value, json};

use super::form::{moment, problem};
use super::process::{Ended, keystile, run};
use super::world::{Caller, World, id, name, shared};

fn usage(world: &World, query: &str) -> Vec<Value> {
    let (status, answer) = world.manage().get(&format!("/v1/usage?{query}"));
    assert_eq!(status, 200, "{query}: {answer}");
    answer["items"].as_array().unwrap().clone()
}

/// The calls of rows by a field of theirs.
fn calls(rows: &[Value], field: &str) -> Vec<(Value, u64)> {
    rows.iter().map(|row| (row[field].clone(), row["calls"].as_u64().unwrap())).collect()
}

fn shell(world: &World, args: &[&str]) -> Ended {
    let mut command = keystile(args);
    command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
    run(&mut command)
}

/// Asks about a call of somebody, told more of it.
fn verify(world: &World, caller: &Caller, more: &Value) -> Value {
    let mut question = json!({ "key": caller.key, "api": caller.api });
    question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = world.verify(&question);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["code"].clone()
}

#[test]
fn k30_calls_are_told_apart_by_country_end_user_and_tag_and_the_rest_is_none_of_them() {
    let world = shared();
    let caller = world.caller(&json!({}));
    for (end_user, country, region) in [("ada", "DE", "eu"), ("ada", "AT", "eu"), ("=bob", "DE", "us")] {
        let more = json!({ "end_user": end_user, "client": { "country": country }, "tags": { "region": region } });
        assert_eq!(verify(world, &caller, &more), "allowed");
    }
    assert_eq!(verify(world, &caller, &json!({ "permissions": "no.such" })), "permission_missing");
    world.call(&caller.key, "GET", &caller.path);
    let of = format!("project_id={}", caller.project);
    let by = |facet: &str| calls(&usage(world, &format!("{of}&group_by={facet}")), "value");
    let none = Value::Null;
    assert_eq!(by("country"), [(none.clone(), 2), (json!("AT"), 1), (json!("DE"), 2)]);
    assert_eq!(by("end_user"), [(none.clone(), 2), (json!("=bob"), 1), (json!("ada"), 2)]);
    assert_eq!(by("tag:region"), [(none, 2), (json!("eu"), 2), (json!("us"), 1)]);
    assert_eq!(by("tag:other"), [(Value::Null, 5)]);
    let one = |only: &str| usage(world, &format!("{of}&{only}"))[0]["calls"].as_u64().unwrap();
    assert_eq!([one("country=de"), one("end_user=ada"), one("tag=region:us")], [2, 2, 1]);
    assert_eq!(usage(world, &format!("{of}&end_user=nobody")), [json!(null); 0]);
    let days = usage(world, &format!("{of}&group_by=country,code&bucket=day"));
    assert!(days.iter().all(|row| row["start"].is_string() && row["code"].is_string()), "{days:?}");
    for (query, because) in [
        ("group_by=country,end_user", "one of country, end_user and tag:NAME at a time"),
        ("group_by=country&end_user=ada", "not counted by end_user and country together"),
        ("country=DE&end_user=ada", "by country, end user and tag apart"),
        ("group_by=country,operation", "by country and operation together"),
        ("group_by=country&bucket=minute", "for each hour and day"),
        ("group_by=tag:Region", "tag:NAME"),
        ("tag=region", "tag is NAME:VALUE"),
        ("country=XX", "is no country"),
        ("status=4", "such as 4xx"),
        ("percentiles=p99", "is no percentile"),
        ("order_by=name", "order_by"),
        ("compare=next", "compare"),
        ("end_user=a%00b", "no control characters"),
        ("group_by=project&percentiles=50&from=2026-01-01T00:00:00Z", "at most 31 days"),
    ] {
        let refused = world.manage().request("GET", &format!("/v1/usage?{query}"), &[], b"");
        assert!(problem(&refused, 400, "invalid").contains(because), "{query}: {}", refused.text());
    }
    // What a call turns out to cost is that of its end user.
    let asked = json!({ "key": caller.key, "api": caller.api, "end_user": "eve", "report": true });
    let lease = world.verify(&asked).json()["lease"]["id"].clone();
    assert_eq!(world.ask("/v1/usage/report", &json!({ "lease": lease, "cost": 40 })).status, 200);
    let eve = &usage(world, &format!("{of}&end_user=eve"))[0];
    assert_eq!((&eve["calls"], &eve["cost"]), (&json!(1), &json!(40)), "{eve}");
    let refused = world.verify(&json!({ "key": caller.key, "end_user": "a\u{0}b" }));
    assert_eq!(refused.status, 400, "{}", refused.text());
    // A question that is not understood is no call.
    let before = usage(world, "group_by=code&code=client_gone").len();
    let refused = world.verify(&json!({ "key": caller.key, "api": caller.api, "end_user": "" }));
    assert_eq!((refused.status, usage(world, "group_by=code&code=client_gone").len()), (400, before));
    let empty = world.verify(&json!({ "key": caller.key, "api": caller.api, "tags": { "model": "" } }));
    assert_eq!((empty.status, one("tag=model:")), (200, 1));
    // Everything adds up, events as well: who called is not in those.
    assert_eq!(world.manage().get("/v1/usage/verify").1["intact"], true);
    let export = world.manage().request("GET", &format!("/v1/usage/export?{of}"), &[], b"").text();
    assert!(export.lines().count() == 8 && !export.contains("\"ada\""), "{export}");
    // O-7: end users choose their names.
    let csv = shell(world, &["usage", "--project", &caller.project, "--by", "end-user", "--format", "csv"]);
    assert!(csv.out.starts_with("value,calls,cost,") && csv.out.contains("\n'=bob,1,"), "{} {}", csv.out, csv.err);
}

#[test]
fn k30_percentiles_classes_the_most_and_the_time_before_are_told() {
    let world = shared();
    let caller = world.caller(&json!({}));
    for _ in 0..6 {
        world.call(&caller.key, "GET", &caller.path);
    }
    let refused = world.call(&caller.key, "TRACE", &caller.path);
    assert_eq!(refused.status, 405);
    assert_eq!(verify(world, &caller, &json!({ "permissions": "no.such", "cost": 4 })), "permission_missing");
    let of = format!("api_id={}", caller.api);
    let rows = usage(world, &format!("{of}&group_by=code&percentiles=99.9,50,50&order_by=calls"));
    assert_eq!(calls(&rows, "code")[0], (json!("allowed"), 6), "{rows:?}");
    let told = rows[0]["latency_percentiles_us"].as_object().unwrap();
    let micros = |share: &str| told[share].as_u64().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(0 < micros("p50") && micros("p50") <= micros("p99.9"), "{told:?}");
    // The longest of them took no longer than all together, but for the error.
    let all = rows[0]["latency_us"].as_u64().unwrap();
    assert!(micros("p99.9") * 98 <= all * 100 + 100, "{rows:?}");
    let rows = usage(world, &format!("{of}&group_by=status_class,status"));
    assert!(rows.iter().all(|row| row["status_class"].as_str().unwrap()[..1] == row["status"].to_string()[..1]));
    let ok = usage(world, &format!("{of}&status=2xx&group_by=operation"));
    assert!(ok.iter().all(|row| row["operation"].is_string()), "{ok:?}");
    let operation = ok[0]["operation"].as_str().unwrap().replace(' ', "%20").replace('{', "%7B").replace('}', "%7D");
    let only = usage(world, &format!("{of}&status=200&operation={operation}"));
    assert_eq!(only[0]["calls"], ok[0]["calls"], "{only:?}");
    // The time before had none of it.
    let rows = usage(world, &format!("{of}&group_by=project&compare=previous&percentiles=95"));
    let mine = rows.iter().find(|row| row["project_id"] == caller.project.as_str()).unwrap();
    assert_eq!(
        (&mine["before"]["calls"], &mine["before"]["latency_percentiles_us"]),
        (&json!(0), &Value::Null),
        "{mine}"
    );
    // Asked about the minutes to come, what there is now is the time before.
    let soon = after(world, &caller, 120);
    let rows = usage(world, &format!("{of}&from={}&until={soon}&compare=previous", after(world, &caller, 60)));
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (&rows[0]["calls"], &rows[0]["before"]["cost"]),
        (&json!(0), &json!(6)),
        "what is gone is told: {rows:?}"
    );
    let by_code = usage(
        world,
        &format!("{of}&from={}&until={soon}&compare=previous&group_by=code&percentiles=50", after(world, &caller, 60)),
    );
    let allowed = by_code.iter().find(|row| row["code"] == "allowed").unwrap();
    assert_eq!((&allowed["calls"], &allowed["before"]["calls"]), (&json!(0), &json!(6)), "{by_code:?}");
    assert!(allowed["before"]["latency_percentiles_us"]["p50"].is_u64(), "{by_code:?}");
    let from = after(world, &caller, -60 * 60 * 24);
    let rows = usage(world, &format!("{of}&from={}&until={soon}&compare=previous&bucket=day&group_by=code", from));
    assert!(rows.iter().all(|row| row["before"]["calls"].is_u64()), "{rows:?}");

    let shown =
        shell(world, &["usage", "--api", &caller.api, "--by", "code,status-class", "--percentiles", "--compare"]);
    assert!(
        shown.out.contains("STATUS CLASS") && shown.out.contains("P99") && shown.out.contains("new"),
        "{}",
        shown.out
    );
    let top = shell(world, &["usage", "--api", &caller.api, "--by", "code", "--top", "1", "--json"]);
    let top: Value = serde_json::from_str(&top.out).unwrap();
    assert_eq!(
        (&top["items"][0]["code"], top["items"].as_array().map(Vec::len)),
        (&json!("allowed"), Some(1)),
        "{top}"
    );
    let wrong = shell(world, &["usage", "--by", "keys"]);
    assert!(wrong.code == 2 && wrong.err.contains("end-user"), "{}", wrong.err);
}

/// A moment so many seconds after this key was made, which was a moment ago.
fn after(world: &World, caller: &Caller, secs: i64) -> String {
    let made = world.manage().get(&format!("/v1/keys/{}", caller.id)).1["created_at"].as_str().unwrap().to_owned();
    moment(&made).plus_secs(secs).to_string()
}

#[test]
fn k30_an_api_is_seen_by_its_consumers_and_each_consumer_sees_itself_alone() {
    let world = shared();
    let owned = world.caller(&json!({}));
    let mut theirs = Vec::new();
    for which in ["one", "other"] {
        let (_, admin) = world.tenant("consumer");
        let person = world.as_person(&admin);
        let project = id(&person.create("/v1/projects", &json!({ "name": name("app") })));
        let link = person.create("/v1/activations", &json!({ "project_id": project, "api_id": owned.api }));
        let (link, organization) = (id(&link), person.get("/v1/whoami").1["organization_id"].clone());
        assert_eq!(world.manage().post(&format!("/v1/activations/{link}/approve"), &json!({})).0, 200);
        let key = person.create("/v1/keys", &json!({ "project_id": project, "name": name("key") }));
        let text = key["key"].as_str().unwrap().to_owned();
        let (api, path) = (owned.api.clone(), owned.path.clone());
        let caller = Caller { api, path, project, activation: link, id: id(&key), key: text };
        let told = json!({ "end_user": which, "tags": { "risk": "high" }, "client": { "country": "DE" } });
        assert_eq!(verify(world, &caller, &told), "allowed");
        theirs.push((person, organization, caller));
    }
    world.call(&owned.key, "GET", &owned.path);
    let rows = usage(world, &format!("api_id={}&group_by=organization", owned.api));
    assert_eq!(rows.len(), 3, "{rows:?}");
    for (person, organization, caller) in &theirs {
        let mine = rows.iter().find(|row| row["organization_id"] == *organization).unwrap();
        assert_eq!(mine["calls"], 1, "{rows:?}");
        let of = format!("/v1/usage?project_id={}&group_by=organization,country", caller.project);
        assert_eq!(person.get(&of).1["items"].as_array().map(Vec::len), Some(1));
        // What the API's owner tells of it is not for it; where it calls from is.
        let told = |facet: &str| {
            person.get(&format!("/v1/usage?project_id={}&group_by={facet}", caller.project)).1["items"].clone()
        };
        assert_eq!((told("end_user"), told("tag:risk")), (json!([]), json!([])));
        assert_eq!(told("country")[0]["value"], "DE");
        let export = person.request("GET", &format!("/v1/privacy/projects/{}", caller.project), &[], b"").text();
        assert!(!export.contains("risk") && !export.contains("end_user"), "{export}");
        // Not of another one, nor of the API that it does not own.
        let all = person.get("/v1/usage?group_by=end_user,organization").1.to_string();
        assert!(!all.contains("\"one\"") && !all.contains("\"other\""), "{all}");
        assert_eq!(person.get(&format!("/v1/usage?api_id={}&group_by=end_user", owned.api)).0, 404);
    }
    assert_eq!(theirs[0].0.get(&format!("/v1/usage?project_id={}", theirs[1].2.project)).0, 404);
}

#[test]
fn k30_the_country_of_a_call_is_looked_up_as_far_as_its_address_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("countries.mmdb"));
    std::fs::write(&file, mmdb(&["country", "iso_code"], &[("127.0.0.0/8", "DE"), ("203.0.113.0/24", "AT")])).unwrap();
    let settings = format!(
        "data = {data:?}\nroot_key = {:?}\n[gateway]\nlisten = \"127.0.0.1:0\"\ncountry_database = {file:?}\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[check]\nlisten = \"127.0.0.1:0\"\n",
        folder.path().join("root.key")
    );
    let installation = Installation::serve(env!("CARGO_BIN_EXE_keystile"), &settings, folder.path());
    let world = World::bare(installation);
    let project = id(&world.manage().create("/v1/projects", &json!({ "name": "app" })));
    let (_, key) = world.key(&project, &json!({ "name": "key" }));
    let ask = |client: Value| assert_eq!(world.verify(&json!({ "key": key, "client": client })).status, 200);
    ask(json!({ "ip": "203.0.113.9" }));
    ask(json!({ "ip": "203.0.113.9", "country": "FR" }));
    ask(json!({ "ip": "198.51.100.1" }));
    let rows = usage(&world, "group_by=country,key");
    assert_eq!(calls(&rows, "value"), [(Value::Null, 1), (json!("AT"), 1), (json!("FR"), 1)]);
    // Who called is forgotten with its project; how often is not.
    assert_eq!(world.manage().delete(&format!("/v1/privacy/projects/{project}")).0, 204);
    assert_eq!(calls(&usage(&world, "group_by=country"), "value"), [(Value::Null, 3)]);
}
