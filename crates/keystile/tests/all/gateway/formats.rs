//! Content types and lengths: what a key may send and receive, what an API takes and gives (PRODUCT.md K15).

use serde_json::{Value, json};

use super::Stage;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const XML: (&str, &str) = ("Content-Type", "text/xml");
const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");
const NOT_OF_JSON: [&[(&str, &str)]; 7] = [
    &[XML],
    &[],
    &[("Content-Type", "application/jsonx")],
    &[("Content-Type", "application/json, text/xml")],
    &[("Content-Type", "application/json; charset=utf-8, text/xml")],
    &[JSON, JSON],
    &[JSON, ("content-type", "text/xml")],
];

fn key(formats: Value) -> Value {
    json!({ "restrictions": { "formats": formats } })
}

fn json_key() -> Value {
    key(json!({ "request_types": ["application/json", "application/*+json"] }))
}

/// An answer of an upstream with these fields.
fn answer(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_key_sends_the_types_that_it_may_and_nothing_else() {
    // As many calls as are allowed: those that are refused cost nothing.
    let mut wish = json_key();
    wish["rate_limits"] = json!([{ "name": "few", "limit": 5, "window_seconds": 3_600 }]);
    let stage = Stage::with(json!({}), wish);
    for fields in NOT_OF_JSON {
        stage.is_refused(&stage.request("POST /open", fields, b"{}"), 403, "format_forbidden");
    }
    // A body that nobody measured is a body, be it as empty as it likes.
    let empty = [stage.request("POST /open", &[CHUNKED], b""), b"0\r\n\r\n".to_vec()].concat();
    stage.is_refused(&empty, 403, "format_forbidden");
    stage.counts_only("format_forbidden", 403, 8);
    for value in ["application/json", "Application/JSON; charset=\"a, b\"", "application/vnd.api+json"] {
        assert_eq!(stage.call("POST /open", &[("Content-Type", value)], b"{}").status, 200, "{value}");
        let seen = &stage.upstream.take_requests()[0];
        assert_eq!((seen.all("content-type"), &*seen.body), (vec![value], &b"{}"[..]), "it goes on as it came");
    }
    // Without a body nothing is asked.
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert_eq!(stage.call("POST /open", &[XML, ("Content-Length", "0")], b"").status, 200);
    assert_eq!(stage.counted("allowed", 200), 5);
    let (_, other) = stage.another_key(json!({}));
    let free = stage.request_without_key("POST /open", &[("x-api-key", &other), JSON, XML], b"{}");
    assert_eq!(stage.answer(&free).status, 200, "where there is no rule nobody asks");
}

#[test]
fn an_api_says_which_types_it_takes() {
    let types = json!({ "request_types": ["application/JSON", "text/*"], "access": "open" });
    let open = Stage::with(types, json!({}));
    let stage = Stage::with(json!({ "request_types": ["application/json", "text/*"] }), json!({}));
    let wrong = ("Content-Type", "application/xml");
    for stage in [&open, &stage] {
        for fields in [&[wrong][..], &[], &[JSON, JSON]] {
            let answer = stage.call("POST /open", fields, b"{}");
            stage.check_problem(&answer, 415, "media_type_unsupported", "a type that it does not take");
            assert_eq!(answer.all("accept"), ["application/json, text/*"]);
            stage.saw_nothing("a type that it does not take");
        }
        stage.counts_only("media_type_unsupported", 415, 3);
        for fields in [[JSON], [XML]] {
            assert_eq!(stage.call("POST /open", &fields, b"{}").status, 200);
        }
        assert_eq!(stage.call("GET /open", &[wrong], b"").status, 200);
        stage.upstream.take_requests();
    }
    // Whose call it is comes first, then what the API takes, then what the key may.
    let nobody = stage.request_without_key("POST /open", &[wrong], b"{}");
    stage.check_problem(&stage.answer(&nobody), 401, "key_missing", "without a key");
    let (_, narrow) = stage.another_key(json_key());
    for (content_type, status, code) in
        [(wrong, 415, "media_type_unsupported"), (XML, 403, "format_forbidden"), (JSON, 200, "")]
    {
        let call = stage.request_without_key("POST /open", &[("x-api-key", &narrow), content_type], b"{}");
        let answer = stage.answer(&call);
        assert_eq!((answer.status, &*answer.code()), (status, code), "the narrower wins: {content_type:?}");
    }
}

#[test]
fn an_answer_of_a_type_that_the_key_may_not_receive_stays_here() {
    let mut wish = key(json!({ "response_types": ["application/json"] }));
    wish["rate_limits"] = json!([{ "name": "many", "limit": 100, "window_seconds": 3_600 }]);
    let stage = Stage::with(json!({}), wish);
    let types = [
        "content-type: text/html\r\n",
        "",
        "content-type: application/json, text/html\r\n",
        "content-type: application/json\r\nContent-Type: text/html\r\n",
        "content-type: application/problem+json\r\n",
    ];
    for fields in types {
        stage.upstream.answer_with(answer(fields, "the secret of the upstream"));
        let got = stage.call("GET /open", &[], b"");
        stage.check_problem(&got, 403, "format_forbidden", fields);
        let detail = got.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("The answer is of a content type"), "{detail}");
        assert!(!got.text().contains("secret") && got.field("ratelimit").is_some(), "{}", got.text());
    }
    stage.counts_only("format_forbidden", 403, 5);
    // Long ones are not read to their end: the connection goes.
    let (before, endless) = (stage.upstream.connections(), "x".repeat(5_000_000));
    stage.upstream.answer_with(answer("content-type: text/html\r\n", &endless));
    assert_eq!(stage.call("GET /open", &[], b"").status, 403);
    stage.upstream.wait_until_left();
    for (line, head) in [
        ("GET /open", answer("content-type: Application/JSON; charset=utf-8\r\n", "{}")),
        ("GET /open", "HTTP/1.1 204 No Content\r\ncontent-type: text/html\r\n\r\n".to_owned()),
        ("GET /open", "HTTP/1.1 304 Not Modified\r\ncontent-type: text/html\r\n\r\n".to_owned()),
        ("GET /open", answer("", "")),
        ("HEAD /open", "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 7\r\n\r\n".to_owned()),
    ] {
        stage.upstream.answer_with(head.clone());
        assert!(stage.call(line, &[], b"").status < 400, "{line} {head}");
    }
    assert!(stage.upstream.connections() > before);
    assert_eq!((stage.counted("format_forbidden", 403), stage.counted("allowed", 200)), (6, 3));
}

