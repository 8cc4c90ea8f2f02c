//! The way from the calls to the ledger: a buffer for each worker, so that counting never makes two cores wait for
//! each other, and never waits for the disk.

use std::sync::Arc;

use keystile_core::usage::{Bucket, UsageEvent, fold};
use parking_lot::Mutex;

/// Events of one buffer before they are folded by minute: some seconds of full load, 45 MB.
const MAX_EVENTS: usize = 500_000;
/// Room that a buffer keeps between two batches.
const USUAL_EVENTS: usize = 8_192;

/// The buffer of one worker.
pub struct Buffer {
    events: Mutex<Vec<UsageEvent>>,
}

impl Buffer {
    fn new() -> Self {
        Self { events: Mutex::new(Vec::with_capacity(USUAL_EVENTS)) }
    }

    /// Queues an event.
    pub fn push(&self, event: UsageEvent) {
        let mut events = self.events.lock();
        if events.len() >= MAX_EVENTS {
            fold_events(&mut events);
        }
        events.push(event);
    }
}

/// Folds events of a minute and kind into one: the ledger's disk is away for long, and totals matter more than moments.
fn fold_events(events: &mut Vec<UsageEvent>) {
    let rows = fold(Bucket::Minute, events.iter());
    events.clear();
    events.extend(rows.into_iter().map(|((at, dimensions), counts)| UsageEvent { at, dimensions, counts }));
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
    pub(super) fn take(&self, into: &mut Vec<UsageEvent>) {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::Code;
    use keystile_core::time::Timestamp;
    use keystile_core::usage::{Counts, Dimensions};

    fn event(n: u64) -> UsageEvent {
        let dimensions = Dimensions {
            organization: 1,
            api: 1,
            project: 1,
            key: (n % 3) as u32,
            label: 1,
            code: Code::Allowed,
            status: 200,
        };
        let counts = Counts { calls: 1, latency_us: n, bytes_in: 0, bytes_out: 1 };
        UsageEvent { at: Timestamp::from_secs(5), dimensions, counts }
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
        assert_eq!(taken.iter().map(|event| event.counts.calls).sum::<u64>(), pushed + 1);
        assert!(taken.len() < 20, "{} events are left of the fold", taken.len());
    }
}
