//! Usage: what is kept of a decision, and how events add up to counts by minute, hour and day.

use std::collections::HashMap;

use crate::code::Code;
use crate::id::{ApiId, KeyId, ProjectId};
use crate::time::Timestamp;

/// The lengths of time by which usage is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds, in UTC.
    Day,
}

impl Bucket {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its length in seconds.
    pub const fn secs(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// What is counted apart: every combination has a row of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dimensions {
    /// The API, if the call found one.
    pub api: Option<ApiId>,
    /// The project, if a key was recognised.
    pub project: Option<ProjectId>,
    /// The key, if one was recognised.
    pub key: Option<KeyId>,
    /// The operation's label.
    pub operation: std::sync::Arc<str>,
    /// The decision.
    pub code: Code,
    /// The status that the client got.
    pub status: u16,
}

/// What is added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls.
    pub calls: u64,
    /// Microseconds from the head of the request to the end of the answer, summed.
    pub latency_us: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}

impl Counts {
    /// Adds other counts to these.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.latency_us = self.latency_us.saturating_add(other.latency_us);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
    }
}

/// One decided call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEvent {
    /// When it came.
    pub at: Timestamp,
    /// What it is counted under.
    pub dimensions: Dimensions,
    /// What it adds.
    pub counts: Counts,
}

/// Adds events up by minute. Hours and days follow from minutes, so they are derived, never counted apart.
pub fn fold_minutes<'a>(events: impl IntoIterator<Item = &'a UsageEvent>) -> HashMap<(Timestamp, Dimensions), Counts> {
    let mut rows: HashMap<(Timestamp, Dimensions), Counts> = HashMap::new();
    for event in events {
        let row = (event.at.floor_secs(Bucket::Minute.secs()), event.dimensions.clone());
        rows.entry(row).or_default().add(&event.counts);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(secs: i64, status: u16) -> UsageEvent {
        let dimensions =
            Dimensions { api: None, project: None, key: None, operation: "GET /".into(), code: Code::Allowed, status };
        UsageEvent {
            at: Timestamp::from_secs(secs),
            dimensions,
            counts: Counts { calls: 1, latency_us: 5, bytes_in: 1, bytes_out: 2 },
        }
    }

    #[test]
    fn events_of_one_minute_and_kind_are_one_row() {
        let rows = fold_minutes(&[event(59, 200), event(0, 200), event(60, 200), event(0, 404)]);
        let mut calls: Vec<_> = rows.iter().map(|((at, d), c)| (at.as_secs(), d.status, c.calls)).collect();
        calls.sort_unstable();
        assert_eq!(calls, [(0, 200, 2), (0, 404, 1), (60, 200, 1)]);
    }
}
