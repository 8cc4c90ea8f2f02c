//! Hours of usage by when it was *recorded*: once one is over nothing is added to it, so what is told of it is final. What comes
//! late is in a later one.

use std::sync::Arc;

use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_core::usage::Bucket;
use keystile_store::{Ledger, StoreError};
use parking_lot::Mutex;

use super::Writer;
use crate::enforce::feed::Feed;
use crate::enforce::maker::Maker;
use crate::world::Clock;

/// How long after its end an hour is told of: what was under way then is recorded by now.
pub(crate) const GRACE_SECS: i64 = 300;
/// An hour.
pub(crate) const HOUR_SECS: i64 = Bucket::Hour.secs();

/// By so much more the wall clock may move on than time has passed, between two looks, before it is not believed at once: it may be
/// put back. A machine that slept has leapt as well.
const LEAP_SECS: i64 = 2 * HOUR_SECS;
/// After so long it is believed.
const DOUBT_NANOS: u64 = 600 * 1_000_000_000;

/// Knows which hours are over.
#[derive(Clone)]
pub struct Hours {
    pub(crate) ledger: Ledger,
    writer: Arc<Writer>,
    feed: Arc<Feed>,
    pub(crate) clock: Arc<dyn Clock>,
    looked: Arc<Mutex<Looked>>,
}

/// When it was last looked. That recording has ended is never taken back, so a clock that leaps for a moment is not to end it.
#[derive(Default)]
struct Looked {
    last: Option<Moment>,
    /// Since when the clock is ahead.
    doubted: Option<Ticks>,
}

impl Hours {
    /// Of this ledger, which the writer fills.
    pub fn new(ledger: Ledger, writer: Arc<Writer>, feed: Arc<Feed>, clock: Arc<dyn Clock>) -> Self {
        Self { ledger, writer, feed, clock, looked: Arc::default() }
    }

    /// Whether hours are told of here. While another process takes this one's place, that one does.
    pub(crate) fn are_told_here(&self) -> bool {
        self.feed.makers.now() == Maker::Here
    }

    /// Up to when hours are over, if that of `from` is: nothing is recorded in them any more, and all that was is added up.
    pub(crate) async fn over(&self, from: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let until = self.clock.now().wall.plus_secs(-GRACE_SECS).floor_secs(HOUR_SECS);
        if from >= until || !self.are_told_here() || self.has_leapt() {
            return Ok(None);
        }
        // First of all: what is written from here on is of a later hour, whatever the clock says.
        self.ledger.end_recording(until).await?;
        self.writer.flush().await?;
        self.ledger.roll_up().await?;
        Ok(Some(until))
    }

    /// Whether the wall clock was put forward since it was last looked, and nobody knows yet whether it stays so.
    fn has_leapt(&self) -> bool {
        let (now, mut looked) = (self.clock.now(), self.looked.lock());
        let last = looked.last.unwrap_or(now);
        let passed = i64::try_from(now.ticks.nanos_since(last.ticks) / 1_000_000_000).unwrap_or(i64::MAX);
        if now.wall.as_secs().saturating_sub(last.wall.as_secs()) > passed.saturating_add(LEAP_SECS) {
            if looked.doubted.is_none() {
                let was = last.wall.plus_secs(passed);
                tracing::warn!(clock = %now.wall, %was, "the clock was put forward, or the machine slept; hours of usage end by it in ten minutes, unless it is put back");
            }
            let since = *looked.doubted.get_or_insert(now.ticks);
            if now.ticks.nanos_since(since) < DOUBT_NANOS {
                return true;
            }
        }
        *looked = Looked { last: Some(now), doubted: None };
        false
    }
}
