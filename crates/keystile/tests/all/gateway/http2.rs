//! HTTP/2 to clients: the same calls, and what only HTTP/2 can do wrong (G-14, G-15).

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, Method, Request};
use keystile_testkit::tls::Authority;
use keystile_testkit::{PATIENCE, Step, eventually, now};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::stage::{Served, Stage, serve};

/// What a client begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection of a client that decides about every frame.
struct Client {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    ended: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn code(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    fn connect(stage: &Stage) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (sender, ended) = runtime.block_on(async {
            let socket = TcpStream::connect(stage.gateway).await.expect("somebody listens");
            let (sender, connection) = h2::client::handshake(socket).await.expect("it speaks HTTP/2");
            (sender, tokio::spawn(connection))
        });
        Self { runtime, sender, ended }
    }

    fn send(&mut self, request: Request<()>, is_all: bool) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let sender = self.sender.clone();
        self.runtime.block_on(async { sender.ready().await?.send_request(request, is_all) })
    }

    fn call(&mut self, request: Request<()>, body: &[u8]) -> Result<Answer, h2::Error> {
        let (answer, mut stream) = self.send(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        self.answer(answer)
    }

    fn answer(&self, answer: ResponseFuture) -> Result<Answer, h2::Error> {
        self.runtime.block_on(async {
            let (parts, mut stream) = tokio::time::timeout(PATIENCE, answer).await.expect("it answers")?.into_parts();
            let mut body = Vec::new();
            while let Some(piece) = stream.data().await {
                let piece = piece?;
                let _ = stream.flow_control().release_capacity(piece.len());
                body.extend_from_slice(&piece);
            }
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        })
    }

    /// How the connection ended.
    fn end(self) -> Result<(), h2::Error> {
        drop(self.sender);
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, self.ended).await.expect("it ends").expect("it runs") })
    }
}

fn in_clear() -> Served {
    serve("h2c = true\nhead_seconds = 1\nbody_stall_seconds = 1\nwrite_stall_seconds = 2", "")
}

fn request(stage: &Stage, method: Method, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("http://{}{path}", stage.host));
    request = request.header("authorization", format!("Bearer {}", stage.key));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a sound request")
}

#[test]
fn a_client_with_tls_speaks_http_2_unless_the_owner_says_no() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let file = folder.path().join("own.pem");
    let names: Vec<String> = (0..1_000).map(|number| format!("stage-{number}.test")).collect();
    authority.issue(&names.iter().map(String::as_str).collect::<Vec<_>>()).write(&file);
    let trusted = folder.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let large = folder.path().join("large");
    std::fs::write(&large, vec![b'x'; 3 << 20]).unwrap();
    for (more, version) in [("", "2"), ("http2 = false\n", "1.1")] {
        let tls = format!("tls_listen = \"127.0.0.1:0\"\n{more}");
        let served = serve(&tls, &format!("[tls]\ncertificates = [{file:?}]\n"));
        let stage = Stage::on(&served.installation, json!({}), json!({}));
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        stage.upstream.script([Step::Send(head), Step::EchoBody]);
        let curl = Command::new("curl")
            .args(["-s", "-w", "\n%{http_version} %{http_code}", "--http2", "--cacert"])
            .arg(&trusted)
            .args(["--connect-to", &format!("{}:443:{}", stage.host, served.installation.tls[0].unwrap())])
            .args(["-H", &format!("Authorization: Bearer {}", stage.key), "-H", "Cookie: a=b"])
            .args(["--data-binary", &format!("@{}", large.display())])
            .arg(format!("https://{}/open?a=1", stage.host))
            .output()
            .expect("curl is installed");
        let said = String::from_utf8(curl.stdout).unwrap();
        let (body, end) = said.rsplit_once('\n').unwrap();
        assert_eq!((end, body.len()), (&*format!("{version} 200"), 3 << 20), "{}", &said[..said.len().min(300)]);
        let seen = stage.upstream.take_requests().remove(0);
        assert_eq!((&*seen.method, &*seen.target, seen.body.len()), ("POST", "/open?a=1", 3 << 20));
        assert_eq!(seen.all("x-forwarded-host"), [stage.host.as_str()]);
        assert_eq!((seen.all("x-forwarded-proto"), seen.all("cookie")), (vec!["https"], vec!["a=b"]));
        stage.counts_only("allowed", 200, 1);
    }
}

