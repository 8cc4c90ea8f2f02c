//! Traces: a call stays part of the trace that it belongs to, and a collector is told of it (W3C Trace Context, OTLP).

use std::collections::BTreeMap;

use keystile_testkit::raw::nobody;
use keystile_testkit::{Api, Step, Upstream, eventually};
use serde_json::{Value, json};

use super::Stage;
use super::access_log::requests_with;
use super::stage::{Served, serve};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A server that tells a collector, which is an upstream that remembers every message.
struct Traced {
    served: Served,
    collector: Upstream,
}

impl Traced {
    fn new(more: &str) -> Self {
        let collector = Upstream::start();
        collector.answer_with("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
        let trace = format!("[trace]\nendpoint = {:?}\n{more}", collector.url());
        Self { served: serve("", &trace), collector }
    }

    /// The spans that came, when there are at least so many.
    fn spans(&self, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans are told"), || self.told().len() >= count);
        self.told()
    }

    fn told(&self) -> Vec<Span> {
        let requests = self.collector.requests();
        let messages = requests.iter().filter(|request| request.complete).map(|request| {
            assert_eq!((&*request.method, &*request.target), ("POST", "/v1/traces"));
            assert_eq!(request.field("content-type"), Some("application/json"));
            serde_json::from_slice::<Value>(&request.body).expect("it is JSON")
        });
        messages.flat_map(|message| spans_of(&message)).collect()
    }
}

/// A span as a collector reads it.
#[derive(Debug, Clone)]
struct Span {
    resource: BTreeMap<String, Value>,
    whole: Value,
    attributes: BTreeMap<String, Value>,
}

impl Span {
    fn is_server(&self) -> bool {
        self.whole["kind"] == 2
    }

    fn text(&self, name: &str) -> &str {
        self.whole[name].as_str().unwrap_or_default()
    }

