//! `POST /v1/keys/bulk`: the same done to many keys, each with its own result.

use serde_json::{Value, json};

use super::super::form::problem;
use super::super::world::{World, shared};

fn bulk(world: &World, body: &Value) -> Value {
    let (status, report) = world.manage().post("/v1/keys/bulk", body);
    assert_eq!(status, 200, "{body}: {report}");
    report
}

fn results(report: &Value) -> Vec<(String, u64, Option<String>)> {
    let item = |item: &Value| {
        let code = item.get("code").map(|code| code.as_str().unwrap().to_owned());
        assert_eq!(code.is_some(), item.get("detail").is_some_and(Value::is_string), "{item}");
        (item["id"].as_str().unwrap().to_owned(), item["status"].as_u64().unwrap(), code)
    };
    report["items"].as_array().unwrap().iter().map(item).collect()
}

#[test]
fn what_fails_for_one_key_is_done_to_the_others() {
    let world = shared();
    let project = world.project();
    let keys: Vec<(String, String)> = (0..3).map(|_| world.key(&project, &json!({}))).collect();
    let missing = "key_0000000000000000000000";
    world.manage().post(&format!("/v1/keys/{}/revoke", keys[1].0), &json!({}));
    let ids = json!([keys[0].0, keys[1].0, missing, keys[2].0, keys[0].0]);

    let tried = world.manage().post("/v1/keys/bulk?dry_run=true", &json!({ "action": "disable", "ids": ids })).1;
    let report = bulk(world, &json!({ "action": "disable", "ids": ids }));
    assert_eq!(results(&tried), results(&report), "a trial says what becomes of each");
    let expected = [(&keys[0].0, 200, None), (&keys[1].0, 409, Some("conflict"))];
    let expected = expected.into_iter().map(|(id, status, code)| (id.clone(), status, code.map(str::to_owned)));
    assert_eq!(results(&report)[..2], expected.collect::<Vec<_>>());
    assert_eq!(results(&report)[2], (missing.to_owned(), 404, Some("not_found".to_owned())));
    assert_eq!((report["done"].clone(), report["refused"].clone()), (json!(2), json!(2)));
    for (n, code) in [(0, "key_disabled"), (1, "key_revoked"), (2, "key_disabled")] {
        assert_eq!(world.verify(&json!({ "key": keys[n].1 })).code(), code);
    }
    let told = world.manage().get(&format!("/v1/events?type=key.disable&subject_id={}", keys[2].0)).1;
    assert_eq!(told["items"].as_array().unwrap().len(), 1, "each is a change of its own");
}

#[test]
fn each_action_reaches_the_keys_that_fit_a_filter() {
    let world = shared();
    let project = world.project();
    let keys: Vec<(String, String)> = (0..3).map(|_| world.key(&project, &json!({}))).collect();
    for (body, code) in [
        (json!({ "action": "disable", "filter": { "project_id": project } }), "key_disabled"),
        (json!({ "action": "enable", "filter": { "project_id": project, "state": "disabled" } }), "allowed"),
        (json!({ "action": "update", "filter": { "project_id": project }, "set": { "name": "all" } }), "allowed"),
        (json!({ "action": "delete", "filter": { "project_id": project, "name": "all" } }), "key_unknown"),
        (json!({ "action": "undelete", "filter": { "project_id": project } }), "allowed"),
        (json!({ "action": "revoke", "filter": { "project_id": project, "kind": "secret" } }), "key_revoked"),
    ] {
        let report = bulk(world, &body);
        assert_eq!((report["done"].clone(), report["refused"].clone()), (json!(3), json!(0)), "{body}: {report}");
        for (_, text) in &keys {
            assert_eq!(world.verify(&json!({ "key": text })).code(), code, "{body}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_as_a_whole() {
    let world = shared();
    let many: Vec<String> = (0..1_001).map(|n| format!("key_{n:022}")).collect();
    for body in [
        json!({ "action": "disable" }),
        json!({ "action": "disable", "ids": [] }),
        json!({ "action": "disable", "ids": many }),
        json!({ "action": "disable", "ids": [many[0]], "filter": { "name": "x" } }),
        json!({ "action": "disable", "filter": {} }),
        json!({ "action": "disable", "ids": [many[0]], "set": {} }),
        json!({ "action": "update", "ids": [many[0]] }),
        json!({ "action": "rotate", "ids": [many[0]] }),
        json!({ "action": "disable", "ids": [many[0]], "more": 1 }),
    ] {
        let fields = [("content-type", "application/json")];
        let answer = world.manage().request("POST", "/v1/keys/bulk", &fields, body.to_string().as_bytes());
        problem(&answer, 400, "invalid");
    }
    let reader = world.manage_as(&world.management_key_for(&["keys.read"]));
    assert_eq!(reader.post("/v1/keys/bulk", &json!({ "action": "disable", "ids": [many[0]] })).0, 403);
}
