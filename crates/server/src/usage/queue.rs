//! The way from the calls to the ledger: a buffer for each worker, so that counting never makes two cores wait for
//! each other, and never waits for the disk.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keystile_core::usage::{Bucket, UsageEvent, fold};
use parking_lot::Mutex;

/// Events of one buffer before they are folded by minute: some seconds of full load, 36 MB. It comes to that only if
/// nobody takes them; those that the disk does not take wait with the writer.
pub(super) const MAX_EVENTS: usize = 500_000;
/// Events of one buffer, or that wait with the writer, beyond which further ones are kept without their facets: those are texts of
/// some kilobytes that callers choose.
pub(super) const MAX_WITH_FACETS: usize = 20_000;
/// Room that a buffer keeps between two batches.
const USUAL_EVENTS: usize = 8_192;

/// A decided call: what is kept of it, and what only the metrics look at.
#[derive(Debug, Clone)]
pub struct Event {
    /// What the ledger keeps.
    pub kept: UsageEvent,
    /// Microseconds, rounded up, that the upstream took to begin its answer; `None` if there was none.
    pub upstream_us: Option<NonZeroU32>,
}

/// The buffer of one worker.
pub struct Buffer {
    events: Mutex<Vec<Event>>,
    /// Calls of the worker that are being answered. Only the worker writes it, so it takes no locked instruction.
    in_flight: AtomicU32,
}

impl Buffer {
    fn new() -> Self {
        Self { events: Mutex::new(Vec::with_capacity(USUAL_EVENTS)), in_flight: AtomicU32::new(0) }
    }

    /// Queues an event.
    pub fn push(&self, mut event: Event) {
        let mut events = self.events.lock();
        if events.len() >= MAX_WITH_FACETS {
            event.kept.facets = None;
        }
        if events.len() >= MAX_EVENTS {
            let kept = folded(events.iter().map(|event| &event.kept));
            events.clear();
            events.extend(kept.into_iter().map(|kept| Event { kept, upstream_us: None }));
        }
        events.push(event);
    }

    /// A call has begun, or ended. To be called by the buffer's own worker alone.
    pub(super) fn note_in_flight(&self, change: i32) {
        let calls = self.in_flight.load(Ordering::Relaxed);
        self.in_flight.store(calls.wrapping_add_signed(change), Ordering::Relaxed);
    }
}

/// Folds events of a minute and kind into one: the ledger's disk is away for long, and totals matter more than moments.
pub(super) fn folded<'a>(events: impl IntoIterator<Item = &'a UsageEvent>) -> Vec<UsageEvent> {
    let rows = fold(Bucket::Minute, events);
    rows.into_iter()
        .map(|((at, dimensions), counts)| UsageEvent { at, dimensions, client: None, facets: None, counts })
        .collect()
}

/// All buffers.
#[derive(Default)]
pub struct Queue {
    buffers: Mutex<Vec<Arc<Buffer>>>,
}

impl Queue {
    /// A new buffer for a worker.
    pub fn buffer(&self) -> Arc<Buffer> {
        let buffer = Arc::new(Buffer::new());
        self.buffers.lock().push(buffer.clone());
        buffer
    }

    /// Moves everything that is queued to the end of `into`.
    pub(super) fn take(&self, into: &mut Vec<Event>) {
        for buffer in self.buffers.lock().iter() {
            let mut queued = buffer.events.lock();
            if queued.is_empty() {
                continue;
            }
            // Swapped, so that the worker waits for a pointer and not for a copy.
            let mut taken = std::mem::replace(&mut *queued, Vec::with_capacity(USUAL_EVENTS));
            drop(queued);
            if into.is_empty() {
                *into = taken;
            } else {
                into.append(&mut taken);
            }
        }
    }

    /// Calls that are being answered.
    pub fn in_flight(&self) -> u64 {
        self.buffers.lock().iter().map(|buffer| u64::from(buffer.in_flight.load(Ordering::Relaxed))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::Code;
    use keystile_core::time::Timestamp;
    use keystile_core::usage::{Counts, Dimensions};

    fn event(n: u64) -> Event {
        let dimensions = Dimensions {
            organization: 1,
            api: 1,
            project: 1,
            key: (n % 3) as u32,
            version: 0,
            label: 1,
            code: Code::Allowed,
            status: 200,
        };
        let counts = Counts { calls: 1, latency_us: n, bytes_in: 0, bytes_out: 1, cost: 1 };
        Event {
            kept: UsageEvent { at: Timestamp::from_secs(5), dimensions, client: None, facets: None, counts },
            upstream_us: None,
        }
    }

    #[test]
    fn nothing_is_lost_when_a_buffer_overflows() {
        let queue = Queue::default();
        let (one, two) = (queue.buffer(), queue.buffer());
        let pushed = MAX_EVENTS as u64 + 10;
        for n in 0..pushed {
            one.push(event(n));
        }
        two.push(event(0));
        let mut taken = Vec::new();
        queue.take(&mut taken);
        assert_eq!(taken.iter().map(|event| event.kept.counts.calls).sum::<u64>(), pushed + 1);
        assert!(taken.len() < 20, "{} events are left of the fold", taken.len());
    }
}
