use std::fmt::Write as _;
use std::path::Path;

use keystile_core::operation::OperationTable;

use super::*;

fn labels(document: &ApiDocument) -> Vec<String> {
    document.operations.iter().map(|operation| format!("{} {}", operation.method, operation.template)).collect()
}

fn with_paths(paths: &str) -> String {
    format!("openapi: 3.1.0\ninfo:\n  title: Pets\n  version: 1.0\npaths:\n{paths}")
}

#[track_caller]
fn refused(text: &str, says: &str) {
    let error = ApiDocument::read(text).expect_err(says);
    assert!(error.to_string().contains(says), "{error}");
}

#[track_caller]
fn wrong_at(text: &str, line: usize, says: &str) {
    match ApiDocument::read(text) {
        Err(DocumentError::Wrong { what, at: Some(at) }) => {
            assert!(what.contains(says), "{what}");
            // A fault of a key is found when the readers stand at the entry before it (YAML) or behind it (JSON).
            assert!(at.line.abs_diff(line) <= 1, "line {} instead of {line}: {what}", at.line);
        }
        other => panic!("{says}: {other:?}"),
    }
}

#[test]
fn the_operations_of_a_document_are_its_methods_on_its_paths() {
    let text = with_paths(
        "  /pets:\n    summary: all\n    parameters: [{name: q, in: query}]\n    get: {responses: {}}\n    post: {}\n    \
         trace: {}\n  x-internal: [1]\n  /pets/{id}:\n    delete: {}\n    get:\n",
    );
    let document = ApiDocument::read(&text).expect("sound");
    assert_eq!((&*document.title, &*document.version), ("Pets", "1.0"));
    assert_eq!(labels(&document), ["GET /pets", "POST /pets", "DELETE /pets/{id}"]);
    let trace =
        SkippedOperation { method: "TRACE".into(), template: "/pets".into(), reason: SkipReason::MethodRefused };
    assert_eq!(document.skipped, [trace]);
}

#[test]
fn json_and_yaml_and_a_value_read_the_same() {
    let json = r#"{"openapi":"3.0.3","info":{"title":"T","version":"1","x":[1]},"servers":[{"url":"/v1"}],
        "paths":{"/a":{"get":{"responses":{}}},"/b/{c}":{"put":{}}},"components":{"schemas":{}}}"#;
    let yaml = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths:\n  /a: {get: {}}\n  /b/{c}: {put: {}}\n";
    let document = ApiDocument::read(json).expect("sound");
    assert_eq!(ApiDocument::read(yaml), Ok(document.clone()));
    assert_eq!(ApiDocument::read(&format!("\u{FEFF}{json}")), Ok(document.clone()));
    assert_eq!(ApiDocument::read(&format!("---\n{yaml}")), Ok(document.clone()));
    let value = serde_json::from_str(json).expect("JSON");
    assert_eq!(ApiDocument::read_value(&value), Ok(document));
}

