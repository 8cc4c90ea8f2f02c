//! An hour of usage as it is told, in the words of `GET /v1/usage/export`. Who called is not in it.

use keystile_core::code::Code;
use keystile_core::id::{ApiId, EventId, KeyId, OrganizationId, ProjectId};
use keystile_core::time::Timestamp;
use serde::Serialize;

/// A part of an hour.
#[derive(Debug, Serialize)]
pub(super) struct UsageHour {
    /// The same however often it is sent.
    pub(super) id: EventId,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// When the hour was over.
    pub(super) created_at: Timestamp,
    /// Whose it is.
    pub(super) organization_id: OrganizationId,
    pub(super) data: Data,
}

/// What was recorded.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    /// From here on it was recorded.
    pub(super) starts_at: Timestamp,
    /// Before this it was.
    pub(super) ends_at: Timestamp,
    /// 1 is the first.
    pub(super) part: u32,
    /// How many there are.
    pub(super) parts: u32,
    /// Since when events were forgotten that had not been told; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missed_from: Option<Timestamp>,
    pub(super) usage: Vec<Line>,
}

/// A sum.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// The hour in which it happened.
    pub(super) at: Timestamp,
    pub(super) api_id: Option<ApiId>,
    /// Whose project it is.
    pub(super) organization_id: Option<OrganizationId>,
    pub(super) project_id: Option<ProjectId>,
    pub(super) key_id: Option<KeyId>,
    pub(super) operation: Option<String>,
    pub(super) code: Code,
    pub(super) status: u16,
    pub(super) calls: u64,
    pub(super) latency_us: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) units: i64,
}
