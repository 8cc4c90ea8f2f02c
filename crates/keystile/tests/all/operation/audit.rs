//! The audit from outside: who did what, when, from where; found, written out, and known to be whole (PRODUCT.md K33).

use std::process::Command;

use keystile_testkit::Installation;
use serde_json::{Value, json};

use super::form::{moment, problem};
use super::process::{keystile, run};
use super::world::{BINARY, World, id, name, shared};

fn items(world: &World, query: &str) -> Vec<Value> {
    let (status, page) = world.manage().get(&format!("/v1/audit?{query}"));
    assert_eq!(status, 200, "{query}: {page}");
    page["items"].as_array().unwrap().clone()
}

#[test]
fn e06_an_entry_says_who_did_what_when_from_where_and_how_things_were() {
    let world = shared();
    let (key, _) = world.key(&world.project(), &json!({}));
    let renamed = world.manage().request(
        "PATCH",
        &format!("/v1/keys/{key}"),
        &[("content-type", "application/json")],
        br#"{"name":"renamed"}"#,
    );
    let request = renamed.field("x-request-id").unwrap().to_owned();
    let all = items(world, &format!("subject_id={key}"));
    let types: Vec<&str> = all.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["key.update", "key.create"], "newest first");
    let entry = &all[0];
    assert_eq!(
        (&entry["vocabulary"], &entry["address"], &entry["request_id"]),
        (&json!("sensitive_update"), &json!("127.0.0.1"), &json!(request))
    );
    assert!(entry["actor"].as_str().unwrap().starts_with("key_"), "{entry}");
    assert_eq!(entry["after"]["name"], "renamed");
    assert_ne!(entry["before"]["name"], "renamed");
    moment(entry["created_at"].as_str().unwrap());
    assert_eq!(all[1]["before"], Value::Null);
    // Each of these finds it.
    let actor = entry["actor"].as_str().unwrap();
    for query in [
        format!("request_id={request}"),
        format!("type=key.update&subject_id={key}"),
        format!("type=key.*&subject_id={key}"),
        format!("actor={actor}&request_id={request}"),
        format!("address=127.0.0.1&request_id={request}"),
        format!("from=2020-01-01T00:00:00Z&request_id={request}"),
    ] {
        assert_eq!(items(world, &query)[0], *entry, "{query}");
    }
    for query in [
        format!("address=192.0.2.1&request_id={request}"),
        format!("until=2020-01-01T00:00:00Z&request_id={request}"),
        format!("actor=system:nobody&request_id={request}"),
        format!("type=role.*&request_id={request}"),
    ] {
        assert_eq!(items(world, &query), Vec::<Value>::new(), "{query}");
    }
    for wrong in ["who=me", "type=%20", "address=here", "request_id=1", "from=yesterday", "cursor=x", "actor=%00"] {
        problem(&world.manage().request("GET", &format!("/v1/audit?{wrong}"), &[], b""), 400, "invalid");
    }
}

