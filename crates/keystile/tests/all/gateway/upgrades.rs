//! Upgrades other than WebSocket: only those that an API's owner named, decided and counted before the switch, ended with
//! the right to them (G-19).

use std::io::{Read, Write};
use std::time::Duration;

use keystile_testkit::raw::{Answer, Client};
use keystile_testkit::{PATIENCE, Step, now};
use serde_json::{Value, json};

use super::stage::{Stage, serve};

fn asks(protocol: &str) -> [(&str, &str); 2] {
    [("Connection", "Upgrade"), ("Upgrade", protocol)]
}

fn grants(protocol: &str) -> Vec<u8> {
    format!("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.raw-stream\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")
        .into_bytes()
}

/// An API that may switch to these, in front of an upstream that grants one and sends back what comes.
fn stage(upgrades: &Value, granted: &str) -> Stage {
    let stage = Stage::with(json!({ "upgrades": upgrades }), json!({}));
    stage.upstream.script([Step::Send(grants(granted)), Step::Echo]);
    stage
}

fn open(stage: &Stage, line: &str, fields: &[(&str, &str)]) -> (Client, Answer) {
    let mut client = stage.client();
    client.write(stage.request(line, fields, b"")).expect("the connection is open");
    let answer = client.answer().expect("there is an answer");
    (client, answer)
}

/// Sends bytes and sees them come back.
fn echoes(client: &mut Client, bytes: &[u8]) {
    client.write(bytes).expect("it is open");
    let mut got = vec![0; bytes.len()];
    let mut stream = client.stream();
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
    stream.read_exact(&mut got).expect("they come back");
    assert!(got == bytes, "{}", got.escape_ascii());
}

#[test]
fn g19_a_protocol_that_was_opened_goes_both_ways_and_is_counted_once() {
    for (line, asked, upgrades, sent) in [
        ("POST /open/exec", "tcp", json!(["tcp"]), "tcp"),
        ("GET /open", "spdy/3.1", json!(["websocket", "tcp", "SPDY/3.1"]), "SPDY/3.1"),
    ] {
        let stage = stage(&upgrades, asked);
        let fields =
            [("Connection", "keep-alive, Upgrade, X-Hop"), ("X-Hop", "1"), ("Upgrade", asked), ("X-Stream", "2")];
        let (mut client, answer) = open(&stage, line, &fields);
        assert_eq!(answer.status, 101, "{asked}: {}", answer.text());
        assert_eq!((answer.all("upgrade"), answer.all("connection")), (vec![sent], vec!["Upgrade"]));
        assert_eq!(answer.all("x-request-id").len(), 1);
        let seen = &stage.upstream.wait_for(1)[0];
        assert_eq!((seen.all("upgrade"), seen.all("connection")), (vec![sent], vec!["Upgrade"]));
        assert_eq!((seen.all("x-hop").len(), seen.all("x-stream")), (0, vec!["2"]));
        assert!(!seen.text().contains(&stage.key) && seen.field("x-consumer-id") == Some(&stage.project_id));
        echoes(&mut client, b"\0\xff what could never be HTTP");
        echoes(&mut client, b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        stage.counts_only("allowed", 101, 1);
        drop(client);
        stage.upstream.wait_until_left();
        assert_eq!(stage.upstream.requests().len(), 1, "nothing of it is a request");
        stage.counts_only("allowed", 101, 1);
    }
}

#[test]
fn large_amounts_go_through_in_both_directions_at_once() {
    let stage = stage(&json!(["tcp"]), "tcp");
    let (mut client, _) = open(&stage, "POST /open", &asks("tcp"));
    let large: Vec<u8> = (0_u32..4 << 20).map(|n| (n >> 8) as u8 ^ n as u8).collect();
    let mut writer = client.stream().try_clone().unwrap();
    let sent = large.clone();
    let writing = std::thread::spawn(move || writer.write_all(&sent));
    let mut got = vec![0; large.len()];
    let mut stream = client.stream();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut got).unwrap();
    writing.join().unwrap().unwrap();
    assert!(got == large);
    // The end of one direction reaches the other end, which closes then.
    client.finish_writing();
    assert_eq!(client.until_closed().as_deref(), Some(&b""[..]));
}

