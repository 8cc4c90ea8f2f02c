//! Everything has a size (G-17).

use serde_json::json;

use super::Stage;

const MAX_TARGET: usize = 8 * 1024;
const MAX_HEAD: usize = 32 * 1024;
const MAX_FIELDS: usize = 100;

#[test]
fn g17_a_target_is_at_most_8_kib() {
    let stage = Stage::new();
    for (prefix, fill) in [("/", "a"), ("/?", "q")] {
        let longest = format!("{prefix}{}", fill.repeat(MAX_TARGET - prefix.len()));
        assert_eq!(stage.call(&format!("GET {longest}"), &[], b"").status, 200);
        assert_eq!(stage.upstream.take_requests()[0].target, longest);
        for more in [1, 100, 20_000, 60_000] {
            let request = stage.request(&format!("GET {longest}{}", fill.repeat(more)), &[], b"");
            stage.is_refused_and_closed(&request, 414, "target_too_long");
        }
    }
}

#[test]
fn g17_a_head_is_at_most_32_kib() {
    let stage = Stage::new();
    let without = stage.request("GET /open", &[("X-Fill", "")], b"").len();
    let fill = "f".repeat(MAX_HEAD - without);
    let largest = stage.request("GET /open", &[("X-Fill", &fill)], b"");
    assert_eq!(largest.len(), MAX_HEAD);
    assert_eq!(stage.answer(&largest).status, 200);
    let seen = stage.upstream.take_requests();
    assert_eq!(seen[0].field("x-fill").map(str::len), Some(fill.len()));
    for more in [1, 1_000, 100_000] {
        let larger = stage.request("GET /open", &[("X-Fill", &format!("{fill}{}", "f".repeat(more)))], b"");
        stage.is_refused_and_closed(&larger, 431, "headers_too_large");
    }
    // One that never ends is not collected.
    let endless = [&largest[..largest.len() - 4], "g".repeat(200_000).as_bytes()].concat();
    stage.is_refused_and_closed(&endless, 431, "headers_too_large");
}

#[test]
fn g17_a_head_has_at_most_100_fields() {
    let stage = Stage::new();
    // Host and the key are two of them.
    let fields = vec![("X-Many", "1"); MAX_FIELDS - 2];
    assert_eq!(stage.call("GET /open", &fields, b"").status, 200);
    let seen = stage.upstream.take_requests();
    assert_eq!(seen[0].all("x-many").len(), MAX_FIELDS - 2);
    for more in [1, 900] {
        let fields = vec![("X-M", "1"); MAX_FIELDS - 2 + more];
        stage.is_refused_and_closed(&stage.request("GET /open", &fields, b""), 431, "headers_too_large");
    }
}

