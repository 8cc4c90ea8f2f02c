//! WebSockets: decided and counted before the switch, unread after it, ended with the right to them (G-19).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use keystile_testkit::raw::{Answer, Client};
use keystile_testkit::{PATIENCE, Step, now};
use serde_json::json;

use super::stage::{Stage, serve};

const ASKS: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];
const GRANTS: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nKeep-Alive: 5\r\n\r\n";

/// Asks for a WebSocket and reads the answer.
fn open(stage: &Stage) -> (Client, Answer) {
    let mut client = stage.client();
    client.write(stage.request("GET /open", &ASKS, b"")).expect("the connection is open");
    let answer = client.answer().expect("there is an answer");
    (client, answer)
}

#[test]
fn g19_bytes_go_both_ways_unread_and_the_call_is_counted_when_it_begins() {
    let stage = Stage::new();
    let hello = [GRANTS, b"\x81\x02hi"].concat();
    stage.upstream.script([
        Step::Send(hello),
        Step::Pause(Duration::from_millis(300)),
        Step::Send(b"\x81\x05later".to_vec()),
        Step::UntilClosed,
    ]);
    let (mut client, answer) = open(&stage);
    assert_eq!(answer.status, 101);
    for (name, value) in
        [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]
    {
        assert_eq!(answer.all(name), [value]);
    }
    assert_eq!((answer.all("keep-alive").len(), answer.all("x-request-id").len()), (0, 1));
    stage.counts_only("allowed", 101, 1);
    let seen = &stage.upstream.wait_for(1)[0];
    for (name, value) in [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")] {
        assert_eq!(seen.all(name), [value]);
    }
    assert!(!seen.text().contains(&stage.key) && seen.field("x-consumer-id") == Some(&stage.project_id));
    // What could never be HTTP, and what could.
    client.write(b"\x81\x85\0\0\0\0hello\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n").unwrap();
    let mut stream = client.stream();
    // The first bytes may have been read with the head.
    let mut got = Vec::new();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while !got.ends_with(b"later") {
        let mut piece = [0; 64];
        let len = stream.read(&mut piece).unwrap();
        assert!(len > 0);
        got.extend_from_slice(&piece[..len]);
    }
    assert!(got.ends_with(b"\x81\x05later"), "{got:?}");
    drop(client);
    stage.upstream.wait_until_left();
    assert_eq!(stage.upstream.requests().len(), 1, "nothing of it is a request");
    stage.counts_only("allowed", 101, 1);
}

#[test]
fn g19_without_a_right_there_is_no_switch() {
    let stage =
        Stage::with(json!({}), json!({ "rate_limits": [{ "name": "few", "limit": 1, "window_seconds": 3_600 }] }));
    stage.upstream.script([Step::Send(GRANTS.to_vec()), Step::UntilClosed]);
    stage.is_refused(&stage.request_without_key("GET /open", &ASKS, b""), 401, "key_missing");
    let (_client, answer) = open(&stage);
    assert_eq!(answer.status, 101);
    stage.upstream.take_requests();
    stage.is_refused(&stage.request("GET /open", &ASKS, b""), 429, "rate_limited");
}

#[test]
fn g19_a_revoked_key_ends_its_sockets_within_five_seconds() {
    for end in ["revoke", "disable"] {
        let stage = Stage::new();
        stage.upstream.script([Step::Send(GRANTS.to_vec()), Step::UntilClosed]);
        let (mut ended, _) = open(&stage);
        let (_, other) = stage.another_key(json!({}));
        let mut request = stage.request_without_key("GET /open", &[&ASKS[..], &[("x-api-key", &other)]].concat(), b"");
        let mut stays = stage.client();
        stays.write(std::mem::take(&mut request)).unwrap();
        assert_eq!(stays.answer().unwrap().status, 101);
        assert!(ended.is_silent_for(Duration::from_millis(1_300)), "it lasts");
        let began = now();
        assert_eq!(stage.manage.post(&format!("/v1/keys/{}/{end}", stage.key_id), &json!({})).0, 200);
        assert!(ended.until_closed().is_some());
        assert!(began.elapsed() < Duration::from_secs(5), "{end}: {:?}", began.elapsed());
        assert!(stays.is_silent_for(Duration::from_millis(1_300)), "the sockets of another key go on");
        assert_eq!(stage.manage.post(&format!("/v1/apis/{}/disable", stage.api_id), &json!({})).0, 200);
        assert!(stays.until_closed().is_some(), "an API that is switched off has none");
        stage.upstream.wait_until_left();
    }
}