    fn has(&self, attributes: &[(&str, Value)]) {
        for (name, value) in attributes {
            assert_eq!(self.attributes.get(*name), Some(value), "{name} of {:#?}", self.attributes);
        }
    }
}

fn attributes_of(list: &Value) -> BTreeMap<String, Value> {
    let value = |value: &Value| match (&value["stringValue"], value["intValue"].as_str()) {
        (text @ Value::String(_), None) => text.clone(),
        (Value::Null, Some(number)) => json!(number.parse::<i64>().expect("a number")),
        _ => panic!("{value} is no value"),
    };
    let list = list.as_array().expect("attributes are a list");
    let attributes: BTreeMap<_, _> =
        list.iter().map(|one| (one["key"].as_str().expect("a name").to_owned(), value(&one["value"]))).collect();
    assert_eq!(attributes.len(), list.len(), "an attribute comes twice: {list:?}");
    attributes
}

fn spans_of(message: &Value) -> Vec<Span> {
    let resource = &message["resourceSpans"][0];
    let spans = resource["scopeSpans"][0]["spans"].as_array().expect("there are spans");
    let span = |whole: &Value| Span {
        resource: attributes_of(&resource["resource"]["attributes"]),
        whole: whole.clone(),
        attributes: attributes_of(&whole["attributes"]),
    };
    spans.iter().map(span).collect()
}

#[test]
fn a_call_goes_on_in_its_clients_trace_and_a_collector_is_told_of_both_its_steps() {
    let traced = Traced::new("service_name = \"edge\"");
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" },
        "paths": { "/pets/{id}": { "get": { "responses": {} } } },
    });
    let stage = Stage::on(&traced.served.installation, json!({ "openapi": document }), json!({}));
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let fields = [("traceparent", &*parent), ("tracestate", "a=1,b=2"), ("user-agent", "app/1.0")];
    let answer = stage.call("GET /pets/17?colour=red", &fields, b"");

    let seen = &stage.upstream.requests()[0];
    let spans = traced.spans(2);
    let (server, client) = match &spans[..] {
        [one, other] if one.is_server() => (one, other),
        [one, other] => (other, one),
        _ => panic!("{spans:?}"),
    };
    assert_eq!(seen.all("traceparent"), [format!("00-{TRACE}-{}-01", client.text("spanId"))]);
    assert_eq!(seen.all("tracestate"), ["a=1,b=2"]);
    assert_eq!((server.text("traceId"), client.text("traceId")), (TRACE, TRACE));
    assert_eq!((server.text("parentSpanId"), client.text("parentSpanId")), (SPAN, server.text("spanId")));
    assert_eq!((server.text("name"), client.text("name")), ("GET /pets/{id}", "GET"));
    assert_eq!((&server.whole["kind"], &client.whole["kind"]), (&json!(2), &json!(3)));
    assert_eq!(server.resource["service.name"], "edge");
    assert_eq!(server.resource["service.version"], env!("CARGO_PKG_VERSION"));
    let (address, port) = (json!("127.0.0.1"), json!(stage.upstream.address().port()));
    server.has(&[
        ("http.request.method", json!("GET")),
        ("http.response.status_code", json!(200)),
        ("http.route", json!("/pets/{id}")),
        ("url.path", json!("/pets/17")),
        ("url.scheme", json!("http")),
        ("server.address", json!(stage.host)),
        ("client.address", address.clone()),
        ("network.protocol.version", json!("1.1")),
        ("user_agent.original", json!("app/1.0")),
        ("http.response.body.size", json!(2)),
        ("keystile.code", json!("allowed")),
        ("keystile.request_id", json!(answer.field("x-request-id"))),
        ("keystile.api.id", json!(stage.api_id)),
        ("keystile.project.id", json!(stage.project_id)),
        ("keystile.key.id", json!(stage.key_id)),
    ]);
    client.has(&[
        ("http.request.method", json!("GET")),
        ("http.response.status_code", json!(200)),
        ("server.address", address),
        ("server.port", port),
    ]);
    let nanos = |span: &Span, name: &str| span.text(name).parse::<u64>().expect("nanoseconds as a text");
    let (begin, end) = ("startTimeUnixNano", "endTimeUnixNano");
    assert!(nanos(server, begin) <= nanos(client, begin) && nanos(client, begin) < nanos(client, end));
    assert!(nanos(client, end) <= nanos(server, end));
    for span in &spans {
        assert!(!span.attributes.contains_key("error.type") && span.whole["status"] == json!({}), "{span:?}");
        assert!(!span.whole.to_string().contains("colour"), "the query is left out");
    }
    assert_eq!(traced.collector.faults(), [] as [String; 0]);
}

#[test]
fn a_call_without_a_trace_begins_one_and_nonsense_is_replaced() {
    let traced = Traced::new("");
    let stage = Stage::on(&traced.served.installation, json!({}), json!({}));
    let upper = format!("00-{}-{SPAN}-01", TRACE.to_uppercase());
    let sound = format!("00-{TRACE}-{SPAN}-01");
    for fields in [
        &[][..],
        &[("traceparent", "nonsense"), ("tracestate", "a=1")],
        &[("traceparent", &*upper), ("tracestate", "a=1")],
        &[("traceparent", &*sound), ("traceparent", &*sound), ("tracestate", "a=1")],
        &[("tracestate", "a=1")],
    ] {
        stage.call("GET /a", fields, b"");
        let seen = stage.upstream.take_requests().remove(0);
        let parents = seen.all("traceparent");
        assert_eq!(parents.len(), 1, "{fields:?}");
        let parts: Vec<&str> = parents[0].split('-').collect();
        assert_eq!((parts.len(), parts[0], parts[3]), (4, "00", "01"), "{fields:?}");
        assert!(parts[1].len() == 32 && !parts[1].eq_ignore_ascii_case(TRACE), "{parts:?}");
        assert_eq!(seen.field("tracestate"), None, "{fields:?}");
    }
    let spans = traced.spans(10);
    let servers: Vec<&Span> = spans.iter().filter(|span| span.is_server()).collect();
    assert!(servers.iter().all(|span| span.whole["parentSpanId"].is_null()), "{servers:?}");
    let traces: std::collections::BTreeSet<&str> = servers.iter().map(|span| span.text("traceId")).collect();
    assert_eq!(traces.len(), 5);
}

