//! Traces: which one a call belongs to ([`context`], W3C Trace Context).

mod context;

pub use context::{Parent, SpanId, TraceId};