#[test]
fn g19_without_a_right_the_upstream_hears_nothing() {
    let stage = Stage::with(
        json!({ "upgrades": ["tcp"] }),
        json!({ "restrictions": { "methods": ["POST"] },
            "rate_limits": [{ "name": "few", "limit": 1, "window_seconds": 3_600 }] }),
    );
    stage.upstream.script([Step::Send(grants("tcp")), Step::Echo]);
    stage.is_refused(&stage.request_without_key("POST /open", &asks("tcp"), b""), 401, "key_missing");
    let unknown = [&asks("tcp")[..], &[("x-api-key", "ks_live_0000000000000000000000000000000000000")]].concat();
    let answer = stage.answer(&stage.request_without_key("POST /open", &unknown, b""));
    assert_eq!(answer.status, 401, "{}", answer.text());
    stage.saw_nothing("an unknown key");
    stage.is_refused(&stage.request("GET /open", &asks("tcp"), b""), 403, "operation_forbidden");
    let (_client, answer) = open(&stage, "POST /open", &asks("tcp"));
    assert_eq!(answer.status, 101);
    stage.upstream.take_requests();
    stage.is_refused(&stage.request("POST /open", &asks("tcp"), b""), 429, "rate_limited");
}

#[test]
fn g19_an_upstream_that_switches_to_something_else_is_not_believed() {
    for granted in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: SPDY/3.1\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: tcp, h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: tcp\r\nupgrade: tcp\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: tcp\r\n\r\n",
    ] {
        let stage = Stage::with(json!({ "upgrades": ["tcp", "SPDY/3.1"] }), json!({}));
        let bytes = [granted.as_bytes(), b"SECRET OF ANOTHER PROTOCOL"].concat();
        stage.upstream.script([Step::Send(bytes), Step::UntilClosed]);
        let (client, answer) = open(&stage, "POST /open", &asks("tcp"));
        stage.check_problem(&answer, 502, "upstream_unreachable", granted);
        assert!(!answer.text().contains("SECRET"), "{granted}");
        stage.upstream.wait_until_left();
        drop(client);
        stage.counts_only("upstream_unreachable", 502, 1);
    }
}

#[test]
fn g19_an_upstream_that_stays_with_http_answers_as_always() {
    let stage = stage(&json!(["tcp"]), "tcp");
    stage.upstream.answer_with("HTTP/1.1 409 Conflict\r\nupgrade: tcp\r\ncontent-length: 2\r\n\r\nno");
    let (mut client, answer) = open(&stage, "POST /open", &asks("tcp"));
    assert_eq!((answer.status, &*answer.body, answer.field("upgrade")), (409, &b"no"[..], None));
    client.write(stage.request("GET /open", &[], b"")).unwrap();
    assert_eq!(client.answer().unwrap().status, 409, "and the connection goes on");
}

#[test]
fn g19_a_revoked_key_ends_its_upgrades_within_five_seconds() {
    let stage = stage(&json!(["tcp"]), "tcp");
    let (mut ended, answer) = open(&stage, "POST /open", &asks("tcp"));
    assert_eq!(answer.status, 101);
    let (_, other) = stage.another_key(json!({}));
    let mut stays = stage.client();
    let fields = [&asks("tcp")[..], &[("x-api-key", &other)]].concat();
    stays.write(stage.request_without_key("POST /open", &fields, b"")).unwrap();
    assert_eq!(stays.answer().unwrap().status, 101);
    assert!(ended.is_silent_for(Duration::from_millis(1_300)), "it lasts");
    let began = now();
    assert_eq!(stage.manage.post(&format!("/v1/keys/{}/revoke", stage.key_id), &json!({})).0, 200);
    assert!(ended.until_closed().is_some());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(stays.is_silent_for(Duration::from_millis(1_300)), "those of another key go on");
    echoes(&mut stays, b"still here");
    assert_eq!(stage.manage.post(&format!("/v1/apis/{}/disable", stage.api_id), &json!({})).0, 200);
    assert!(stays.until_closed().is_some(), "an API that is switched off has none");
    stage.upstream.wait_until_left();
}

