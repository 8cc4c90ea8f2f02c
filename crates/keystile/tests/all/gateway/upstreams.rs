//! An upstream that is down, slow or broken: the client is told, the call is counted, and nothing of it is believed.

use std::time::Duration;

use keystile_testkit::{Step, now, raw};
use serde_json::json;

use super::Stage;

#[test]
fn an_upstream_that_is_down_is_a_502() {
    let stage = Stage::new();
    let nobody = format!("http://{}", raw::nobody());
    let changed = stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &json!({ "upstream": nobody }));
    assert_eq!(changed.0, 200, "{}", changed.1);
    for request in [stage.request("GET /open", &[], b""), stage.request("POST /open", &[], b"body")] {
        stage.is_refused(&request, 502, "upstream_unreachable");
    }
    stage.counts_only("upstream_unreachable", 502, 2);
}

#[test]
fn an_upstream_that_says_nothing_in_time_is_a_504() {
    let stage = Stage::with(json!({ "upstream_timeout_seconds": 3 }), json!({}));
    let half_a_head = b"HTTP/1.1 200 OK\r\ncontent-le".to_vec();
    for script in [vec![Step::UntilClosed], vec![Step::ReadBody, Step::Send(half_a_head), Step::UntilClosed]] {
        stage.upstream.script(script);
        let began = now();
        let answer = stage.call("POST /open", &[], b"body");
        let took = began.elapsed();
        stage.check_problem(&answer, 504, "upstream_timeout", "a slow upstream");
        // Not twice as long because there is a body.
        assert!(took > Duration::from_millis(2_900) && took < Duration::from_millis(5_500), "{took:?}");
        stage.upstream.wait_until_left();
    }
    stage.counts_only("upstream_timeout", 504, 2);
}

#[test]
fn an_answer_that_is_no_http_is_a_502() {
    let stage = Stage::with(json!({ "breaker_failures": 0 }), json!({}));
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(500_000));
    let mut calls = 0;
    for answer in [
        "",
        "nonsense\r\n\r\n",
        "<html></html>",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\na",
        "HTTP/1.1 200 OK\r\ncontent-length: 1a\r\n\r\na",
        "HTTP/2 200\r\ncontent-length: 0\r\n\r\n",
        &large,
    ] {
        stage.upstream.script([Step::ReadBody, Step::Send(answer.as_bytes().to_vec()), Step::Close]);
        let got = stage.call("GET /open", &[], b"");
        stage.check_problem(&got, 502, "upstream_unreachable", &format!("{answer:.100?}"));
        stage.upstream.wait_until_left();
        calls += 1;
        assert_eq!(stage.upstream.take_requests().len(), 1, "it is not sent again: {answer:.100?}");
    }
    stage.counts_only("upstream_unreachable", 502, calls);
}

#[test]
fn a_safe_call_is_sent_again_when_its_idle_connection_was_silent_and_only_then() {
    let stage = Stage::new();
    let closes = [Step::Close];
    let nonsense = [Step::ReadBody, Step::Send(b"nonsense\r\n\r\n".to_vec()), Step::Close];
    for (request, first, sent, status) in [
        ("GET /open", &closes[..], 2, 200),
        ("POST /open", &closes, 1, 502),
        ("GET /open", &nonsense, 1, 502),
        ("POST /open", &nonsense, 1, 502),
    ] {
        // This one leaves a connection behind that lies idle.
        let mut client = stage.client();
        let mut call = |request: &str| {
            client.write(stage.request(request, &[], b"")).expect("the connection is open");
            client.answer().expect("there is an answer")
        };
        assert_eq!(call("GET /open").status, 200);
        let idle = stage.upstream.take_requests()[0].connection;
        stage.upstream.script_once(first);
        let answer = call(request);
        let requests = stage.upstream.take_requests();
        assert_eq!((requests.len(), answer.status), (sent, status), "{request} {first:?}");
        assert_eq!(requests[0].connection, idle, "it took the idle connection");
    }
}

#[test]
fn a_call_that_comes_back_is_answered_and_not_sent_round_again() {
    let stage = Stage::new();
    let own = format!("http://{}", stage.gateway);
    let changed = stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &json!({ "upstream": own }));
    assert_eq!(changed.0, 200, "{}", changed.1);
    let answer = stage.call("GET /open", &[], b"");
    assert_eq!((answer.status, &*answer.code()), (508, "loop_detected"), "{}", answer.text());
    assert!(stage.upstream.take_requests().is_empty());
}

#[test]
fn the_upstream_is_told_through_whom_a_call_came() {
    let stage = Stage::new();
    let mut names = Vec::new();
    for (fields, past) in
        [(&[][..], ""), (&[("via", "1.0 fred"), ("via", "1.1 proxy.example")], "1.0 fred, 1.1 proxy.example, ")]
    {
        assert_eq!(stage.call("GET /open", fields, b"").status, 200);
        let request = stage.upstream.take_requests().remove(0);
        let [via] = request.all("via")[..] else { panic!("{:?}", request.fields) };
        names.push(via.strip_prefix(past).expect(via).to_owned());
    }
    assert!(names[0].starts_with("1.1 keystile-") && names[0] == names[1], "{names:?}");
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    let stage = Stage::new();
    let mut calls = 0;
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nha",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0",
    ] {
        stage.upstream.script([Step::ReadBody, Step::Send(answer.as_bytes().to_vec()), Step::Close]);
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).expect("the connection is open");
        let got = client.answer();
        assert!(got.is_err(), "{answer:?} became {got:?}");
        assert!(client.until_closed().is_some(), "{answer:?}");
        stage.upstream.wait_until_left();
        calls += 1;
    }
    stage.counts_only("upstream_unreachable", 200, calls);
}

