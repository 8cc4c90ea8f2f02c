//! A client that leaves in the middle: its call is counted, and the upstream is let go. And the server that leaves.

use std::time::Duration;

use keystile_testkit::Step;
use serde_json::json;

use super::Stage;
use super::stage::serve;

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer() {
    let stage = Stage::new();
    for (calls, framing) in [(1, "content-length: 100000000"), (2, "transfer-encoding: chunked")] {
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhello\r\n").into_bytes();
        stage.upstream.script([Step::ReadBody, Step::Send(head), Step::UntilClosed]);
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).expect("the connection is open");
        let (_, mut body) = client.head().expect("the answer begins");
        assert!(client.piece(&mut body).expect("a piece comes").is_some());
        drop(client);
        stage.upstream.wait_until_left();
        stage.counts_only("client_gone", 200, calls);
    }
    assert_eq!(stage.upstream.requests().len(), 2);
    let rows = stage.usage("key,project");
    assert_eq!((&rows[0]["key_id"], &rows[0]["project_id"]), (&json!(stage.key_id), &json!(stage.project_id)));
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_request() {
    let stage = Stage::new();
    for (calls, field, first) in
        [(1, ("Content-Length", "1000"), "first"), (2, ("Transfer-Encoding", "chunked"), "5\r\nfirst\r\n")]
    {
        let mut client = stage.client();
        client.write(stage.request("POST /open", &[field], b"")).expect("the connection is open");
        client.write(first).expect("the connection is open");
        let seen = stage.upstream.wait_for(calls);
        assert_eq!(seen.len(), calls);
        drop(client);
        stage.upstream.wait_until_left();
        stage.counts_only("client_gone", 499, calls as u64);
    }
    // The upstream saw that the request never ended.
    assert!(stage.upstream.requests().iter().all(|request| !request.complete));
    assert_eq!(stage.upstream.faults().len(), 2);
}

#[test]
fn a_client_that_leaves_while_the_upstream_thinks() {
    let stage = Stage::new();
    stage.upstream.script([Step::ReadBody, Step::UntilClosed]);
    let mut client = stage.client();
    client.write(stage.request("POST /open", &[], b"body")).expect("the connection is open");
    stage.upstream.wait_for(1);
    drop(client);
    stage.upstream.wait_until_left();
    stage.counts_only("client_gone", 499, 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_head_was_never_a_call() {
    let stage = Stage::new();
    let request = stage.request("GET /open", &[], b"");
    for length in [1, 10, request.len() / 2, request.len() - 1] {
        let mut client = stage.client();
        client.write(&request[..length]).expect("the connection is open");
        drop(client);
    }
    let mut half_closed = stage.client();
    half_closed.write(&request[..20]).expect("the connection is open");
    half_closed.finish_writing();
    assert!(half_closed.until_closed().is_some());
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert_eq!(stage.upstream.requests().len(), 1);
    stage.counts_only("allowed", 200, 1);
}

#[test]
fn one_that_leaves_takes_nothing_from_the_others() {
    let stage = Stage::new();
    for _ in 0..20 {
        stage.upstream.script_once([Step::ReadBody, Step::UntilClosed]);
        let mut leaver = stage.client();
        leaver.write(stage.request("GET /leave", &[], b"")).expect("the connection is open");
        stage.upstream.wait_for(1);
        let mut stayer = stage.client();
        stayer.write(stage.request("GET /stay", &[], b"")).expect("the connection is open");
        drop(leaver);
        assert_eq!(stayer.answer().expect("an answer comes").status, 200);
        stage.upstream.take_requests();
    }
    keystile_testkit::eventually("all are counted", || {
        (stage.counted("client_gone", 499), stage.counted("allowed", 200)) == (20, 20)
    });
}

#[test]
fn the_owner_says_how_long_calls_may_take_when_the_server_ends() {
    for (setting, is_answered) in [("drain_seconds = 1", false), ("drain_seconds = 60", true)] {
        let mut served = serve(setting, "");
        let stage = Stage::on(&served.installation, json!({}), json!({}));
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone".to_vec();
        // Longer than it is when nothing is set.
        stage.upstream.script([Step::ReadBody, Step::Pause(Duration::from_secs(5)), Step::Send(reply)]);
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).expect("the connection is open");
        stage.upstream.wait_for(1);
        let (status, _) = served.installation.terminate();
        assert!(status.success(), "{setting}");
        assert!(served.installation.log().contains(&format!("{} s to finish", &setting[16..])), "{setting}");
        assert_eq!(client.answer().is_ok_and(|answer| answer.body == b"done"), is_answered, "{setting}");
    }
}
