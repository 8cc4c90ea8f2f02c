//! Bodies flow: the first bytes arrive before the last are sent, and large ones arrive whole.

use keystile_testkit::{Step, eventually};

use super::Stage;

/// Bytes that no shift, loss or repetition leaves as they are.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(length)
    .collect()
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

#[test]
fn an_answer_arrives_as_it_is_sent() {
    let stage = Stage::new();
    for (head, pieces) in [
        ("content-length: 9", [&b"one"[..], b"two", b"end"]),
        ("transfer-encoding: chunked", [b"3\r\none\r\n", b"3\r\ntwo\r\n", b"3\r\nend\r\n0\r\n\r\n"]),
    ] {
        let [first, second, third] = pieces.map(|piece| Step::Send(piece.to_vec()));
        let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").into_bytes();
        stage.upstream.script([Step::ReadBody, Step::Send(head), first, Step::Gate, second, Step::Gate, third]);
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).expect("the connection is open");
        let (answer, mut body) = client.head().expect("the head comes first");
        assert_eq!(answer.status, 200);
        for expected in ["one", "two", "end"] {
            // The upstream sends the next piece only after this one was seen.
            let piece = client.piece(&mut body).expect("a piece comes").expect("it is not the end");
            assert_eq!(piece, expected.as_bytes());
            stage.upstream.open_gate();
        }
        assert_eq!(client.piece(&mut body).expect("the end comes"), None);
    }
}

#[test]
fn a_request_arrives_as_it_is_sent() {
    let stage = Stage::new();
    for (field, pieces) in [
        (("Content-Length", "9"), [&b"one"[..], b"two", b"end"]),
        (("Transfer-Encoding", "chunked"), [b"3\r\none\r\n", b"3\r\ntwo\r\n", b"3\r\nend\r\n0\r\n\r\n"]),
    ] {
        let mut client = stage.client();
        client.write(stage.request("POST /open", &[field], b"")).expect("the connection is open");
        for (piece, so_far) in pieces.into_iter().zip(["one", "onetwo", "onetwoend"]) {
            client.write(piece).expect("the connection is open");
            eventually(&format!("{so_far} arrives"), || {
                stage.upstream.requests().last().is_some_and(|request| request.body == so_far.as_bytes())
            });
        }
        assert_eq!(client.answer().expect("an answer comes").status, 200);
        assert!(stage.upstream.requests().last().is_some_and(|request| request.complete));
    }
}

#[test]
fn both_ways_at_once() {
    let stage = Stage::new();
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    stage.upstream.script([Step::Send(head), Step::EchoBody]);
    let mut client = stage.client();
    client
        .write(stage.request("POST /open", &[("Transfer-Encoding", "chunked")], b""))
        .expect("the connection is open");
    let (answer, mut body) = client.head().expect("the answer begins before the request ends");
    assert_eq!(answer.status, 200);
    for word in ["ping", "pong", "ping again"] {
        client.write(format!("{:x}\r\n{word}\r\n", word.len())).expect("the connection is open");
        let mut back = Vec::new();
        while back.len() < word.len() {
            back.extend(client.piece(&mut body).expect("a piece comes").expect("it is not the end"));
        }
        assert_eq!(back, word.as_bytes());
    }
    client.write(b"0\r\n\r\n").expect("the connection is open");
    assert_eq!(client.piece(&mut body).expect("the end comes"), None);
    stage.counts_only("allowed", 200, 1);
}

