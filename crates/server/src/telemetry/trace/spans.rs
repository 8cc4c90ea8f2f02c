//! The spans of a call as OTLP has them in JSON (opentelemetry-proto, `ExportTraceServiceRequest`), named and described
//! by the semantic conventions for HTTP.

use http::Version;
use keystile_core::Code;
use serde_json::{Value, json};

use super::super::journal::{Discretion, Entry};
use super::SpanId;
use super::tracer::Trace;

/// `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// What begins every message: who tells.
pub(super) fn message(service: &str, spans: &[Value]) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let mut resource = Attributes::default();
    resource.text("service.name", service);
    resource.text("service.version", version);
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource.0 },
        "scopeSpans": [{ "scope": { "name": "keystile", "version": version }, "spans": spans }],
    }] })
}

/// The spans of a call.
pub(super) fn spans(entry: &Entry, trace: &Trace, discretion: &Discretion) -> Vec<Value> {
    let call = Call { entry, trace, discretion };
    call.upstream().into_iter().chain([call.server()]).collect()
}

struct Call<'a> {
    entry: &'a Entry,
    trace: &'a Trace,
    discretion: &'a Discretion,
}

impl Call<'_> {
    /// What was asked of us.
    fn server(&self) -> Value {
        let (record, counted) = (&*self.entry.record, &self.entry.counted);
        let (code, status) = (counted.dimensions.code, counted.dimensions.status);
        let mut attributes = Attributes::default();
        attributes.text("http.request.method", self.method().unwrap_or("_OTHER"));
        attributes.text("url.scheme", if record.encrypted { "https" } else { "http" });
        if let Some(path) = &record.path {
            attributes.text("url.path", &self.discretion.path(path));
        }
        if let Some(host) = &record.host {
            let host = self.discretion.words(host);
            match host.rsplit_once(':').map(|(name, port)| (name, port.parse::<u16>())) {
                Some((name, Ok(port))) => attributes.address(name, port),
                _ => attributes.text("server.address", &host),
            }
        }
        attributes.text("client.address", &record.client.to_string());
        if let Some(version) = record.version {
            attributes.text(
                "network.protocol.version",
                if version == Version::HTTP_2 {
                    "2"
                } else if version == Version::HTTP_10 {
                    "1.0"
                } else {
                    "1.1"
                },
            );
        }
        if let Some(agent) = &record.user_agent {
            attributes.text("user_agent.original", &self.discretion.words(agent));
        }
        // Those in brackets stand for calls that have none.
        let operation = self.discretion.label(counted.dimensions.label).filter(|label| !label.starts_with('('));
        if let Some((_, route)) = operation.as_deref().and_then(|label| label.split_once(' ')) {
            attributes.text("http.route", route);
        }
        attributes.whole("http.response.status_code", status.into());
        attributes.whole("http.request.body.size", counted.counts.bytes_in);
        attributes.whole("http.response.body.size", counted.counts.bytes_out);
        attributes.text("keystile.code", code.as_str());
        attributes.text("keystile.request_id", &record.request.to_string());
        if let Some((id, name)) = &record.api {
            attributes.text("keystile.api.id", &id.to_string());
            attributes.text("keystile.api.name", name);
        }
        if let (Some(project), Some(key)) = (record.project, record.key) {
            attributes.text("keystile.project.id", &project.to_string());
            attributes.text("keystile.key.id", &key.to_string());
        }
        // A refusal is no error of ours.
        let error =
            (status >= 500).then(|| if code == Code::Allowed { status.to_string() } else { code.as_str().to_owned() });
        let name = operation.as_deref().or(self.method()).unwrap_or("HTTP");
        self.span(name, SERVER, (self.trace.server, self.trace.parent), 0, attributes, error)
    }

    /// What we asked of the upstream.
    fn upstream(&self) -> Option<Value> {
        let (record, dimensions) = (&*self.entry.record, &self.entry.counted.dimensions);
        let (after, upstream) = (self.entry.sent_on_us?, record.upstream.as_ref()?);
        let mut attributes = Attributes::default();
        attributes.text("http.request.method", self.method()?);
        attributes.text("url.scheme", if upstream.is_tls() { "https" } else { "http" });
        attributes.address(upstream.server_name(), upstream.port());
        let error = match self.entry.upstream_us {
            Some(_) => {
                attributes.whole("http.response.status_code", dimensions.status.into());
                (dimensions.status >= 400).then(|| dimensions.status.to_string())
            }
            None => Some(dimensions.code.as_str().to_owned()),
        };
        let ids = (self.trace.upstream, Some(self.trace.server));
        Some(self.span(self.method()?, CLIENT, ids, after.into(), attributes, error))
    }

    fn method(&self) -> Option<&'static str> {
        self.entry.record.method.map(|method| method.as_str())
    }

    /// A span that began so many microseconds after the call.
    fn span(
        &self,
        name: &str,
        kind: u8,
        (id, parent): (SpanId, Option<SpanId>),
        after_us: u64,
        mut attributes: Attributes,
        error: Option<String>,
    ) -> Value {
        let began = self.entry.counted.at.as_micros().cast_unsigned();
        let nanos = |micros: u64| (micros * 1_000).to_string();
        if let Some(error) = &error {
            attributes.text("error.type", error);
        }
        let mut span = json!({
            "traceId": self.trace.id,
            "spanId": id,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": nanos(began + after_us),
            "endTimeUnixNano": nanos(began + self.entry.counted.counts.latency_us.max(after_us)),
            "attributes": attributes.0,
            "status": if error.is_some() { json!({ "code": ERROR }) } else { json!({}) },
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = json!(parent);
        }
        span
    }
}

#[derive(Default)]
struct Attributes(Vec<Value>);

impl Attributes {
    fn text(&mut self, name: &str, value: &str) {
        self.0.push(json!({ "key": name, "value": { "stringValue": value } }));
    }

    /// Numbers of 64 bits are texts in the JSON of protocol buffers.
    fn whole(&mut self, name: &str, value: u64) {
        self.0.push(json!({ "key": name, "value": { "intValue": value.to_string() } }));
    }

    fn address(&mut self, host: &str, port: u16) {
        self.text("server.address", host);
        self.whole("server.port", port.into());
    }
}
