//! No more calls at once than the owner of an API allows, or the gateway bears (R-9): further ones are refused at once,
//! and cost nobody anything. Management has a lane of its own. Slow clients stop nobody (G-16).

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;

use keystile_testkit::Step;

use super::Stage;
use super::stage::serve;

#[test]
fn r09_calls_above_what_an_api_bears_are_refused_at_once_and_places_are_given_back() {
    let limit = json!({ "rate_limits": [{ "name": "few", "limit": 5, "window_seconds": 3_600 }] });
    let stage = Stage::with(json!({ "max_concurrent_calls": 2 }), limit);
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone".to_vec();
    stage.upstream.script([Step::ReadBody, Step::Gate, Step::Send(reply)]);
    let ask = || {
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).unwrap();
        client
    };
    let (mut first, mut second) = (ask(), ask());
    stage.upstream.wait_for(2);
    for _ in 0..20 {
        let answer = stage.call("GET /open", &[], b"");
        stage.check_problem(&answer, 503, "overloaded", "a third call");
        assert_eq!(answer.all("retry-after"), ["1"]);
    }
    assert_eq!(stage.upstream.take_requests().len(), 2);
    // A change of the API forgets nobody who is in.
    let path = format!("/v1/apis/{}", stage.api_id);
    assert_eq!(stage.manage.patch(&path, &json!({ "max_concurrent_calls": 3 })).0, 200);
    let third = ask();
    stage.upstream.wait_for(1);
    assert_eq!(stage.call("GET /open", &[], b"").status, 503);
    // Whoever leaves frees a place too.
    drop(third);
    keystile_testkit::eventually("its call is counted", || stage.counted("client_gone", 499) == 1);
    (0..3).for_each(|_| stage.upstream.open_gate());
    for client in [&mut first, &mut second] {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    // Two and one that left were charged, none that was refused: two of five are left.
    for status in [200, 200, 429] {
        assert_eq!(stage.call("GET /open", &[], b"").status, status);
    }
    assert_eq!(
        stage.manage.patch(&path, &json!({ "max_concurrent_calls": null })).1["max_concurrent_calls"],
        json!(null)
    );
    for wrong in [json!(0), json!(-1), json!(1_000_001), json!("x")] {
        assert_eq!(stage.manage.patch(&path, &json!({ "max_concurrent_calls": wrong })).0, 400, "{wrong}");
    }
}

#[test]
fn r09_calls_above_what_the_gateway_bears_are_refused_whichever_api_they_are_for() {
    let served = serve("max_concurrent_calls = 2", "");
    let limit = json!({ "rate_limits": [{ "name": "few", "limit": 3, "window_seconds": 3_600 }] });
    let stages = [json!({ "max_concurrent_calls": 1 }), json!({})]
        .map(|api| Stage::on(&served.installation, api, limit.clone()));
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone".to_vec();
    for stage in &stages {
        stage.upstream.script([Step::ReadBody, Step::Gate, Step::Send(reply.clone())]);
    }
    let begin = |stage: &Stage| {
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).unwrap();
        stage.upstream.wait_for(1);
        client
    };
    let refused = |stage: &Stage| {
        let answer = stage.call("GET /open", &[], b"");
        stage.check_problem(&answer, 503, "overloaded", "one too many");
        assert_eq!(answer.all("retry-after"), ["1"]);
    };
    let mut first = begin(&stages[0]);
    // Refused by the bound of its own, it takes no place of the others.
    (0..5).for_each(|_| refused(&stages[0]));
    let mut second = begin(&stages[1]);
    stages.iter().for_each(|stage| (0..5).for_each(|_| refused(stage)));
    for (stage, client) in stages.iter().zip([&mut first, &mut second]) {
        stage.upstream.open_gate();
        assert_eq!(client.answer().unwrap().status, 200);
        stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        // One was charged, none that was refused: two of three are left.
        let statuses = [0; 3].map(|_| stage.call("GET /open", &[], b"").status);
        assert_eq!(statuses, [200, 200, 429]);
    }
}

