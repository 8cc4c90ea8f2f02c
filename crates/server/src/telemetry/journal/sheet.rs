//! Where a worker leaves the records of its calls, without waiting for anything.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use keystile_core::usage::UsageEvent;
use parking_lot::Mutex;

use super::super::trace::Trace;
use super::record::Record;

/// Records that wait: at 50 ms a turn a worker may answer 200,000 calls a second before one is dropped. Each is some
/// hundred bytes, at most 4 KiB.
const MAX_ENTRIES: usize = 10_000;

/// A call that is counted, with all that is written of it.
pub struct Entry {
    /// What it was.
    pub record: Box<Record>,
    /// What it was counted as.
    pub counted: UsageEvent,
    /// Microseconds until it was sent on.
    pub sent_on_us: Option<u32>,
    /// Microseconds that the upstream took to begin its answer.
    pub upstream_us: Option<NonZeroU32>,
    /// Its trace, if it is sampled.
    pub trace: Option<Trace>,
    /// Whether it goes into the request log.
    pub is_logged: bool,
}

/// The records of one worker.
#[derive(Default)]
pub struct Sheet {
    entries: Mutex<Vec<Entry>>,
    dropped: AtomicU64,
    /// Those of sampled calls among them.
    dropped_traces: AtomicU64,
    /// Those for the request log among them.
    dropped_rows: AtomicU64,
    /// Calls of which nothing was left here for the request log. Only the worker writes it, so it takes no locked instruction.
    skipped: AtomicU64,
}

impl Sheet {
    /// Leaves a record here, or drops it if there is no room.
    pub fn push(&self, entry: Entry) {
        let mut entries = self.entries.lock();
        if entries.len() < MAX_ENTRIES {
            entries.push(entry);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped_traces.fetch_add(entry.trace.is_some().into(), Ordering::Relaxed);
            self.dropped_rows.fetch_add(entry.is_logged.into(), Ordering::Relaxed);
        }
    }

    /// A call is not written into the request log. To be called by the sheet's own worker alone.
    pub(super) fn note_skipped(&self) {
        self.skipped.store(self.skipped.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Calls that are not in the request log because so many came, ever since the start.
    pub(super) fn not_logged(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed) + self.dropped_rows.load(Ordering::Relaxed)
    }

    /// Records that were dropped, ever since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Those of sampled calls among them, since this was asked last.
    pub(super) fn take_dropped_traces(&self) -> u64 {
        self.dropped_traces.swap(0, Ordering::Relaxed)
    }

    /// Moves all records to the end of `into`.
    pub(super) fn take(&self, into: &mut Vec<Entry>) {
        // Swapped out first, so that the worker waits for a pointer.
        let mut taken = std::mem::take(&mut *self.entries.lock());
        into.append(&mut taken);
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::Code;
    use keystile_core::id::RequestId;
    use keystile_core::time::Timestamp;
    use keystile_core::usage::{Counts, Dimensions};

    use super::*;

    #[test]
    fn a_full_sheet_drops_and_counts() {
        let (sheet, mut taken) = (Sheet::default(), Vec::new());
        let dimensions = Dimensions {
            organization: 0,
            api: 0,
            project: 0,
            key: 0,
            version: 0,
            label: 0,
            code: Code::Allowed,
            status: 200,
        };
        let counted = UsageEvent {
            at: Timestamp::from_secs(0),
            dimensions,
            client: None,
            facets: None,
            counts: Counts::default(),
        };
        for _ in 0..MAX_ENTRIES + 3 {
            let record = Box::new(Record::asked(RequestId::from_entropy([0; 16]), [127, 0, 0, 1].into()));
            let is_logged = sheet.dropped() == 0;
            sheet.push(Entry {
                record,
                counted: counted.clone(),
                sent_on_us: None,
                upstream_us: None,
                trace: None,
                is_logged,
            });
        }
        sheet.take(&mut taken);
        assert_eq!((taken.len(), sheet.dropped()), (MAX_ENTRIES, 3));
        sheet.note_skipped();
        assert_eq!(sheet.not_logged(), 2, "one for which there was no room, and one that was not left");
    }
}