#[test]
fn g17_the_header_fields_of_an_api_are_measured_as_over_http_1() {
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let fields = [("host", stage.host.clone()), ("authorization", format!("Bearer {}", stage.key))];
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let settings = json!({ "max_header_bytes": bytes + 20, "max_header_fields": 4 });
    assert_eq!(stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &settings).0, 200);
    let mut client = Client::connect(&stage);
    // Crumbs of a cookie are one field, as the upstream gets it.
    for (fields, status) in [
        (vec![("x-f", "1234567890123")], 200),
        (vec![("x-f", "12345678901234")], 431),
        (vec![("x", "1"), ("y", "1")], 200),
        (vec![("x", "1"), ("y", "1"), ("z", "1")], 431),
        (vec![("x", "1"), ("cookie", "a"), ("cookie", "b"), ("cookie", "c")], 431),
        (vec![("cookie", "a"), ("cookie", "b"), ("cookie", "c")], 200),
    ] {
        let answer = client.call(request(&stage, Method::GET, "/open", &fields), b"").unwrap();
        let code = if status == 200 { "" } else { "headers_too_large" };
        assert_eq!((answer.status, &*answer.code()), (status, code), "{fields:?}");
        assert_eq!(stage.upstream.take_requests().len(), usize::from(status == 200), "{fields:?}");
    }
    assert_eq!((stage.counted("allowed", 200), stage.counted("headers_too_large", 431)), (3, 3));
}

#[test]
fn many_calls_share_a_connection_and_each_is_counted() {
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let mut client = Client::connect(&stage);
    for round in 0..4 {
        let path = |n: i32| format!("/open/{round}/{n}");
        let calls: Vec<_> =
            (0..75).map(|n| client.send(request(&stage, Method::GET, &path(n), &[]), true).unwrap().0).collect();
        for call in calls {
            let answer = client.answer(call).unwrap();
            assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]));
            assert!(answer.headers.contains_key("x-request-id") && !answer.headers.contains_key("connection"));
        }
    }
    let posted = client.call(request(&stage, Method::POST, "/open", &[]), &[b'x'; 100_000]).unwrap();
    assert_eq!(posted.status, 200);
    let seen = stage.upstream.take_requests();
    assert_eq!((seen.len(), seen[300].body.len()), (301, 100_000));
    // As it came, not as it goes on (RFC 9110 §7.6.3).
    assert!(seen[0].all("via")[0].starts_with("2.0 keystile-"), "{:?}", seen[0].all("via"));
    let head = client.call(request(&stage, Method::HEAD, "/open", &[]), b"").unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    stage.counts_only("allowed", 200, 302);
}

#[test]
fn g15_what_an_upstream_could_read_in_another_way_is_refused() {
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let mut client = Client::connect(&stage);
    for fields in [&[("host", "other.test")][..], &[("x_consumer_id", "prj_1")], &[("expect", "miracles")]] {
        let answer = client.call(request(&stage, Method::GET, "/open", fields), b"").unwrap();
        assert_eq!((answer.status, &*answer.code()), (400, "request_malformed"), "{fields:?}");
    }
    for (path, code) in [("/a%2fb", "request_malformed"), ("/a/..;/b", "request_malformed"), ("//", "route")] {
        let answer = client.call(request(&stage, Method::GET, path, &[]), b"").unwrap();
        assert!(answer.status == 200 || answer.code().starts_with(code), "{path}: {answer:?}");
    }
    // A body has the length that it says.
    for length in ["1", "5"] {
        let refused = client.call(request(&stage, Method::POST, "/open", &[("content-length", length)]), b"xyz");
        assert!(refused.as_ref().is_err_and(|error| error.reason() == Some(Reason::PROTOCOL_ERROR)), "{refused:?}");
    }
    assert!(stage.upstream.take_requests().iter().all(|seen| seen.method == "GET" || !seen.complete));
    // Identity is the gateway's to say here too (G-8), and the credential is one (G-9).
    let forged = request(&stage, Method::GET, "/open", &[("x-consumer-id", "prj_1"), ("x-forwarded-for", "1.2.3.4")]);
    assert_eq!(client.call(forged, b"").unwrap().status, 200);
    let seen = stage.upstream.take_requests().remove(0);
    assert_eq!((seen.all("x-consumer-id"), seen.all("x-forwarded-for")), (vec![&*stage.project_id], vec!["127.0.0.1"]));
    let two = request(&stage, Method::GET, "/open", &[("x-api-key", "another-key-of-somebody")]);
    assert_eq!(client.call(two, b"").unwrap().code(), "credentials_ambiguous");
}

