//! Traces (OpenTelemetry): which one a call belongs to, and what is told of it to a collector.
//!
//! [`context`] reads `traceparent` (W3C Trace Context). The [`Tracer`] of a worker decides whether a call is sampled,
//! gives it its ids and says them to the upstream. A sampled call has two spans, what was asked of us and what we asked
//! of the upstream; [`spans`] writes them as OTLP has them in JSON, and [`Exporter`] posts them from a thread of its
//! own. Nothing waits for a collector: what it does not take in time is dropped, and counted.
//!
//! Where no collector is named, `traceparent` and `tracestate` go on as a client sent them, like any field.

mod context;
mod export;
mod spans;
mod tracer;

pub use context::{Parent, SpanId, TraceId};
pub use export::{Exporter, Exports};
pub use tracer::{Sample, Sampling, Trace, Tracer};
