//! Plans: what an API's owner offers to those who call it. A plan is attached to an activation, so it holds for one project at
//! one API, for all of its keys together; a key can be narrowed further by limits of its own.
//!
//! A plan has [`PlanTerms`] that change over time: each change is a version with the moment from which it is in force, and
//! nothing of an earlier one is forgotten ([`in_force`]).

mod balance;
mod credits;
mod notice;
mod period;
mod price;
mod quota;
mod simulate;
mod statement;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::{Costs, OperationCost, SettingError};
use crate::limit::{LimitError, LimitRule, Scope};
use crate::name::is_unseen;
use crate::time::Timestamp;
use crate::zone::Zone;

pub use balance::{Balance, Drawing, Left};
pub use credits::{CreditError, CreditTerms, CreditsOf, MAX_CREDITS, MAX_TRIAL_DAYS, Refill, Trial, credits};
pub use notice::{QuotaNotice, QuotaOf};
pub use period::{Period, Span};
pub use price::{Amount, Currency, Item, Line, Price, PriceError};
pub use quota::{Exhausted, MAX_QUOTA, MAX_QUOTAS, MAX_WARNINGS, Outage, Quota, QuotaError};
/// An amount of money that may be negative, in decimal arithmetic.
pub use rust_decimal::Decimal as Money;
pub use simulate::{
    Call, Known, LeftOut, OfLimit, OfQuota, OfSubject, Outcome, PaidByCredits, Simulated, Simulation, Statement, Sums,
    TooMuch,
};
pub use statement::{Part, may_be_late};

/// Longest name of a plan, in bytes.
pub const MAX_PLAN_NAME_LEN: usize = 64;
/// Most versions of one plan: nothing of them is forgotten.
pub const MAX_PLAN_VERSIONS: u32 = 500;
/// Most plans of one API.
pub const MAX_PLANS: u32 = 100;

/// The name of a plan, as people say it: `Free`, `Growth 2027`. Trimmed, without control characters or invisible ones, 1 to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlanName(String);

impl PlanName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is no name of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPlanName;

impl fmt::Display for NotAPlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a plan's name is 1 to {MAX_PLAN_NAME_LEN} bytes without control characters or invisible ones, and not an id (pln_…)"
        )
    }
}

impl std::error::Error for NotAPlanName {}

impl FromStr for PlanName {
    type Err = NotAPlanName;

    fn from_str(text: &str) -> Result<Self, NotAPlanName> {
        let name = text.trim();
        let is_sound = (1..=MAX_PLAN_NAME_LEN).contains(&name.len())
            && !name.chars().any(|c| c.is_control() || is_unseen(c))
            && !name.starts_with(crate::id::PlanId::PREFIX);
        is_sound.then(|| Self(name.to_owned())).ok_or(NotAPlanName)
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PlanName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PlanName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a plan says. As JSON
/// `{"rate_limits": […], "quotas": [{"name": "month", "limit": 10000, "period": "month"}], "time_zone": "Europe/Vienna"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PlanParts")]
pub struct PlanTerms {
    /// Limits of the project's calls at the API, together unless a limit says by what they are counted apart.
    pub rate_limits: Vec<LimitRule>,
    /// How much there is in a period of the calendar.
    pub quotas: Vec<Quota>,
    /// By whose clock days, weeks and months begin.
    pub time_zone: Zone,
    /// What calls of single operations cost under this plan, in place of what the API says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operation_costs: Vec<OperationCost>,
    /// What it costs, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Whether calls are paid by credits, and by which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits: Option<CreditTerms>,
}

/// The wire form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanParts {
    #[serde(default)]
    rate_limits: Vec<LimitRule>,
    #[serde(default)]
    quotas: Vec<Quota>,
    #[serde(default)]
    time_zone: Zone,
    #[serde(default)]
    operation_costs: Vec<OperationCost>,
    #[serde(default)]
    price: Option<Price>,
    #[serde(default)]
    credits: Option<CreditTerms>,
}

impl TryFrom<PlanParts> for PlanTerms {
    type Error = PlanError;

    fn try_from(parts: PlanParts) -> Result<Self, PlanError> {
        let PlanParts { rate_limits, quotas, time_zone, operation_costs, price, credits } = parts;
        Self { rate_limits, quotas, time_zone, operation_costs, price, credits }.checked()
    }
}

/// The values are no terms of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// The limits.
    Limits(LimitError),
    /// The quotas.
    Quotas(QuotaError),
    /// What operations cost.
    Costs(SettingError),
    /// Calls are paid by credits and have a price as well.
    PaidTwice,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits(error) => write!(f, "rate_limits: {error}"),
            Self::Quotas(error) => write!(f, "quotas: {error}"),
            Self::Costs(error) => error.fmt(f),
            Self::PaidTwice => f.write_str(
                "calls of this plan are paid by credits, so its price has neither a unit_price nor units that it includes",
            ),
        }
    }
}

impl std::error::Error for PlanError {}

impl PlanTerms {
    /// Checks what no single limit or quota can know.
    ///
    /// # Errors
    /// [`PlanError`] says what does not fit.
    pub fn checked(self) -> Result<Self, PlanError> {
        LimitRule::check_together(&self.rate_limits, Scope::Plan).map_err(PlanError::Limits)?;
        Quota::check_together(&self.quotas).map_err(PlanError::Quotas)?;
        Costs::new(&self.operation_costs).map_err(PlanError::Costs)?;
        if self.credits.is_some() && self.price.as_ref().is_some_and(Price::is_of_units) {
            return Err(PlanError::PaidTwice);
        }
        Ok(self)
    }
}

/// Of versions in the order of the moments from which they are in force, the one that is in force now; `None` before the
/// first of them. Of two with the same moment the later one counts.
pub fn in_force<T>(versions: &[T], from: impl Fn(&T) -> Timestamp, now: Timestamp) -> Option<&T> {
    versions.iter().rev().find(|version| from(version) <= now)
}
