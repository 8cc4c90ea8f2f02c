//! Every call is counted, as what it was and as whose it was.

use serde_json::{Value, json};

use super::Stage;
use super::stage::serve;

/// The rows of this server, whatever API they belong to: group, then calls.
fn rows(stage: &Stage, group_by: &str) -> Vec<Value> {
    let (status, list) = stage.manage.get(&format!("/v1/usage?group_by={group_by}"));
    assert_eq!(status, 200, "{list}");
    list["items"].as_array().expect("a list has items").clone()
}

#[test]
fn a_call_is_counted_with_all_that_is_known_of_it() {
    let stage = Stage::new();
    stage.call("POST /pets/1/toys/2?a=b", &[], b"12345");
    let all = stage.usage("api,project,key,operation,code,status");
    assert_eq!(all.len(), 1, "{all:?}");
    let row = &all[0];
    for (name, value) in [
        ("api_id", json!(stage.api_id)),
        ("project_id", json!(stage.project_id)),
        ("key_id", json!(stage.key_id)),
        ("operation", json!("POST /pets/1/*")),
        ("code", json!("allowed")),
        ("status", json!(200)),
        ("calls", json!(1)),
        ("bytes_in", json!(5)),
        ("bytes_out", json!(2)),
    ] {
        assert_eq!(row[name], value, "{name}: {row}");
    }
    assert!(row["latency_us"].as_u64().is_some_and(|time| (1..20_000_000).contains(&time)), "{row}");
}

#[test]
fn a_refused_call_is_counted_too_and_so_is_an_unknown_key() {
    let stage = Stage::new();
    stage.answer(&stage.request_without_key("GET /open", &[], b""));
    stage.answer(&stage.request_without_key("GET /open", &[("X-Api-Key", "nobody-knows-this-key-0123456789")], b""));
    let all = stage.usage("project,key,code,status");
    assert_eq!(all.len(), 2, "{all:?}");
    for row in &all {
        assert_eq!((&row["project_id"], &row["key_id"]), (&Value::Null, &Value::Null), "{row}");
        assert_eq!(row["status"], 401, "{row}");
    }
    assert_eq!((stage.counted("key_missing", 401), stage.counted("key_unknown", 401)), (1, 1));
    stage.saw_nothing("refused");
}

#[test]
fn a_target_that_has_no_canonical_form_is_counted_for_its_key() {
    let served = serve("", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let targets = ["/a/../b", "/%00", "/a%2fb", "/a;b", "/a\"b", "*", "http://other.test/"];
    for target in targets {
        stage.answer(&stage.request(&format!("GET {target}"), &[], b""));
    }
    stage.answer(&stage.request(&format!("GET /{}", "a".repeat(9_000)), &[], b""));
    stage.answer(&stage.request("TRACE /x", &[], b""));
    let all = rows(&stage, "api,project,key,operation,code");
    let calls = |code: &str| -> u64 {
        let own = all.iter().filter(|row| row["code"] == code);
        own.clone().for_each(|row| {
            assert_eq!(row["api_id"], Value::Null, "{row}");
            assert_eq!(row["project_id"], json!(stage.project_id), "{row}");
            assert_eq!(row["key_id"], json!(stage.key_id), "{row}");
            assert_eq!(row["operation"], "(invalid)", "{row}");
        });
        own.filter_map(|row| row["calls"].as_u64()).sum()
    };
    assert_eq!(calls("request_malformed"), targets.len() as u64, "{all:?}");
    assert_eq!((calls("target_too_long"), calls("method_not_allowed")), (1, 1), "{all:?}");
    stage.saw_nothing("refused");
}

#[test]
fn what_is_no_request_is_counted_as_nobodys() {
    let served = serve("", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    for bytes in ["GET /open HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n", "\u{16}\u{3}\u{1}"] {
        stage.answer(bytes.as_bytes());
    }
    let all = rows(&stage, "project,key,code,status");
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((&all[0]["code"], &all[0]["calls"]), (&json!("request_malformed"), &json!(3)), "{all:?}");
    assert_eq!((&all[0]["project_id"], &all[0]["key_id"]), (&Value::Null, &Value::Null), "{all:?}");
}

#[test]
fn operations_without_a_document_are_bounded_in_number() {
    let stage = Stage::new();
    let mut client = stage.client();
    for number in 0..1_100 {
        client.write(stage.request(&format!("GET /made-up-{number}"), &[], b"")).expect("the connection stays open");
        assert_eq!(client.answer().expect("an answer comes").status, 200);
    }
    let (status, list) = stage.manage.get(&format!("/v1/usage?api_id={}&group_by=operation&limit=10000", stage.api_id));
    assert_eq!(status, 200);
    let all = list["items"].as_array().expect("a list has items");
    assert!(all.len() <= 1_001, "{}", all.len());
    assert_eq!(all.iter().filter_map(|row| row["calls"].as_u64()).sum::<u64>(), 1_100);
    let other = all.iter().find(|row| row["operation"] == "(other)").expect("the rest has a name");
    assert!(other["calls"].as_u64() >= Some(100), "{other}");
}

#[test]
fn with_a_document_calls_are_counted_by_its_operations() {
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" },
        "paths": { "/pets/{id}": { "get": { "responses": {} } }, "/pets/mine": { "get": { "responses": {} } } },
    });
    let stage = Stage::with(json!({ "openapi": document }), json!({}));
    for target in ["/pets/1", "/pets/2?x", "/pets/mine", "//pets/3", "/pets/1/toys", "/other"] {
        assert_eq!(stage.call(&format!("GET {target}"), &[], b"").status, 200, "{target}");
    }
    let mut all: Vec<(String, u64)> = stage
        .usage("operation")
        .iter()
        .map(|row| {
            (row["operation"].as_str().unwrap_or_default().to_owned(), row["calls"].as_u64().unwrap_or_default())
        })
        .collect();
    all.sort();
    let expected = [
        ("(undocumented) GET /other", 1),
        ("(undocumented) GET /pets/*/*", 1),
        ("GET /pets/mine", 1),
        ("GET /pets/{id}", 3),
    ];
    assert_eq!(all, expected.map(|(operation, calls)| (operation.to_owned(), calls)));
}