#[test]
fn what_is_not_sampled_is_not_told_and_the_upstream_hears_that() {
    let traced = Traced::new("sample = 0.0");
    let stage = Stage::on(&traced.served.installation, json!({}), json!({}));
    stage.call("GET /a", &[], b"");
    let own = stage.upstream.take_requests().remove(0).field("traceparent").map(str::to_owned);
    assert!(own.is_some_and(|parent| parent.starts_with("00-") && parent.ends_with("-00")));
    let unsampled = format!("00-{TRACE}-{SPAN}-00");
    stage.call("GET /b", &[("traceparent", &unsampled), ("tracestate", "a=1")], b"");
    let seen = stage.upstream.take_requests().remove(0);
    assert_eq!((seen.all("traceparent"), seen.all("tracestate")), (vec![&*unsampled], vec!["a=1"]));
    // One that its client keeps is told all the same, and is the only one.
    stage.call("GET /c", &[("traceparent", &format!("00-{TRACE}-{SPAN}-01"))], b"");
    let spans = traced.spans(2);
    assert!(spans.len() == 2 && spans.iter().all(|span| span.text("traceId") == TRACE), "{spans:?}");
}

#[test]
fn a_client_that_is_not_followed_decides_nothing() {
    let traced = Traced::new("sample = 0.0\nfollow_clients = false");
    let stage = Stage::on(&traced.served.installation, json!({}), json!({}));
    stage.call("GET /c", &[("traceparent", &format!("00-{TRACE}-{SPAN}-01"))], b"");
    let metrics = || Api::new(traced.served.installation.admin, "").request("GET", "/metrics", &[], b"").text();
    assert!(metrics().contains("\nkeystile_traces_exported_total 0\n"), "{}", metrics());
    let (status, _) = { traced.served.installation }.terminate();
    assert!(status.success() && traced.collector.requests().is_empty());
}

#[test]
fn without_a_collector_a_trace_goes_on_as_it_came() {
    let stage = Stage::new();
    for fields in [
        &[("traceparent", "nonsense"), ("tracestate", "a=1")][..],
        &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")],
        &[],
    ] {
        stage.call("GET /a", fields, b"");
        let seen = stage.upstream.take_requests().remove(0);
        for name in ["traceparent", "tracestate"] {
            let sent = fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
            assert_eq!(seen.field(name), sent, "{fields:?}");
        }
    }
}

