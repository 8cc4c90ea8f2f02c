//! Ordinary HTTP/1.1: kept connections, order, answers of every kind.

use keystile_testkit::Step;
use serde_json::json;

use super::Stage;

#[test]
fn a_connection_carries_many_calls_on_both_sides() {
    let stage = Stage::new();
    let mut client = stage.client();
    for number in 0..50 {
        client.write(stage.request(&format!("POST /{number}"), &[], b"body")).expect("the connection stays open");
        let answer = client.answer().expect("an answer comes");
        assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]));
    }
    let seen = stage.upstream.requests();
    let targets: Vec<String> = (0..50).map(|number| format!("/{number}")).collect();
    assert_eq!(seen.iter().map(|request| request.target.clone()).collect::<Vec<_>>(), targets);
    assert!(seen.iter().all(|request| request.body == b"body" && request.complete));
    assert_eq!(stage.upstream.connections(), 1, "the upstream's connection is kept too");
    stage.counts_only("allowed", 200, 50);
}

#[test]
fn a_refused_call_leaves_the_connection_to_the_next_one() {
    let stage = Stage::new();
    let mut client = stage.client();
    for _ in 0..3 {
        client.write(stage.request_without_key("GET /open", &[], b"")).expect("the connection stays open");
        assert_eq!(client.answer().expect("an answer comes").code(), "key_missing");
        client.write(stage.request_without_key("POST /open", &[], b"some body")).expect("the connection stays open");
        assert_eq!(client.answer().expect("an answer comes").code(), "key_missing");
        client.write(stage.request("GET /open", &[], b"")).expect("the connection stays open");
        assert_eq!(client.answer().expect("an answer comes").status, 200);
    }
    let seen = stage.upstream.requests();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.method == "GET" && request.body.is_empty()));
}

#[test]
fn pipelined_calls_are_answered_in_their_order() {
    let stage = Stage::new();
    // The first is the slowest.
    for (number, wait) in [(0, 200), (1, 50), (2, 0), (4, 0)] {
        let body = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
        stage.upstream.script_once([
            Step::ReadBody,
            Step::Pause(std::time::Duration::from_millis(wait)),
            Step::Send(body.into_bytes()),
        ]);
    }
    let all = [
        stage.request("GET /0", &[], b""),
        stage.request("POST /1", &[], b"GET /x HTTP/1.1\r\n\r\n"),
        stage.request("GET /2", &[], b""),
        stage.request_without_key("GET /3", &[], b""),
        stage.request("GET /4", &[], b""),
    ];
    let mut client = stage.client();
    client.write(all.concat()).expect("the connection is open");
    let answers: Vec<(u16, String)> = (0..5)
        .map(|_| client.answer().expect("an answer comes"))
        .map(|answer| (answer.status, if answer.status == 200 { answer.text() } else { answer.code() }))
        .collect();
    let expected = [(200, "0"), (200, "1"), (200, "2"), (401, "key_missing"), (200, "4")];
    assert_eq!(answers, expected.map(|(status, text)| (status, text.to_owned())));
    let targets: Vec<String> = stage.upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/0", "/1", "/2", "/4"]);
}

#[test]
fn a_malformed_call_behind_good_ones_is_refused_in_its_turn() {
    let stage = Stage::new();
    let bad = stage.raw("GET /bad HTTP/1.1\r\nHost: {host}\r\nBad Name: 1\r\n\r\n");
    let after = stage.request("GET /after", &[], b"");
    let mut client = stage.client();
    client
        .write([stage.request("GET /1", &[], b""), stage.request("GET /2", &[], b""), bad, after].concat())
        .expect("open");
    assert_eq!(client.answer().expect("the first").status, 200);
    assert_eq!(client.answer().expect("the second").status, 200);
    stage.check_problem(&client.answer().expect("the third"), 400, "request_malformed", "in its turn");
    assert!(client.is_closed(), "what follows is not believed");
    let targets: Vec<String> = stage.upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/1", "/2"]);
}

#[test]
fn it_makes_no_difference_in_which_pieces_a_call_comes() {
    let stage = Stage::new();
    let request = stage.request("POST /open?a=b", &[("X-Own", "1")], b"the body");
    let whole = stage.answer(&request);
    let mut client = stage.client();
    for byte in &request {
        client.write([*byte]).expect("the connection is open");
    }
    let piecewise = client.answer().expect("an answer comes");
    assert_eq!((piecewise.status, piecewise.body), (whole.status, whole.body));
    let seen = stage.upstream.requests();
    assert_eq!((&seen[0].target, &seen[0].body), (&seen[1].target, &seen[1].body));
    let without_id =
        |at: usize| -> Vec<_> { seen[at].fields.iter().filter(|(name, _)| name != "x-request-id").collect() };
    assert_eq!(without_id(0), without_id(1));
}