#[test]
fn nothing_that_an_upstream_says_too_much_goes_to_another_call() {
    let stage = Stage::new();
    let forged = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
    for answer in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{forged}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{forged}"),
        format!("HTTP/1.1 304 Not Modified\r\n\r\n{forged}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{forged}"),
    ] {
        stage.upstream.script_once([Step::ReadBody, Step::Send(answer.clone().into_bytes())]);
        let mut client = stage.client();
        client.write(stage.request("GET /first", &[], b"")).expect("the connection is open");
        assert_ne!(client.answer().expect("an answer comes").text(), "forged");
        for _ in 0..10 {
            client.write(stage.request("GET /next", &[], b"")).expect("the connection stays open");
            assert_eq!(client.answer().expect("an answer comes").text(), "ok", "{answer}");
        }
    }
}

#[test]
fn an_answer_is_framed_anew() {
    let stage = Stage::new();
    for (answer, status, body) in [
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n6\r\nsixsix\r\n0\r\n\r\n",
            200,
            "sixsix",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 30\r\ntransfer-encoding: chunked\r\n\r\n6\r\nsixsix\r\n0\r\n\r\n",
            200,
            "sixsix",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\ncontent-length: 6\r\n\r\nsixsix", 200, "sixsix"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 6, 6\r\n\r\nsixsix", 200, "sixsix"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n6\r\nsixsix\r\n0\r\n\r\n", 200, "sixsix"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nsixsix\r\n0\r\ncontent-length: 1\r\n\r\n",
            200,
            "sixsix",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nsixsix", 200, "sixsix"),
        ("HTTP/1.0 200 OK\r\ncontent-length: 6\r\nconnection: keep-alive\r\n\r\nsixsix", 200, "sixsix"),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 6\r\n\r\nsixsix", 204, ""),
        ("HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 204, ""),
        ("HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 304, ""),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsixsix",
            200,
            "sixsix",
        ),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsixsix", 200, "sixsix"),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nsixsix", 502, ""),
    ] {
        stage.upstream.script([Step::ReadBody, Step::Send(answer.as_bytes().to_vec()), Step::Close]);
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).expect("the connection is open");
        // The reader of these tests takes one framing only.
        let got = client.answer().unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        // What has two meanings may also be refused as a whole.
        if got.status == 502 {
            stage.check_problem(&got, 502, "upstream_unreachable", answer);
        } else {
            assert_eq!((got.status, &*got.text()), (status, body), "{answer:?}");
        }
        // And nothing stands behind it.
        stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext");
        if client.write(stage.request("GET /next", &[], b"")).is_ok()
            && let Ok(next) = client.answer()
        {
            assert_eq!(next.text(), "next", "{answer:?}");
        }
        stage.upstream.take_requests();
    }
}

#[test]
fn a_kept_connection_that_the_upstream_closed_is_no_failure() {
    let stage = Stage::new();
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec();
    // Silently, as servers do whose idle time is over.
    stage.upstream.script([Step::ReadBody, Step::Send(ok), Step::Close]);
    let mut client = stage.client();
    for number in 0..20 {
        client.write(stage.request("POST /open", &[], b"body")).expect("the connection stays open");
        assert_eq!(client.answer().expect("an answer comes").status, 200, "call {number}");
        stage.upstream.wait_until_left();
    }
    let seen = stage.upstream.requests();
    assert_eq!(seen.len(), 20);
    assert!(seen.iter().all(|request| request.complete));
    stage.counts_only("allowed", 200, 20);
}

#[test]
fn an_upstream_may_answer_before_it_has_read_everything() {
    let stage = Stage::new();
    stage.upstream.script([Step::Send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig".to_vec())]);
    let mut client = stage.client();
    let body = vec![b'b'; 1 << 20];
    let head = stage.request("POST /open", &[("Content-Length", &body.len().to_string())], b"");
    client.write(head).expect("the connection is open");
    let answer = client.answer().expect("the answer comes before the body");
    assert_eq!((answer.status, &*answer.body), (413, &b"big"[..]));
    let _ = client.write(&body);
    stage.counts_only("allowed", 413, 1);
}

#[test]
fn what_the_upstream_decides_goes_to_the_client_as_it_is() {
    let stage = Stage::new();
    for status in [200, 201, 301, 400, 401, 403, 404, 429, 500, 502, 503] {
        stage.upstream.answer_with(format!("HTTP/1.1 {status} Own\r\ncontent-length: 3\r\nx-own: 1\r\n\r\nown"));
        let answer = stage.call("GET /open", &[], b"");
        assert_eq!((answer.status, &*answer.body, answer.field("x-own")), (status, &b"own"[..], Some("1")));
        assert_eq!(stage.counted("allowed", status), 1, "{:?}", stage.usage("code,status"));
    }
}