#[test]
fn who_accepts_nothing_that_may_come_is_told_at_once() {
    let stage = Stage::with(json!({}), key(json!({ "response_types": ["application/json"] })));
    for accept in [
        &["text/html"][..],
        &["text/html, image/*;q=0.8"],
        &["application/json;q=0, text/html"],
        &["text/html", "text/csv"],
    ] {
        let fields: Vec<_> = accept.iter().map(|value| ("Accept", *value)).collect();
        stage.is_refused(&stage.request("GET /open", &fields, b""), 403, "format_forbidden");
    }
    stage.upstream.answer_with(answer("content-type: application/json\r\n", "{}"));
    for accept in
        [&["*/*"][..], &["text/html, application/*;q=0.1"], &["text/html", "application/json"], &["what"], &[]]
    {
        let fields: Vec<_> = accept.iter().map(|value| ("Accept", *value)).collect();
        assert_eq!(stage.call("GET /open", &fields, b"").status, 200, "{accept:?}");
    }
}

#[test]
fn an_api_gives_the_types_that_it_says() {
    for access in ["key", "open"] {
        let stage = Stage::with(json!({ "response_types": ["application/json"], "access": access }), json!({}));
        stage.upstream.answer_with(answer("content-type: text/html\r\n", "stack trace"));
        let got = stage.call("GET /open", &[("Accept", "text/html")], b"");
        stage.check_problem(&got, 502, "upstream_unreachable", access);
        assert!(got.text().contains("not published to give") && !got.text().contains("stack trace"), "{}", got.text());
        stage.counts_only("upstream_unreachable", 502, 1);
        // It is well all the same: nothing rests because of it.
        for _ in 0..6 {
            assert_eq!(stage.call("GET /open", &[], b"").status, 502);
        }
        stage.upstream.answer_with(answer("content-type: application/json\r\n", "{}"));
        assert_eq!(stage.call("GET /open", &[], b"").body, b"{}");
    }
}

#[test]
fn a_key_sends_as_much_as_it_and_its_api_both_may() {
    for (of_api, of_key) in [(1_000, 10), (10, 1_000)] {
        let stage = Stage::with(json!({ "body_limit_bytes": of_api }), key(json!({ "max_body_bytes": of_key })));
        assert_eq!(stage.call("POST /open", &[XML], b"0123456789").status, 200);
        assert_eq!(stage.upstream.take_requests()[0].body, b"0123456789");
        assert_eq!(stage.call("GET /open", &[], b"").status, 200);
        stage.upstream.take_requests();
        let answer = stage.call("POST /open", &[], b"0123456789a");
        stage.check_problem(&answer, 413, "content_too_large", "announced");
        stage.saw_nothing("too large a body");
    }
    let stage = Stage::with(json!({}), key(json!({ "max_body_bytes": 1_000 })));
    let head = stage.request("POST /open", &[CHUNKED], b"");
    let chunk = [b"1f4\r\n", &[b'c'; 500][..], b"\r\n"].concat();
    let mut client = stage.client();
    let _ = client.write([&*head, &chunk, &chunk, b"1\r\nc\r\n0\r\n\r\n"].concat());
    stage.check_problem(&client.answer().expect("an answer comes"), 413, "content_too_large", "chunked");
    stage.upstream.wait_until_left();
    for request in stage.upstream.requests() {
        assert!(!request.complete && request.body.len() <= 1_000, "the upstream must not take it for the whole body");
    }
    stage.counts_only("content_too_large", 413, 1);
}
