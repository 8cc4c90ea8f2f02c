//! What a worker does to have its calls written down.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use http::Request;
use keystile_core::Code;
use keystile_core::id::RequestId;
use keystile_core::time::Ticks;
use keystile_core::usage::UsageEvent;

use super::super::request_log::Allowance;
use super::super::trace::{Parent, Trace, Tracer};
use super::record::{Door, Record};
use super::sheet::{Entry, Sheet};

/// A worker's part.
pub struct Observer {
    /// Takes the records.
    pub sheet: Arc<Sheet>,
    /// Whether every call has one, because the access log is on.
    pub logs: bool,
    /// Gives calls their traces, if they are exported.
    pub tracer: Option<Tracer>,
    /// How many go into the request log, if that is on.
    pub allowance: Option<Arc<Allowance>>,
}

/// What is remembered of a call while it is answered. Boxed, because of many calls nothing is remembered.
pub struct Observed {
    /// Its trace, sampled or not.
    pub trace: Option<Trace>,
    /// What is written down of it.
    pub record: Option<Box<Record>>,
    /// Whether it goes into the request log.
    pub is_logged: bool,
}

/// What a call is called, and how it came: what is written down of one of which nothing else was remembered.
#[derive(Debug, Clone, Copy)]
pub struct Called {
    /// Its id.
    pub request: RequestId,
    /// How it came.
    pub door: Door,
}

impl Observer {
    /// Begins to remember a call, if anything is to be remembered of it. `is_sound` says whether the request is what the client
    /// sent: of a refused head the handler sees a stand-in.
    pub fn begin<B>(
        &self,
        request: &Request<B>,
        is_sound: bool,
        id: RequestId,
        client: IpAddr,
        now: Ticks,
    ) -> Option<Box<Observed>> {
        let is_logged = self.may_log(now);
        if !is_logged && !self.logs && self.tracer.is_none() {
            return None;
        }
        let parent = if is_sound { Parent::of(request.headers()) } else { None };
        let trace = self.tracer.as_ref().map(|tracer| tracer.begin(parent));
        let is_kept = is_logged || self.logs || trace.is_some_and(|trace| trace.sampled);
        let trace_id = trace.map(|trace| trace.id).or(parent.map(|parent| parent.trace));
        let record = || Box::new(Record { trace: trace_id, ..Record::of(request, id, client, is_sound) });
        Some(Box::new(Observed { trace, record: is_kept.then(record), is_logged }))
    }

    /// Begins to remember a question to verification, if anything is to be remembered of it.
    pub fn begin_question(&self, id: RequestId, client: IpAddr, now: Ticks) -> Option<Box<Observed>> {
        let is_logged = self.may_log(now);
        let record = || Some(Box::new(Record::asked(id, client)));
        (is_logged || self.logs).then(|| Box::new(Observed { trace: None, record: record(), is_logged }))
    }

    fn may_log(&self, now: Ticks) -> bool {
        self.allowance.as_ref().is_some_and(|allowance| allowance.take(now))
    }

    /// Leaves what was remembered of a call in the sheet, now that it is counted. One that was refused or failed and found no room in the request
    /// log may be left there all the same: a flood of others does not hide it.
    pub(crate) fn end(
        &self,
        observed: Option<Box<Observed>>,
        called: Option<Called>,
        counted: UsageEvent,
        (sent_on_us, upstream_us): (Option<u32>, Option<NonZeroU32>),
        now: Ticks,
    ) {
        let (trace, mut record, mut is_logged) = match observed {
            Some(observed) => (observed.trace, observed.record, observed.is_logged),
            None => (None, None, false),
        };
        if let Some(allowance) = self.allowance.as_ref().filter(|_| !is_logged) {
            let is_refused = counted.dimensions.code != Code::Allowed;
            if is_refused && called.is_some() && allowance.take_for_refused(now) {
                is_logged = true;
                record = record.or_else(|| called.map(|called| Box::new(Record::bare(called.request, called.door))));
            } else {
                self.sheet.note_skipped();
            }
        }
        if let Some(record) = record {
            let trace = trace.filter(|trace| trace.sampled);
            self.sheet.push(Entry { record, counted, sent_on_us, upstream_us, trace, is_logged });
        }
    }
}