#[test]
fn g19_what_may_not_be_begun_any_more_ends() {
    for (wanted, key) in [
        (json!({ "upgrades": ["websocket", "SPDY/3.1"] }), Value::Null),
        (json!({ "upgrades": [] }), Value::Null),
        (Value::Null, json!({ "restrictions": { "methods": ["GET"] } })),
    ] {
        let stage = stage(&json!(["tcp"]), "tcp");
        let (mut client, answer) = open(&stage, "POST /open", &asks("tcp"));
        assert_eq!(answer.status, 101);
        // A change that says nothing of it ends nothing.
        assert_eq!(stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &json!({ "key_days": 9 })).0, 200);
        assert!(client.is_silent_for(Duration::from_millis(1_300)), "it lasts");
        let began = now();
        let changed = if key.is_null() {
            stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &wanted)
        } else {
            stage.manage.patch(&format!("/v1/keys/{}", stage.key_id), &key)
        };
        assert_eq!(changed.0, 200, "{}", changed.1);
        assert!(client.until_closed().is_some() && began.elapsed() < Duration::from_secs(5), "{wanted} {key}");
    }
}

#[test]
fn g19_an_upgrade_lasts_while_its_own_method_may_be_called() {
    for (line, method) in [("GET /open", "GET"), ("POST /open", "POST")] {
        let upgrades = json!({ "upgrades": ["tcp"] });
        let with_key = Stage::with(upgrades, json!({ "restrictions": { "methods": [method] } }));
        let without =
            Stage::with(json!({ "upgrades": ["tcp"], "open_operations": [format!("{method} /open")] }), json!({}));
        let requests =
            [with_key.request(line, &asks("tcp"), b""), without.request_without_key(line, &asks("tcp"), b"")];
        let mut clients = Vec::new();
        for (stage, request) in [&with_key, &without].into_iter().zip(requests) {
            stage.upstream.script([Step::Send(grants("tcp")), Step::Echo]);
            let mut client = stage.client();
            client.write(request).unwrap();
            assert_eq!(client.answer().unwrap().status, 101, "{line}");
            clients.push(client);
        }
        for client in &mut clients {
            assert!(client.is_silent_for(Duration::from_millis(1_300)), "{line}");
            echoes(client, b"still here");
        }
    }
}

#[test]
fn g19_what_was_not_opened_goes_on_without_it() {
    let websocket = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ];
    let twice = [("Connection", "Upgrade"), ("Upgrade", "tcp"), ("Upgrade", "tcp")];
    let without = [("Upgrade", "tcp")];
    for (upgrades, fields) in [
        (Value::Null, &asks("tcp")[..]),
        (json!(["websocket"]), &asks("tcp")),
        (json!(["SPDY/3.1"]), &asks("SPDY/3")),
        (json!(["tcp"]), &asks("h2c")),
        (json!(["tcp", "SPDY/3.1"]), &asks("tcp, SPDY/3.1")),
        (json!(["tcp"]), &asks("tcp, h2c")),
        (json!(["tcp"]), &twice),
        (json!(["tcp"]), &without),
        (json!([]), &websocket),
        (json!(["tcp"]), &websocket),
        (json!(["websocket"]), &asks("websocket")),
    ] {
        let api = if upgrades.is_null() { json!({}) } else { json!({ "upgrades": upgrades }) };
        let stage = Stage::with(api, json!({}));
        let answer = stage.call("GET /open", fields, b"");
        assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]), "{upgrades} {fields:?}");
        let seen = &stage.upstream.wait_for(1)[0];
        assert!(seen.all("upgrade").is_empty() && seen.all("connection").is_empty(), "{}", seen.text());
        // And an upstream that switches unasked is not believed.
        stage.upstream.script([Step::Send(grants("tcp")), Step::Echo]);
        let answer = stage.call("GET /open", fields, b"");
        stage.check_problem(&answer, 502, "upstream_unreachable", &format!("{upgrades} {fields:?}"));
    }
}

#[test]
fn g19_a_call_with_a_body_or_over_http_1_0_switches_nothing() {
    let stage = stage(&json!(["tcp"]), "tcp");
    stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(stage.call("POST /open", &asks("tcp"), b"body").status, 200);
    let chunked = [&asks("tcp")[..], &[("Transfer-Encoding", "chunked")]].concat();
    let request = [stage.request("POST /open", &chunked, b""), b"1\r\nx\r\n0\r\n\r\n".to_vec()].concat();
    assert_eq!(stage.answer(&request).status, 200);
    let old = String::from_utf8(stage.request("POST /open", &asks("tcp"), b"")).unwrap();
    let _ = keystile_testkit::raw::send(stage.gateway, old.replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes());
    assert!(stage.upstream.requests().len() >= 2);
    assert!(stage.upstream.requests().iter().all(|seen| seen.all("upgrade").is_empty()));
}

