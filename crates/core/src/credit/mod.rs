//! Credits: a prepaid amount that runs down. An API's organization grants them to a project or to an organization, and they
//! are spent at its APIs, by calls of projects whose plan says so
//! ([`CreditTerms`](crate::plan::CreditTerms)): one for each unit of what a call costs.
//!
//! A grant has an amount and a time in which it can be spent; those that end first are spent first. [`Wallet`] is what one
//! process has of a holder's grants, and says when somebody is to be told of them ([`CreditNotice`]).

mod notice;
#[cfg(test)]
mod tests;
mod wallet;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{OrganizationId, ProjectId};

pub use notice::{CreditNotice, CreditNoticeKind};
pub use wallet::{Grant, Purse, Spent, Wallet};

/// Most grants of one holder that have not ended.
pub const MAX_OPEN_GRANTS: u32 = 1_000;
/// How long credits can be reserved, in seconds.
pub const MAX_RESERVED_SECS: u32 = 7 * 86_400;
/// Longest id of a charge or a reservation, in bytes.
pub const MAX_ENTRY_ID_LEN: usize = 128;

/// Why credits were granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditKind {
    /// They were paid for.
    #[default]
    Paid,
    /// A gift, a refund, whatever else.
    Bonus,
    /// They came with a plan, once.
    Trial,
    /// They come with a plan in each period.
    Refill,
}

impl CreditKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Paid, Self::Bonus, Self::Trial, Self::Refill];

    /// The word on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Bonus => "bonus",
            Self::Trial => "trial",
            Self::Refill => "refill",
        }
    }
}

impl FromStr for CreditKind {
    type Err = crate::key::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = "paid, bonus, trial, refill";
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(crate::key::UnknownWord { allowed })
    }
}

/// Whose credits they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CreditHolder {
    /// A project's: all of its keys share them.
    Project(ProjectId),
    /// An organization's: all of its projects share them.
    Organization(OrganizationId),
}

/// How far an entry of the ledger has come: a charge, or credits that are reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// Set aside: nobody else spends them.
    Reserved,
    /// Spent.
    Posted,
    /// Given back.
    Voided,
    /// Given back because nobody said in time that they were spent.
    Expired,
}

impl EntryState {
    /// The word on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Posted => "posted",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for EntryState {
    type Err = crate::key::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Reserved, Self::Posted, Self::Voided, Self::Expired];
        let allowed = "reserved, posted, voided, expired";
        all.into_iter().find(|state| state.as_str() == text).ok_or(crate::key::UnknownWord { allowed })
    }
}
