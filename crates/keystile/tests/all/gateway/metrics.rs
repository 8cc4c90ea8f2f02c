//! Metrics: what an operator's Prometheus reads, and that it says what usage says.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use keystile_testkit::tls::Authority;
use keystile_testkit::{Api, Installation, Step, eventually};
use serde_json::{Value, json};

use super::Stage;
use super::stage::serve;

/// Reads a page with Prometheus' own client library, the way that its format names, and prints it as JSON.
const READER: &str = r#"
import json, sys
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as prometheus
read = openmetrics if sys.argv[1] == "openmetrics" else prometheus
families = list(read.text_string_to_metric_families(sys.stdin.read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), "a family comes twice"
print(json.dumps([[family.name, family.type, family.documentation,
    [[sample.name, sample.labels, sample.value] for sample in family.samples]] for family in families]))
"#;

fn page(installation: &Installation, accept: &str) -> (String, String) {
    let answer = Api::new(installation.admin, "").request("GET", "/metrics", &[("accept", accept)], b"");
    assert_eq!(answer.status, 200);
    (answer.field("content-type").unwrap_or_default().to_owned(), answer.text())
}

/// A sample as a parser that is not ours reads it.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

fn families(text: &str, format: &str) -> Vec<Value> {
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", READER, format])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    python.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the page can't be read as {format}:\n{text}");
    let families: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    families.as_array().expect("it prints a list").clone()
}

fn samples(installation: &Installation) -> Vec<Sample> {
    let sample = |sample: &Value| Sample {
        name: sample[0].as_str().unwrap_or_default().to_owned(),
        labels: serde_json::from_value(sample[1].clone()).expect("labels are texts"),
        value: sample[2].as_f64().unwrap_or(f64::NAN),
    };
    let families = families(&page(installation, "*/*").1, "prometheus");
    families.iter().flat_map(|family| family[3].as_array().expect("a list").iter().map(sample)).collect()
}

/// The sum of the samples of this name that have these labels.
fn sum(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |sample: &&Sample| {
        sample.name == name && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
    };
    samples.iter().filter(has).map(|sample| sample.value).sum()
}

#[test]
fn metrics_say_what_usage_says() {
    let served = serve("", "");
    let stage = Stage::on(
        &served.installation,
        json!({}),
        json!({ "rate_limits": [{ "name": "a", "limit": 6, "window_seconds": 60 }] }),
    );
    let answer = |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 3\r\n\r\nabc");
    for status in ["200 OK", "201 Created", "404 Not Found", "500 Oops"] {
        stage.upstream.answer_with(answer(status));
        stage.call("POST /a", &[], b"12345");
    }
    stage.upstream.script([Step::Close]);
    stage.call("POST /b", &[], b"");
    stage.upstream.answer_with(answer("200 OK"));
    (0..4).for_each(|_| drop(stage.call("GET /c", &[], b"")));
    stage.answer(&stage.request_without_key("GET /open", &[], b""));
    stage.answer(&stage.request("GET /a/../b", &[], b""));
    stage.manage.get("/v1/usage");

    // Not waited for: what is answered is in the metrics.
    let samples = samples(&served.installation);
    let (_, usage) = stage.manage.get("/v1/usage?group_by=api,code,status");
    let mut calls: BTreeMap<(String, String, String), f64> = BTreeMap::new();
    let mut sums = [0.0; 4];
    for row in usage["items"].as_array().expect("a list has items") {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let class = format!("{}xx", row["status"].as_u64().unwrap_or_default() / 100);
        let figure = |name: &str| row[name].as_f64().unwrap_or_default();
        *calls.entry((text("api_id"), text("code"), class)).or_default() += figure("calls");
        for (sum, name) in sums.iter_mut().zip(["calls", "bytes_in", "bytes_out", "latency_us"]) {
            *sum += figure(name);
        }
    }
    assert!(calls.len() >= 7, "{calls:?}");
    for ((api, code, class), count) in &calls {
        let own = [("api_id", api.as_str()), ("code", code.as_str()), ("status", class.as_str())];
        assert_eq!(sum(&samples, "keystile_calls_total", &own), *count, "{api} {code} {class}");
    }
    let [count, bytes_in, bytes_out, latency_us] = sums;
    assert_eq!(sum(&samples, "keystile_calls_total", &[]), count);
    assert_eq!(sum(&samples, "keystile_call_duration_seconds_count", &[]), count);
    assert_eq!(sum(&samples, "keystile_call_duration_seconds_bucket", &[("le", "+Inf")]), count);
    assert!((sum(&samples, "keystile_call_duration_seconds_sum", &[]) - latency_us / 1e6).abs() < 1e-9);
    assert_eq!(sum(&samples, "keystile_request_body_bytes_total", &[]), bytes_in);
    assert_eq!(sum(&samples, "keystile_response_body_bytes_total", &[]), bytes_out);
    // The one that broke off has no answer, and what was refused did not go on.
    assert_eq!(
        sum(&samples, "keystile_upstream_duration_seconds_count", &[]),
        sum(&samples, "keystile_calls_total", &[("code", "allowed")])
    );
    assert_eq!(sum(&samples, "keystile_calls_total", &[("api", "(none)"), ("code", "request_malformed")]), 1.0);
}

