//! Upstreams with https, a real nginx: verified, or not called at all (C-6).

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keystile_testkit::tls::{Authority, Identity};
use keystile_testkit::{Upstream, eventually};
use serde_json::json;
use tempfile::TempDir;

use super::stage::{Stage, serve};

/// An nginx that speaks TLS and says who it is.
struct Nginx {
    port: u16,
    folder: TempDir,
    child: Child,
}

impl Nginx {
    fn start(identity: &Identity) -> Self {
        Self::with(identity, "")
    }

    /// One that calls only those in whose certificate it trusts.
    fn mutual(identity: &Identity, authority: &Authority) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.keep().join("clients.pem");
        std::fs::write(&file, authority.pem()).expect("a file can be written");
        Self::with(identity, &format!("ssl_verify_client on; ssl_client_certificate {};", file.display()))
    }

    /// One in clear, with HTTP/2, that sends its clients away after every few calls.
    fn with_goaway() -> Self {
        Self::run(|_, port| {
            format!("server {{ listen 127.0.0.1:{port} http2; keepalive_requests 7; location / {{ return 200 ok; }} }}")
        })
    }

    fn with(identity: &Identity, more: &str) -> Self {
        Self::run(|at, port| {
            identity.write(&at.join("own.pem"));
            let at = at.display();
            format!(
                "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {at}/own.pem; ssl_certificate_key {at}/own.pem; {more}\n    \
                 location / {{ return 200 '$ssl_protocol $http_host $connection $http_x_forwarded_proto'; }} }}"
            )
        })
    }

    fn run(server: impl FnOnce(&Path, u16) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a free port").port();
        let server = server(folder.path(), port);
        let at = folder.path().display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\nevents {{}}\nhttp {{\n  access_log {at}/access.log;\n  \
             client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n  \
             {server}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).expect("a file can be written");
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        let nginx = Self { port, folder, child };
        eventually("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        nginx
    }

    fn calls(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        log.lines().count()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn c06_an_upstream_with_tls_is_called_if_it_is_who_it_should_be() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let nginx = Nginx::start(&authority.issue(&["localhost", "127.0.0.1"]));
    let trusting = serve(&format!("upstream_authorities = {file:?}"), "");
    for host in ["localhost", "127.0.0.1"] {
        let upstream = format!("https://{host}:{}", nginx.port);
        let stage = Stage::on(&trusting.installation, json!({ "upstream": upstream }), json!({}));
        let mut client = stage.client();
        let mut said = Vec::new();
        for _ in 0..2 {
            client.write(stage.request("GET /open", &[], b"")).unwrap();
            let answer = client.answer().unwrap();
            assert_eq!(answer.status, 200, "{}\n{}", answer.text(), trusting.installation.log());
            said.push(answer.text());
        }
        assert!(
            said[0].starts_with(&format!("TLSv1.2 {host}:{} ", nginx.port)) && said[0].ends_with(" http"),
            "{said:?}"
        );
        assert_eq!(said[0], said[1], "the connection is kept");
    }

    // Trusted by nobody here.
    let calls = 4;
    eventually("all of them are in its log", || nginx.calls() == calls);
    let stage = Stage::with(json!({ "upstream": format!("https://localhost:{}", nginx.port) }), json!({}));
    let answer = stage.call("GET /open", &[], b"");
    stage.check_problem(&answer, 502, "upstream_unreachable", "an authority that nobody knows");
    // Another's name.
    let other = Nginx::start(&authority.issue(&["other.example"]));
    let upstream = format!("https://localhost:{}", other.port);
    let stage = Stage::on(&trusting.installation, json!({ "upstream": upstream }), json!({}));
    let answer = stage.call("GET /open", &[], b"");
    stage.check_problem(&answer, 502, "upstream_unreachable", "another's certificate");
    assert_eq!((nginx.calls(), other.calls()), (calls, 0), "neither heard a word of it");
    assert!(trusting.installation.log().contains("not valid for name"), "{}", trusting.installation.log());
}

#[test]
fn c06_authorities_that_changed_are_taken_up() {
    let (first, second, of_clients) = (Authority::new(), Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    let write = |text: String| {
        std::fs::write(folder.path().join("next"), text).unwrap();
        std::fs::rename(folder.path().join("next"), &file).unwrap();
    };
    write(first.pem());
    let served = serve(&format!("upstream_authorities = {file:?}"), "[tls]\nreload_seconds = 1");
    let stage_at = |nginx: &Nginx| {
        let upstream = format!("https://localhost:{}", nginx.port);
        Stage::on(&served.installation, json!({ "upstream": upstream, "breaker_failures": 0 }), json!({}))
    };
    let plain = Nginx::start(&second.issue(&["localhost"]));
    // What is spoken by who shows a certificate is kept apart.
    let mutual = Nginx::mutual(&second.issue(&["localhost"]), &of_clients);
    let stages = [stage_at(&plain), stage_at(&mutual)];
    stages[1].set_client_certificate(&of_clients.issue(&["gateway.test"]));
    let statuses = || stages.each_ref().map(|stage| stage.call("GET /open", &[], b"").status);
    assert_eq!(statuses(), [502, 502], "nobody believes this authority");
    write(first.pem() + &second.pem());
    eventually("the second authority is believed", || statuses() == [200, 200]);
    write("broken".to_owned());
    eventually("the broken file is complained about", || served.installation.log().contains("authority.pem"));
    assert_eq!(statuses(), [200, 200], "the last good one stays in force");
    write(first.pem());
    // Kept connections are left after some seconds.
    eventually("the second authority is not believed any more", || {
        std::thread::sleep(std::time::Duration::from_secs(5));
        statuses() == [502, 502]
    });
}

#[test]
fn c06_there_is_no_way_back_to_plain_http() {
    let plain = Upstream::start();
    let stage = Stage::with(json!({ "upstream": plain.url().replace("http://", "https://") }), json!({}));
    let answer = stage.call("GET /open", &[], b"");
    stage.check_problem(&answer, 502, "upstream_unreachable", "plain HTTP where TLS was meant");
    assert!(plain.requests().is_empty() && !plain.faults().iter().any(|fault| fault.contains(&stage.key)));
}

#[test]
fn c06_an_upstream_that_wants_a_certificate_gets_the_one_of_its_api() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let nginx = Nginx::mutual(&authority.issue(&["localhost"]), &authority);
    let trusting = serve(&format!("upstream_authorities = {file:?}"), "");
    let upstream = format!("https://localhost:{}", nginx.port);
    let stage = Stage::on(&trusting.installation, json!({ "upstream": upstream, "breaker_failures": 0 }), json!({}));
    // nginx says so in its own words.
    assert_eq!(stage.call("GET /open", &[], b"").status, 400, "without a certificate");
    stage.set_client_certificate(&authority.issue(&["gateway.test"]));
    let answer = stage.call("GET /open", &[], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    stage.set_client_certificate(&other.issue(&["gateway.test"]));
    assert_eq!(stage.call("GET /open", &[], b"").status, 400, "a stranger's");
}

#[test]
fn an_upstream_with_http_2_that_sends_its_clients_away_costs_no_call() {
    const CALLERS: usize = 6;
    const CALLS: usize = 60;
    let nginx = Nginx::with_goaway();
    let upstream = format!("http://127.0.0.1:{}", nginx.port);
    let stage = Stage::with(json!({ "upstream": upstream, "upstream_protocol": "http2" }), json!({}));
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let stage = &stage;
            scope.spawn(move || {
                let method = if caller % 2 == 0 { "GET" } else { "DELETE" };
                let request = stage.request(&format!("{method} /open"), &[], b"");
                let mut client = stage.client();
                for _ in 0..CALLS {
                    client.write(&request).expect("the connection stays");
                    let answer = client.answer().expect("every call is answered");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    stage.counts_only("allowed", 200, (CALLERS * CALLS) as u64);
    assert_eq!(nginx.calls(), CALLERS * CALLS, "each once");
}
