//! Whether a call is sampled, and its ids. No lock and no system call: a worker has a generator of its own, because ids
//! must differ and need not be secret.

use std::cell::Cell;

use http::{HeaderMap, HeaderValue};

use super::context::{Parent, SpanId, TRACEPARENT, TRACESTATE, TraceId};

/// How many calls of a million are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample(u32);

impl Sample {
    /// All of them.
    pub const ALL: Self = Self(1_000_000);

    /// A share from 0 to 1.
    pub fn of(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then(|| Self((share * 1e6).round() as u32))
    }

    /// The share.
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

/// Which calls are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Of those about which nobody decided yet.
    pub sample: Sample,
    /// Whether a client's decision holds.
    pub follows_clients: bool,
}

/// Gives calls their traces.
pub struct Tracer {
    sampling: Sampling,
    state: Cell<u64>,
}

/// The trace of one call.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    /// The trace.
    pub id: TraceId,
    /// What called us, if that is known.
    pub parent: Option<SpanId>,
    /// What was asked of us.
    pub server: SpanId,
    /// What we ask of the upstream.
    pub upstream: SpanId,
    /// Whether it is told.
    pub sampled: bool,
}

impl Tracer {
    /// By a random number.
    pub fn new(sampling: Sampling, seed: u64) -> Self {
        Self { sampling, state: Cell::new(seed) }
    }

    /// The trace of a call that comes from this one, or from nowhere that is known.
    pub fn begin(&self, parent: Option<Parent>) -> Trace {
        let sampled = match parent {
            Some(parent) if self.sampling.follows_clients => parent.sampled,
            Some(_) | None => self.next() % 1_000_000 < u64::from(self.sampling.sample.0),
        };
        let id = parent.map_or_else(|| self.trace_id(), |parent| parent.trace);
        Trace {
            id,
            parent: parent.map(|parent| parent.span),
            server: self.span_id(),
            upstream: self.span_id(),
            sampled,
        }
    }

    fn trace_id(&self) -> TraceId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.next().to_be_bytes());
        id[8..].copy_from_slice(&self.next().max(1).to_be_bytes());
        TraceId(id)
    }

    fn span_id(&self) -> SpanId {
        SpanId(self.next().max(1).to_be_bytes())
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014): every number comes once before one comes again.
    fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Trace {
    /// Tells the upstream. Where we add no step to a client's trace, what it said stays.
    pub fn put(&self, headers: &mut HeaderMap) {
        if self.parent.is_some() && !self.sampled {
            return;
        }
        if self.parent.is_none() {
            // It belongs to a trace that makes no sense, or to none.
            headers.remove(TRACESTATE);
        }
        let value = format!("00-{}-{}-{:02x}", self.id, self.upstream, u8::from(self.sampled));
        headers.insert(TRACEPARENT, HeaderValue::try_from(value).expect("digits are visible ASCII"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn tracer(share: f64, follows_clients: bool) -> Tracer {
        Tracer::new(Sampling { sample: Sample::of(share).unwrap(), follows_clients }, 7)
    }

    fn parent(sampled: bool) -> Parent {
        Parent { trace: TraceId([1; 16]), span: SpanId([2; 8]), sampled }
    }

    #[test]
    fn a_share_is_sampled() {
        for (share, least, most) in [(0.0, 0, 0), (0.01, 800, 1_200), (1.0, 100_000, 100_000)] {
            let tracer = tracer(share, true);
            let sampled = (0..100_000).filter(|_| tracer.begin(None).sampled).count();
            assert!((least..=most).contains(&sampled), "{sampled} of {share}");
        }
        assert_eq!((Sample::of(-0.1), Sample::of(1.1), Sample::of(f64::NAN)), (None, None, None));
    }

    #[test]
    fn a_client_is_followed_or_not() {
        assert!(tracer(0.0, true).begin(Some(parent(true))).sampled);
        assert!(!tracer(1.0, true).begin(Some(parent(false))).sampled);
        assert!(!tracer(0.0, false).begin(Some(parent(true))).sampled);
        assert!(tracer(1.0, false).begin(Some(parent(false))).sampled);
    }

    #[test]
    fn no_id_comes_twice() {
        let (tracer, mut seen) = (tracer(1.0, true), HashSet::new());
        for _ in 0..10_000 {
            let trace = tracer.begin(None);
            assert!(seen.insert(trace.server.0) && seen.insert(trace.upstream.0));
        }
    }
}
