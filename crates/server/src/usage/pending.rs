//! A call that is being answered. Whatever ends it, it is counted once: when its answer is complete, or when it is
//! dropped because the client went away.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, Request};
use keystile_core::Code;
use keystile_core::api::ClientAddresses;
use keystile_core::id::RequestId;
use keystile_core::method::Method;
use keystile_core::restrict::Rules;
use keystile_core::time::{Moment, Ticks};
use keystile_core::usage::{Counts, Dimensions, Facets, UsageEvent};

use super::queue::{Buffer, Event};
use crate::enforce::engine::Recognised;
use crate::enforce::in_flight::{Place, Places};
use crate::enforce::operations::Label;
use crate::enforce::snapshot::ApiView;
use crate::telemetry::journal::{Called, Door, Observed, Observer, Record};
use crate::world::Clock;

/// Where a worker's calls are counted, and by which clock.
pub struct Recorder {
    /// Takes the counts.
    pub buffer: Arc<Buffer>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Has calls written down, if that is asked for.
    pub observer: Option<Observer>,
}

/// The count of one call, not made yet.
pub struct Pending {
    recorder: Rc<Recorder>,
    began: Moment,
    dimensions: Dimensions,
    bytes_in: u64,
    bytes_out: u64,
    /// What it costs if it is let through.
    cost: u32,
    client: Option<IpAddr>,
    /// What else it is counted by, as far as it was said.
    facets: Option<Box<Facets>>,
    /// What may be kept of it.
    addresses: ClientAddresses,
    counted: bool,
    places: Places,
    /// When it was sent on.
    sent_on: Option<Ticks>,
    /// How long the upstream took to begin its answer.
    upstream_us: Option<NonZeroU32>,
    /// What it is called, if it is one that may be written down.
    called: Option<Called>,
    /// What is remembered of it to be written down, if anything is.
    observed: Option<Box<Observed>>,
}

impl Pending {
    /// A call that began now. Until more is known it is one whose client went away.
    pub fn new(recorder: Rc<Recorder>, began: Moment) -> Self {
        let dimensions = Dimensions {
            organization: 0,
            api: 0,
            project: 0,
            key: 0,
            version: 0,
            label: Label::UNROUTED.number(),
            code: Code::ClientGone,
            status: Code::ClientGone.status(),
        };
        recorder.buffer.note_in_flight(1);
        Self {
            recorder,
            began,
            dimensions,
            bytes_in: 0,
            bytes_out: 0,
            cost: 1,
            client: None,
            facets: None,
            addresses: ClientAddresses::None,
            counted: false,
            places: Places::new(),
            sent_on: None,
            upstream_us: None,
            called: None,
            observed: None,
        }
    }

    /// When it began.
    pub const fn began(&self) -> Moment {
        self.began
    }

    /// It is this request of this client's, as it came through the gateway. `is_sound` says whether it is what the client sent.
    pub fn is_call<B>(&mut self, request: &Request<B>, is_sound: bool, id: RequestId, client: IpAddr) {
        if let Some(observer) = &self.recorder.observer {
            self.called = Some(Called { request: id, door: Door::Gateway });
            self.observed = observer.begin(request, is_sound, id, client, self.began.ticks);
        }
    }

    /// It is a question of this client's.
    pub fn is_question(&mut self, id: RequestId, client: IpAddr) {
        if let Some(observer) = &self.recorder.observer {
            self.called = Some(Called { request: id, door: Door::Verification });
            self.observed = observer.begin_question(id, client, self.began.ticks);
        }
    }

    fn record(&mut self) -> Option<&mut Record> {
        self.observed.as_mut()?.record.as_deref_mut()
    }

    /// It has a canonical path.
    pub fn path(&mut self, path: &str) {
        if let Some(record) = self.record() {
            record.path(path);
        }
    }

    /// It is about a call with this method to this canonical path, as far as whoever asks said so.
    pub fn is_about(&mut self, method: Option<Method>, path: Option<&str>) {
        if let Some(record) = self.record() {
            record.method = method;
            path.into_iter().for_each(|path| record.path(path));
        }
    }

    /// It comes from this address, whoever carried it here.
    pub fn client(&mut self, client: IpAddr, encrypted: bool) {
        self.client = Some(client);
        if let Some(record) = self.record() {
            (record.client, record.encrypted) = (client, encrypted);
        }
    }

    /// It is about a call from this address, which whoever asks has taken.
    pub fn asked_for(&mut self, client: IpAddr) {
        self.client = Some(client);
        if self.dimensions.api == 0 {
            self.addresses = ClientAddresses::Whole;
        }
    }

    /// It is counted by these, too.
    pub fn facets(&mut self, facets: Option<Box<Facets>>) {
        self.facets = facets;
    }

    /// Tells the upstream to which trace it belongs.
    pub fn put_trace(&self, headers: &mut HeaderMap) {
        if let Some(trace) = self.observed.as_ref().and_then(|observed| observed.trace) {
            trace.put(headers);
        }
    }

    /// It goes to this API, to this operation of it.
    pub fn api(&mut self, api: &ApiView, label: Label) {
        if let Some(record) = self.record() {
            record.api = Some((api.id, api.name.clone()));
            record.upstream = Some(api.upstream.clone());
        }
        self.dimensions.organization = api.owner;
        self.dimensions.api = api.number;
        self.addresses = api.client_addresses;
        self.dimensions.label = label.number();
    }