#[test]
fn eight_mebibytes_arrive_whole_both_ways() {
    let stage = Stage::new();
    let (up, down) = (bytes(8 << 20, 1), bytes(8 << 20, 2));
    let sized =
        [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", down.len()).into_bytes(), down.clone()].concat();
    let in_chunks = [&b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..], &chunked(&down, 10_007)].concat();
    for answer in [sized, in_chunks] {
        stage.upstream.answer_with(answer);
        for in_chunks in [false, true] {
            let request = if in_chunks {
                let head = stage.request("POST /open", &[("Transfer-Encoding", "chunked")], b"");
                [head, chunked(&up, 65_537)].concat()
            } else {
                stage.request("POST /open", &[], &up)
            };
            let answer = stage.answer(&request);
            assert_eq!(answer.status, 200);
            assert!(answer.body == down, "what came down is not what was sent");
            let seen = stage.upstream.take_requests();
            assert!(seen[0].body == up && seen[0].complete, "what came up is not what was sent");
        }
    }
    assert_eq!(stage.upstream.faults(), [] as [String; 0]);
    let rows = stage.usage("code");
    assert_eq!(rows[0]["bytes_in"], 4 * up.len() as u64, "{rows:?}");
    assert_eq!(rows[0]["bytes_out"], 4 * down.len() as u64, "{rows:?}");
}

#[test]
fn an_answer_that_ends_with_its_connection_arrives_whole() {
    let stage = Stage::new();
    let down = bytes(1 << 20, 3);
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    stage.upstream.script([Step::ReadBody, Step::Send(head), Step::Send(down.clone()), Step::Close]);
    let mut client = stage.client();
    for _ in 0..2 {
        client.write(stage.request("GET /open", &[], b"")).expect("the client's connection stays open");
        assert!(client.answer().expect("an answer comes").body == down);
    }
    stage.counts_only("allowed", 200, 2);
}

#[test]
fn an_upstream_that_answers_before_the_whole_body_has_come_and_closes_is_said_to_close() {
    let stage = Stage::new();
    let answer = |fields: &str| Step::Send(format!("HTTP/1.{fields}content-length: 2\r\n\r\nno").into_bytes());
    let early = [
        vec![answer("1 413 Large\r\nconnection: close\r\n"), Step::Gate, Step::Close],
        vec![answer("0 413 Large\r\n"), Step::Gate, Step::Close],
        // The end of its connection may be seen before the head of its answer goes out, or after it.
        vec![answer("1 413 Large\r\nconnection: close\r\n"), Step::Close],
    ];
    for (script, times) in early.into_iter().zip([1, 1, 50]) {
        stage.upstream.script(script);
        for _ in 0..times {
            let mut client = stage.client();
            client.write(stage.request("POST /open", &[("Content-Length", "9")], b"")).expect("it is open");
            let answer = client.answer().expect("an answer comes");
            assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
            if times == 1 {
                // What it still takes, it gets.
                client.write(b"012345678").expect("it is open");
                stage.upstream.open_gate();
            }
            assert!(client.is_closed());
        }
    }
    // With the whole body it is no affair of the client's, who goes on.
    stage.upstream.script([Step::ReadBody, answer("1 413 Large\r\nconnection: close\r\n"), Step::Close]);
    let mut client = stage.client();
    for _ in 0..3 {
        client.write(stage.request("POST /open", &[], b"012345678")).expect("it is open");
        let answer = client.answer().expect("an answer comes");
        assert_eq!((answer.status, answer.field("connection")), (413, None));
    }
}

#[test]
fn a_connection_on_which_some_of_a_request_is_owed_is_nobody_elses() {
    // One thread, and so one pool of connections; and nobody gives up on the body while this runs.
    let served = super::stage::serve("workers = 1\nbody_stall_seconds = 600", "");
    let stage = Stage::on(&served.installation, serde_json::json!({}), serde_json::json!({}));
    stage.upstream.script([Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec())]);
    let mut slow = stage.client();
    slow.write(stage.request("POST /open", &[("content-length", "1000")], b"")).unwrap();
    slow.write(b"x").unwrap();
    assert_eq!(slow.answer().unwrap().status, 200);
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert_eq!(stage.upstream.connections(), 2, "whoever calls next waits for nobody's body");
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert_eq!(stage.upstream.connections(), 2, "what was sent whole leaves its connection to others");
}