/// A frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u32;
    [&len.to_be_bytes()[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A block of fields, each as it is: no table, no Huffman code (RFC 7541 §6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short texts")], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

#[test]
fn g15_what_no_client_can_mean_reaches_no_upstream() {
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let bearer = format!("Bearer {}", stage.key);
    let (method, scheme, path) = ((":method", "GET"), (":scheme", "http"), (":path", "/open"));
    let (authority, key) = ((":authority", &*stage.host), ("authorization", &*bearer));
    let sound = [method, scheme, path, authority, key];
    let with = |field| [&sound[..], &[field]].concat();
    let without = |name: &str| sound.iter().copied().filter(|(own, _)| *own != name).collect::<Vec<_>>();
    let instead = |field: (&'static str, &'static str)| [&[field][..], &without(field.0)].concat();
    let cases = [
        (vec![method, scheme, path, authority, key], true),
        (with(("te", "gzip")), false),
        (with(("te", "trailers")), true),
        (with(("connection", "x-consumer-id")), false),
        (with(("transfer-encoding", "chunked")), false),
        (with(("upgrade", "websocket")), false),
        (with(("keep-alive", "1")), false),
        (with(("proxy-connection", "close")), false),
        (with(("X-Upper", "1")), false),
        (with(("x-line", "1\r\nx-forged: 1")), false),
        (with(("x-nul", "a\0b")), false),
        (with(("x name", "1")), false),
        (with(("", "1")), false),
        (with((":path", "/other")), false),
        (with((":unknown", "1")), false),
        (with(("host", "other.test")), false),
        (without(":authority"), false),
        (without(":path"), false),
        (without(":scheme"), false),
        (without(":method"), false),
        (instead((":path", "/a b")), false),
        (instead((":path", "open")), false),
        (instead((":path", "*")), false),
        (instead((":path", "")), false),
        (instead((":path", "/open\r\nhost: other.test")), false),
        (instead((":path", "http://other.test/open")), false),
        (instead((":authority", "user@x.test")), false),
        (instead((":authority", "a b")), false),
        (instead((":authority", "x.test/open")), false),
        (instead((":method", "GET /x HTTP/1.1")), false),
        (instead((":method", "CONNECT")), false),
        (instead((":method", "TRACE")), false),
        (instead((":method", "get")), false),
    ];
    for (fields, is_sound) in cases {
        let mut client = stage.client();
        let (settings, end_of_all) = (frame(4, 0, 0, &[]), 0x4 | 0x1);
        let request = [PREFACE, &settings, &frame(1, end_of_all, 1, &block(&fields))].concat();
        client.write(request).unwrap();
        if is_sound {
            assert_eq!(stage.upstream.wait_for(1).len(), 1, "{fields:?}");
            stage.upstream.take_requests();
            continue;
        }
        // An answer or the end of the stream or of all comes back; settings come before it.
        std::thread::sleep(Duration::from_millis(50));
        stage.saw_nothing(&format!("{fields:?}"));
    }
}

#[test]
fn g14_a_client_that_takes_back_what_it_asks_is_sent_away_and_disturbs_nobody() {
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    stage.upstream.script([Step::ReadBody, Step::UntilClosed]);
    let (other, stop) = (Stage::on(&served.installation, json!({}), json!({})), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let (mut client, mut calls) = (Client::connect(&other), 0);
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(client.call(request(&other, Method::GET, "/open", &[]), b"").unwrap().status, 200);
                calls += 1;
            }
            calls
        });
        let mut all_sent = Vec::new();
        // As fast as it goes, where the engine itself has had enough; and so that each one was begun.
        for (at_once, pause) in [(50, Duration::from_millis(1)), (1, Duration::from_millis(4))] {
            let mut hostile = Client::connect(&stage);
            let mut sent = 0;
            while sent < 20_000 {
                let Ok((answer, mut stream)) = hostile.send(request(&stage, Method::GET, "/open", &[]), true) else {
                    break;
                };
                if sent % at_once == 0 {
                    std::thread::sleep(pause);
                }
                stream.send_reset(Reason::CANCEL);
                drop((answer, stream));
                sent += 1;
            }
            all_sent.push(sent);
            let _ = hostile.end();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(all_sent.iter().all(|sent| *sent < 20_000), "it was never sent away: {all_sent:?}");
        assert!(beside.join().expect("another client is not disturbed") > 10);
    });
    stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert_eq!(Client::connect(&stage).call(request(&stage, Method::GET, "/open", &[]), b"").unwrap().status, 200);
    eventually("what was taken back is taken back from the upstream", || stage.upstream.open_connections() <= 2);
}

