//! The document says what the code takes, and nothing else. On real sockets the same is asked in `tests/all` of the binary.

use std::collections::BTreeSet;

use keystile_core::credit::{MAX_ENTRY_ID_LEN, MAX_RESERVED_SECS};
use keystile_core::decide::MAX_ASKED;
use keystile_core::key::{Environment, Presented};
use keystile_core::limit::{MAX_LIMIT, MAX_NAME_LEN, MAX_SUBJECT_LEN, MAX_TAGS, MAX_WINDOW_SECS};

use keystile_core::plan::MAX_CREDITS;

use super::*;
use crate::verify::question::{Client, Operation as Call};

/// Reads a text as a question, as a handler does; the text of the failure otherwise.
type Reader = fn(&str) -> Result<(), String>;

/// Every object that a question is made of: its name in the document, how it is read, and one in which all is said.
fn objects() -> Vec<(&'static str, Reader, Value)> {
    fn reader<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<(), String> {
        serde_json::from_str::<T>(text).map(drop).map_err(|error| error.to_string())
    }
    let call = json!({ "method": "GET", "path": "/pets/7", "content_type": "a/b", "body_bytes": 1, "accept": "a/b",
        "headers": { "x-a": "1", "x-b": ["1", "2"] } });
    let client = json!({ "ip": "192.0.2.1", "certificate": "ab".repeat(32), "origin": "https://a.example",
        "referrer": "https://a.example/x", "country": "DE" });
    let limit = json!({ "name": "a", "subject": "b", "limit": 1, "window_seconds": 60, "algorithm": "token_bucket",
        "burst": 2, "cost": 1 });
    let project = "prj_0Xf4sD7gL2pZ9wB5eR8uK1";
    let charge = json!({ "id": "a", "api": "Pets", "project_id": project, "amount": 1 });
    let mut reserve = charge.clone();
    reserve["expires_in_seconds"] = json!(60);
    let lease = "lea_4Ju7dK0qB9zN6iO3lF8aV2";
    let key = json!({ "key": "k", "api": "Pets", "operation": call, "client": client, "permissions": "a", "cost": 1,
        "report": true, "end_user": "ada", "tags": { "a": "b" }, "explain": true });
    vec![
        ("KeyQuestion", |text| reader::<Question<'_>>(text), key),
        ("CallOperation", |text| reader::<Call<'_>>(text), call),
        ("CallClient", |text| reader::<Client<'_>>(text), client),
        ("LimitQuestion", |text| reader::<Check<'_>>(text), limit.clone()),
        ("LimitsQuestion", |text| reader::<Multi<'_>>(text), json!({ "limits": [limit] })),
        ("Release", |text| reader::<Release>(text), json!({ "lease": lease })),
        ("UsageReport", |text| reader::<Report>(text), json!({ "lease": lease, "cost": 1 })),
        ("CreditCharge", |text| reader::<credits::Charge<'_>>(text), charge),
        ("CreditReserve", |text| reader::<credits::Reserve<'_>>(text), reserve),
        ("CreditPost", |text| reader::<credits::Post<'_>>(text), json!({ "id": "a", "api": "Pets", "amount": 1 })),
        ("CreditVoid", |text| reader::<credits::Void<'_>>(text), json!({ "id": "a", "api": "Pets" })),
    ]
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let document = document();
    let told: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let routed: BTreeSet<&str> = Route::all().map(Route::path).collect();
    assert_eq!(told, routed);
    let mut ids = BTreeSet::new();
    for path in told {
        let item = document["paths"][path].as_object().unwrap();
        assert_eq!(item.keys().collect::<Vec<_>>(), ["post"], "{path}");
        assert!(ids.insert(item["post"]["operationId"].as_str().unwrap()), "{path} has the id of another");
    }
}

#[test]
fn questions_take_what_the_document_says_and_nothing_else() {
    let document = document();
    let objects = objects();
    for (name, read, whole) in &objects {
        let schema = &document["components"]["schemas"][name];
        assert_eq!(schema["additionalProperties"], false, "{name}");
        let properties = schema["properties"].as_object().unwrap();
        let told: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        // What a reader says that it knows.
        let said = read(r#"{"?":0}"#).unwrap_err();
        let known: BTreeSet<&str> = said.rsplit_once("expected ").unwrap().1.split('`').skip(1).step_by(2).collect();
        assert_eq!(told, known, "{name}");
        read(&whole.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(whole.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(), told, "{name}");
        for (field, property) in properties {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(field);
            let is_required = schema["required"].as_array().is_some_and(|names| names.contains(&json!(field)));
            assert_eq!(read(&without.to_string()).is_err(), is_required, "{name} without {field}");
            without[field] = Value::Null;
            assert_eq!(read(&without.to_string()).is_ok(), takes_null(property), "{name}: {field} is null");
        }
    }
    for path in document["paths"].as_object().unwrap().values() {
        let body = &path["post"]["requestBody"]["content"]["application/json"]["schema"];
        for name in referred(&document, body) {
            assert!(objects.iter().any(|(own, ..)| *own == name), "{name} is not tested");
        }
    }
}

fn takes_null(schema: &Value) -> bool {
    let kinds = schema["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("null")));
    let either = ["oneOf", "anyOf"].iter().filter_map(|list| schema[list].as_array()).flatten();
    kinds || schema["type"] == "null" || either.into_iter().any(takes_null)
}

/// The names of the schemas that a schema leads to.
fn referred(document: &Value, schema: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        if let Some(name) = value["$ref"].as_str().and_then(|reference| reference.rsplit('/').next())
            && names.insert(name.to_owned())
        {
            open.push(&document["components"]["schemas"][name]);
        }
        match value {
            Value::Object(fields) => open.extend(fields.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    names
}

#[test]
fn bounds_are_those_that_are_checked() {
    let document = document();
    for (place, bound) in [
        ("KeyQuestion/properties/cost/maximum", u64::from(MAX_LIMIT)),
        ("KeyQuestion/properties/end_user/maxLength", MAX_SUBJECT_LEN as u64),
        ("KeyQuestion/properties/tags/maxProperties", MAX_TAGS as u64),
        ("KeyQuestion/properties/tags/additionalProperties/maxLength", MAX_SUBJECT_LEN as u64),
        ("LimitQuestion/properties/name/maxLength", MAX_NAME_LEN as u64),
        ("LimitQuestion/properties/subject/maxLength", MAX_SUBJECT_LEN as u64),
        ("LimitQuestion/properties/limit/maximum", u64::from(MAX_LIMIT)),
        ("LimitQuestion/properties/window_seconds/maximum", u64::from(MAX_WINDOW_SECS)),
        ("LimitQuestion/properties/burst/maximum", u64::from(MAX_LIMIT)),
        ("LimitQuestion/properties/cost/maximum", u64::from(u32::MAX)),
        ("LimitsQuestion/properties/limits/maxItems", MAX_ASKED as u64),
        ("UsageReport/properties/cost/maximum", u64::from(MAX_LIMIT)),
        ("CreditCharge/properties/id/maxLength", MAX_ENTRY_ID_LEN as u64),
        ("CreditCharge/properties/amount/maximum", MAX_CREDITS),
        ("CreditReserve/properties/amount/maximum", MAX_CREDITS),
        ("CreditReserve/properties/expires_in_seconds/maximum", u64::from(MAX_RESERVED_SECS)),
        ("CreditPost/properties/amount/maximum", MAX_CREDITS),
    ] {
        let told = document.pointer(&format!("/components/schemas/{place}"));
        assert_eq!(told.and_then(Value::as_u64), Some(bound), "{place}");
    }
}

#[test]
fn every_rule_and_every_example_is_about_something_that_there_is() {
    let document = document();
    assert_eq!(crate::describe::without_use(SCHEMAS, &document), Vec::<String>::new());
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap();
    let ids: BTreeSet<&str> = Route::all().map(|route| Operation::of(route).id).collect();
    assert_eq!(examples.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(), ids);
    let key = examples["verifyKey"]["call"]["question"]["key"].as_str().unwrap();
    assert_eq!(Presented::parse(key), Ok(Presented::Marked { environment: Environment::Live }), "a typing error");
}
