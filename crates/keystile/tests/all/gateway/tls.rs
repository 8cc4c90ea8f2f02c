//! TLS at the doors: which certificate, which versions, what is refused in clear, who comes with a certificate (C-6,
//! K-12).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use keystile_testkit::raw::Client;
use keystile_testkit::tls::{Authority, Identity, Tls};
use keystile_testkit::{eventually, now};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{Served, Stage, serve};

/// As an owner would look it up.
fn fingerprint(pem: &str) -> String {
    let mut openssl = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    openssl.stdin.take().expect("it is piped").write_all(pem.as_bytes()).expect("it reads");
    let printed = openssl.wait_with_output().expect("it ends").stdout;
    let printed = String::from_utf8(printed).expect("it prints text");
    printed.trim().split_once('=').expect("it prints NAME=DIGITS").1.to_owned()
}

/// A server with a certificate for the hosts of all stages and one that comes first, for clients that ask for nothing known.
struct Secure {
    served: Served,
    authority: Authority,
    folder: TempDir,
}

/// Each by its name: a star right below a top-level domain stands for nothing.
fn issue_for_stages(authority: &Authority) -> Identity {
    let names: Vec<String> = (0..1_000).map(|number| format!("stage-{number}.test")).collect();
    authority.issue(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

impl Secure {
    fn new(more: &str) -> Self {
        let (folder, authority) = (tempfile::tempdir().expect("a folder can be made"), Authority::new());
        authority.issue(&["first.example"]).write(&folder.path().join("first.pem"));
        issue_for_stages(&authority).write(&folder.path().join("test.pem"));
        std::fs::write(folder.path().join("authority.pem"), authority.pem()).expect("a file can be written");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let tls = format!(
            "[tls]\ncertificates = [{:?}, {:?}]\nclient_authorities = {:?}\nreload_seconds = 1\n{more}",
            at("first.pem"),
            at("test.pem"),
            at("authority.pem")
        );
        Self { served: serve("tls_listen = \"127.0.0.1:0\"\nhead_seconds = 1", &tls), authority, folder }
    }

    fn address(&self) -> SocketAddr {
        self.served.installation.tls[0].expect("the gateway listens with TLS")
    }

    fn stage(&self, api: Value, key: Value) -> Stage {
        Stage::on(&self.served.installation, api, key)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn connect(&self, tls: &Tls, name: &str) -> Client {
        Client::connect_tls(self.address(), tls, name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

fn call(client: &mut Client, request: &[u8]) -> keystile_testkit::raw::Answer {
    client.write(request).expect("the connection is open");
    client.answer().expect("there is an answer")
}

#[test]
fn c06_a_client_gets_the_certificate_of_the_name_that_it_asks_for() {
    let secure = Secure::new("");
    let stage = secure.stage(json!({}), json!({}));
    let tls = secure.authority.client(None);
    let mut client = secure.connect(&tls, &stage.host);
    let of_test = client.server_certificate().unwrap();
    let answer = call(&mut client, &stage.request("GET /open", &[("x-forwarded-proto", "http")], b""));
    assert_eq!((answer.status, answer.field("strict-transport-security")), (200, None), "{}", answer.text());
    assert_eq!(stage.upstream.take_requests()[0].all("x-forwarded-proto"), ["https"]);
    assert_eq!(call(&mut client, &stage.request("POST /open", &[], &[b'x'; 100_000])).status, 200, "a second one");
    assert_eq!(stage.upstream.take_requests()[0].body.len(), 100_000);

    let first = secure.connect(&tls, "first.example").server_certificate().unwrap();
    assert_ne!(of_test, first);
    // No certificate has this name: the client gets the first one, and refuses it itself.
    let other = Client::connect_tls(secure.address(), &tls, "www.example").unwrap_err();
    assert!(other.to_string().contains("certificate"), "{other}");

    assert_eq!(stage.call("GET /open", &[("x-forwarded-proto", "https")], b"").status, 200, "in clear");
    assert_eq!(stage.upstream.take_requests()[0].all("x-forwarded-proto"), ["http"]);
    stage.counts_only("allowed", 200, 3);
}

#[test]
fn c06_a_certificate_that_changed_is_taken_up_and_open_connections_go_on() {
    let secure = Secure::new("");
    let stage = secure.stage(json!({}), json!({}));
    let tls = secure.authority.client(None);
    let mut open = secure.connect(&tls, &stage.host);
    let before = open.server_certificate();
    std::fs::write(secure.file("test.pem"), "broken").unwrap();
    let shown = || secure.connect(&tls, &stage.host).server_certificate();
    eventually("the broken file is complained about", || secure.served.installation.log().contains("test.pem"));
    assert_eq!(shown(), before, "the last good one stays in force");
    issue_for_stages(&secure.authority).write(&secure.file("test.pem"));
    eventually("the new one is shown", || shown() != before);
    assert_eq!(call(&mut open, &stage.request("GET /open", &[], b"")).status, 200);
}

#[test]
fn c06_nothing_older_than_the_oldest_version_is_spoken() {
    /// A hello of TLS 1.1, of which rustls knows nothing.
    fn old_hello() -> Vec<u8> {
        let mut body = vec![3, 2];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
        let mut handshake = vec![1, 0, 0, body.len() as u8];
        handshake.extend_from_slice(&body);
        let mut record = vec![22, 3, 1, 0, handshake.len() as u8];
        record.extend_from_slice(&handshake);
        record
    }
    for (more, twelve_is_spoken) in [("", true), ("min_version = \"1.3\"\n", false)] {
        let secure = Secure::new(more);
        let mut socket = TcpStream::connect(secure.address()).unwrap();
        socket.write_all(&old_hello()).unwrap();
        let mut alert = Vec::new();
        socket.read_to_end(&mut alert).unwrap();
        // Fatal, of whatever reason (RFC 8446 §6.2: protocol_version, or handshake_failure).
        assert!(alert.len() == 7 && alert[0] == 21 && alert[5] == 2, "{alert:?}");
        for (version, spoken) in [("1.2", twelve_is_spoken), ("1.3", true)] {
            let curl = Command::new("curl")
                .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--tls-max", version, "--cacert"])
                .arg(secure.file("authority.pem"))
                .args(["--connect-to", &format!("stage-0.test:443:{}", secure.address()), "https://stage-0.test/"])
                .output()
                .expect("curl is installed");
            let status = String::from_utf8(curl.stdout).unwrap();
            assert_eq!(status, if spoken { "404" } else { "000" }, "{more}{version}");
        }
    }
}

#[test]
fn k12_a_key_that_comes_in_clear_where_tls_is_required_is_refused_and_marked() {
    let secure = Secure::new("");
    let stage = secure.stage(json!({ "require_tls": true }), json!({}));
    let exposed_at = || stage.manage.get(&format!("/v1/keys/{}", stage.key_id)).1["exposed_at"].clone();
    let mut client = secure.connect(&secure.authority.client(None), &stage.host);
    assert_eq!(call(&mut client, &stage.request("GET /open", &[], b"")).status, 200);
    assert_eq!(stage.upstream.take_requests().len(), 1);
    assert_eq!(exposed_at(), Value::Null);

    // Whoever believed this header would believe everybody.
    for fields in [&[][..], &[("x-forwarded-proto", "https")]] {
        stage.is_refused(&stage.request("GET /open", fields, b""), 400, "key_exposed");
    }
    stage.is_refused(&stage.request_without_key("GET /open", &[], b""), 403, "tls_required");
    eventually("the key is marked", || exposed_at().is_string());
    let first = exposed_at();
    stage.is_refused(&stage.request("GET /open", &[], b""), 400, "key_exposed");
    assert_eq!(call(&mut client, &stage.request("GET /open", &[], b"")).status, 200, "it is marked, not revoked");
    assert_eq!(exposed_at(), first, "the first time counts");
}

#[test]
fn k12_of_several_keys_each_is_marked() {
    let secure = Secure::new("");
    let stage = secure.stage(json!({ "require_tls": true }), json!({}));
    let exposed = |id: &str| stage.manage.get(&format!("/v1/keys/{id}")).1["exposed_at"].is_string();
    let keys: Vec<(String, String)> = (0..7).map(|_| stage.another_key(json!({}))).collect();
    let fields = |bearer: usize, header: usize| {
        [("authorization", format!("Bearer {}", keys[bearer].1)), ("x-api-key", keys[header].1.clone())]
    };
    let send = |client: &mut Client, target: &str, fields: &[(&str, String)]| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
        call(client, &stage.request_without_key(&format!("GET {target}"), &fields, b"")).code()
    };
    // In clear: both in their places, and one in a cookie.
    let cookie = ("cookie", format!("s={}", keys[2].1));
    let in_clear = [&fields(0, 1)[..], &[cookie]].concat();
    assert_eq!(send(&mut stage.client(), "/open", &in_clear), "credentials_ambiguous");
    // With TLS: those in the address alone.
    let mut client = secure.connect(&secure.authority.client(None), &stage.host);
    let target = format!("/open?a={}&b={}", keys[3].1, keys[4].1);
    assert_eq!(send(&mut client, &target, &fields(5, 6)), "credentials_ambiguous");
    for (id, _) in &keys[..5] {
        eventually("each is marked", || exposed(id));
    }
    assert!(!exposed(&keys[5].0) && !exposed(&keys[6].0), "nobody could read these");
    stage.saw_nothing("several keys");
}

#[test]
fn k12_a_key_in_an_address_is_marked() {
    let stage = Stage::new();
    let exposed_at = |id: &str| stage.manage.get(&format!("/v1/keys/{id}")).1["exposed_at"].clone();
    let (in_path, path_key) = stage.another_key(json!({}));
    let (in_query, query_key) = stage.another_key(json!({}));
    for target in [format!("GET /pets/{path_key}/x"), format!("GET /pets?a=b&whatever={query_key}")] {
        stage.is_refused(&stage.request_without_key(&target, &[], b""), 400, "key_exposed");
    }
    for id in [&in_path, &in_query] {
        eventually("the key is marked", || exposed_at(id).is_string());
    }
    assert_eq!(exposed_at(&stage.key_id), Value::Null, "another key is not");
}

#[test]
fn an_api_can_want_a_client_certificate_and_a_key_can_be_bound_to_one() {
    let secure = Secure::new("");
    let (mine, other) = (secure.authority.issue(&["mine.client"]), secure.authority.issue(&["other.client"]));
    let bound = json!({ "restrictions": { "certificates": [fingerprint(&mine.chain)] } });
    let stage = secure.stage(json!({ "require_client_certificate": true }), bound);
    let code = |client: &mut Client| {
        let answer = call(client, &stage.request("GET /open", &[], b""));
        (answer.status, answer.code())
    };
    let with = |own| secure.connect(&secure.authority.client(own), &stage.host);
    assert_eq!(code(&mut with(None)), (403, "certificate_missing".to_owned()));
    assert_eq!(code(&mut with(Some(&other))), (403, "certificate_forbidden".to_owned()));
    assert_eq!(code(&mut with(Some(&mine))), (200, String::new()));
    assert_eq!(stage.upstream.take_requests().len(), 1);
    stage.is_refused(&stage.request("GET /open", &[], b""), 403, "certificate_missing");
    // One of an authority that nobody knows is no certificate; TLS 1.3 says so after the handshake.
    let strange = Authority::new().issue(&["mine.client"]);
    let refused = Client::connect_tls(secure.address(), &secure.authority.client(Some(&strange)), &stage.host)
        .and_then(|mut client| {
            client.write(stage.request("GET /open", &[], b""))?;
            client.answer()
        });
    assert!(refused.is_err(), "{refused:?}");
    assert!(stage.upstream.take_requests().is_empty());

    // A service that terminates TLS itself asks with what it saw.
    for (client, allowed) in [
        (json!({ "certificate": fingerprint(&mine.chain).to_lowercase() }), true),
        (json!({ "certificate": fingerprint(&other.chain) }), false),
        (json!({}), false),
    ] {
        let asked = json!({ "key": stage.key, "client": client }).to_string();
        let mut check = Client::connect(secure.served.installation.check);
        check.write(format!("POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{asked}", asked.len())).unwrap();
        assert_eq!(check.answer().unwrap().json()["allowed"], allowed, "{asked}");
    }
}

#[test]
fn a_certificate_that_ends_ends_for_open_connections_too() {
    let secure = Secure::new("");
    let own = secure.authority.issue_for(&["short.client"], 4);
    let strict = secure.stage(json!({ "require_client_certificate": true }), json!({}));
    let bound = json!({ "restrictions": { "certificates": [fingerprint(&own.chain)] } });
    let bound = secure.stage(json!({}), bound);
    let tls = secure.authority.client(Some(&own));
    let [mut at_strict, mut at_bound] = [&strict, &bound].map(|stage| {
        let mut open = secure.connect(&tls, &stage.host);
        assert_eq!(call(&mut open, &stage.request("GET /open", &[], b"")).status, 200);
        open
    });
    let mut last = None;
    eventually("the certificate has ended", || {
        std::thread::sleep(Duration::from_millis(100));
        let answer = call(&mut at_strict, &strict.request("GET /open", &[], b""));
        last.insert(answer).status != 200
    });
    let last = last.unwrap();
    strict.check_problem(&last, 403, "certificate_missing", "the certificate has ended");
    assert!(last.text().contains("connect again"), "{}", last.text());
    let other = call(&mut at_bound, &bound.request("GET /open", &[], b""));
    bound.check_problem(&other, 403, "certificate_forbidden", "the certificate has ended");
    // Whoever has a new one by now begins anew.
    for (answer, mut open) in [(last, at_strict), (other, at_bound)] {
        assert_eq!((answer.field("connection"), open.is_closed()), (Some("close"), true));
    }
}

#[test]
fn an_authority_that_is_withdrawn_is_so_for_open_connections_too() {
    let secure = Secure::new("");
    let stage = secure.stage(json!({ "require_client_certificate": true }), json!({}));
    let other = Authority::new();
    let write = |text: String| {
        std::fs::write(secure.file("next.pem"), text).unwrap();
        std::fs::rename(secure.file("next.pem"), secure.file("authority.pem")).unwrap();
    };
    let connect = |issuer: &Authority| {
        let own = issuer.issue(&["a.client"]);
        let mut client =
            Client::connect_tls(secure.address(), &secure.authority.client(Some(&own)), &stage.host).ok()?;
        client.write(stage.request("GET /open", &[], b"")).ok()?;
        client.answer().ok().filter(|answer| answer.status == 200).map(|_| client)
    };
    let mut kept = connect(&secure.authority).expect("its authority is accepted");
    write(secure.authority.pem() + &other.pem());
    let mut withdrawn = None;
    eventually("the other authority is accepted", || {
        withdrawn = connect(&other);
        withdrawn.is_some()
    });
    let mut withdrawn = withdrawn.unwrap();
    write(secure.authority.pem());
    let request = stage.request("GET /open", &[], b"");
    let mut last = call(&mut withdrawn, &request);
    eventually("it is withdrawn", || {
        last = if last.status == 200 { call(&mut withdrawn, &request) } else { last.clone() };
        last.status != 200
    });
    stage.check_problem(&last, 403, "certificate_missing", "the authority was withdrawn");
    assert!(withdrawn.is_closed());
    assert_eq!(call(&mut kept, &request).status, 200, "whom the change does not concern, goes on");
}

#[test]
fn a_certificate_that_has_ended_or_not_begun_is_told_of_at_the_start_and_later() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let file = folder.path().join("own.pem");
    authority.issue_for(&["a.test"], -60).write(&file);
    let tls = format!("[tls]\ncertificates = [{file:?}]\nreload_seconds = 1");
    let served = serve("tls_listen = \"127.0.0.1:0\"", &tls);
    let log = || served.installation.log();
    let says = |text: &str| text.contains("own.pem: the certificate ended at 20");
    eventually("it is said at the start", || says(&log()));

    let check = || {
        let mut keystile = Command::new(super::stage::BINARY);
        let ran = keystile.args(["config", "check", "--config"]).arg(served.settings()).output();
        let ran = ran.expect("it can be started");
        (ran.status.code(), String::from_utf8(ran.stderr).expect("it says text"))
    };
    let (code, said) = check();
    assert!(code == Some(0) && said.starts_with("warning: ") && says(&said), "{said}");

    authority.issue(&["a.test"]).write(&file);
    eventually("a good one is taken up", || log().contains("had changed"));
    assert_eq!(check(), (Some(0), String::new()));
    authority.issue_from(&["a.test"], 3_600).write(&file);
    eventually("it is said later", || log().contains("own.pem: the certificate begins at 20"));
    assert_eq!(log().matches("the certificate ended").count(), 1, "once: {}", log());
    std::fs::write(&file, "broken").unwrap();
    let (code, said) = check();
    assert!(code == Some(3) && said.contains("own.pem: "), "{said}");
}

#[test]
fn browsers_are_told_to_stay_with_tls_where_the_owner_says_so() {
    let secure = Secure::new("hsts_seconds = 31536000\n");
    let stage = secure.stage(json!({}), json!({}));
    stage.upstream.answer_with("HTTP/1.1 200 OK\r\nstrict-transport-security: max-age=0\r\ncontent-length: 0\r\n\r\n");
    let mut client = secure.connect(&secure.authority.client(None), &stage.host);
    for request in [stage.request("GET /open", &[], b""), stage.request_without_key("GET /open", &[], b"")] {
        let answer = call(&mut client, &request);
        assert_eq!(answer.all("strict-transport-security"), ["max-age=31536000"], "{}", answer.status);
    }
    let clear = stage.answer(&stage.request_without_key("GET /open", &[], b""));
    assert_eq!(clear.all("strict-transport-security"), [] as [&str; 0]);
}

#[test]
fn g16_a_handshake_that_does_not_end_is_ended() {
    let secure = Secure::new("");
    for begun in [&b""[..], &[22, 3, 1]] {
        let mut socket = TcpStream::connect(secure.address()).unwrap();
        socket.write_all(begun).unwrap();
        let began = now();
        let _ = socket.read_to_end(&mut Vec::new());
        let took = began.elapsed();
        assert!(took > Duration::from_millis(800) && took < Duration::from_secs(5), "{took:?}");
    }
    // Plain HTTP at the door with TLS is no handshake.
    let mut socket = TcpStream::connect(secure.address()).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn management_and_verification_speak_tls_too() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let identity = authority.issue(&["keystile.example"]);
    std::fs::write(folder.path().join("tls.crt"), &identity.chain).unwrap();
    std::fs::write(folder.path().join("tls.key"), &identity.key).unwrap();
    let config = format!(
        "data = {:?}\n[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntls_listen = \"127.0.0.1:0\"\n[check]\nlisten = \"127.0.0.1:0\"\ntls_listen = \"127.0.0.1:0\"\n[tls]\ncertificates = [{:?}]\n",
        folder.path().join("data"),
        folder.path()
    );
    let running = keystile_testkit::Installation::serve(super::stage::BINARY, &config, folder.path());
    let management_key = running.management_key.clone().unwrap();
    let tls = authority.client(None);
    for (door, request, status) in [
        (1, format!("GET /v1/apis HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {management_key}\r\n\r\n"), 200),
        (2, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 200),
    ] {
        let mut client = Client::connect_tls(running.tls[door].unwrap(), &tls, "keystile.example").unwrap();
        assert_eq!(call(&mut client, request.as_bytes()).status, status, "{request}");
    }
}

#[test]
fn c06_where_client_certificates_count_no_session_is_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    issue_for_stages(&authority).write(&folder.path().join("own.pem"));
    let plain = serve(
        "tls_listen = \"127.0.0.1:0\"",
        &format!("[tls]\ncertificates = [{:?}]\n", folder.path().join("own.pem")),
    );
    let secure = Secure::new("");
    for (served, authority, may_resume) in [(&plain, &authority, true), (&secure.served, &secure.authority, false)] {
        let stage = Stage::on(&served.installation, json!({}), json!({}));
        let own = authority.issue(&["a.client"]);
        let tls = authority.client(Some(&own));
        let connect = || {
            let address = served.installation.tls[0].unwrap();
            let mut client = Client::connect_tls(address, &tls, &stage.host).unwrap();
            assert_eq!(call(&mut client, &stage.request("GET /open", &[], b"")).status, 200);
            client.is_resumed()
        };
        assert_eq!((connect(), connect()), (false, may_resume));
    }
}