#[test]
fn g16_g17_heads_and_bodies_have_their_limits() {
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({ "body_limit_bytes": 1_000 }), json!({}));
    let mut client = Client::connect(&stage);
    let large = "x".repeat(40_000);
    let answer = client.call(request(&stage, Method::GET, "/open", &[("x-large", &large)]), b"").unwrap();
    assert_eq!(answer.status, 431);
    let many: Vec<(&str, &str)> = (0..101).map(|_| ("x-a", "1")).collect();
    let answer = client.call(request(&stage, Method::GET, "/open", &many), b"").unwrap();
    assert_eq!((answer.status, &*answer.code()), (431, "headers_too_large"));
    let path = format!("/{}", "x".repeat(9_000));
    let answer = client.call(request(&stage, Method::GET, &path, &[]), b"").unwrap();
    assert_eq!((answer.status, &*answer.code()), (414, "target_too_long"));
    let answer = client.call(request(&stage, Method::POST, "/open", &[]), &[b'x'; 1_001]).unwrap();
    assert_eq!((answer.status, &*answer.code()), (413, "content_too_large"));

    let (answer, mut stream) = client.send(request(&stage, Method::POST, "/open", &[]), false).unwrap();
    stream.send_data(Bytes::from_static(b"begun"), false).unwrap();
    let began = now();
    let answer = client.answer(answer).unwrap();
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
    assert!(began.elapsed() > Duration::from_millis(900) && began.elapsed() < Duration::from_secs(5));

    // A connection that asks nothing is ended in the time of a head.
    let silent = Client::connect(&stage);
    let began = now();
    let sender = silent.sender.clone();
    silent
        .runtime
        .block_on(async { tokio::time::timeout(PATIENCE, silent.ended).await.expect("it is ended") })
        .unwrap()
        .unwrap();
    drop(sender);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_client_that_leaves_is_counted_and_its_upstream_let_go() {
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    stage.upstream.script([Step::ReadBody, Step::UntilClosed]);
    let mut client = Client::connect(&stage);
    let (answer, mut stream) = client.send(request(&stage, Method::GET, "/open", &[]), true).unwrap();
    stage.upstream.wait_for(1);
    stream.send_reset(Reason::CANCEL);
    drop((answer, stream));
    stage.upstream.wait_until_left();
    stage.counts_only("client_gone", 499, 1);
}

#[test]
fn when_the_process_ends_calls_are_finished_and_no_new_one_begins() {
    let mut served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone".to_vec();
    stage.upstream.script([Step::ReadBody, Step::Gate, Step::Send(reply)]);
    let mut client = Client::connect(&stage);
    let (answer, _) = client.send(request(&stage, Method::GET, "/open", &[]), true).unwrap();
    stage.upstream.wait_for(1);
    std::thread::scope(|scope| {
        let end = scope.spawn(|| served.installation.terminate());
        std::thread::sleep(Duration::from_millis(300));
        stage.upstream.open_gate();
        assert_eq!(client.answer(answer).unwrap().body, b"done");
        client.end().unwrap();
        let (status, took) = end.join().unwrap();
        assert!(status.success() && took < Duration::from_secs(5), "{took:?}");
    });
}

