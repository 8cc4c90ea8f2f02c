//! The access log: a line for every call, with what an operator needs and nothing that opens anything (E-2, E-3).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use keystile_testkit::{Api, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{BINARY, Served, Stage, serve};

/// A server that writes its access log into a file.
struct Logged {
    served: Served,
    folder: TempDir,
}

impl Logged {
    fn new(gateway: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let log = folder.path().join("access.log");
        Self { served: serve(gateway, &format!("[log]\naccess = {:?}", log.display().to_string())), folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    /// The lines, when there are at least so many.
    fn lines(&self, count: usize) -> Vec<Value> {
        lines(&self.file(), count)
    }
}

fn lines(file: &Path, count: usize) -> Vec<Value> {
    let read = || std::fs::read_to_string(file).unwrap_or_default();
    eventually(&format!("{count} lines are written"), || read().lines().count() >= count);
    read().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

#[test]
fn a_line_says_what_a_call_was() {
    let logged = Logged::new("trusted_proxies = [\"127.0.0.1\"]");
    let stage = Stage::on(&logged.served.installation, json!({}), json!({}));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let fields = [("user-agent", "app/1.0 (né)"), ("x-forwarded-for", "203.0.113.7"), ("traceparent", &*parent)];
    let answer = stage.call("POST /pets/1/toys?colour=red", &fields, b"12345");
    let line = &logged.lines(1)[0];
    for (name, value) in [
        ("request_id", json!(answer.field("x-request-id"))),
        ("door", json!("gateway")),
        ("client", json!("203.0.113.7")),
        ("method", json!("POST")),
        ("host", json!(stage.host)),
        ("path", json!("/pets/1/toys")),
        ("protocol", json!("HTTP/1.1")),
        ("status", json!(200)),
        ("code", json!("allowed")),
        ("api_id", json!(stage.api_id)),
        ("operation", json!("POST /pets/1/*")),
        ("project_id", json!(stage.project_id)),
        ("key_id", json!(stage.key_id)),
        ("bytes_in", json!(5)),
        ("bytes_out", json!(2)),
        ("user_agent", json!("app/1.0 (né)")),
        ("trace_id", json!(trace)),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    let figure = |name: &str| line[name].as_f64().unwrap_or(-1.0);
    assert!(figure("upstream_ms") > 0.0 && figure("duration_ms") >= figure("upstream_ms"), "{line}");
    assert!(line["time"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')), "{line}");
    assert!(std::fs::read(logged.file()).expect("it is there").is_ascii());
}

#[test]
fn a_line_names_what_is_in_shadow_and_would_have_refused() {
    let logged = Logged::new("");
    let restrictions = json!({
        "origins": ["https://a.test"], "countries": { "allow": ["DE"] }, "methods": ["GET"],
        "shadow": ["countries", "origins"],
    });
    let stage = Stage::on(&logged.served.installation, json!({}), json!({ "restrictions": restrictions }));
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert_eq!(stage.call("POST /open", &[], b"").status, 403);
    let question = json!({ "key": stage.key, "client": { "origin": "https://a.test" },
        "operation": { "method": "GET", "path": "/" } });
    assert_eq!(Api::new(logged.served.installation.check, "").post("/v1/verify", &question).1["code"], "allowed");
    let lines = logged.lines(3);
    let of = |door: &str, code: &str| {
        let line = lines.iter().find(|line| line["door"] == door && line["code"] == code);
        line.unwrap_or_else(|| panic!("no line of {door} {code}: {lines:?}"))["shadow"].clone()
    };
    assert_eq!(of("gateway", "allowed"), json!(["countries", "origins"]));
    assert_eq!(of("gateway", "operation_forbidden"), Value::Null);
    assert_eq!(of("verification", "allowed"), json!(["countries"]));
}

#[test]
fn every_call_has_one_line_whatever_became_of_it() {
    let logged = Logged::new("");
    let stage = Stage::on(&logged.served.installation, json!({}), json!({}));
    let mut answered = BTreeSet::new();
    for request in [
        stage.request("GET /a", &[], b""),
        stage.request("GET /a/../b", &[], b""),
        stage.request("BREW /a", &[], b""),
        stage.request_without_key("GET /a", &[], b""),
        stage.request_without_key("GET /a", &[("host", "other.test")], b""),
        b"nonsense\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n".to_vec(),
    ] {
        let answer = stage.answer(&request);
        answered.insert((answer.field("x-request-id").unwrap_or_default().to_owned(), answer.status));
    }
    let question = json!({ "key": stage.key, "api": stage.api_id });
    let verified = Api::new(logged.served.installation.check, "").post("/v1/verify", &question).1;
    assert_eq!(verified["code"], "allowed", "{verified}");
    let lines = logged.lines(8);
    let (doors, calls): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["door"] == "verification");
    let written: BTreeSet<_> = calls
        .iter()
        .map(|line| {
            let status = u16::try_from(line["status"].as_u64().unwrap_or_default()).unwrap_or_default();
            (line["request_id"].as_str().unwrap_or_default().to_owned(), status)
        })
        .collect();
    assert_eq!((written, calls.len()), (answered, 7));
    assert_eq!((doors.len(), &doors[0]["code"], &doors[0]["key_id"]), (1, &json!("allowed"), &json!(stage.key_id)));
    // What the client said of itself is kept only of a request that it really sent.
    let nonsense = calls.iter().find(|line| line["code"] == "request_malformed" && line["method"].is_null());
    assert!(nonsense.is_some_and(|line| line["host"].is_null() && line["path"].is_null()), "{calls:?}");
}

/// Every place of a request into which somebody could put a key.
pub(super) fn requests_with(stage: &Stage, secret: &str) -> Vec<Vec<u8>> {
    let bearer = format!("Bearer {secret}");
    let basic = format!("Basic {secret}");
    let agents = [
        format!("app/1.0 ({secret})"),
        format!("app/{secret}"),
        format!("{secret} {}x", "y".repeat(500)),
        format!("{} {secret}", "z/1.0 ".repeat(82)),
    ];
    let cookie = format!("session={secret}");
    let forwarded = format!("{secret}, 10.0.0.1");
    let good = |line: &str, fields: &[(&str, &str)]| stage.request(line, fields, b"");
    let bare = |line: &str, fields: &[(&str, &str)]| stage.request_without_key(line, fields, b"");
    let mut requests = vec![
        bare("GET /a", &[("authorization", &bearer)]),
        bare("GET /a", &[("authorization", &basic)]),
        bare("GET /a", &[("x-api-key", secret)]),
        bare("GET /a", &[("x-api-key", secret), ("authorization", &bearer)]),
        good("GET /a", &[("cookie", &cookie)]),
        good("GET /a", &[("x-other", secret), ("referer", &format!("http://x/?k={secret}"))]),
        good("GET /a", &[("x-forwarded-for", &forwarded), ("x-request-id", secret)]),
        good("GET /a", &[("traceparent", &format!("00-{secret}-00f067aa0ba902b7-01"))]),
        good(&format!("GET /a?api_key={secret}"), &[]),
        good(&format!("GET /a?{secret}"), &[]),
        good(&format!("GET /a?{secret}=1&x={secret}"), &[]),
        good(&format!("GET /keys/{secret}/x"), &[]),
        good(&format!("GET /{secret}"), &[]),
        good(&format!("GET /a/b/c/{secret}"), &[]),
        good(&format!("GET /a/b/c/k={secret}"), &[]),
        good(&format!("GET /a/b/c/{}%{:02x}{}", &secret[..5], secret.as_bytes()[5], &secret[6..]), &[]),
        good(&format!("GET /{}/{secret}", "long".repeat(509)), &[]),
        good(&format!("GET /a/../{secret}"), &[]),
        good(&format!("GET /%00{secret}"), &[]),
        good(&format!("GET /a;{secret}"), &[]),
        good(&format!("GET http://{secret}.test/"), &[]),
        good(&format!("{secret} /"), &[]),
        format!("GET / HTTP/1.1\r\nHost: {secret}.test\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: {secret}\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: h\r\nHost: {secret}\r\nUser-Agent: {secret}\r\n\r\n").into_bytes(),
        format!("{secret}\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\n{secret}: x\r\nUser-Agent: {secret}\r\n\r\n").into_bytes(),
        stage.request("POST /a", &[], secret.as_bytes()),
    ];
    requests.extend(agents.iter().map(|agent| good("GET /a", &[("user-agent", agent)])));
    requests.extend(agents.iter().map(|agent| bare("GET /a", &[("user-agent", agent)])));
    requests
}

#[test]
fn e02_no_secret_is_in_the_access_log() {
    let logged = Logged::new("trusted_proxies = [\"127.0.0.1\"]");
    let installation = &logged.served.installation;
    let places = json!({ "key_locations": ["bearer", "header:x-api-key", "query:api_key"] });
    let stage = Stage::on(installation, places, json!({}));
    // A key of ours in force, one that was revoked, one that was taken over, and one that nobody knows any more.
    let (revoked_id, revoked) = stage.another_key(json!({}));
    stage.manage.post(&format!("/v1/keys/{revoked_id}/revoke"), &json!({}));
    let (deleted_id, deleted) = stage.another_key(json!({}));
    assert_eq!(stage.manage.delete(&format!("/v1/keys/{deleted_id}")).0, 204);
    let imported = "Zm9vYmFyYmF6-quux_7Gh2Kq.taken~over";
    let line = json!({ "key": imported }).to_string();
    let asked = format!("/v1/keys/import?project_id={}", stage.project_id);
    let import = stage.manage.request("POST", &asked, &[("content-type", "application/x-ndjson")], line.as_bytes());
    assert_eq!((import.status, &import.json()["imported"]), (200, &json!(1)), "{}", import.text());
    let secrets = [
        &*stage.key.clone(),
        &revoked,
        &deleted,
        imported,
        installation.management_key.as_deref().expect("a first start"),
    ]
    .map(str::to_owned);
    let mut sent = 0;
    for secret in &secrets {
        for request in requests_with(&stage, secret) {
            stage.answer(&request);
            sent += 1;
        }
    }
    logged.lines(sent);
    let text = std::fs::read_to_string(logged.file()).expect("it is there");
    assert_eq!(text.lines().count(), sent);
    for secret in &secrets {
        let whole: Vec<&str> = text.lines().filter(|line| line.contains(secret.as_str())).collect();
        assert!(whole.is_empty(), "{secret} is in {} lines: {}", whole.len(), whole[0]);
        // Nor most of it: what was cut, or stands before or behind an escape.
        let part = &secret[6..22];
        let parts: Vec<&str> = text.lines().filter(|line| line.contains(part)).collect();
        assert!(parts.is_empty(), "{part} of {secret} is in {} lines: {}", parts.len(), parts[0]);
    }
    assert!(!text.contains("api_key") && !text.contains('?'), "the query is left out");
    // The process's own log and its metrics say none of them either.
    let metrics = Api::new(installation.admin, "").request("GET", "/metrics", &[], b"").text();
    for secret in &secrets {
        assert!(!installation.log().contains(secret) && !metrics.contains(secret), "{secret}");
    }
}

#[test]
fn e03_nothing_in_a_line_ends_it_or_turns_a_terminal() {
    let logged = Logged::new("");
    let stage = Stage::on(&logged.served.installation, json!({ "name": "Naïve 😀" }), json!({}));
    for target in ["/a%c2%9b31m%e2%80%ae", "/a%0a%1b%5b31m"] {
        let mut request = stage.request(&format!("GET {target}"), &[], b"");
        let end = request.len() - 2;
        request.splice(end..end, b"User-Agent: a\x80\xff\t\xc2\x9b31m \"}\\\r\n".iter().copied());
        stage.answer(&request);
    }
    let lines = logged.lines(2);
    assert_eq!((lines.len(), lines[0]["api"].as_str()), (2, Some("Naïve 😀")));
    assert!(lines[0]["user_agent"].as_str().is_some_and(|agent| agent.contains("\u{9b}31m \"}\\")), "{lines:?}");
    let bytes = std::fs::read(logged.file()).expect("it is there");
    assert!(bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')), "{}", String::from_utf8_lossy(&bytes));
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew_when_told() {
    let logged = Logged::new("");
    let installation = &logged.served.installation;
    let stage = Stage::on(installation, json!({}), json!({}));
    stage.call("GET /before", &[], b"");
    logged.lines(1);
    let moved = logged.folder.path().join("access.log.1");
    std::fs::rename(logged.file(), &moved).expect("it can be moved");
    stage.call("GET /between", &[], b"");
    assert_eq!(lines(&moved, 2)[1]["path"], "/between", "until it is told it writes on");
    let pid = i32::try_from(installation.pid()).ok().and_then(Pid::from_raw).expect("a process has a number");
    kill_process(pid, Signal::HUP).expect("it runs");
    eventually("there is a new file", || logged.file().exists());
    stage.call("GET /after", &[], b"");
    let fresh = logged.lines(1);
    assert_eq!((fresh.len(), &fresh[0]["path"]), (1, &json!("/after")));
    assert_eq!(lines(&moved, 2).len(), 2);
}

#[test]
fn lines_that_can_not_be_written_are_dropped_and_counted_and_calls_go_on() {
    let served = serve("", "[log]\naccess = \"/dev/full\"");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    for _ in 0..3 {
        assert_eq!(stage.call("GET /", &[], b"").status, 200);
    }
    let metrics = || Api::new(served.installation.admin, "").request("GET", "/metrics", &[], b"").text();
    eventually("three are counted", || metrics().contains("\nkeystile_access_log_dropped_total 3\n"));
    assert!(metrics().contains("\nkeystile_access_log_lines_total 0\n"));
    eventually("it is said", || served.installation.log().contains("the access log can't be written"));
    assert_eq!(stage.counted("allowed", 200), 3);
}

#[test]
fn the_last_lines_are_written_when_the_process_ends() {
    let mut logged = Logged::new("");
    let stage = Stage::on(&logged.served.installation, json!({}), json!({}));
    (0..20).for_each(|_| drop(stage.call("GET /", &[], b"")));
    let (status, _) = logged.served.installation.terminate();
    assert!(status.success());
    let text = std::fs::read_to_string(logged.file()).expect("it is there");
    assert_eq!(text.lines().count(), 20);
}

#[test]
fn a_server_whose_access_log_can_not_be_opened_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let output = Command::new(BINARY)
        .args(["serve", "--json"])
        .env("KEYSTILE_DATA", folder.path().join("data"))
        .env("KEYSTILE_LOG_ACCESS", folder.path().join("nowhere/access.log"))
        .envs(["GATEWAY", "ADMIN", "CHECK"].map(|door| (format!("KEYSTILE_{door}_LISTEN"), "127.0.0.1:0")))
        .stdin(Stdio::null())
        .current_dir(folder.path())
        .output()
        .expect("the binary can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("nowhere/access.log can't be opened"), "{said}");
    assert!(output.stdout.is_empty(), "no management key was shown");
}

#[test]
fn lines_go_to_standard_output_when_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (out, port) = (folder.path().join("out"), keystile_testkit::raw::nobody());
    let mut child = Command::new(BINARY)
        .args(["serve", "--json"])
        .env("KEYSTILE_DATA", folder.path().join("data"))
        .env("KEYSTILE_LOG_ACCESS", "stdout")
        .env("KEYSTILE_GATEWAY_LISTEN", port.to_string())
        .envs(["ADMIN", "CHECK"].map(|door| (format!("KEYSTILE_{door}_LISTEN"), "off")))
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&out).expect("a file can be made"))
        .stderr(Stdio::null())
        .current_dir(folder.path())
        .spawn()
        .expect("the binary can be started");
    lines(&out, 1);
    assert_eq!(Api::new(port, "x").get("/x").0, 404);
    let all = lines(&out, 2);
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!((&all[1]["code"], &all[1]["path"]), (&json!("route_unknown"), &json!("/x")));
}
