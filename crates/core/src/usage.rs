//! Usage: what is kept of a decision, and how events add up to counts and latencies by minute, hour and day.
//!
//! Inside, an API, a project, a key and an operation's label are the small numbers that the catalogue gave them; 0
//! stands for "none". Numbers are never used twice, so a count keeps its meaning when its key is gone.

mod latencies;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use latencies::{Latencies, NotAPercentile, NotLatencies, Percentile};

use crate::code::Code;
use crate::country::Country;
use crate::limit::TagName;
use crate::time::Timestamp;

/// The lengths of time by which usage is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// What is counted apart: every combination has a row of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dimensions {
    /// Whose count it is: the API's organization, or the project's if no API was found.
    pub organization: u32,
    /// The API, if the call found one.
    pub api: u32,
    /// The project, if a key was recognised.
    pub project: u32,
    /// The key, if one was recognised.
    pub key: u32,
    /// Which version of the key was presented; 0 for a key that was never rotated, and for none.
    pub version: u16,
    /// The operation's label.
    pub label: u32,
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
    /// What calls cost that were let through and answered. One that is told later than its call adds the difference, and
    /// may be negative.
    pub cost: i64,
}

impl Counts {
    /// The latency of one call, if there are any: the mean of several.
    pub fn mean_latency(&self) -> Option<u64> {
        self.latency_us.checked_div(self.calls)
    }

    /// Adds other counts to these.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.latency_us = self.latency_us.saturating_add(other.latency_us);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.cost = self.cost.saturating_add(other.cost);
    }
}

/// What calls are counted by besides, in tables of their own: not every call has it, and there may be any number of values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Facet {
    /// The country that the call came from.
    Country,
    /// Whoever uses the program that called, as it was said to verification.
    EndUser,
    /// A tag of this name, as it was said to verification.
    Tag(TagName),
}

/// The text names no facet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAFacet;

impl fmt::Display for NotAFacet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is one of country, end_user and tag:NAME")
    }
}

impl std::error::Error for NotAFacet {}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Country => f.write_str("country"),
            Self::EndUser => f.write_str("end_user"),
            Self::Tag(name) => write!(f, "tag:{}", name.as_str()),
        }
    }
}

impl FromStr for Facet {
    type Err = NotAFacet;

    fn from_str(text: &str) -> Result<Self, NotAFacet> {
        match text {
            "country" => Ok(Self::Country),
            "end_user" => Ok(Self::EndUser),
            _ => match text.strip_prefix("tag:") {
                Some(name) => TagName::of(name).map(Self::Tag).ok_or(NotAFacet),
                None => Err(NotAFacet),
            },
        }
    }
}

/// Of a call: the values of its facets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facets {
    /// The country that it came from, if that is known.
    pub country: Option<Country>,
    /// Whoever uses the program that called, if that was said.
    pub end_user: Option<Box<str>>,
    /// Tags that were said, by their names.
    pub tags: Box<[(TagName, Box<str>)]>,
}

impl Facets {
    /// Each with its value.
    pub fn each(&self) -> impl Iterator<Item = (Facet, &str)> {
        let country = self.country.as_ref().map(|country| (Facet::Country, country.code()));
        let end_user = self.end_user.as_deref().map(|name| (Facet::EndUser, name));
        let tags = self.tags.iter().map(|(name, value)| (Facet::Tag(name.clone()), &**value));
        country.into_iter().chain(end_user).chain(tags)
    }
}

/// One decided call, or several of one minute and kind folded into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEvent {
    /// When it came.
    pub at: Timestamp,
    /// What it is counted under.
    pub dimensions: Dimensions,
    /// The address that it came from, as far as it may be kept; several that are folded have none.
    pub client: Option<IpAddr>,
    /// What else it is counted by; several that are folded have none.
    pub facets: Option<Box<Facets>>,
    /// What it adds.
    pub counts: Counts,
}

/// Counts by the start of their minute, hour or day, and by what they are counted under.
pub type Rows = HashMap<(Timestamp, Dimensions), Counts>;

/// Adds events up by the periods that they fall into.
pub fn fold<'a>(bucket: Bucket, events: impl IntoIterator<Item = &'a UsageEvent>) -> Rows {
    let mut rows = Rows::new();
    for event in events {
        let row = (event.at.floor_secs(bucket.secs()), event.dimensions);
        rows.entry(row).or_default().add(&event.counts);
    }
    rows
}

/// Latencies by the start of their minute, hour or day, and by what they are counted under.
pub type LatencyRows = HashMap<(Timestamp, Dimensions), Latencies>;

/// Adds the latencies of events up by the periods that they fall into. Of several that are folded into one, each is taken for their
/// mean.
pub fn fold_latencies<'a>(bucket: Bucket, events: impl IntoIterator<Item = &'a UsageEvent>) -> LatencyRows {
    let mut rows = LatencyRows::new();
    for UsageEvent { at, dimensions, counts, .. } in events {
        if let Some(mean) = counts.mean_latency() {
            rows.entry((at.floor_secs(bucket.secs()), *dimensions)).or_default().add(mean, counts.calls);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(secs: i64, status: u16) -> UsageEvent {
        let dimensions = Dimensions {
            organization: 1,
            api: 1,
            project: 2,
            key: 3,
            version: 0,
            label: 4,
            code: Code::Allowed,
            status,
        };
        UsageEvent {
            at: Timestamp::from_secs(secs),
            dimensions,
            client: None,
            facets: None,
            counts: Counts { calls: 1, latency_us: 5, bytes_in: 1, bytes_out: 2, cost: 1 },
        }
    }

    #[test]
    fn events_of_one_minute_and_kind_are_one_row() {
        let rows = fold(Bucket::Minute, &[event(59, 200), event(0, 200), event(60, 200), event(0, 404)]);
        let mut calls: Vec<_> = rows.iter().map(|((at, d), c)| (at.as_secs(), d.status, c.calls)).collect();
        calls.sort_unstable();
        assert_eq!(calls, [(0, 200, 2), (0, 404, 1), (60, 200, 1)]);
    }

    #[test]
    fn folding_twice_is_folding_once() {
        let events: Vec<_> = (0..1_000).map(|n| event(n * 7, if n % 3 == 0 { 200 } else { 404 })).collect();
        let minutes = fold(Bucket::Minute, &events);
        let folded: Vec<_> = minutes
            .iter()
            .map(|((at, dimensions), counts)| UsageEvent {
                at: *at,
                dimensions: *dimensions,
                client: None,
                facets: None,
                counts: *counts,
            })
            .collect();
        for bucket in Bucket::ALL {
            assert_eq!(fold(bucket, &folded), fold(bucket, &events));
        }
    }
}