#[test]
fn a_span_says_what_failed() {
    let traced = Traced::new("");
    let stage = Stage::on(&traced.served.installation, json!({}), json!({}));
    let call = |line: &str, key: bool| {
        let request = if key { stage.request(line, &[], b"") } else { stage.request_without_key(line, &[], b"") };
        stage.answer(&request).field("x-request-id").unwrap_or_default().to_owned()
    };
    stage.upstream.answer_with("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
    let unwell = call("GET /unwell", true);
    stage.upstream.answer_with("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
    let missing = call("GET /missing", true);
    stage.upstream.script([Step::Close]);
    let broken = call("GET /broken", true);
    let refused = call("GET /refused", false);
    let invalid = call("GET /a/../b", true);
    let odd = call("BREW /pot", true);
    let spans = traced.spans(9);
    assert_eq!(spans.len(), 9, "{spans:#?}");
    for (id, name, code, status, error, upstream_error) in [
        (unwell, "GET /unwell", "allowed", 503, Some("503"), Some(Some("503"))),
        (missing, "GET /missing", "allowed", 404, None, Some(Some("404"))),
        (
            broken,
            "GET /broken",
            "upstream_unreachable",
            502,
            Some("upstream_unreachable"),
            Some(Some("upstream_unreachable")),
        ),
        (refused, "GET /refused", "key_missing", 401, None, None),
        (invalid, "GET", "request_malformed", 400, None, None),
        (odd, "HTTP", "method_not_allowed", 405, None, None),
    ] {
        let server = spans.iter().find(|span| span.attributes.get("keystile.request_id") == Some(&json!(id)));
        let server = server.unwrap_or_else(|| panic!("{name} is not told"));
        assert_eq!(server.text("name"), name);
        server.has(&[("keystile.code", json!(code)), ("http.response.status_code", json!(status))]);
        let own = |span: &Span| span.attributes.get("error.type").and_then(Value::as_str).map(str::to_owned);
        assert_eq!(own(server).as_deref(), error, "{name}");
        assert_eq!(server.whole["status"], if error.is_some() { json!({ "code": 2 }) } else { json!({}) }, "{name}");
        let client = spans.iter().find(|span| span.text("parentSpanId") == server.text("spanId"));
        assert_eq!(client.map(own), upstream_error.map(|error| error.map(str::to_owned)), "{name}");
    }
    assert!(spans.iter().any(|span| span.attributes.get("http.request.method") == Some(&json!("_OTHER"))));
}

#[test]
fn e02_no_secret_is_told_to_a_collector() {
    let traced = Traced::new("");
    let installation = &traced.served.installation;
    let places = json!({ "key_locations": ["bearer", "header:x-api-key", "query:api_key"] });
    let stage = Stage::on(installation, places, json!({}));
    let imported = "Zm9vYmFyYmF6-quux_7Gh2Kq.taken~over";
    let line = json!({ "key": imported }).to_string();
    let asked = format!("/v1/keys/import?project_id={}", stage.project_id);
    stage.manage.request("POST", &asked, &[("content-type", "application/x-ndjson")], line.as_bytes());
    let management_key = installation.management_key.clone().expect("a first start");
    let (secrets, mut sent) = ([stage.key.clone(), imported.to_owned(), management_key], 0);
    for secret in &secrets {
        for request in requests_with(&stage, secret) {
            stage.answer(&request);
            sent += 1;
        }
    }
    let servers = || traced.told().iter().filter(|span| span.is_server()).count();
    eventually("all calls are told", || servers() >= sent);
    assert_eq!(servers(), sent);
    let told: String = traced.collector.requests().iter().map(keystile_testkit::Recorded::text).collect();
    for secret in &secrets {
        assert!(!told.contains(secret.as_str()) && !told.contains(&secret[6..22]), "{secret}");
    }
}

#[test]
fn a_collector_that_is_gone_or_silent_costs_no_call() {
    let silent = Upstream::start();
    silent.script([Step::UntilClosed]);
    for endpoint in [format!("http://{}", nobody()), silent.url()] {
        let served = serve("", &format!("[trace]\nendpoint = {endpoint:?}"));
        let stage = Stage::on(&served.installation, json!({}), json!({}));
        for _ in 0..3 {
            assert_eq!(stage.call("GET /", &[], b"").status, 200);
        }
        if endpoint == silent.url() {
            silent.wait_for(1);
        } else {
            let metrics = || Api::new(served.installation.admin, "").request("GET", "/metrics", &[], b"").text();
            eventually("three are dropped", || metrics().contains("\nkeystile_traces_dropped_total 3\n"));
            assert!(metrics().contains("\nkeystile_traces_exported_total 0\n"));
            eventually("it is said", || served.installation.log().contains("the collector does not take traces"));
        }
        assert_eq!(stage.call("GET /", &[], b"").status, 200);
        assert_eq!(stage.counted("allowed", 200), 4);
        let (status, _) = { served.installation }.terminate();
        assert!(status.success(), "{endpoint}");
    }
}

#[test]
fn the_last_traces_are_told_when_the_process_ends() {
    let mut traced = Traced::new("");
    let stage = Stage::on(&traced.served.installation, json!({}), json!({}));
    (0..5).for_each(|_| drop(stage.call("GET /", &[], b"")));
    let (status, _) = traced.served.installation.terminate();
    assert!(status.success());
    assert_eq!(traced.told().len(), 10);
}
