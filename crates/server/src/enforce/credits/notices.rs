//! Has organizations told of credits that run down or end: who granted them, and who holds them, each once for a grant. What there is
//! to be told of is found out aside of calls, some moments after they spent.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use keystile_core::credit::{CreditNotice, CreditNoticeKind};
use keystile_core::id::OrganizationId;
use keystile_store::{Actor, ApplyError, Author, Catalog, Change, Ledger, StoreError, Who};

use super::Account;
use crate::enforce::change::NotMade;
use crate::enforce::engine::Engine;
use crate::enforce::feed::Feed;
use crate::world::Clock;

/// How often it is looked whether there is something to tell.
const LOOK: Duration = Duration::from_secs(2);

/// Has organizations told.
pub struct Notices {
    engine: Arc<Engine>,
    feed: Arc<Feed>,
    catalog: Catalog,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    /// What was told, or had been before, as far as there is a reason to tell it still.
    told: HashSet<(u32, CreditNoticeKind)>,
}

impl Notices {
    /// For the accounts that a feed knows.
    pub fn new(feed: Arc<Feed>, (catalog, ledger): (Catalog, Ledger), clock: Arc<dyn Clock>) -> Self {
        Self { engine: feed.engine().clone(), feed, catalog, ledger, clock, told: HashSet::new() }
    }

    /// Looks after them for as long as the process lives.
    pub async fn run(mut self) {
        let mut is_ready = false;
        loop {
            tokio::time::sleep(LOOK).await;
            // What another process has taken and not given back yet only seems to be used.
            if self.feed.is_followed().await {
                is_ready = false;
                continue;
            }
            if !is_ready {
                if let Err(error) = self.prepare().await {
                    tracing::warn!(cause = ?error, "it can't be found out who is to be told of credits; it is tried again");
                    continue;
                }
                is_ready = true;
            }
            if !self.look().await {
                return;
            }
        }
    }

    /// Finds out what is left now that nobody else has anything, and what was told before.
    async fn prepare(&mut self) -> Result<(), StoreError> {
        self.engine.credits.look_anew(&self.ledger).await?;
        self.told = self.catalog.credit_notices().await?.into_iter().collect();
        Ok(())
    }

    /// Tells what there is to tell; whether that can be found out.
    async fn look(&mut self) -> bool {
        let (engine, now) = (self.engine.clone(), self.clock.now().wall);
        let find = move || {
            let accounts = engine.credits.all();
            let of_one = |account: &Arc<Account>| {
                let both = [account.owner(), account.held_by().unwrap_or(account.owner())];
                account.notices(now).into_iter().map(move |notice| (notice, both))
            };
            accounts.iter().flat_map(of_one).collect::<Vec<_>>()
        };
        // It goes over all accounts.
        let Ok(found) = tokio::task::spawn_blocking(find).await else { return false };
        let reasons: HashSet<_> = found.iter().map(|(notice, _)| (notice.grant, notice.kind)).collect();
        self.told.retain(|told| reasons.contains(told));
        for (notice, [owner, holder]) in found {
            let tells = (notice.grant, notice.kind);
            if self.told.contains(&tells) {
                continue;
            }
            if self.is_told(owner, notice).await && (holder == owner || self.is_told(holder, notice).await) {
                self.told.insert(tells);
            }
        }
        true
    }

    /// Whether somebody was told, or is not to be told any more.
    async fn is_told(&self, organization: OrganizationId, notice: CreditNotice) -> bool {
        let actor = Actor { organization, who: Who::System("credits"), address: None, request: None };
        let author = Author { actor, at: self.clock.now().wall, idempotency: None };
        match self.feed.make(author, Change::NoteCredits { notice }, self.clock.ticks()).await {
            // It was told before, or whoever held them is gone.
            Ok(_) | Err(NotMade::Refused(ApplyError::Exists(_) | ApplyError::NotFound(_))) => true,
            // Another process tells of it.
            Err(NotMade::Elsewhere) => false,
            Err(NotMade::Refused(error)) => {
                tracing::warn!(cause = ?error, "nobody could be told of credits that run down; it is tried again");
                false
            }
        }
    }
}
