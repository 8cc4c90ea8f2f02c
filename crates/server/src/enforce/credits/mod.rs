//! Credits: what calls of projects are paid by whose plan says so, one for each unit of what they cost. There is one account
//! for each holder (a project, or an organization whose projects share them) at the APIs of an organization.
//!
//! As with quotas, what calls use is counted in memory, ahead of which the [`keeper`] takes from the ledger. [`refills`] has granted
//! what plans bring, [`notices`] has organizations told of what runs down. Charges and
//! reservations, which are asked for by an id ([`Order`]), are written down one by one, many in a transaction.

mod account;
mod keeper;
mod notices;
mod refills;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use keystile_core::credit::CreditHolder;
use keystile_core::id::{OrganizationId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_store::records::CreditGrant;
use keystile_store::{EntryName, EntrySaid, Ledger, StoreError};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

pub use account::{Account, Drawn, ENDED_SECS, Wanted};
pub use keeper::Keeper;
pub use notices::Notices;
pub use refills::Refills;

/// Most charges and reservations that wait for the ledger.
const MAX_WAITING: usize = 10_000;

/// What is asked of the ledger by an id.
#[derive(Clone)]
pub enum Asked {
    /// To charge credits, or to reserve them until a moment.
    Enter {
        /// Whose.
        account: Arc<Account>,
        /// For which project.
        project: ProjectId,
        /// How many.
        amount: u64,
        /// Until when; `None` charges them.
        until: Option<Timestamp>,
    },
    /// To spend what is reserved, or so much of it.
    Post(Option<u64>),
    /// To give back what is reserved.
    Void,
    /// What there is.
    Find,
}

/// That, and who waits for what becomes of it.
struct Order {
    name: EntryName,
    asked: Asked,
    answer: oneshot::Sender<EntrySaid>,
    /// Whether it was tried before.
    is_again: bool,
}

/// Why nothing came of an order that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOrdered {
    /// Too many wait.
    Overloaded,
    /// It can't be written down, or it is not known whether it was.
    Unknown,
}

/// Between the accounts and their keeper.
struct Line {
    /// For which more is to be taken.
    short: mpsc::UnboundedSender<Arc<Account>>,
    /// What is to be written down.
    orders: mpsc::Sender<Order>,
    /// Whether the ledger can't be asked.
    is_cut_off: AtomicBool,
}

/// What a keeper hears.
struct Heard {
    short: mpsc::UnboundedReceiver<Arc<Account>>,
    orders: mpsc::Receiver<Order>,
}

#[derive(Default)]
struct Known {
    accounts: HashMap<(OrganizationId, CreditHolder), Arc<Account>>,
    /// Whose each grant is.
    by_grant: HashMap<u32, Arc<Account>>,
}

/// The accounts of all holders.
pub struct Credits {
    known: Mutex<Known>,
    line: Arc<Line>,
    /// For the keeper, when there is one.
    heard: Mutex<Option<Heard>>,
    /// Told when plans may bring something else than before.
    pub(super) plans: Notify,
    /// Whose turn it is to move credits; whether all was given back at the end.
    turn: tokio::sync::Mutex<bool>,
}

impl Default for Credits {
    fn default() -> Self {
        let (short, heard_short) = mpsc::unbounded_channel();
        let (orders, heard_orders) = mpsc::channel(MAX_WAITING);
        Self {
            known: Mutex::default(),
            line: Arc::new(Line { short, orders, is_cut_off: AtomicBool::new(false) }),
            heard: Mutex::new(Some(Heard { short: heard_short, orders: heard_orders })),
            plans: Notify::new(),
            turn: tokio::sync::Mutex::new(false),
        }
    }
}

impl Credits {
    /// The account of a holder at an organization's APIs.
    pub fn account(&self, owner: OrganizationId, holder: CreditHolder) -> Arc<Account> {
        let make = || Arc::new(Account::new(owner, holder, self.line.clone()));
        self.known.lock().accounts.entry((owner, holder)).or_insert_with(make).clone()
    }

    /// Takes in a grant, or what has become of it.
    pub fn learn(&self, grant: &CreditGrant) {
        let account = self.account(grant.organization, grant.holder);
        account.learn(grant);
        self.known.lock().by_grant.insert(grant.number, account);
    }

    /// A grant was altered by somebody else: nobody has it.
    pub fn forget(&self, number: u32) {
        if let Some(account) = self.known.lock().by_grant.remove(&number) {
            account.forget(number);
        }
    }

    /// What others have taken of grants, and processes before this one.
    pub fn restore(&self, taken: impl IntoIterator<Item = (u32, u64)>) {
        for (number, total) in taken {
            if let Some(account) = self.of_grant(number) {
                account.note(number, total, 0);
            }
        }
    }

    /// Looks anew at what is taken of all grants, by whoever takes.
    pub(super) async fn look_anew(&self, ledger: &Ledger) -> Result<(), StoreError> {
        // Nothing is moved meanwhile.
        let _turn = self.turn.lock().await;
        self.restore(ledger.credits_taken().await?);
        Ok(())
    }

    /// What is used of these grants, as far as it is known here: of those that have not ended.
    pub fn used(&self, grants: &[u32]) -> HashMap<u32, u64> {
        let used = |number: &u32| Some((*number, self.of_grant(*number)?.used(*number)?));
        grants.iter().filter_map(used).collect()
    }

    /// Has something written down, and waits for what becomes of it.
    ///
    /// # Errors
    /// [`NotOrdered`]: it may be asked for again, under the same id.
    pub async fn order(&self, name: EntryName, asked: Asked) -> Result<EntrySaid, NotOrdered> {
        let (answer, waits) = oneshot::channel();
        let order = Order { name, asked, answer, is_again: false };
        self.line.orders.try_send(order).map_err(|_| NotOrdered::Overloaded)?;
        waits.await.map_err(|_| NotOrdered::Unknown)
    }

    /// Forgets whose grants were that ended long ago.
    fn forget_ended(&self) {
        self.known.lock().by_grant.retain(|number, account| account.used(*number).is_some());
    }

    fn of_grant(&self, number: u32) -> Option<Arc<Account>> {
        self.known.lock().by_grant.get(&number).cloned()
    }

    fn all(&self) -> Vec<Arc<Account>> {
        self.known.lock().accounts.values().cloned().collect()
    }
}
