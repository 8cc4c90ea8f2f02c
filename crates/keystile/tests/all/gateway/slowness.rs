//! Nobody holds a place by being slow (G-16).

use std::time::Duration;

use keystile_testkit::raw::Client;
use keystile_testkit::{Installation, Step, now};
use serde_json::json;

use super::Stage;
use super::stage::{Served, serve};

/// The limits of these tests; the real ones are longer and otherwise the same.
const LIMIT: Duration = Duration::from_secs(1);
/// How much later than its limit something may end, on a loaded machine.
const LATE: Duration = Duration::from_secs(4);
const SHORT: &str = "idle_seconds = 1\nhead_seconds = 1\nbody_stall_seconds = 1\nwrite_stall_seconds = 1";

fn impatient() -> (Served, Stage) {
    let served = serve(SHORT, "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    (served, stage)
}

/// Gives it pieces with pauses in between until the other end closes; says how long that took and what came.
fn drip(client: &mut Client, piece: &[u8]) -> Duration {
    let began = now();
    while began.elapsed() < LIMIT + LATE {
        if client.write(piece).is_err() || !client.is_silent_for(Duration::from_millis(100)) {
            break;
        }
    }
    began.elapsed()
}

#[test]
fn g16_a_head_has_a_deadline_however_it_drips() {
    let (_served, stage) = impatient();
    let head = stage.request("GET /open", &[], b"");
    for drips in [false, true] {
        let mut client = stage.client();
        client.write(&head[..head.len() - 2]).expect("the connection is open");
        let began = now();
        if drips {
            drip(&mut client, b"X: 1\r\n");
        }
        let answer = client.answer().expect("it is told why");
        let took = began.elapsed();
        stage.check_problem(&answer, 408, "request_timeout", "a slow head");
        assert!(client.is_closed());
        assert!(took > LIMIT / 2 && took < LIMIT + LATE, "{took:?}");
    }
    stage.saw_nothing("a slow head");
}

#[test]
fn g16_an_idle_connection_is_closed_without_a_word() {
    let (_served, stage) = impatient();
    let mut fresh = stage.client();
    let mut used = stage.client();
    used.write(stage.request("GET /open", &[], b"")).expect("the connection is open");
    assert_eq!(used.answer().expect("an answer comes").status, 200);
    let began = now();
    assert!(fresh.is_closed() && used.is_closed());
    let took = began.elapsed();
    assert!(took > LIMIT / 2 && took < LIMIT + LATE, "{took:?}");
}

#[test]
fn g16_a_body_that_stalls_or_drips_is_given_up() {
    let (_served, stage) = impatient();
    for (drips, framing, first, piece) in [
        (false, ("Content-Length", "100000"), &b"first"[..], &b""[..]),
        (true, ("Content-Length", "100000"), b"first", b"b"),
        (false, ("Transfer-Encoding", "chunked"), b"5\r\nfirst\r\n", b""),
        (true, ("Transfer-Encoding", "chunked"), b"5\r\nfirst\r\n", b"1\r\nb\r\n"),
    ] {
        let mut client = stage.client();
        client.write([&*stage.request("POST /open", &[framing], b""), first].concat()).expect("the connection is open");
        let began = now();
        if drips {
            drip(&mut client, piece);
        }
        let answer = client.answer().expect("it is told why");
        let took = began.elapsed();
        stage.check_problem(&answer, 408, "request_timeout", "a slow body");
        assert!(client.is_closed());
        assert!(took > LIMIT / 2 && took < LIMIT + LATE, "{took:?}");
        stage.upstream.wait_until_left();
        let seen = stage.upstream.take_requests();
        assert!(seen.iter().all(|request| !request.complete && request.body.starts_with(b"first")), "{seen:?}");
    }
}

#[test]
fn g16_who_takes_nothing_of_an_answer_is_let_go() {
    let (_served, stage) = impatient();
    let large = 64 << 20;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {large}\r\n\r\n").into_bytes();
    stage.upstream.script([Step::ReadBody, Step::Send(head), Step::Send(vec![b'a'; large])]);
    let mut client = stage.client();
    client.write(stage.request("GET /open", &[], b"")).expect("the connection is open");
    stage.upstream.wait_for(1);
    let began = now();
    stage.upstream.wait_until_left();
    let took = began.elapsed();
    assert!(took > LIMIT / 2 && took < LIMIT + LATE, "{took:?}");
    stage.counts_only("client_gone", 200, 1);
    drop(client);
}

#[test]
fn a_slow_upstream_is_not_the_clients_fault() {
    let (_served, stage) = impatient();
    let body = vec![b'b'; 8 << 20];
    let wait = 2 * LIMIT;
    // It takes nothing for longer than the client may be slow, then answers after another such time.
    stage.upstream.script([
        Step::Pause(wait),
        Step::ReadBody,
        Step::Pause(wait),
        Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsl".to_vec()),
        Step::Pause(wait),
        Step::Send(b"ow".to_vec()),
    ]);
    let answer = stage.call("POST /open", &[], &body);
    assert_eq!((answer.status, &*answer.body), (200, &b"slow"[..]));
    assert_eq!(stage.upstream.requests()[0].body, body);
    stage.counts_only("allowed", 200, 1);
}

#[test]
fn g16_one_address_has_so_many_connections_and_no_more() {
    let served = serve("max_connections_per_address = 5", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let request = stage.request("GET /open", &[], b"");
    // Calls of the stage itself may still be closing: only the gateway's connections count, and it has none yet.
    let mut clients: Vec<Client> = (0..5).map(|_| stage.client()).collect();
    for client in &mut clients {
        client.write(&request).expect("the connection is open");
        assert_eq!(client.answer().expect("an answer comes").status, 200);
    }
    for _ in 0..20 {
        let mut more = stage.client();
        let _ = more.write(&request);
        assert!(more.until_closed().is_some_and(|said| said.is_empty()), "it is closed at once");
    }
    assert_eq!(stage.upstream.requests().len(), 5);
    // Those that are in stay in, and a place that is given back is free again.
    clients.pop();
    keystile_testkit::eventually("a place is free again", || {
        let mut client = stage.client();
        client.write(&request).is_ok() && client.answer().is_ok_and(|answer| answer.status == 200)
    });
    for client in &mut clients {
        client.write(&request).expect("the connection is open");
        assert_eq!(client.answer().expect("an answer comes").status, 200);
    }
}

#[test]
fn g16_who_finds_all_places_taken_waits_for_one() {
    let served = serve("max_connections = 3", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let request = stage.request("GET /open", &[], b"");
    let mut inside: Vec<Client> = (0..3).map(|_| stage.client()).collect();
    for client in &mut inside {
        client.write(&request).expect("the connection is open");
        assert_eq!(client.answer().expect("an answer comes").status, 200);
    }
    let mut waiting = stage.client();
    waiting.write(&request).expect("the system takes it in");
    assert!(waiting.is_silent_for(Duration::from_millis(300)));
    assert_eq!(stage.upstream.requests().len(), 3);
    inside.pop();
    assert_eq!(waiting.answer().expect("an answer comes").status, 200);
    assert_eq!(stage.upstream.requests().len(), 4);
}

#[test]
fn g16_200_slow_connections_do_not_stop_a_normal_one() {
    let served = serve("", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let request = stage.request("GET /open", &[], b"");
    let body = stage.request("POST /slow", &[("Content-Length", "100000")], b"");
    let calls = |what: &str| {
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let began = now();
                assert_eq!(stage.answer(&request).status, 200);
                began.elapsed()
            })
            .collect();
        times.sort();
        println!("{what}: median {:?}, slowest {:?}", times[100], times[199]);
        times[100]
    };
    let before = calls("alone");
    let slow: Vec<Client> = (0..200)
        .map(|number| {
            let mut client = stage.client();
            let part = if number % 2 == 0 { &request[..request.len() - 10] } else { &body[..] };
            client.write(part).expect("the connection is open");
            client
        })
        .collect();
    let beside = calls("beside 200 slow connections");
    // A wide bound: what would break it is a call that waits for a slow one.
    assert!(beside < before * 10 + Duration::from_millis(50), "{before:?} became {beside:?}");
    drop(slow);
    is_well(&served.installation, &stage);
}

/// After the storm it still answers.
fn is_well(installation: &Installation, stage: &Stage) {
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert!(!installation.log().contains("panicked"), "{}", installation.log());
}
