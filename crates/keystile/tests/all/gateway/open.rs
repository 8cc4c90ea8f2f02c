//! What is open is open on purpose (K19): by operation, with limits of its own for those who are nobody.

use serde_json::json;

use super::Stage;

fn limits(limit: u32) -> serde_json::Value {
    json!([{ "name": "anonymous", "limit": limit, "window_seconds": 3_600 }])
}

#[test]
fn k19_an_open_operation_needs_no_key_and_all_others_do() {
    let stage = Stage::with(json!({ "open_operations": ["GET /pets/{id}", "GET /health"] }), json!({}));
    for (line, status) in [
        ("GET /health", 200),
        ("GET /pets/1", 200),
        ("HEAD /health", 401),
        ("POST /pets/1", 401),
        ("GET /pets", 401),
        ("GET /pets/1/owner", 401),
        ("GET /health/../pets", 400),
        ("GET /Health", 401),
        ("GET /", 401),
    ] {
        let answer = stage.answer(&stage.request_without_key(line, &[], b""));
        assert_eq!(answer.status, status, "{line}: {}", answer.text());
        let seen = stage.upstream.take_requests();
        assert_eq!(seen.len(), usize::from(status == 200), "{line}");
        assert!(seen.iter().all(|request| request.field("x-consumer-id").is_none()), "nobody is said to call");
    }
    // A key that is shown is looked at all the same.
    let bad = stage.request_without_key("GET /health", &[("authorization", "Bearer ks_live_nonsense")], b"");
    stage.is_refused(&bad, 401, "key_unknown");
    assert_eq!(stage.call("GET /health", &[], b"").status, 200);
    assert_eq!(stage.upstream.take_requests()[0].field("x-consumer-id"), Some(&*stage.project_id));
    stage.manage.post(&format!("/v1/apis/{}/disable", stage.api_id), &json!({}));
    stage.is_refused(&stage.request_without_key("GET /health", &[], b""), 403, "api_inactive");
}

#[test]
fn k19_nobody_in_particular_has_a_limit_and_is_told_of_it() {
    for api in [json!({ "open_operations": ["GET /health"] }), json!({ "access": "open" })] {
        let stage = Stage::with(api, json!({}));
        let path = format!("/v1/apis/{}", stage.api_id);
        let changed = stage.manage.patch(&path, &json!({ "anonymous_rate_limits": limits(3) }));
        assert_eq!(changed.0, 200, "{}", changed.1);
        let request = stage.request_without_key("GET /health", &[], b"");
        for left in ["2", "1", "0"] {
            let answer = stage.answer(&request);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let said = answer.field("ratelimit").unwrap_or_default();
            assert!(said.starts_with(&format!("\"anonymous\";r={left}")), "{said}");
            assert_eq!(answer.field("ratelimit-policy"), Some("\"anonymous\";q=3;w=3600"));
        }
        let refused = stage.answer(&request);
        stage.check_problem(&refused, 429, "rate_limited", "the fourth");
        assert!(refused.field("retry-after").is_some());
        // A change of something else does not begin anew, one of the limits does.
        stage.manage.patch(&path, &json!({ "body_limit_bytes": 9 }));
        assert_eq!(stage.answer(&request).status, 429);
        if stage.manage.get(&path).1["access"] == "key" {
            assert_eq!(stage.call("GET /health", &[], b"").status, 200, "who has a key has limits of its own");
        }
        stage.manage.patch(&path, &json!({ "anonymous_rate_limits": [] }));
        assert_eq!(stage.answer(&request).status, 200);
    }
}

#[test]
fn k31_calls_that_the_document_does_not_have_are_listed_or_refused() {
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" },
        "paths": { "/pets/{id}": { "get": { "responses": {} } } }
    });
    let stage = Stage::with(json!({ "openapi": document }), json!({}));
    for line in ["GET /pets/1", "GET /dogs/17", "GET /dogs/18", "DELETE /pets/1", "GET /cats"] {
        assert_eq!(stage.call(line, &[], b"").status, 200, "{line}");
    }
    let mut seen: Vec<(String, u64)> = stage
        .usage("operation")
        .iter()
        .map(|row| (row["operation"].as_str().unwrap().to_owned(), row["calls"].as_u64().unwrap()))
        .collect();
    seen.sort();
    let expected = [
        ("(undocumented) DELETE /pets/*", 1),
        ("(undocumented) GET /cats", 1),
        ("(undocumented) GET /dogs/*", 2),
        ("GET /pets/{id}", 1),
    ];
    assert_eq!(seen, expected.map(|(operation, calls)| (operation.to_owned(), calls)));
    stage.upstream.take_requests();
    stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &json!({ "unknown_operations": "refuse" }));
    stage.is_refused(&stage.request("GET /dogs/17", &[], b""), 404, "operation_unknown");
    stage.is_refused(&stage.request("POST /pets/1", &[], b""), 404, "operation_unknown");
    // Who is nobody does not learn which operations there are.
    stage.is_refused(&stage.request_without_key("GET /dogs/17", &[], b""), 401, "key_missing");
    assert_eq!(stage.call("GET /pets/1", &[], b"").status, 200);
    assert_eq!(stage.counted("operation_unknown", 404), 2);
}