#[test]
fn g19_bytes_that_come_before_the_switch_are_no_way_past_the_guard() {
    let stage = Stage::with(json!({ "upgrades": ["tcp"] }), json!({}));
    stage.upstream.script([Step::Gate, Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())]);
    let mut client = stage.client();
    let smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_vec();
    client.write([stage.request("POST /open", &asks("tcp"), b""), smuggled].concat()).unwrap();
    stage.upstream.wait_for(1);
    stage.upstream.open_gate();
    // There is no switch: what follows is a request, and none that may pass.
    assert_eq!(client.answer().unwrap().status, 200);
    let rest = client.until_closed().expect("it is closed");
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400 "), "{}", rest.escape_ascii());
    assert_eq!(stage.upstream.requests().len(), 1);
}

#[test]
fn g19_nothing_that_http_is_spoken_in_can_be_opened() {
    let stage = Stage::new();
    for name in ["h2c", "H2C", "h2", "h3", "HTTP/2.0", "http/1.1", "TLS/1.0", "tls"] {
        let (status, said) =
            stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &json!({ "upgrades": ["websocket", name] }));
        assert_eq!((status, &said["code"]), (400, &json!("invalid")), "{name}");
        assert!(said["detail"].as_str().unwrap().contains("request smuggling by h2c upgrade"), "{said}");
    }
    let (_, api) = stage.manage.get(&format!("/v1/apis/{}", stage.api_id));
    assert_eq!(api["upgrades"], json!(["websocket"]));
}

#[test]
fn an_upgrade_ends_with_its_upstream_and_with_the_process() {
    let stage = Stage::with(json!({ "upgrades": ["tcp"] }), json!({}));
    stage.upstream.script([Step::Send([&grants("tcp")[..], b"bye"].concat()), Step::Close]);
    let (mut client, answer) = open(&stage, "POST /open", &asks("tcp"));
    assert_eq!(answer.status, 101);
    assert_eq!(client.until_closed().as_deref(), Some(&b"bye"[..]), "what came right behind the head is not lost");

    let mut served = serve("", "");
    let stage = Stage::on(&served.installation, json!({ "upgrades": ["tcp"] }), json!({}));
    stage.upstream.script([Step::Send(grants("tcp")), Step::Echo]);
    let (mut client, _) = open(&stage, "POST /open", &asks("tcp"));
    echoes(&mut client, b"here");
    let (status, took) = served.installation.terminate();
    assert!(status.success() && took < Duration::from_secs(2), "{took:?}");
    assert!(client.until_closed().is_some());
}

#[test]
fn g19_an_upgrade_says_nothing_of_its_type_and_passes_where_any_bytes_may() {
    for (field, refused) in [("request_types", 415), ("response_types", 502)] {
        for (types, status) in [("application/json", refused), ("*/*", 101)] {
            let stage = Stage::with(json!({ field: [types], "upgrades": ["tcp"] }), json!({}));
            stage.upstream.script([Step::Send(grants("tcp")), Step::Echo]);
            assert_eq!(open(&stage, "POST /open", &asks("tcp")).1.status, status, "{field} {types}");
        }
    }
}

#[test]
fn every_method_may_ask_and_the_answer_has_no_length() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for field in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
            let stage = stage(&json!(["tcp"]), "tcp");
            let head =
                String::from_utf8(grants("tcp")).unwrap().replacen("Connection", &format!("{field}\r\nConnection"), 1);
            stage.upstream.script([Step::Send(head.into_bytes()), Step::Echo]);
            let (mut client, answer) = open(&stage, &format!("{method} /open"), &asks("tcp"));
            assert_eq!(answer.status, 101, "{method}");
            assert!(answer.all("content-length").is_empty() && answer.all("transfer-encoding").is_empty(), "{method}");
            echoes(&mut client, b"there and back");
        }
    }
}
