//! Takes from the ledger ahead of use, for all accounts that run short together, and has organizations told of what is used.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::id::OrganizationId;
use keystile_core::time::Ticks;
use keystile_store::{Actor, ApplyError, Author, Change, Ledger, StoreError, Who};

use super::account::Account;
use super::{Quotas, Word};
use crate::enforce::change::NotMade;
use crate::enforce::engine::Engine;
use crate::enforce::feed::Feed;
use crate::enforce::maker::Maker;
use crate::world::Clock;

/// Accounts in one transaction.
const BATCH: usize = 1_000;
/// How long it waits before it asks a ledger again that could not be asked.
const AGAIN: Duration = Duration::from_millis(250);

/// Keeps what quotas have used.
pub struct Keeper {
    engine: Arc<Engine>,
    ledger: Ledger,
    feed: Arc<Feed>,
    clock: Arc<dyn Clock>,
}

impl Keeper {
    /// A keeper of an engine's quotas.
    pub fn new(feed: Arc<Feed>, ledger: Ledger, clock: Arc<dyn Clock>) -> Self {
        Self { engine: feed.engine().clone(), ledger, feed, clock }
    }

    /// Takes for whoever runs short, for as long as the process lives. There is one keeper.
    pub async fn run(self) {
        let Some(mut words) = self.engine.quotas.heard.lock().take() else { return };
        let mut heard = Vec::new();
        while words.recv_many(&mut heard, BATCH).await > 0 {
            let mut short = Vec::new();
            for word in heard.drain(..) {
                match word {
                    Word::Short(account) => short.push(account),
                    Word::Reached(id, notice, organizations) => {
                        for organization in organizations {
                            let change = Change::NoteQuota { id, notice: (*notice).clone() };
                            self.tell(organization, change).await;
                        }
                    }
                }
            }
            if let Err(error) = take(&self.ledger, &short, self.clock.ticks()).await {
                tracing::warn!(cause = ?error, "nothing can be taken for quotas; calls that need it are refused");
                tokio::time::sleep(AGAIN).await;
                short.iter().for_each(Account::ask);
            }
        }
    }

    async fn tell(&self, organization: OrganizationId, change: Change) {
        if self.feed.makers.now() != Maker::Here {
            return;
        }
        let actor = Actor { organization, who: Who::System("quotas"), address: None, request: None };
        let author = Author { actor, at: self.clock.now().wall, idempotency: None };
        match self.feed.make(author, change, self.clock.ticks()).await {
            // It was told before, or the link is gone.
            Ok(_) | Err(NotMade::Elsewhere | NotMade::Refused(ApplyError::Exists(_) | ApplyError::NotFound(_))) => {}
            Err(NotMade::Refused(error)) => tracing::warn!(cause = ?error, "nobody was told of a quota that is used"),
        }
    }
}

impl Quotas {
    /// Gives back what was taken and not used, at the end of a process.
    ///
    /// # Errors
    /// If the store fails; then that is lost to its projects.
    pub async fn settle(&self, ledger: &Ledger) -> Result<(), StoreError> {
        let (mut unused, mut owed) = (Vec::new(), Vec::new());
        for account in self.all() {
            let (mut of_unused, mut of_owed) = account.settle();
            unused.append(&mut of_unused);
            owed.append(&mut of_owed);
        }
        if !owed.is_empty() {
            ledger.take(&owed).await?;
        }
        if unused.is_empty() { Ok(()) } else { ledger.give_back(&unused).await }
    }
}

/// Takes for these accounts, and says so to whoever waits.
pub(super) async fn take(ledger: &Ledger, short: &[Arc<Account>], now: Ticks) -> Result<(), StoreError> {
    let wanted: Vec<_> =
        short.iter().flat_map(|account| account.wants(now).into_iter().map(move |one| (account, one))).collect();
    let takings: Vec<_> = wanted.iter().map(|(_, taking)| *taking).collect();
    let taken = if takings.is_empty() { Ok(Vec::new()) } else { ledger.take(&takings).await };
    match &taken {
        Ok(taken) => wanted.iter().zip(taken).for_each(|((account, one), taken)| account.grant(&one.amount, *taken)),
        Err(_) => short.iter().for_each(|account| account.cut_off()),
    }
    short.iter().for_each(|account| account.wake());
    taken.map(drop)
}
