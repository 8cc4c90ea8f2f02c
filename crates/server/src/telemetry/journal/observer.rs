//! What a worker does to have its calls written down.

use std::net::IpAddr;
use std::sync::Arc;

use http::Request;
use keystile_core::id::RequestId;

use super::super::trace::{Parent, Trace, Tracer};
use super::record::Record;
use super::sheet::Sheet;

/// A worker's part.
pub struct Observer {
    /// Takes the records.
    pub sheet: Arc<Sheet>,
    /// Whether every call has one, because the access log is on.
    pub logs: bool,
    /// Gives calls their traces, if they are exported.
    pub tracer: Option<Tracer>,
}

/// What is remembered of a call while it is answered. Boxed, because most installations remember nothing.
pub struct Observed {
    /// Its trace, sampled or not.
    pub trace: Option<Trace>,
    /// What is written down of it.
    pub record: Option<Box<Record>>,
}

impl Observer {
    /// Begins to remember a call. `is_sound` says whether the request is what the client sent: of a refused head the
    /// handler sees a stand-in.
    pub fn begin<B>(&self, request: &Request<B>, is_sound: bool, id: RequestId, client: IpAddr) -> Box<Observed> {
        let parent = if is_sound { Parent::of(request.headers()) } else { None };
        let trace = self.tracer.as_ref().map(|tracer| tracer.begin(parent));
        let is_kept = self.logs || trace.is_some_and(|trace| trace.sampled);
        let trace_id = trace.map(|trace| trace.id).or(parent.map(|parent| parent.trace));
        let record = || Box::new(Record { trace: trace_id, ..Record::of(request, id, client, is_sound) });
        Box::new(Observed { trace, record: is_kept.then(record) })
    }
}
