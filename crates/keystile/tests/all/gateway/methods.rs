//! Seven methods pass, as they are, and nothing in a request makes another of them (G-12).

use serde_json::json;

use super::Stage;

const PASSING: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[test]
fn g12_seven_methods_pass_as_they_are() {
    let stage = Stage::new();
    for method in PASSING {
        if method == "HEAD" {
            stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
        } else {
            stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
        let answer = stage.call(&format!("{method} /open"), &[], b"");
        assert_eq!(answer.status, 200, "{method}");
        let seen = stage.upstream.take_requests();
        assert_eq!(seen.len(), 1, "{method}");
        assert_eq!((&*seen[0].method, &*seen[0].target), (method, "/open"));
        assert_eq!(stage.upstream.faults(), [] as [String; 0]);
    }
}

#[test]
fn g12_no_other_method_passes() {
    let stage = Stage::new();
    for method in [
        "TRACE",
        "TRACK",
        "DEBUG",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "LINK",
        "UNLINK",
        "PURGE",
        "SEARCH",
        "QUERY",
        "get",
        "Post",
        "GETS",
        "FOO",
        "G-E.T",
    ] {
        for target in ["/open", "/"] {
            let request = stage.request(&format!("{method} {target}"), &[], b"");
            let answer = stage.answer(&request);
            stage.check_problem(&answer, 405, "method_not_allowed", method);
            let allowed: Vec<&str> = answer.field("allow").expect("405 says what is allowed").split(", ").collect();
            assert_eq!(allowed, PASSING, "{method}");
            stage.saw_nothing(method);
        }
    }
    for target in ["other.test:443", "{host}:80", "/open"] {
        let request = stage.request(&format!("CONNECT {target}"), &[], b"");
        let answer = stage.answer(&request);
        stage.check_problem(&answer, 405, "method_not_allowed", target);
        stage.saw_nothing(target);
    }
}

#[test]
fn g12_nothing_overrides_the_method_or_the_target() {
    let stage = Stage::with(json!({}), json!({ "restrictions": { "methods": ["GET", "POST"], "paths": ["/open"] } }));
    let overrides = [
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-HTTP-Method", "DELETE"),
        ("X-Method-Override", "DELETE"),
        ("X-Original-URL", "/closed"),
        ("X-Original-URI", "/closed"),
        ("X-Rewrite-URL", "/closed"),
    ];
    for method in ["GET", "POST"] {
        for field in overrides {
            assert_eq!(stage.call(&format!("{method} /open"), &[field], b"").status, 200, "{field:?}");
            let seen = stage.upstream.take_requests();
            assert_eq!((&*seen[0].method, &*seen[0].target), (method, "/open"), "{field:?}");
            assert_eq!(seen[0].all(field.0), [] as [&str; 0], "{field:?}");
        }
    }
    // And the other way round: what is closed does not open.
    for field in overrides.map(|(name, _)| (name, if name.contains("Method") { "GET" } else { "/open" })) {
        stage.is_refused(&stage.request("DELETE /open", &[field], b""), 403, "operation_forbidden");
        stage.is_refused(&stage.request("GET /closed", &[field], b""), 403, "operation_forbidden");
    }
    stage.is_refused(&stage.request("DELETE /open?_method=GET", &[], b"_method=GET"), 403, "operation_forbidden");
}