#[test]
fn prometheus_own_parser_reads_both_formats() {
    let served = serve("", "");
    let name = "Pets \"2\" \\ naïve {le=\"1\"} #";
    let stage = Stage::on(&served.installation, json!({ "name": name }), json!({}));
    stage.call("GET /a", &[], b"");
    for (accept, format, media_type) in [
        ("*/*", "prometheus", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            "openmetrics",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ] {
        let (content_type, text) = page(&served.installation, accept);
        assert_eq!(content_type, media_type);
        let families = families(&text, format);
        for family in &families {
            let (name, kind) = (family[0].as_str().unwrap_or_default(), &family[1]);
            assert!(name.starts_with("keystile_") || name.starts_with("process_"), "{name}");
            assert!(["counter", "gauge", "histogram"].iter().any(|known| kind == known), "{name} is {kind}");
            assert!(
                family[2].as_str().is_some_and(|help| help.ends_with('.') || name.starts_with("process_")),
                "{name}"
            );
        }
        let calls = families.iter().find(|family| family[0] == "keystile_calls").expect("calls are there");
        let own = calls[3].as_array().and_then(|samples| samples.first()).expect("a sample");
        assert_eq!(
            (&own[1]["api"], &own[1]["code"], &own[1]["status"]),
            (&json!(name), &json!("allowed"), &json!("2xx"))
        );
        for name in
            ["keystile_build_info", "keystile_check_ok", "keystile_snapshot_keys", "process_resident_memory_bytes"]
        {
            assert!(families.iter().any(|family| family[0] == name), "{name} is missing");
        }
    }
}

#[test]
fn nothing_that_a_client_chose_is_in_the_metrics() {
    let served = serve("", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let fields = [("user-agent", "canary-agent"), ("x-canary", "canary-field"), ("cookie", "a=canary-cookie")];
    for line in ["GET /canary-path?canary=query", "CANARY /", "GET /%00canary", "GET http://canary.test/"] {
        stage.answer(&stage.request(line, &fields, b"canary-body"));
        stage.answer(&stage.request_without_key(line, &[("x-api-key", "canary-key-canary-key-canary")], b""));
    }
    let (_, text) = page(&served.installation, "*/*");
    for secret in ["canary", "CANARY", &stage.key, &stage.key_id, &stage.project_id, &stage.project_name, "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
}

#[test]
fn the_time_of_the_upstream_is_told_apart_from_the_whole() {
    const PAUSE: Duration = Duration::from_millis(120);
    let served = serve("", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let (head, body) = ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", "ok");
    stage.upstream.script([Step::Pause(PAUSE), Step::Send(head.into()), Step::Pause(PAUSE), Step::Send(body.into())]);
    stage.call("GET /slow", &[], b"");
    let samples = samples(&served.installation);
    let (upstream, whole) = ("keystile_upstream_duration_seconds", "keystile_call_duration_seconds");
    assert!(sum(&samples, &format!("{upstream}_sum"), &[]) >= PAUSE.as_secs_f64());
    assert!(
        sum(&samples, &format!("{whole}_sum"), &[])
            >= sum(&samples, &format!("{upstream}_sum"), &[]) + PAUSE.as_secs_f64()
    );
    assert_eq!(sum(&samples, &format!("{upstream}_bucket"), &[("le", "0.1")]), 0.0);
    assert_eq!(sum(&samples, &format!("{upstream}_bucket"), &[("le", "60.0")]), 1.0);
}

#[test]
fn what_goes_on_at_the_moment_is_seen() {
    let served = serve("", "");
    let stage = Stage::on(&served.installation, json!({ "max_concurrent_calls": 7 }), json!({}));
    let gauge = |name: &str, labels: &[(&str, &str)]| sum(&samples(&served.installation), name, labels);
    assert_eq!(gauge("keystile_calls_in_flight", &[]), 0.0);
    assert!(
        gauge("keystile_data_bytes", &[("file", "catalog.db")]) > 0.0 && gauge("keystile_data_free_bytes", &[]) > 0.0
    );
    stage.upstream.script([Step::Gate, Step::Send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into())]);
    let mut clients = [stage.client(), stage.client()];
    for client in &mut clients {
        client.write(stage.request("GET /held", &[], b"")).expect("it is sent");
    }
    stage.upstream.wait_for(2);
    let own = [("api_id", stage.api_id.as_str())];
    assert_eq!(gauge("keystile_calls_in_flight", &[]), 2.0);
    assert_eq!(
        (gauge("keystile_api_calls_in_flight", &own), gauge("keystile_api_max_concurrent_calls", &own)),
        (2.0, 7.0)
    );
    assert_eq!(gauge("keystile_open_connections", &[("door", "calls")]), 2.0);
    clients.iter().for_each(|_| stage.upstream.open_gate());
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().expect("it is answered").status, 200));
    drop(clients);
    eventually("nothing goes on any more", || {
        let samples = samples(&served.installation);
        let now = |name: &str, labels: &[(&str, &str)]| sum(&samples, name, labels);
        now("keystile_calls_in_flight", &[]) == 0.0 && now("keystile_open_connections", &[("door", "calls")]) == 0.0
    });
    assert_eq!(gauge("keystile_connections_total", &[("door", "calls")]), 2.0);
}

#[test]
fn the_end_of_each_certificate_is_told() {
    let (folder, authority) = (tempfile::tempdir().expect("a folder can be made"), Authority::new());
    let file = folder.path().join("own.pem");
    authority.issue(&["own.example", "other.example"]).write(&file);
    // Named twice, it is told once: a sample that comes twice would make the page worthless.
    let tls = format!("[tls]\ncertificates = [{0:?}, {0:?}]", file.display().to_string());
    let served = serve("tls_listen = \"127.0.0.1:0\"", &tls);
    let samples = samples(&served.installation);
    let path = file.display().to_string();
    let left = sum(
        &samples,
        "keystile_tls_certificate_expires_in_seconds",
        &[("certificate", &path), ("name", "own.example")],
    );
    assert!(left > 3_600.0, "{left}");
    let own = |sample: &&Sample| sample.name == "keystile_tls_certificate_expires_in_seconds";
    assert_eq!(samples.iter().filter(own).count(), 1);
}

#[test]
fn an_api_that_is_renamed_or_deleted_keeps_its_figures() {
    let served = serve("", "");
    let stage = Stage::on(&served.installation, json!({ "name": "First" }), json!({}));
    let calls = |name: &str| {
        let labels = [("api_id", stage.api_id.as_str()), ("api", name)];
        sum(&samples(&served.installation), "keystile_calls_total", &labels)
    };
    stage.call("GET /", &[], b"");
    assert_eq!(calls("First"), 1.0);
    assert_eq!(stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &json!({ "name": "Second" })).0, 200);
    stage.call("GET /", &[], b"");
    assert_eq!((calls("First"), calls("Second")), (0.0, 2.0));
    assert_eq!(stage.manage.delete(&format!("/v1/apis/{}", stage.api_id)).0, 204);
    assert_eq!(calls("Second"), 2.0);
}
