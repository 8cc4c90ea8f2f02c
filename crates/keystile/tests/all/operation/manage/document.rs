//! `/openapi.json`: sound in its structure, and of the server that gives it.

use std::collections::HashSet;

use serde_json::Value;

use super::super::schema::fits;
use super::super::world::shared;
use super::routes::{Access, Things, document, routes};

/// A line a thing.
const LINES: &str = "application/x-ndjson";

#[test]
fn every_reference_leads_to_something() {
    let document = document(shared());
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "only {}", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads out of the document"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn every_operation_is_whole() {
    let document = document(shared());
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")), "{}", document["openapi"]);
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let schemes = &document["components"]["securitySchemes"];
    for route in routes(&document) {
        let (title, operation) = (route.title(), &route.operation);
        assert!(operation["operationId"].is_string(), "{title} has no operationId");
        assert!(operation["summary"].is_string() || operation["description"].is_string(), "{title} is not explained");
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{title} needs nothing"));
        let named = |requirement: &Value| {
            requirement
                .as_object()
                .is_some_and(|all| !all.is_empty() && all.keys().all(|name| schemes[name].is_object()))
        };
        let is_open = route.access() == Access::Open;
        assert!(security.is_empty() == is_open && security.iter().all(named), "{title}: {security:?}");
        declared_parameters(&route.template, operation, &title);
        let responses = operation["responses"].as_object().unwrap_or_else(|| panic!("{title} answers nothing"));
        assert!(responses.keys().any(|status| status.starts_with('2')), "{title} never succeeds");
        assert!(is_open || responses.contains_key("401"), "{title} does not say that it needs a key");
        for (status, response) in responses {
            let content = &response["content"];
            assert!(
                !status.starts_with('2')
                    || ["202", "204"].contains(&status.as_str())
                    || ["application/json", LINES, "text/event-stream"]
                        .iter()
                        .any(|kind| content[kind]["schema"].is_object()),
                "{title} {status}"
            );
        }
    }
}

#[test]
fn every_response_is_described() {
    let document = document(shared());
    let mut silent = Vec::new();
    for route in routes(&document) {
        let responses = route.operation["responses"].as_object().unwrap();
        let bare = responses.iter().filter(|(_, response)| response["description"].as_str().is_none_or(str::is_empty));
        silent.extend(bare.map(|(status, _)| format!("{} {status}", route.title())));
    }
    assert_eq!(silent.first(), None, "OpenAPI demands a description of each; {} have none", silent.len());
}

#[test]
fn operation_ids_are_unique() {
    let document = document(shared());
    let mut seen = HashSet::new();
    let doubled: Vec<String> = routes(&document)
        .iter()
        .filter(|route| !seen.insert(route.operation["operationId"].to_string()))
        .map(|route| format!("{} {}", route.operation["operationId"], route.title()))
        .collect();
    assert_eq!(doubled, Vec::<String>::new(), "OpenAPI demands ids that are unique among all operations");
}

#[test]
fn z04_answers_say_what_the_document_says_and_nothing_else() {
    let world = shared();
    let document = document(world);
    let things = Things::of(world);
    for route in routes(&document).iter().filter(|route| route.method == "GET") {
        let answer = route.ask(&route.holder(world, &things), &things);
        assert_eq!(answer.status, 200, "{}: {}", route.title(), answer.text());
        let content = &route.operation["responses"]["200"]["content"];
        if content[LINES].is_object() {
            for line in answer.text().lines() {
                fits(&document, &content[LINES]["schema"], &serde_json::from_str(line).unwrap(), &route.title());
            }
        } else {
            fits(&document, &content["application/json"]["schema"], &answer.json(), &route.title());
        }
    }
}

fn declared_parameters(template: &str, operation: &Value, title: &str) {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let declared: HashSet<&str> = parameters
        .iter()
        .filter(|parameter| parameter["in"] == "path")
        .map(|parameter| {
            assert_eq!(parameter["required"], true, "{title}: {parameter}");
            assert!(parameter["schema"].is_object(), "{title}: {parameter}");
            parameter["name"].as_str().unwrap()
        })
        .collect();
    let used: HashSet<&str> =
        template.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect();
    assert_eq!(declared, used, "{title}");
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
