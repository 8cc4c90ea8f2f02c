//! Quotas: amounts for periods of the calendar, which calls draw from. A call draws from all quotas of its project's plan and
//! ceilings or from none, and together with its limits.
//!
//! What is used is counted in memory, ahead of which the [`keeper`] takes from the ledger: nothing is used that was not
//! written down as taken, so that a hard quota is never overspent through a crash (DESIGN.md; SECURITY.md L-1). Where that
//! runs short (the first call of a period, a sudden rush), the call waits for the disk, as long as that takes it a moment.
//!
//! There is one account for each project at an API. All that is counted in a period is one balance, whatever quotas look at
//! it: so a quota that is renamed, raised or lowered counts what was used before.

mod account;
mod keeper;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrayvec::ArrayVec;
use keystile_core::id::{ActivationId, OrganizationId};
use keystile_core::plan::{Left, MAX_QUOTAS, Quota, QuotaNotice, QuotaOf};
use keystile_core::time::{Moment, Timestamp};
use keystile_core::zone::Zone;
use keystile_store::Amount;
use parking_lot::Mutex;
use tokio::sync::mpsc;

pub use account::{Account, Drawn};
pub use keeper::Keeper;

use super::plans::{Link, PlanView};

/// Most quotas that one call draws from: those of its plan, and ceilings.
const MAX_ORDER: usize = 2 * MAX_QUOTAS;

/// What is left of each quota that was asked, those of the plan first.
pub type Lefts = ArrayVec<Left, MAX_ORDER>;

/// What a call wants to draw.
pub struct Order<'a> {
    /// What its project's plan says, if it has one.
    pub plan: Option<&'a PlanView>,
    /// The link of its project to the API.
    pub link: &'a Link,
    /// Whose the project is, and whose the API.
    pub between: [OrganizationId; 2],
    /// What it costs.
    pub cost: u32,
    /// Whether what it really costs is told later.
    pub reports: bool,
    /// When.
    pub now: Moment,
}

impl Order<'_> {
    pub(super) fn quotas(&self) -> impl Iterator<Item = (&Quota, QuotaOf)> + Clone {
        let of_plan = self.plan.map_or(&[][..], |plan| &plan.quotas).iter();
        of_plan.map(|quota| (quota, QuotaOf::Plan)).chain(self.link.ceilings.iter().map(|own| (own, QuotaOf::Project)))
    }

    fn zone(&self) -> Option<&Zone> {
        self.plan.map(|plan| &plan.zone)
    }

    /// From which day billing periods are counted.
    fn anchor(&self) -> Timestamp {
        self.link.plan.map_or(Timestamp::from_micros(0), |(_, since)| since)
    }

    fn fingerprint(&self) -> u64 {
        self.link.fingerprint.rotate_left(1) ^ self.plan.map_or(0, |plan| plan.fingerprint)
    }
}

/// A share of a quota is used, of which organizations are to be told.
struct Reached {
    id: ActivationId,
    notice: QuotaNotice,
    told: ArrayVec<OrganizationId, 2>,
}

/// Between the accounts and their keeper.
struct Line {
    /// For which more is to be taken.
    short: mpsc::UnboundedSender<Arc<Account>>,
    /// What is to be told.
    notices: mpsc::UnboundedSender<Reached>,
    /// Whether the ledger can't be asked.
    is_cut_off: AtomicBool,
}

/// What a keeper hears.
struct Heard {
    short: mpsc::UnboundedReceiver<Arc<Account>>,
    notices: mpsc::UnboundedReceiver<Reached>,
}

/// The accounts of all projects.
pub struct Quotas {
    accounts: Mutex<HashMap<(u32, u32), Arc<Account>>>,
    line: Arc<Line>,
    /// For the keeper, when there is one.
    heard: Mutex<Option<Heard>>,
    /// Whose turn it is to take from the ledger; whether all was given back at the end.
    turn: tokio::sync::Mutex<bool>,
}

impl Default for Quotas {
    fn default() -> Self {
        let ((short, heard_short), (notices, heard_notices)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let heard = Heard { short: heard_short, notices: heard_notices };
        let line = Arc::new(Line { short, notices, is_cut_off: AtomicBool::new(false) });
        Self { accounts: Mutex::default(), line, heard: Mutex::new(Some(heard)), turn: tokio::sync::Mutex::new(false) }
    }
}

impl Quotas {
    /// The account of a project at an API, by their numbers.
    pub fn account(&self, project: u32, api: u32) -> Arc<Account> {
        let make = || Arc::new(Account::new(project, api, self.line.clone()));
        self.accounts.lock().entry((project, api)).or_insert_with(make).clone()
    }

    /// What others have taken of these amounts, and processes before this one.
    pub fn restore(&self, kept: impl IntoIterator<Item = (Amount, u64)>) {
        for (amount, taken) in kept {
            self.account(amount.project, amount.api).restore(amount, taken);
        }
    }

    fn all(&self) -> Vec<Arc<Account>> {
        self.accounts.lock().values().cloned().collect()
    }
}
