//! Usage as it is asked for and answered. What is counted, and how it adds up, is in `keystile_core::usage`.

use std::net::IpAddr;

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Facet, Latencies};

/// An operation's label as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRow {
    /// Its number, as events name it.
    pub number: u32,
    /// The number of its API; 0 for the fixed labels.
    pub api: u32,
    /// Its text, such as `GET /pets/{id}`.
    pub text: String,
}

/// What the rows of an answer are told apart by, besides their time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupBy {
    /// By API.
    pub api: bool,
    /// By the organization of the project.
    pub consumer: bool,
    /// By project.
    pub project: bool,
    /// By key.
    pub key: bool,
    /// By the text of the operation's label: one text of two APIs is one row, unless they are told apart as well.
    pub label: bool,
    /// By decision.
    pub code: bool,
    /// By the first digit of the status that the client got.
    pub class: bool,
    /// By that status.
    pub status: bool,
    /// By the value of this facet.
    pub facet: Option<Facet>,
}

/// What rows come in order of, the greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Calls.
    Calls,
    /// Their latencies, added up.
    Latency,
    /// Bytes of request bodies.
    BytesIn,
    /// Bytes of response bodies.
    BytesOut,
    /// What they cost.
    Cost,
}

/// Which usage is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// From this moment, inclusive; rounded down to the bucket, or to the minute if there is none; by facets to the hour at least.
    pub from: Timestamp,
    /// Until this moment, exclusive; rounded up in the same way.
    pub until: Timestamp,
    /// By which length of time; `None` for the whole span in one row.
    pub bucket: Option<Bucket>,
    /// What rows are told apart by.
    pub by: GroupBy,
    /// Only this API's.
    pub api: Option<u32>,
    /// Only this project's.
    pub project: Option<u32>,
    /// Only this key's.
    pub key: Option<u32>,
    /// Only these keys', if there are any.
    pub keys: Vec<u32>,
    /// Only calls with this decision.
    pub code: Option<Code>,
    /// Only calls with a status from the first until before the second.
    pub statuses: Option<(u16, u16)>,
    /// Only calls of operations with this text.
    pub label: Option<String>,
    /// Only calls with this value of this facet.
    pub only: Option<(Facet, String)>,
    /// The organizations of projects, by their numbers, if rows are told apart by them.
    pub consumers: Vec<(u32, u32)>,
    /// Whether latencies are told.
    pub latencies: bool,
    /// In which order rows come; by time and what they are told apart by, if nothing is said.
    pub order: Option<Order>,
    /// Only rows of these organizations' numbers; 0 is the number of calls that found neither an API nor a key. Empty:
    /// no such filter, for a query about one project, key or API that was found to be the caller's.
    pub organizations: Vec<u32>,
    /// Rows to leave out at the beginning.
    pub after: u64,
    /// At most so many rows.
    pub limit: u32,
}

/// Which operations of an API are asked for, by what their labels begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationsQuery {
    /// The API.
    pub api: u32,
    /// What the texts of the labels begin with.
    pub prefix: &'static str,
    /// From this moment, inclusive; rounded down to the minute.
    pub from: Timestamp,
    /// Until this moment, exclusive; rounded up to the minute.
    pub until: Timestamp,
    /// Only those whose text comes after this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// An operation that was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationRow {
    /// The text of its label.
    pub label: String,
    /// Calls, refused ones too.
    pub calls: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// When it was called last: the start of that hour, or of the minute in the hours in which the span begins and ends.
    pub last: Timestamp,
}

/// Calls with a version of a key, since the key was first rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionUse {
    /// Which version.
    pub version: u16,
    /// Calls, refused ones too.
    pub calls: u64,
    /// Those that were refused.
    pub refused: u64,
    /// When the last one came.
    pub last_at: Timestamp,
}

/// Calls with a key from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressUse {
    /// From where; `None` for all addresses beyond those that are told apart on one day.
    pub address: Option<IpAddr>,
    /// Calls, refused ones too.
    pub calls: u64,
    /// Those that were refused.
    pub refused: u64,
    /// When the first one came.
    pub first_at: Timestamp,
    /// When the last one came.
    pub last_at: Timestamp,
}

/// One row of an answer; what was not asked for is `None`, what was asked for and has no number is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The start of its minute, hour or day.
    pub start: Option<Timestamp>,
    /// The API.
    pub api: Option<u32>,
    /// The organization of the project.
    pub consumer: Option<u32>,
    /// The project.
    pub project: Option<u32>,
    /// The key.
    pub key: Option<u32>,
    /// The text of the operation's label.
    pub label: Option<String>,
    /// The decision.
    pub code: Option<Code>,
    /// The first digit of the status that the client got.
    pub class: Option<u16>,
    /// That status.
    pub status: Option<u16>,
    /// The value of the facet, if rows are told apart by one; `None` within for calls of which none is known.
    pub value: Option<Option<String>>,
    /// What was counted.
    pub counts: Counts,
    /// Their latencies, if they were asked for and are known.
    pub latencies: Option<Latencies>,
}

/// Calls with a value of a facet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetUse {
    /// The facet.
    pub facet: Facet,
    /// The value.
    pub value: String,
    /// Calls, refused ones too.
    pub calls: u64,
    /// The first day (UTC) on which there were any.
    pub first_day: Timestamp,
    /// The last one.
    pub last_day: Timestamp,
}

/// Calls of an end user, with one key at one API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndUserUse {
    /// The project; numbers are those of the catalogue, 0 where there was none.
    pub project: u32,
    /// The key.
    pub key: u32,
    /// The API.
    pub api: u32,
    /// Calls, refused ones too.
    pub calls: u64,
    /// What those cost that were let through.
    pub cost: i64,
    /// The first day (UTC) on which there were any.
    pub first_day: Timestamp,
    /// The last one.
    pub last_day: Timestamp,
}

impl UsageQuery {
    /// All usage of a time in one row.
    pub const fn of((from, until): (Timestamp, Timestamp)) -> Self {
        Self {
            from,
            until,
            bucket: None,
            by: GroupBy {
                api: false,
                consumer: false,
                project: false,
                key: false,
                label: false,
                code: false,
                class: false,
                status: false,
                facet: None,
            },
            api: None,
            project: None,
            key: None,
            keys: Vec::new(),
            code: None,
            statuses: None,
            label: None,
            only: None,
            consumers: Vec::new(),
            latencies: false,
            order: None,
            organizations: Vec::new(),
            after: 0,
            limit: 1,
        }
    }

    /// Which facet it is about, if it is about one.
    pub fn facet(&self) -> Option<&Facet> {
        self.only.as_ref().map(|(facet, _)| facet).or(self.by.facet.as_ref())
    }
}
