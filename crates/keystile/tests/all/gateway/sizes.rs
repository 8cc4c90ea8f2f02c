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
