//! Quotas: an amount for a period of the calendar. What was used survives restarts (see [`Balance`](super::Balance)).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::period::Period;
use crate::limit::{Counted, LimitName};

/// Most of a quota; every sum of what is used stays far inside 64 bits.
pub const MAX_QUOTA: u64 = 1_000_000_000_000_000;
/// Most quotas of one list.
pub const MAX_QUOTAS: usize = 4;
/// Most shares at which one quota warns.
pub const MAX_WARNINGS: usize = 5;

/// What becomes of calls when a quota is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exhausted {
    /// They are refused with `quota_exhausted` until the next period.
    #[default]
    Refuse,
    /// They are let through: what is used beyond is overage.
    Allow,
}

/// What becomes of calls while the store can't be asked, once all is used that was set aside for that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// They are refused with `stale`: nothing is overspent.
    #[default]
    Refuse,
    /// They are let through and counted in memory: what a crash would then forget is given away.
    Allow,
}

/// An amount for a period. As JSON `{"name": "month", "limit": 10000, "period": "month", "warn_at": [80, 100]}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Quota {
    /// Its name in headers, answers and events.
    pub name: LimitName,
    /// How much there is.
    pub limit: u64,
    /// For how long.
    pub period: Period,
    /// What of a call is counted.
    pub counts: Counted,
    /// What becomes of calls when it is used up.
    pub on_exhausted: Exhausted,
    /// What becomes of them while the store can't be asked.
    pub on_outage: Outage,
    /// Of which shares of it, in percent, the project's people are told when they are used; in order.
    pub warn_at: Vec<u8>,
}

/// Of which shares one is told unless others are said.
fn usual_warnings() -> Vec<u8> {
    vec![80, 100]
}

/// The values are no quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaError {
    /// The name can't stand in a header.
    Name,
    /// The amount is 0 or too large.
    Limit,
    /// A share is none, or there are too many.
    Warnings,
    /// Two of one list share a name, or there are too many.
    Quotas,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "{}", crate::limit::LimitError::Name),
            Self::Limit => write!(f, "a quota is 1 to {MAX_QUOTA}"),
            Self::Warnings => {
                write!(
                    f,
                    "warn_at names at most {MAX_WARNINGS} shares in percent, each 1 to 100 and none of them twice"
                )
            }
            Self::Quotas => write!(f, "there are at most {MAX_QUOTAS} quotas, each with a name of its own"),
        }
    }
}

impl std::error::Error for QuotaError {}

impl Quota {
    /// A quota that refuses when it is used up, and tells of that and of four fifths of it.
    ///
    /// # Errors
    /// [`QuotaError`] names the value that is out of bounds.
    pub fn new(name: &str, limit: u64, period: Period) -> Result<Self, QuotaError> {
        if !(1..=MAX_QUOTA).contains(&limit) {
            return Err(QuotaError::Limit);
        }
        Ok(Self {
            name: LimitName::new(name).map_err(|_| QuotaError::Name)?,
            limit,
            period,
            counts: Counted::Cost,
            on_exhausted: Exhausted::Refuse,
            on_outage: Outage::Refuse,
            warn_at: usual_warnings(),
        })
    }

    /// The same quota, which tells when these shares are used.
    ///
    /// # Errors
    /// [`QuotaError::Warnings`].
    pub fn warning_at(self, mut shares: Vec<u8>) -> Result<Self, QuotaError> {
        shares.sort_unstable();
        let named = shares.len();
        shares.dedup();
        if shares.len() < named || named > MAX_WARNINGS || !shares.iter().all(|share| (1..=100).contains(share)) {
            return Err(QuotaError::Warnings);
        }
        Ok(Self { warn_at: shares, ..self })
    }

    /// Checks what no single quota can know.
    ///
    /// # Errors
    /// [`QuotaError::Quotas`].
    pub fn check_together(quotas: &[Self]) -> Result<(), QuotaError> {
        let shared =
            quotas.iter().enumerate().any(|(i, quota)| quotas[..i].iter().any(|other| other.name == quota.name));
        if shared || quotas.len() > MAX_QUOTAS { Err(QuotaError::Quotas) } else { Ok(()) }
    }

    /// What it counts of a call that costs so much.
    pub fn counted(&self, cost: u32) -> u64 {
        u64::from(self.counts.of(cost))
    }

    /// How much of it is used when this share is.
    pub fn share(&self, percent: u8) -> u64 {
        // Rounded up: of 3, four fifths are used with the third.
        (self.limit * u64::from(percent)).div_ceil(100)
    }

    /// The largest share to be told of that is reached between these amounts: more than `before`, up to `after`.
    pub fn reached(&self, before: u64, after: u64) -> Option<u8> {
        let mut shares = self.warn_at.iter().rev().copied();
        shares.find(|share| (before..after).contains(&(self.share(*share) - 1)))
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            name: String,
            limit: u64,
            period: Period,
            #[serde(default)]
            counts: Counted,
            #[serde(default)]
            on_exhausted: Exhausted,
            #[serde(default)]
            on_outage: Outage,
            #[serde(default = "usual_warnings")]
            warn_at: Vec<u8>,
        }
        use serde::de::Error;
        let wire = Wire::deserialize(deserializer)?;
        let quota = Self::new(&wire.name, wire.limit, wire.period).and_then(|quota| quota.warning_at(wire.warn_at));
        let quota = quota.map_err(D::Error::custom)?;
        Ok(Self { counts: wire.counts, on_exhausted: wire.on_exhausted, on_outage: wire.on_outage, ..quota })
    }
}