#[test]
fn another_kind_of_document_is_refused_by_its_name() {
    refused("swagger: '2.0'\ninfo: {title: T, version: '1'}\npaths: {/a: {get: {}}}", "Swagger 2.0");
    refused(r#"{"swagger":"2.0","info":{},"paths":{}}"#, "`title`");
    refused("openapi: 3.2.0\ninfo: {title: T, version: '1'}\npaths: {/a: {get: {}}}", "3.2.0");
    refused("openapi: 3.01\ninfo: {title: T, version: '1'}\npaths: {/a: {get: {}}}", "3.01");
    refused("asyncapi: 3.0.0\n", "no OpenAPI document");
    refused("", "");
    refused("just words", "");
    refused("[1, 2]", "");
    refused("openapi: 3.1.0\npaths: {/a: {get: {}}}", "`info`");
    refused(&with_paths("  {}\n"), "no operation");
    refused("openapi: 3.1.0\ninfo: {title: T, version: '1'}\nwebhooks: {}\n", "no operation");
    refused(&with_paths("  /a: {trace: {}}\n"), "no operation");
}

#[test]
fn an_error_says_what_is_wrong_and_where() {
    wrong_at("{\n  \"openapi\": \"3.1.0\",\n  \"info\": {,\n", 3, "key must be a string");
    wrong_at("{\"openapi\": \"3.1.0\",\n\"info\": {\"title\": 7}}", 2, "invalid type: integer `7`");
    wrong_at("openapi: 3.1.0\ninfo:\n  title: T\n version: 1\n", 3, "version");
    wrong_at(&with_paths("  /a: {get: {}}\n  /b/{c: {get: {}}\n"), 7, "every `{`");
    wrong_at(&with_paths("  a: {get: {}}\n"), 6, "begins with `/`");
    wrong_at(&with_paths("  /a: {get: {}}\n  /a: {put: {}}\n"), 7, "duplicate");
    wrong_at(&with_paths("  /a:\n    get: {}\n    get: {}\n"), 8, "duplicate");
    wrong_at(
        "{\"openapi\":\"3.1.0\",\"paths\":{\"/a/{b}\":{\"get\":{}},\n\"/a/{c}\":{\"get\":{}}\n}}",
        2,
        "`GET /a/{b}` and `GET /a/{c}`",
    );
    wrong_at("{\"openapi\":\"3.1.0\",\"paths\":{\"/a\":{\"get\":{}},\n\"/a\":{\"get\":{}}\n}}", 2, "same calls");
    wrong_at("{\"openapi\":\"3.1.0\",\n\"openapi\":\"3.1.0\"}", 2, "duplicate field");
}

#[test]
fn paths_that_differ_in_method_may_name_their_parameters_differently() {
    let text = with_paths("  /a/{b}: {get: {}}\n  /a/{c}: {put: {}}\n");
    assert_eq!(labels(&ApiDocument::read(&text).expect("sound")), ["GET /a/{b}", "PUT /a/{c}"]);
}

#[test]
fn a_query_in_a_path_tells_no_operations_apart() {
    let text = with_paths("  /a?beta=true: {get: {}, put: {}}\n  /a: {get: {}}\n  /b/{x?}#c: {get: {}}\n");
    let document = ApiDocument::read(&text).expect("sound");
    assert_eq!(labels(&document), ["GET /a", "PUT /a", "GET /b/{x?}"]);
    let skipped: Vec<_> = document.skipped.iter().map(|left| (&*left.method, &*left.template, left.reason)).collect();
    assert_eq!(skipped, [("GET", "/a?beta=true", SkipReason::SamePath)]);
}

#[test]
fn an_operation_that_no_call_can_reach_is_left_out_and_listed() {
    let document = ApiDocument::read(&with_paths("  /a: {get: {}}\n  /b//c: {get: {}}\n  /d.: {put: {}}\n"));
    let document = document.expect("sound");
    assert_eq!(labels(&document), ["GET /a"]);
    assert_eq!(document.skipped.len(), 2);
    assert!(document.skipped.iter().all(|left| left.reason == SkipReason::PathRefused));
}

#[test]
fn a_path_may_refer_to_the_components_and_to_nothing_else() {
    let referring = |reference: &str| {
        with_paths(&format!(
            "  /a: {{$ref: '{reference}'}}\n  /b: {{get: {{}}}}\ncomponents:\n  pathItems:\n    shared: {{post: {{}}}}\n    \
             again: {{$ref: '#/components/pathItems/again'}}\n"
        ))
    };
    let document = ApiDocument::read(&referring("#/components/pathItems/shared")).expect("sound");
    assert_eq!(labels(&document), ["GET /b", "POST /a"]);
    for other in ["other.yaml#/a", "https://example.com/a", "#/components/pathItems/again", "#/components/pathItems/no"]
    {
        refused(&referring(other), "which is not read");
    }
}

#[test]
fn everything_in_a_document_has_a_largest_size() {
    let large = " ".repeat(MAX_DOCUMENT_BYTES + 1);
    assert_eq!(ApiDocument::read(&large), Err(DocumentError::TooLarge { bytes: MAX_DOCUMENT_BYTES + 1 }));
    let mut many = String::new();
    for number in 0..=MAX_OPERATIONS {
        writeln!(many, "  /{number}: {{get: {{}}}}").expect("a string");
    }
    refused(&with_paths(&many), "more than 10000 operations");
    refused(&with_paths(&many.replace("get", "trace")), "more than 10000 operations");
    refused(&with_paths(&format!("  /{}: {{get: {{}}}}\n", "a".repeat(1024))), "");
    let title = "t".repeat(MAX_NAME_BYTES + 1);
    refused(
        &format!("openapi: 3.1.0\ninfo: {{title: {title}, version: 1}}\npaths: {{/a: {{get: {{}}}}}}"),
        "`info.title`",
    );
    refused(&format!("{{\"a\": {}", "[".repeat(100_000)), "");
    refused(&format!("a: {}", "[".repeat(100_000)), "");
    refused(&format!("openapi: {}", "x".repeat(100_000)), "…");
}

#[test]
fn a_yaml_bomb_is_refused_before_it_grows() {
    let mut bomb = String::from("x0: &x0 [a, a, a, a, a, a, a, a, a]\n");
    for level in 1..12 {
        let aliases = vec![format!("*x{}", level - 1); 9].join(", ");
        writeln!(bomb, "x{level}: &x{level} [{aliases}]").expect("a string");
    }
    refused(&format!("{bomb}{}", with_paths("  /a: {get: {}}\n")), "");
    refused(&with_paths("  /a: &a {get: *a}\n"), "");
    let paths = "  /a: &a {get: {}}\n  /b: *a\n";
    assert_eq!(labels(&ApiDocument::read(&with_paths(paths)).expect("sound")), ["GET /a", "GET /b"]);
}

#[test]
fn a_document_is_read_back_as_it_was_kept() {
    let document = ApiDocument::read(&with_paths("  /a: {get: {}, trace: {}}\n")).expect("sound");
    let kept = serde_json::to_string(&document).expect("JSON");
    assert!(kept.contains(r#"{"method":"GET","template":"/a"}"#), "{kept}");
    assert_eq!(serde_json::from_str::<ApiDocument>(&kept).expect("kept"), document);
}

/// The real documents, where they are beside the repository.
#[test]
fn the_operations_of_real_documents_are_all_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/openapi");
    if !folder.is_dir() {
        println!("skipped: no real documents beside the repository");
        return;
    }
    for (file, documented, skipped) in [("github.json", 1223, 0), ("openai-3.1.json", 288, 7), ("petstore.yaml", 19, 0)]
    {
        let text = std::fs::read_to_string(folder.join(file)).expect(file);
        let document = ApiDocument::read(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!((document.operations.len() + document.skipped.len(), document.skipped.len()), (documented, skipped));
        let operations = document.operations.iter().map(|operation| (operation.method, &operation.template));
        let table = OperationTable::build(operations).expect(file);
        assert_eq!(table.len(), documented - skipped);
        for (index, operation) in document.operations.iter().enumerate() {
            let call = call_of(&operation.template);
            let found = table.find(operation.method, &call).map(|found| found.to_usize());
            assert_eq!(found, Some(index), "{file}: {} {call}", operation.method);
        }
    }
}

/// A path that fits the template, with a value for each parameter that is no literal of any document.
fn call_of(template: &str) -> String {
    let parts = template.split('{').enumerate().map(|(index, part)| match part.split_once('}') {
        Some((_, rest)) if index > 0 => format!("q7{rest}"),
        _ => part.to_owned(),
    });
    parts.collect()
}
