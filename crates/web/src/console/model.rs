//! Things of the API, with the fields that more than one page shows.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(crate) struct List<T> {
    /// The rows.
    pub(crate) items: Vec<T>,
    /// Where the next page begins.
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next_cursor: None }
    }
}

/// A key.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) project_id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) environment: String,
    pub(crate) hint: String,
    pub(crate) permissions: Vec<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) rate_limits: Vec<RateLimit>,
    pub(crate) restrictions: Value,
    pub(crate) version: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) rotated_at: Option<Timestamp>,
    pub(crate) exposed_at: Option<Timestamp>,
}

/// A limit.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RateLimit {
    pub(crate) name: String,
    pub(crate) limit: u64,
    #[serde(default)]
    pub(crate) window_seconds: Option<u64>,
}

/// A project.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) environment: String,
}

/// An API.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Api {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) active: bool,
    pub(crate) upstream: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) path_prefix: String,
    pub(crate) key_prefix: String,
    pub(crate) key_days: u32,
    pub(crate) approval: String,
    pub(crate) strip_prefix: bool,
    pub(crate) unknown_operations: String,
    pub(crate) operation_permissions: String,
    pub(crate) operation_costs: Vec<OperationCost>,
    pub(crate) open_operations: Vec<String>,
    pub(crate) max_key_days: Option<u32>,
    pub(crate) rotate_key_days: Option<u32>,
    pub(crate) unused_key_days: Option<u32>,
    pub(crate) unused_keys: String,
    pub(crate) recoverable_keys: bool,
    pub(crate) environments: Vec<String>,
    pub(crate) document: Option<Document>,
    pub(crate) created_at: Timestamp,
}

/// What an operation costs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OperationCost {
    pub(crate) operation: String,
    pub(crate) cost: u64,
}

/// What an API is documented by.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Document {
    pub(crate) title: String,
    pub(crate) version: String,
    pub(crate) operations: u64,
}

/// A span of usage.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Usage {
    pub(crate) items: Vec<UsageItem>,
}

/// A row of usage.
#[derive(Debug, Deserialize)]
pub(crate) struct UsageItem {
    #[serde(default)]
    pub(crate) start: Option<Timestamp>,
    #[serde(default)]
    pub(crate) api_id: Option<String>,
    #[serde(default)]
    pub(crate) project_id: Option<String>,
    #[serde(default)]
    pub(crate) key_id: Option<String>,
    #[serde(default)]
    pub(crate) operation: Option<String>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) status_class: Option<String>,
    #[serde(default)]
    pub(crate) value: Option<String>,
    pub(crate) calls: u64,
    #[serde(default)]
    pub(crate) before: Option<Before>,
}

/// What a row was in the time before.
#[derive(Debug, Deserialize)]
pub(crate) struct Before {
    pub(crate) calls: u64,
}

/// What became of a call, in three words: the series of every chart of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was let through.
    Allowed,
    /// A limit, a quota or credits were used up.
    Limited,
    /// It was refused for something else.
    Rejected,
}

impl Outcome {
    /// What the series are called.
    pub(crate) const NAMES: [&'static str; 3] = ["Allowed", "Rate limited", "Rejected"];

    /// Of a code.
    pub(crate) fn of(code: &str) -> Self {
        match code {
            // These were let through: what came of them is the upstream's or the client's.
            "allowed" | "client_gone" | "upstream_unreachable" | "upstream_timeout" | "upstream_down" => Self::Allowed,
            "rate_limited" | "quota_exhausted" | "credits_exhausted" | "overloaded" => Self::Limited,
            _ => Self::Rejected,
        }
    }
}