#[test]
fn close_is_done_as_asked() {
    let stage = Stage::new();
    let mut client = stage.client();
    client.write(stage.request("GET /open", &[("Connection", "close")], b"")).expect("the connection is open");
    let answer = client.answer().expect("an answer comes");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(client.is_closed());
    assert_eq!(stage.upstream.requests()[0].all("connection"), [] as [&str; 0]);
}

#[test]
fn an_old_client_is_served_and_the_upstream_hears_http_1_1() {
    let stage = Stage::new();
    let request = stage.raw("GET /open HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n");
    let answer = String::from_utf8(keystile_testkit::raw::send(stage.gateway, &request)).expect("it is text");
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert_eq!(stage.upstream.requests().len(), 1);
    assert_eq!(stage.upstream.faults(), [] as [String; 0]);
}

#[test]
fn an_answer_without_a_body_has_none() {
    let stage = Stage::new();
    let mut client = stage.client();
    for (method, answer, status, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\netag: \"a\"\r\n\r\n", 200, Some("1234")),
        ("HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\netag: \"a\"\r\n\r\n", 200, None),
        ("HEAD", "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\netag: \"a\"\r\n\r\n", 404, Some("9")),
        ("GET", "HTTP/1.1 204 No Content\r\netag: \"a\"\r\n\r\n", 204, None),
        ("DELETE", "HTTP/1.1 204 No Content\r\netag: \"a\"\r\n\r\n", 204, None),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n", 304, None),
        // The length of what was not sent may be said or not (RFC 9110 §8.6); it is not.
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\netag: \"a\"\r\n\r\n", 304, None),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"a\"\r\n\r\n", 200, Some("0")),
        ("GET", "HTTP/1.1 299 Own\r\ncontent-length: 0\r\netag: \"a\"\r\n\r\n", 299, Some("0")),
    ] {
        stage.upstream.answer_with(answer);
        client.write(stage.request(&format!("{method} /open"), &[], b"")).expect("the connection stays open");
        let got = client.answer_to(method).unwrap_or_else(|error| panic!("{error}: {method} {answer}"));
        assert_eq!(got.status, status, "{method} {answer}");
        assert_eq!(got.field("etag"), Some("\"a\""), "{method} {answer}");
        assert_eq!(got.field("content-length"), length, "{method} {answer}");
        assert!(got.body.is_empty());
    }
    assert_eq!(stage.upstream.requests().len(), 9);
}

#[test]
fn a_refused_head_call_has_no_body() {
    let stage = Stage::new();
    let mut client = stage.client();
    for _ in 0..2 {
        client.write(stage.request_without_key("HEAD /open", &[], b"")).expect("the connection stays open");
        let answer = client.answer_to("HEAD").expect("an answer comes");
        assert_eq!(answer.status, 401);
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    }
    stage.saw_nothing("refused");
}

#[test]
fn a_client_that_waits_is_told_to_go_on_only_if_the_call_may_pass() {
    let stage = Stage::new();
    let mut client = stage.client();
    let fields = [("Expect", "100-continue"), ("Content-Length", "4")];
    client.write(stage.request("POST /open", &fields, b"")).expect("the connection is open");
    assert_eq!(client.answer().expect("it may go on").status, 100);
    client.write(b"body").expect("the connection is open");
    assert_eq!(client.answer().expect("an answer comes").status, 200);
    let seen = stage.upstream.take_requests();
    assert_eq!((&*seen[0].body, seen[0].all("expect")), (&b"body"[..], vec![]));

    let mut client = stage.client();
    client.write(stage.request_without_key("POST /open", &fields, b"")).expect("the connection is open");
    let answer = client.answer().expect("an answer comes");
    stage.check_problem(&answer, 401, "key_missing", "no 100 before it");
    stage.saw_nothing("refused before its body");
}

#[test]
fn what_an_upstream_says_for_one_hop_ends_here() {
    let stage = Stage::new();
    stage.upstream.answer_with(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nX-Request-Id: forged\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Own: 1\r\n\r\nok",
    );
    let answer = stage.call("GET /open", &[], b"");
    for name in ["connection", "x-hop", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.all(name), [] as [&str; 0], "{name}");
    }
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.all("x-own"), ["1"]);
    assert_eq!(answer.all("x-request-id").len(), 1);
    assert_ne!(answer.field("x-request-id"), Some("forged"));
}

#[test]
fn a_switched_off_api_is_closed() {
    let stage = Stage::new();
    let api = format!("/v1/apis/{}", stage.api_id);
    assert_eq!(stage.manage.post(&format!("{api}/disable"), &json!({})).0, 200);
    stage.is_refused(&stage.request("GET /open", &[], b""), 403, "api_inactive");
    assert_eq!(stage.manage.post(&format!("{api}/enable"), &json!({})).0, 200);
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
}
