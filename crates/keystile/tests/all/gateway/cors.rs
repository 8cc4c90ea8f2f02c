//! CORS: what browsers are told of an API (G-20), from its settings.

use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::Stage;

const PREFLIGHT: [(&str, &str); 3] = [
    ("Origin", "https://app.example.com"),
    ("Access-Control-Request-Method", "PUT"),
    ("Access-Control-Request-Headers", "authorization, x-own"),
];

fn with(cors: Value) -> Stage {
    Stage::with(json!({ "cors": cors }), json!({}))
}

fn said(answer: &Answer) -> Vec<(&str, &str)> {
    let fields = answer.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut said: Vec<_> = fields.filter(|(name, _)| name.starts_with("access-control-") || *name == "vary").collect();
    said.sort_unstable();
    said
}

#[test]
fn g20_a_preflight_is_answered_without_a_key_and_counted() {
    let stage = with(json!({ "origins": ["https://app.example.com"], "credentials": true, "max_age_seconds": 60 }));
    let answer = stage.answer(&stage.request_without_key("OPTIONS /open", &PREFLIGHT, b""));
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.text());
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("access-control-allow-headers", "authorization, x-own"),
        ("access-control-max-age", "60"),
        ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ] {
        assert_eq!(answer.all(name), [value], "{:?}", answer.fields);
    }
    stage.saw_nothing("a preflight");
    stage.counts_only("allowed", 204, 1);
    let other: Vec<_> = [&[("Origin", "https://evil.test")][..], &PREFLIGHT[1..]].concat();
    let answer = stage.answer(&stage.request_without_key("OPTIONS /open", &other, b""));
    stage.check_problem(&answer, 403, "origin_forbidden", "a page of another origin");
    assert_eq!(said(&answer), [("vary", "Origin")]);
    // Without the question of a browser it is a call like every other.
    stage.is_refused(&stage.request_without_key("OPTIONS /open", &PREFLIGHT[..1], b""), 401, "key_missing");
}

/// What an answer to a call with a key depends on.
const BY_KEY: (&str, &str) = ("vary", "authorization, x-api-key");

#[test]
fn g20_every_answer_says_whether_a_page_may_read_it_and_the_upstream_says_nothing_of_it() {
    let stage = with(json!({ "origins": ["https://*.example.com"], "expose_headers": ["X-Total"] }));
    stage.upstream.answer_with(
        "HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\nAccess-Control-Allow-Credentials: true\r\nvary: Accept\r\ncontent-length: 0\r\n\r\n",
    );
    let exposed = "x-request-id, ratelimit, ratelimit-policy, retry-after, x-total";
    let allowed =
        [("access-control-allow-origin", "https://app.example.com"), ("access-control-expose-headers", exposed)];
    let origin = [PREFLIGHT[0]];
    let answer = stage.call("GET /open", &origin, b"");
    assert_eq!(said(&answer), [&allowed[..], &[("vary", "Accept"), ("vary", "Origin"), BY_KEY]].concat());
    let refused = stage.answer(&stage.request_without_key("GET /open", &origin, b""));
    assert_eq!((refused.status, said(&refused)), (401, [&allowed[..], &[("vary", "Origin")]].concat()));
    // A page of another origin may not read it, and a cache may not give it to one that may.
    for fields in [&[("Origin", "https://example.com.evil.test")][..], &[("Origin", "null")], &[]] {
        let answer = stage.call("GET /open", fields, b"");
        assert_eq!(
            (answer.status, said(&answer)),
            (200, vec![("vary", "Accept"), ("vary", "Origin"), BY_KEY]),
            "{fields:?}"
        );
    }
}

#[test]
fn without_settings_the_upstream_has_the_word() {
    let stage = Stage::new();
    stage.upstream.answer_with("HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(said(&stage.call("GET /open", &PREFLIGHT[..1], b"")), [("access-control-allow-origin", "*"), BY_KEY]);
    stage.upstream.take_requests();
    stage.is_refused(&stage.request_without_key("OPTIONS /open", &PREFLIGHT, b""), 401, "key_missing");
}

#[test]
fn settings_of_cors_are_checked_and_can_be_taken_back() {
    let stage = with(json!({ "origins": ["*"] }));
    let path = format!("/v1/apis/{}", stage.api_id);
    let answer = stage.call("GET /open", &PREFLIGHT[..1], b"");
    assert_eq!((answer.field("access-control-allow-origin"), answer.all("vary")), (Some("*"), vec![BY_KEY.1]));
    for wrong in [
        json!({}),
        json!({ "origins": [] }),
        json!({ "origins": ["example.com"] }),
        json!({ "origins": ["*"], "credentials": true }),
        json!({ "origins": ["*"], "surprise": 1 }),
        json!({ "origins": ["*"], "headers": ["a b"] }),
        json!({ "origins": ["*"], "expose_headers": ["Authorization"] }),
        json!({ "origins": ["*"], "expose_headers": ["X-Api-Key"] }),
        json!({ "origins": ["*"], "max_age_seconds": 86_401 }),
        json!("*"),
    ] {
        let (status, problem) = stage.manage.patch(&path, &json!({ "cors": wrong }));
        assert_eq!((status, &problem["code"]), (400, &json!("invalid")), "{wrong}: {problem}");
    }
    assert_eq!(stage.manage.get(&path).1["cors"]["origins"], json!(["*"]));
    let (status, changed) = stage.manage.patch(&path, &json!({ "cors": null }));
    assert_eq!((status, &changed["cors"]), (200, &Value::Null));
    assert_eq!(said(&stage.call("GET /open", &PREFLIGHT[..1], b"")), [BY_KEY]);
}