#[test]
fn g17_an_api_takes_fewer_and_shorter_header_fields_if_its_owner_says_so() {
    let stage = Stage::new();
    let path = format!("/v1/apis/{}", stage.api_id);
    let change = |settings: serde_json::Value| {
        let (status, api) = stage.manage.patch(&path, &settings);
        assert_eq!(status, 200, "{api}");
    };
    // A field is written as its name, its value and 4 bytes; the line of the request and the empty one are no fields.
    let plain = stage.request("GET /open", &[], b"");
    let line = plain.windows(2).position(|end| end == b"\r\n").unwrap() + 2;
    let bytes = plain.len() - line - 2;
    let own = plain[line..].windows(2).filter(|end| end == b"\r\n").count() - 1;
    change(json!({ "max_header_fields": own + 2 }));
    assert_eq!(stage.call("GET /open", &[("X-Many", "1"); 2], b"").status, 200);
    stage.upstream.take_requests();
    stage.is_refused(&stage.request("GET /open", &[("X-Many", "1"); 3], b""), 431, "headers_too_large");
    // The narrower of the two bounds counts, on whichever side.
    change(json!({ "max_header_bytes": bytes + 20 }));
    let filled = |more: usize| stage.request("GET /open", &[("X-F", &"f".repeat(20 - 3 - 4 + more))], b"");
    assert_eq!(stage.answer(&filled(0)).status, 200);
    stage.upstream.take_requests();
    stage.is_refused(&filled(1), 431, "headers_too_large");
    stage.is_refused(&stage.request("GET /open", &[("A", "1"); 3], b""), 431, "headers_too_large");
    assert_eq!((stage.counted("allowed", 200), stage.counted("headers_too_large", 431)), (2, 3));
    let by_key = stage.usage("key,operation,code");
    let refused = by_key.iter().find(|row| row["code"] == "headers_too_large").unwrap();
    assert_eq!((&refused["key_id"], &refused["operation"]), (&json!(stage.key_id), &json!("GET /open")));
    // A request that comes after a refused one on the same connection is judged by itself.
    let mut client = stage.client();
    client.write([filled(1), filled(0)].concat()).unwrap();
    assert_eq!([client.answer().unwrap().status, client.answer().unwrap().status], [431, 200]);
    change(json!({ "max_header_bytes": null, "max_header_fields": null }));
    assert_eq!(stage.answer(&filled(1)).status, 200);
    for wrong in [
        json!({ "max_header_bytes": MAX_HEAD + 1 }),
        json!({ "max_header_bytes": 0 }),
        json!({ "max_header_fields": MAX_FIELDS + 1 }),
        json!({ "max_header_fields": 0 }),
        json!({ "max_header_fields": "many" }),
    ] {
        assert_eq!(stage.manage.patch(&path, &wrong).0, 400, "{wrong}");
    }
}

#[test]
fn g17_a_body_is_as_large_as_its_api_allows() {
    let stage = Stage::with(json!({ "body_limit_bytes": 1_000 }), json!({}));
    assert_eq!(stage.call("POST /open", &[], &[b'b'; 1_000]).status, 200);
    assert_eq!(stage.upstream.take_requests()[0].body, [b'b'; 1_000]);
    for length in [1_001, 100_000, 20_000_000] {
        let mut client = stage.client();
        let _ = client.write(stage.request("POST /open", &[("Content-Length", &length.to_string())], b""));
        // What is announced too large is refused before it is sent.
        let answer = client.answer().expect("an answer comes");
        stage.check_problem(&answer, 413, "content_too_large", "announced");
        stage.saw_nothing("too large a body");
    }
    stage.counted_too_large(3);
}

#[test]
fn g17_chunks_do_not_hide_how_large_a_body_is() {
    let stage = Stage::with(json!({ "body_limit_bytes": 1_000 }), json!({}));
    let head = stage.request("POST /open", &[("Transfer-Encoding", "chunked")], b"");
    let chunk = [b"1f4\r\n", &[b'c'; 500][..], b"\r\n"].concat();
    let mut client = stage.client();
    client.write([&*head, &chunk, &chunk, b"0\r\n\r\n"].concat()).expect("the connection is open");
    assert_eq!(client.answer().expect("an answer comes").status, 200);
    assert_eq!(stage.upstream.take_requests()[0].body.len(), 1_000);

    // The sound call's connection to the upstream is kept for a while, so this one gets an upstream of its own.
    let stage = Stage::with(json!({ "body_limit_bytes": 1_000 }), json!({}));
    let head = stage.request("POST /open", &[("Transfer-Encoding", "chunked")], b"");
    let mut client = stage.client();
    let _ = client.write([&*head, &chunk, &chunk, b"1\r\nc\r\n0\r\n\r\n"].concat());
    let answer = client.answer().expect("an answer comes");
    stage.check_problem(&answer, 413, "content_too_large", "chunked");
    stage.upstream.wait_until_left();
    for request in stage.upstream.requests() {
        assert!(!request.complete, "the upstream must not take it for the whole body");
        assert!(request.body.len() <= 1_000);
    }
    stage.counted_too_large(1);
}

impl Stage {
    fn counted_too_large(&self, calls: u64) {
        assert_eq!(self.counted("content_too_large", 413), calls, "{:?}", self.usage("code,status"));
    }
}