#[test]
fn k31_what_the_document_does_not_have_is_listed_for_the_owner_with_how_often_it_was_called() {
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" },
        "paths": { "/pets/{id}": { "get": { "responses": {} } } }
    });
    let stage = Stage::with(json!({ "openapi": document }), json!({}));
    let path = format!("/v1/apis/{}/unknown_operations", stage.api_id);
    let listed = |query: &str| {
        let (status, list) = stage.manage.get(&format!("{path}{query}"));
        assert_eq!(status, 200, "{list}");
        list
    };
    assert_eq!(listed(""), json!({ "items": [] }));
    for line in ["GET /pets/1", "GET /dogs/17", "GET /dogs/18", "DELETE /pets/1", "GET /cats"] {
        assert_eq!(stage.call(line, &[], b"").status, 200, "{line}");
    }
    stage.upstream.take_requests();
    stage.is_refused(&stage.request_without_key("GET /cats", &[], b""), 401, "key_missing");
    stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &json!({ "unknown_operations": "refuse" }));
    stage.is_refused(&stage.request("GET /dogs/19", &[], b""), 404, "operation_unknown");
    let all = listed("");
    let seen: Vec<_> = all["items"].as_array().unwrap().iter().map(row).collect();
    assert_eq!(seen, [("DELETE", "/pets/*", 1, 0), ("GET", "/cats", 2, 1), ("GET", "/dogs/*", 3, 1)]);
    let last = all["items"][0]["last_seen_at"].as_str().unwrap();
    assert!(last.ends_with(":00Z"), "the start of a minute: {last}");
    // Page by page it is the same.
    let (mut items, mut query) = (Vec::new(), "?limit=1".to_owned());
    while items.len() < 4 {
        let page = listed(&query);
        items.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=1&cursor={cursor}");
    }
    assert_eq!(json!(items), all["items"]);
    // Outside of the time in which it was called, nothing was.
    assert_eq!(listed("?until=2026-01-01T00:00:00Z"), json!({ "items": [] }));
    assert_eq!(listed(&format!("?from={last}"))["items"].as_array().unwrap().len(), 3);
    for query in [
        "limit=0",
        "limit=201",
        "from=x",
        "cursor=x",
        "cursor=R0VU",
        "surprise=1",
        &format!("until={last}&from={last}"),
    ] {
        let (status, told) = stage.manage.get(&format!("{path}?{query}"));
        assert_eq!((status, &told["code"]), (400, &json!("invalid")), "{query}");
    }
    // Whatever is called, so many are told apart and no more.
    for number in 0..200 {
        stage.call(&format!("GET /invented-{number}"), &[], b"");
    }
    let rest = &listed("?limit=1")["items"][0];
    assert_eq!((&rest["method"], &rest["path"]), (&json!(null), &json!(null)));
    assert_eq!((&rest["calls"], &rest["refused_calls"]), (&json!(3), &json!(3)));
    // Other APIs have others.
    let other = Stage::new();
    other.call("GET /dogs/17", &[], b"");
    let others = other.manage.get(&format!("/v1/apis/{}/unknown_operations", other.api_id));
    assert_eq!(others, (200, json!({ "items": [] })));
}

/// An unknown operation: how it is called, and how often it was, and refused.
fn row(item: &serde_json::Value) -> (&str, &str, u64, u64) {
    let text = |name: &str| item[name].as_str().expect("it is told apart");
    let number = |name: &str| item[name].as_u64().expect("it is counted");
    (text("method"), text("path"), number("calls"), number("refused_calls"))
}

#[test]
fn what_can_not_be_opened_is_refused() {
    let stage = Stage::new();
    for wrong in [
        json!({ "open_operations": ["/pets"] }),
        json!({ "open_operations": ["TRACE /pets"] }),
        json!({ "open_operations": ["GET /a/{x}", "GET /a/{y}"] }),
        json!({ "anonymous_rate_limits": [{ "name": "a", "limit": 0, "window_seconds": 1 }] }),
        json!({ "anonymous_rate_limits": [{ "name": "a", "limit": 1, "window_seconds": 1 }, { "name": "a", "limit": 1, "window_seconds": 1 }] }),
        json!({ "unknown_operations": "perhaps" }),
        json!({ "shared_caching": "yes" }),
    ] {
        let (status, answer) = stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &wrong);
        assert_eq!((status, &answer["code"]), (400, &json!("invalid")), "{wrong}");
    }
}