    /// It takes up a place among those that are being answered, until it is dropped.
    pub fn takes(&mut self, place: Place) {
        self.places.push(place);
    }

    /// Whether it has its places already.
    pub fn has_places(&self) -> bool {
        !self.places.is_empty()
    }

    /// Its places, for whatever goes on after the call.
    pub fn places(&mut self) -> Places {
        std::mem::take(&mut self.places)
    }

    /// It is counted under this label.
    pub fn label(&mut self, label: Label) {
        self.dimensions.label = label.number();
    }

    /// It presents this key.
    pub fn key(&mut self, key: &Recognised) {
        if let Some(record) = self.record() {
            (record.key, record.project) = (Some(key.entry.id), Some(key.project.id));
        }
        self.dimensions.key = key.entry.number;
        self.dimensions.version = key.version;
        self.dimensions.project = key.project.number;
        if self.dimensions.api == 0 {
            self.dimensions.organization = key.project.owner;
        }
    }

    /// It costs so much if it is let through.
    pub fn costs(&mut self, cost: u32) {
        self.cost = cost;
    }

    /// It turned out to cost this: limits that count costs go on as if that had been known.
    pub fn turned_out_to_cost(&mut self, cost: u32) {
        self.cost = cost;
        let now = self.recorder.clock.now();
        for place in &mut self.places {
            match place {
                Place::OfLimits(held) => held.costs(cost, now),
                Place::OfPlan(drawn) => drawn.costs(cost),
                Place::OfApi(_) | Place::OfAll(_) => {}
            }
        }
    }

    /// What it is counted under.
    pub const fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// Restrictions in shadow that would have refused it.
    pub fn would_refuse(&mut self, rules: Rules) {
        if let Some(record) = self.record() {
            rules.iter().for_each(|rule| record.shadow = record.shadow.and(rule));
        }
    }

    /// It goes to its upstream now.
    pub fn goes_on(&mut self) {
        self.sent_on = Some(self.recorder.clock.ticks());
    }

    /// So many bytes of its body have come.
    pub fn received(&mut self, bytes: u64) {
        self.bytes_in = bytes;
    }

    /// So many more bytes of the answer's body were handed over.
    pub fn sent(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    /// Counts it as answered.
    pub fn finish(&mut self, code: Code, status: u16) {
        self.dimensions.code = code;
        self.dimensions.status = status;
        self.count();
    }

    /// The upstream's answer has begun with this status; if it is not completed, the client went away.
    pub fn began_answer(&mut self, status: u16) {
        self.dimensions.status = status;
        let took = self.sent_on.map(|sent_on| self.recorder.clock.ticks().nanos_since(sent_on).div_ceil(1_000));
        self.upstream_us = took.and_then(|micros| NonZeroU32::new(u32::try_from(micros).unwrap_or(u32::MAX)));
    }

    /// Counts it as allowed and completely answered; says when that was.
    pub fn finish_allowed(&mut self) -> Ticks {
        self.dimensions.code = Code::Allowed;
        self.count()
    }

    /// Counts it as allowed and broken off, for what the upstream did.
    pub fn finish_broken(&mut self, code: Code) {
        self.dimensions.code = code;
        self.count();
    }

    /// It was no call, unless it was counted already.
    pub fn withdraw(&mut self) {
        self.counted = true;
    }

    /// Whether it was let through and reached its upstream; that its client left meanwhile is no difference to whoever answers.
    fn is_to_be_paid(&self) -> bool {
        match self.dimensions.code {
            Code::Allowed => true,
            Code::ClientGone => self.sent_on.is_some(),
            _ => false,
        }
    }

    fn count(&mut self) -> Ticks {
        let now = self.recorder.clock.ticks();
        if std::mem::replace(&mut self.counted, true) {
            return now;
        }
        let latency = now.nanos_since(self.began.ticks);
        let is_to_be_paid = self.is_to_be_paid();
        if !is_to_be_paid {
            // What is not billed uses no quota either, and no credits.
            for place in &mut self.places {
                if let Place::OfPlan(drawn) = place {
                    drawn.void();
                }
            }
        }
        let client = self.client.and_then(|client| self.addresses.kept(client));
        let counts = Counts {
            calls: 1,
            latency_us: latency / 1_000,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            cost: if is_to_be_paid { self.cost.into() } else { 0 },
        };
        let facets = self.facets.take();
        let kept = UsageEvent { at: self.began.wall, dimensions: self.dimensions, client, facets, counts };
        if let Some(observer) = &self.recorder.observer {
            let counted = UsageEvent { facets: None, ..kept };
            let after = self.sent_on.map(|sent_on| sent_on.nanos_since(self.began.ticks) / 1_000);
            let after = after.map(|micros| u32::try_from(micros).unwrap_or(u32::MAX));
            observer.end(self.observed.take(), self.called, counted, (after, self.upstream_us), now);
        }
        self.recorder.buffer.push(Event { kept, upstream_us: self.upstream_us });
        now
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.counted {
            self.count();
        }
        self.recorder.buffer.note_in_flight(-1);
    }
}