#[test]
fn pages_follow_each_other_and_an_export_goes_on_where_it_was() {
    let world = shared();
    let project = world.project();
    let keys: Vec<String> = (0..5).map(|_| world.key(&project, &json!({})).0).collect();
    let actor = items(world, &format!("subject_id={}", keys[0]))[0]["actor"].as_str().unwrap().to_owned();
    let from = items(world, &format!("subject_id={project}"))[0]["created_at"].as_str().unwrap().to_owned();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("/v1/audit?type=key.create&actor={actor}&from={from}&limit=2{cursor}");
        let page = world.manage().get(&query).1;
        seen.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let export = |query: &str| -> Vec<Value> {
        let answer = world.manage().request("GET", &format!("/v1/audit/export?{query}"), &[], b"");
        assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/x-ndjson")));
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let exported = export(&format!("type=key.create&actor={actor}&from={from}"));
    seen.reverse();
    // Other tests make keys meanwhile; what was there is in both.
    for entry in &seen {
        assert!(exported.contains(entry), "{entry}");
    }
    assert!(exported.is_sorted_by_key(|entry| entry["sequence"].as_u64()));
    let third = exported[2]["sequence"].as_u64().unwrap();
    let rest = export(&format!("type=key.create&actor={actor}&from={from}&after={third}"));
    assert!(rest.len() >= exported.len() - 3 && rest[..exported.len() - 3] == exported[3..], "{rest:?}");
}

#[test]
fn it_takes_a_right_of_its_own() {
    let world = shared();
    for (permission, status) in [("events.read", 403), ("audit.read", 200)] {
        let manage = world.manage_as(&world.management_key_for(&[permission]));
        for path in ["/v1/audit", "/v1/audit/export", "/v1/audit/verify"] {
            let answer = manage.request("GET", path, &[], b"");
            assert_eq!(answer.status, status, "{permission} {path}: {}", answer.text());
        }
    }
}

#[test]
fn e05_an_altered_entry_is_named_by_the_server_and_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let world = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), None);
    let does = |args: &[&str]| {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        run(&mut command)
    };
    let project = world.project();
    let made: Vec<String> = (0..3).map(|_| world.key(&project, &json!({})).0).collect();
    let whole = does(&["audit", "verify"]);
    assert!(whole.code == 0 && whole.out.starts_with("intact: "), "{whole:?}");
    let second = items(&world, &format!("subject_id={}", made[1]))[0]["sequence"].as_u64().unwrap();
    let alter = format!("UPDATE audit SET actor = 'system:nobody' WHERE sequence = {second}");
    let altered = Command::new("sqlite3").arg(data.join("catalog.db")).arg(".timeout 5000").arg(alter).output();
    let altered = altered.unwrap();
    assert!(altered.status.success(), "{altered:?}");
    let (_, verdict) = world.manage().get("/v1/audit/verify");
    assert_eq!((&verdict["intact"], &verdict["broken_at"]), (&json!(false), &json!(second)), "{verdict}");
    let broken = does(&["audit", "verify"]);
    assert!(broken.code == 3 && broken.out.contains(&format!("entry {second} of ")), "{broken:?}");
}

#[test]
fn the_command_line_lists_and_writes_it_out() {
    let world = shared();
    let does = |args: &[&str]| {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        run(&mut command)
    };
    let project = id(&world.manage().create("/v1/projects", &json!({ "name": name("=cmd") })));
    let listed = does(&["audit", "list", "--subject", &project, "--since", "1h"]);
    assert!(
        listed.code == 0 && listed.out.contains("project.create") && listed.out.contains("127.0.0.1"),
        "{listed:?}"
    );
    let csv = does(&["audit", "export", "--subject", &project, "--format", "csv"]);
    let lines: Vec<&str> = csv.out.lines().collect();
    assert!(csv.code == 0 && lines.len() == 2 && lines[0].starts_with("sequence,id,created_at,type"), "{csv:?}");
    assert!(lines[1].contains("project.create,sensitive_create,key_"), "{csv:?}");
    let two = does(&["audit", "export", "--limit", "2"]);
    assert_eq!(two.out.lines().count(), 2, "{two:?}");
    let ndjson = does(&["audit", "export", "--subject", &project]);
    assert_eq!(serde_json::from_str::<Value>(ndjson.out.trim()).unwrap()["subject_id"], json!(project));
}

#[test]
fn what_is_no_id_and_no_type_is_refused_and_not_looked_for_in_vain() {
    let world = shared();
    for (query, says) in [
        ("subject_id=shop", "and not its name"),
        ("type=key", "key.*"),
        ("actor=somebody", "system:WORD"),
        ("actor=system:*", "system:WORD"),
    ] {
        for path in ["/v1/audit", "/v1/audit/export"] {
            let answer = world.manage().request("GET", &format!("{path}?{query}"), &[], b"");
            assert!(answer.status == 400 && answer.text().contains(says), "{path}?{query}: {}", answer.text());
        }
    }
    for query in ["subject_id=encryption", "type=key.*", "actor=system:setup", "actor=system:hand-over"] {
        assert_eq!(world.manage().get(&format!("/v1/audit?{query}")).0, 200, "{query}");
    }
    let unreadable = world.manage().get("/v1/audit?sort=asc").1["detail"].to_string();
    assert!(unreadable.contains("sort") && !unreadable.contains("deserialize"), "{unreadable}");
    let unreadable = world.manage().post("/v1/roles", &json!({ "nam": "x" })).1["detail"].to_string();
    assert!(unreadable.contains("unknown field `nam`") && !unreadable.contains(" line "), "{unreadable}");
}
