//! Usage as it is asked for and answered. What is counted, and how it adds up, is in `keystile_core::usage`.

use std::net::IpAddr;

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupBy {
    /// By API.
    pub api: bool,
    /// By project.
    pub project: bool,
    /// By key.
    pub key: bool,
    /// By the text of the operation's label: one text of two APIs is one row, unless they are told apart as well.
    pub label: bool,
    /// By decision.
    pub code: bool,
    /// By the status that the client got.
    pub status: bool,
}

/// Which usage is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// From this moment, inclusive; rounded down to the bucket, or to the minute if there is none.
    pub from: Timestamp,
    /// Until this moment, exclusive; rounded up to the bucket, or to the minute if there is none.
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
    /// Only calls with this decision.
    pub code: Option<Code>,
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
    /// The project.
    pub project: Option<u32>,
    /// The key.
    pub key: Option<u32>,
    /// The text of the operation's label.
    pub label: Option<String>,
    /// The decision.
    pub code: Option<Code>,
    /// The status that the client got.
    pub status: Option<u16>,
    /// What was counted.
    pub counts: Counts,
}