#[test]
fn g19_an_upstream_that_does_not_switch_answers_as_always() {
    let stage = Stage::new();
    stage.upstream.answer_with("HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\nno");
    let (mut client, answer) = open(&stage);
    assert_eq!((answer.status, &*answer.body, answer.field("upgrade")), (426, &b"no"[..], None));
    client.write(stage.request("GET /open", &[], b"")).unwrap();
    assert_eq!(client.answer().unwrap().status, 426, "and the connection goes on");
    // One that switches to something else is not believed, nor one that switches unasked.
    for (asks, grants) in [
        (
            &ASKS[..],
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n",
        ),
        (&ASKS, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n"),
        (
            &[("Connection", "Upgrade"), ("Upgrade", "h2c")],
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        ),
    ] {
        stage.upstream.script([Step::ReadBody, Step::Send(grants.as_bytes().to_vec()), Step::UntilClosed]);
        let answer = stage.call("GET /open", asks, b"");
        stage.check_problem(&answer, 502, "upstream_unreachable", grants);
    }
}

#[test]
fn g19_bytes_that_come_before_the_switch_are_no_way_past_the_guard() {
    let stage = Stage::new();
    stage.upstream.script([Step::Pause(Duration::from_millis(200)), Step::Send(GRANTS.to_vec()), Step::UntilClosed]);
    let mut client = stage.client();
    let early =
        [stage.request("GET /open", &ASKS, b""), b"GET /smuggled HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_vec()];
    client.write(early.concat()).unwrap();
    // Whatever becomes of them, they are no request of their own to anybody.
    let _ = client.answer();
    std::thread::sleep(Duration::from_millis(200));
    assert!(stage.upstream.requests().len() <= 1);
}

#[test]
fn a_socket_ends_when_its_upstream_or_the_process_does() {
    let stage = Stage::new();
    stage.upstream.script([Step::Send(GRANTS.to_vec()), Step::Pause(Duration::from_millis(100)), Step::Close]);
    let (mut client, _) = open(&stage);
    assert!(client.until_closed().is_some());

    let mut served = serve("", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    stage.upstream.script([Step::Send(GRANTS.to_vec()), Step::UntilClosed]);
    let (mut client, _) = open(&stage);
    let (status, took) = served.installation.terminate();
    assert!(status.success() && took < Duration::from_secs(2), "{took:?}");
    assert!(client.until_closed().is_some());
}

#[test]
fn large_amounts_go_through_in_both_directions() {
    let stage = Stage::new();
    let large = vec![b'x'; 4 << 20];
    stage.upstream.script([Step::Send([GRANTS, &large].concat()), Step::UntilClosed]);
    let (client, _) = open(&stage);
    let mut writer = client.stream().try_clone().unwrap();
    let sent = large.clone();
    let writing = std::thread::spawn(move || writer.write_all(&sent));
    let mut got = 0;
    let mut stream = client.stream();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut piece = vec![0; 64 << 10];
    while let Ok(len @ 1..) = stream.read(&mut piece) {
        got += len;
    }
    writing.join().unwrap().unwrap();
    // Some of it may have come with the head.
    assert!(got > (4 << 20) - (64 << 10), "{got}");
}

#[test]
fn ordinary_clients_and_servers_understand_each_other_through_it() {
    use tungstenite::Message;
    use tungstenite::client::IntoClientRequest;
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let stage = Stage::with(json!({ "upstream": format!("http://{}", listener.local_addr().unwrap()) }), json!({}));
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        while let Ok(message) = socket.read() {
            if message.is_text() || message.is_binary() {
                socket.send(message).unwrap();
            }
        }
    });
    let mut request = format!("ws://{}/chat?room=1", stage.host).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", stage.key).parse().unwrap());
    let stream = TcpStream::connect(stage.gateway).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut socket, answer) = tungstenite::client(request, stream).unwrap();
    assert_eq!(answer.status(), 101);
    for message in [Message::text("Grüezi"), Message::binary(vec![7; 1 << 20]), Message::text("")] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(Message::Ping(vec![1, 2].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(vec![1, 2].into()));
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    server.join().unwrap();
    stage.counts_only("allowed", 101, 1);
}

#[test]
fn g19_a_socket_ends_when_its_api_asks_for_more_than_it_has() {
    for wanted in [
        json!({ "require_tls": true }),
        json!({ "require_client_certificate": true }),
        json!({ "access": "key" }),
        json!({ "active": false }),
    ] {
        let stage = Stage::with(json!({ "access": "open" }), json!({}));
        stage.upstream.script([Step::Send(GRANTS.to_vec()), Step::UntilClosed]);
        let mut client = stage.client();
        client.write(stage.request_without_key("GET /open", &ASKS, b"")).unwrap();
        assert_eq!(client.answer().unwrap().status, 101);
        let path = format!("/v1/apis/{}", stage.api_id);
        let began = now();
        let changed = match wanted.get("active") {
            Some(_) => stage.manage.post(&format!("{path}/disable"), &json!({})),
            None => stage.manage.patch(&path, &wanted),
        };
        assert_eq!(changed.0, 200, "{wanted}: {}", changed.1);
        assert!(client.until_closed().is_some() && began.elapsed() < Duration::from_secs(5), "{wanted}");
    }
}

#[test]
fn g16_an_end_that_takes_nothing_ends_the_socket() {
    let served = serve("write_stall_seconds = 1", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    stage.upstream.script([Step::Send([GRANTS, &vec![b'x'; 64 << 20]].concat()), Step::UntilClosed]);
    let mut client = stage.client();
    client.write(stage.request("GET /open", &ASKS, b"")).unwrap();
    stage.upstream.wait_for(1);
    // Nothing is read, not even the head.
    stage.upstream.wait_until_left();
}

#[test]
fn g19_http_1_0_switches_nothing() {
    let stage = Stage::new();
    let request =
        String::from_utf8(stage.request("GET /open", &ASKS, b"")).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
    let answer = keystile_testkit::raw::send(stage.gateway, request.as_bytes());
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains(" 101 "), "{answer}");
    assert!(stage.upstream.requests().iter().all(|seen| seen.all("upgrade").is_empty()));
}

#[test]
fn g19_frames_say_nothing_of_their_type_and_pass_where_any_bytes_may() {
    for (field, bytes) in [("request_types", 415), ("response_types", 502)] {
        for (types, status) in [("application/json", bytes), ("application/octet-stream", 101), ("*/*", 101)] {
            let stage = Stage::with(json!({ field: [types] }), json!({}));
            stage.upstream.script([Step::Send(GRANTS.to_vec()), Step::UntilClosed]);
            assert_eq!(open(&stage).1.status, status, "an API with {field} {types}");
            let status = if status == 101 { 101 } else { 403 };
            let formats = json!({ "restrictions": { "formats": { field: [types] } } });
            let stage = Stage::with(json!({}), formats);
            stage.upstream.script([Step::Send(GRANTS.to_vec()), Step::UntilClosed]);
            assert_eq!(open(&stage).1.status, status, "a key with {field} {types}");
            if status == 403 {
                stage.saw_nothing("a WebSocket that may not be");
            }
        }
    }
}

#[test]
fn g19_a_rule_about_types_ends_the_sockets_that_it_forbids() {
    let stage = Stage::new();
    stage.upstream.script([Step::Send(GRANTS.to_vec()), Step::UntilClosed]);
    for (path, rule) in [
        (
            format!("/v1/keys/{}", stage.key_id),
            json!({ "restrictions": { "formats": { "request_types": ["text/*"] } } }),
        ),
        (format!("/v1/apis/{}", stage.api_id), json!({ "response_types": ["text/*"] })),
    ] {
        let (mut client, answer) = open(&stage);
        assert_eq!(answer.status, 101);
        assert_eq!(stage.manage.patch(&path, &rule).0, 200);
        assert!(client.until_closed().is_some(), "{path}");
        stage.manage.patch(&path, &json!({ "restrictions": {} }));
    }
}

#[test]
fn k18_a_socket_of_a_page_lasts_as_long_as_its_page_may_use_the_key() {
    let stage = Stage::with(json!({}), json!({ "restrictions": { "origins": ["https://app.example.com"] } }));
    // Long enough to be looked at meanwhile.
    let later = [Step::Pause(Duration::from_millis(2_500)), Step::Send(b"later".to_vec()), Step::UntilClosed];
    stage.upstream.script([&[Step::Send(GRANTS.to_vec())][..], &later].concat());
    let asks = |origin| stage.request("GET /open", &[&ASKS[..], &[("Origin", origin)]].concat(), b"");
    stage.is_refused(&asks("https://evil.test"), 403, "origin_forbidden");
    let mut client = stage.client();
    client.write(asks("https://app.example.com")).expect("it is taken");
    assert_eq!(client.answer().expect("there is an answer").status, 101);
    let mut stream = client.stream();
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    let mut got = [0; 5];
    stream.read_exact(&mut got).expect("it goes on");
    assert_eq!(&got, b"later");
    let others = json!({ "restrictions": { "origins": ["https://other.example.com"] } });
    assert_eq!(stage.manage.patch(&format!("/v1/keys/{}", stage.key_id), &others).0, 200);
    assert!(client.until_closed().is_some(), "it ends with the right to it");
}

#[test]
fn g19_k10_a_socket_ends_with_the_version_that_opened_it() {
    for first in [true, false] {
        let stage = Stage::new();
        if !first {
            assert_eq!(stage.manage.post(&format!("/v1/keys/{}/rotate", stage.key_id), &json!({})).0, 200);
        }
        stage.upstream.script([Step::Send(GRANTS.to_vec()), Step::UntilClosed]);
        let mut client = stage.client();
        client.write(stage.request("GET /open", &ASKS, b"")).expect("it is taken");
        assert_eq!(client.answer().expect("there is an answer").status, 101);
        let path = format!("/v1/keys/{}", stage.key_id);
        if first {
            assert_eq!(stage.manage.post(&format!("{path}/rotate"), &json!({ "overlap_seconds": 0 })).0, 200);
        } else {
            assert_eq!(stage.manage.post(&format!("{path}/versions/1/end"), &json!({})).0, 200);
        }
        assert!(client.until_closed().is_some(), "it ends with its version: {first}");
    }
}
