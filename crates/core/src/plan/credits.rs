//! What a plan says of credits: that calls are paid by them, whose they are, and which of them come with the plan.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::period::Period;
use super::quota::MAX_QUOTA;

/// Most credits of one grant.
pub const MAX_CREDITS: u64 = MAX_QUOTA;
/// For how many days a trial lasts at most.
pub const MAX_TRIAL_DAYS: u32 = 3_650;
/// For how many it lasts unless something else is said: three months.
const TRIAL_DAYS: u32 = 90;

/// Whose credits calls are paid by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditsOf {
    /// The project's: all of its keys share them.
    #[default]
    Project,
    /// Its organization's: all of its projects share them.
    Organization,
}

impl CreditsOf {
    /// The word on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Organization => "organization",
        }
    }
}

impl FromStr for CreditsOf {
    type Err = crate::key::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Project, Self::Organization];
        let allowed = "project, organization";
        all.into_iter().find(|of| of.as_str() == text).ok_or(crate::key::UnknownWord { allowed })
    }
}

/// Credits to begin with, once for each holder and plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Trial {
    /// How many.
    pub amount: u64,
    /// For how many days from then on.
    pub days: u32,
}

/// Credits that come anew in each period, and lapse with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Refill {
    /// How many.
    pub amount: u64,
    /// For how long. Not for a day: what there is in a day is a quota.
    pub period: Period,
}

/// That calls are paid by credits, one for each unit of what they cost. As JSON
/// `{"of": "project", "trial": {"amount": 1000, "days": 90}, "refill": {"amount": 5000, "period": "month"}}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreditTerms {
    /// By whose.
    #[serde(default)]
    pub of: CreditsOf,
    /// Credits to begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Credits that come anew in each period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refill: Option<Refill>,
}

/// The values are no terms of credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreditError {
    /// None, or too many.
    Amount,
    /// For no time, or for too long.
    Days,
    /// For a day.
    Period,
}

impl fmt::Display for CreditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount => write!(f, "an amount of credits is 1 to {MAX_CREDITS}"),
            Self::Days => write!(f, "a trial lasts 1 to {MAX_TRIAL_DAYS} days"),
            Self::Period => {
                f.write_str("credits are refilled by week, month or billing_period; for a day take a quota")
            }
        }
    }
}

impl std::error::Error for CreditError {}

/// An amount that a grant can have.
///
/// # Errors
/// [`CreditError::Amount`].
pub fn credits(amount: u64) -> Result<u64, CreditError> {
    if (1..=MAX_CREDITS).contains(&amount) { Ok(amount) } else { Err(CreditError::Amount) }
}

impl<'de> Deserialize<'de> for Trial {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            amount: u64,
            #[serde(default)]
            days: Option<u32>,
        }
        use serde::de::Error;
        let Wire { amount, days } = Wire::deserialize(deserializer)?;
        let days = days.unwrap_or(TRIAL_DAYS);
        if !(1..=MAX_TRIAL_DAYS).contains(&days) {
            return Err(D::Error::custom(CreditError::Days));
        }
        Ok(Self { amount: credits(amount).map_err(D::Error::custom)?, days })
    }
}

impl<'de> Deserialize<'de> for Refill {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            amount: u64,
            period: Period,
        }
        use serde::de::Error;
        let Wire { amount, period } = Wire::deserialize(deserializer)?;
        if period == Period::Day {
            return Err(D::Error::custom(CreditError::Period));
        }
        Ok(Self { amount: credits(amount).map_err(D::Error::custom)?, period })
    }
}
