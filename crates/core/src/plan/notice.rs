//! What organizations are told of quotas.

use serde::Serialize;

use super::period::Period;
use crate::limit::LimitName;
use crate::time::Timestamp;

/// Whose quota it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaOf {
    /// The plan's.
    Plan,
    /// The project's own: a ceiling.
    Project,
}

impl QuotaOf {
    /// The word on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Project => "project",
        }
    }
}

/// That a share of a quota is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuotaNotice {
    /// Its name.
    pub name: LimitName,
    /// Whose it is.
    pub of: QuotaOf,
    /// For how long it is.
    pub period: Period,
    /// When the period began.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// How much there is.
    pub limit: u64,
    /// How much of it was used when this was noticed.
    pub used: u64,
    /// The share that was reached.
    pub percent: u8,
}

impl QuotaNotice {
    /// The word for the event.
    pub const fn action(&self) -> &'static str {
        if self.percent >= 100 { "quota.exhausted" } else { "quota.warning" }
    }
}