#[test]
fn r09_a_full_gateway_takes_no_place_of_those_who_manage_it() {
    let served = serve("max_connections = 6\nmax_concurrent_calls = 3", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec();
    stage.upstream.script([Step::ReadBody, Step::Gate, Step::Send(reply)]);
    let request = stage.request("GET /open", &[], b"");
    let mut clients: Vec<_> = (0..6).map(|_| stage.client()).collect();
    for client in &mut clients {
        client.write(&request).unwrap();
    }
    // Three are being answered and three were told to come again; all places are taken, and further clients wait.
    stage.upstream.wait_for(3);
    let mut waiting: Vec<_> = (0..50).map(|_| stage.client()).collect();
    for client in &mut waiting {
        client.write(&request).unwrap();
    }
    for _ in 0..10 {
        let (id, _) = stage.another_key(json!({}));
        let (status, revoked) = stage.manage.post(&format!("/v1/keys/{id}/revoke"), &json!({}));
        assert_eq!((status, &revoked["state"]), (200, &json!("revoked")), "{revoked}");
    }
    let path = format!("/v1/keys/{}/revoke", stage.key_id);
    assert_eq!(stage.manage.post(&path, &json!({})).0, 200);
    // Whoever is let in from now on is refused. Those who come in first may find that calls of clients that have left
    // still have their places.
    drop(clients);
    let mut too_early = 0;
    for client in &mut waiting {
        let answer = client.answer().unwrap();
        if answer.status == 503 && too_early < 6 {
            stage.check_problem(&answer, 503, "overloaded", "a call that came first");
            too_early += 1;
        } else {
            stage.check_problem(&answer, 401, "key_revoked", "a call that waited");
        }
        client.finish_writing();
        assert!(client.is_closed());
    }
}

#[test]
fn r09_while_calls_come_as_fast_as_they_can_changes_are_made_and_in_force() {
    let served = serve("workers = 2", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let (mut client, request) = (stage.client(), stage.request("GET /open", &[], b""));
                while !stop.load(Ordering::Relaxed) {
                    client.write(&request).unwrap();
                    assert_eq!(client.answer().unwrap().status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..20 {
            let (id, key) = stage.another_key(json!({}));
            let call = || {
                let own = stage.request_without_key("GET /open", &[("x-api-key", &key)], b"");
                stage.answer(&own)
            };
            assert_eq!(call().status, 200);
            assert_eq!(stage.manage.post(&format!("/v1/keys/{id}/revoke"), &json!({})).0, 200);
            stage.check_problem(&call(), 401, "key_revoked", "the next call");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(answered.into_inner() > 100);
}

#[test]
fn g16_slowhttptest_stops_nobody() {
    let served = serve("head_seconds = 2\nbody_stall_seconds = 2\nwrite_stall_seconds = 2", "");
    // It can name neither host nor key; and has something to take slowly.
    let stage = Stage::on(&served.installation, json!({ "hosts": [], "access": "open" }), json!({}));
    let body = "x".repeat(64 << 10);
    stage.upstream.answer_with(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    let url = format!("http://{}/open", served.installation.gateway);
    for attack in ["-H", "-B", "-X"] {
        let mut slow = Command::new("slowhttptest")
            .args([attack, "-c", "300", "-r", "300", "-i", "1", "-l", "3", "-u", &url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("slowhttptest is installed");
        let mut calls = 0;
        while slow.try_wait().expect("it is our child").is_none() {
            assert_eq!(stage.call("GET /open", &[], b"").status, 200, "{attack}, call {calls}");
            calls += 1;
        }
        assert!(calls > 10, "{attack}: {calls} calls");
    }
    assert!(!served.installation.log().contains("panicked"), "{}", served.installation.log());
}