#[test]
fn in_clear_http_2_is_spoken_only_where_the_owner_says_so() {
    let stage = Stage::new();
    let answer = keystile_testkit::raw::send(stage.gateway, PREFACE);
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    assert_eq!(stage.call("GET /open", &[], b"").status, 200, "and HTTP/1.1 as well");
    for begun in [&b"P"[..], b"PRI * HTTP/2.0\r\n"] {
        let mut client = stage.client();
        client.write(begun).unwrap();
        let began = now();
        assert!(client.until_closed().is_some() && began.elapsed() < Duration::from_secs(5), "{begun:?}");
    }
    let mut pieces = stage.client();
    let put = stage.request("PUT /open", &[], b"x");
    pieces.write_in_pieces(&[&put[..1], &put[1..2], &put[2..]], Duration::from_millis(30)).unwrap();
    assert_eq!(pieces.answer().unwrap().status, 200, "P is how PUT begins too");
}

#[test]
fn g16_a_client_that_takes_nothing_of_its_answers_is_left() {
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
    stage.upstream.answer_with(large);
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/open"),
        (":authority", &*stage.host),
        ("x-api-key", &*stage.key),
    ];
    // No window at all, a little that is never more, and a byte now and then.
    for (window, drips) in [(0u32, false), (5_000, false), (0, true)] {
        let settings = frame(4, 0, 0, &[&[0, 4], &window.to_be_bytes()[..]].concat());
        let mut client = stage.client();
        client.write([PREFACE, &settings, &frame(4, 1, 0, &[]), &frame(1, 0x5, 1, &block(&fields))].concat()).unwrap();
        let began = now();
        client.limit(Duration::from_millis(200));
        let mut piece = [0; 64 << 10];
        loop {
            use std::io::Read;
            match client.stream().read(&mut piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(_) => break,
            }
            // It is there: it pings, and gives a byte.
            let _ = client.write(frame(6, 0, 0, &[7; 8]));
            if drips {
                let _ = client.write(frame(8, 0, 1, &[0, 0, 0, 1]));
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{window} {drips}: it is never left");
        }
        assert!(began.elapsed() > Duration::from_millis(1_900), "{window} {drips}: {:?}", began.elapsed());
        stage.upstream.wait_until_left();
    }
    // A client that waits for a slow upstream is not such a one.
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no".to_vec();
    let slow = [Step::ReadBody, Step::Send(reply), Step::Pause(Duration::from_secs(4)), Step::Send(b"k".to_vec())];
    stage.upstream.script(slow);
    let answer = Client::connect(&stage).call(request(&stage, Method::GET, "/open", &[]), b"").unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]));
}

#[test]
fn a_body_of_a_method_that_seldom_has_one_arrives() {
    let served = in_clear();
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let mut client = Client::connect(&stage);
    for method in [Method::GET, Method::DELETE, Method::OPTIONS, Method::POST] {
        let answer = client.call(request(&stage, method.clone(), "/open", &[]), b"hello").unwrap();
        assert_eq!(answer.status, 200);
        let chunked = stage.request(&format!("{method} /open"), &[("transfer-encoding", "chunked")], b"");
        let answer = stage.answer(&[&*chunked, b"5\r\nhello\r\n0\r\n\r\n"].concat());
        assert_eq!(answer.status, 200);
        let seen = stage.upstream.take_requests();
        assert!(seen.len() == 2 && seen.iter().all(|seen| seen.body == b"hello"), "{method}: {seen:?}");
    }
}

#[test]
fn g21_a_suffix_of_grpc_is_a_type_of_its_own() {
    let served = in_clear();
    let formats =
        json!({ "restrictions": { "formats": { "request_types": ["application/grpc", "application/*+proto"] } } });
    let stage = Stage::on(&served.installation, json!({}), formats);
    let mut client = Client::connect(&stage);
    for (content_type, allowed) in
        [("application/grpc", true), ("application/grpc+proto", true), ("application/grpc+json", false)]
    {
        let fields = [("content-type", content_type), ("te", "trailers")];
        let answer = client.call(request(&stage, Method::POST, "/a.B/C", &fields), b"\0\0\0\0\x01x").unwrap();
        let status = answer.headers.get("grpc-status").map(|status| status.to_str().unwrap());
        assert_eq!(status, (!allowed).then_some("7"), "{content_type}: {answer:?}");
        assert_eq!(stage.upstream.take_requests().len(), usize::from(allowed), "{content_type}");
    }
}
