//! Takes from the ledger ahead of use, for all accounts that run short together, and has organizations told of what is used.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keystile_core::id::OrganizationId;
use keystile_store::{Actor, ApplyError, Author, Change, Ledger, StoreError, Who};
use tokio::sync::mpsc::UnboundedReceiver;

use super::account::Account;
use super::{Quotas, Reached};
use crate::enforce::change::NotMade;
use crate::enforce::engine::Engine;
use crate::enforce::feed::Feed;
use crate::world::Clock;

/// Accounts in one transaction.
const BATCH: usize = 1_000;
/// How long it waits before it asks a ledger again that could not be asked.
const AGAIN: Duration = Duration::from_millis(250);
/// How long the ledger may take before it counts as away.
const SLOW: Duration = Duration::from_millis(700);
/// How long it waits before somebody is told again who could not be told.
const TELL_AGAIN: Duration = Duration::from_secs(1);

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

    /// Takes for whoever runs short, and tells of what is used, for as long as the process lives. There is one keeper.
    pub async fn run(self) {
        let Some(heard) = self.engine.quotas.heard.lock().take() else { return };
        // Taking waits for nobody who is told.
        tokio::join!(self.take_for(heard.short), self.tell_of(heard.notices));
    }

    async fn take_for(&self, mut heard: UnboundedReceiver<Arc<Account>>) {
        let quotas = &self.engine.quotas;
        let mut short = Vec::new();
        while heard.recv_many(&mut short, BATCH).await > 0 {
            let is_over = quotas.turn.lock().await;
            if *is_over {
                return;
            }
            if let Err(error) = self.take(&short).await {
                tracing::warn!(cause = ?error, "nothing can be taken for quotas; calls that need it are refused");
                tokio::time::sleep(AGAIN).await;
                short.iter().for_each(Account::ask);
            }
            short.clear();
        }
    }

    /// Takes for these accounts, and says so to whoever waits. A ledger that is slow is away for them meanwhile.
    async fn take(&self, short: &[Arc<Account>]) -> Result<(), StoreError> {
        let (now, quotas) = (self.clock.ticks(), &self.engine.quotas);
        let wanted: Vec<_> =
            short.iter().flat_map(|account| account.wants(now).into_iter().map(move |one| (account, one))).collect();
        let takings: Vec<_> = wanted.iter().map(|(_, taking)| *taking).collect();
        let wake = || short.iter().for_each(|account| account.wake());
        if takings.is_empty() {
            wake();
            return Ok(());
        }
        let cut_off = || {
            quotas.line.is_cut_off.store(true, Ordering::Relaxed);
            quotas.all().iter().for_each(|account| account.wake());
        };
        let mut taking = pin!(self.ledger.take(&takings));
        let taken = match tokio::time::timeout(SLOW, &mut taking).await {
            Ok(taken) => taken,
            Err(_) => {
                cut_off();
                taking.await
            }
        };
        match &taken {
            Ok(taken) => {
                wanted.iter().zip(taken).for_each(|((account, one), taken)| account.grant(&one.amount, *taken));
                quotas.line.is_cut_off.store(false, Ordering::Relaxed);
                wake();
            }
            Err(_) => cut_off(),
        }
        taken.map(drop)
    }

    async fn tell_of(&self, mut heard: UnboundedReceiver<Reached>) {
        while let Some(Reached { id, notice, told }) = heard.recv().await {
            for organization in told {
                let change = || Change::NoteQuota { id, notice: notice.clone() };
                while !self.is_told(organization, change()).await {
                    tokio::time::sleep(TELL_AGAIN).await;
                }
            }
        }
    }

    /// Whether somebody was told, or is not to be told any more.
    async fn is_told(&self, organization: OrganizationId, change: Change) -> bool {
        let actor = Actor { organization, who: Who::System("quotas"), address: None, request: None };
        let author = Author { actor, at: self.clock.now().wall, idempotency: None };
        match self.feed.make(author, change, self.clock.ticks()).await {
            // It was told before, the link is gone, or another process tells of it.
            Ok(_) | Err(NotMade::Elsewhere | NotMade::Refused(ApplyError::Exists(_) | ApplyError::NotFound(_))) => true,
            Err(NotMade::Refused(error)) => {
                tracing::warn!(cause = ?error, "nobody could be told of a quota that is used; it is tried again");
                false
            }
        }
    }
}

impl Quotas {
    /// Gives back what was taken and not used, at the end of a process. Nothing is taken after that.
    ///
    /// # Errors
    /// If the store fails; then that is lost to its projects.
    pub async fn settle(&self, ledger: &Ledger) -> Result<(), StoreError> {
        let mut is_over = self.turn.lock().await;
        *is_over = true;
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
