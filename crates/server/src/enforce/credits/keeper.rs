//! Moves credits in the ledger, for all that wait together: what calls will use, what is charged and reserved, and what goes
//! back. Grants what plans bring for periods that begin.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, OrganizationId};
use keystile_core::time::{Moment, Timestamp};
use keystile_store::{
    Actor, ApplyError, Author, Change, CreditMove, CreditMoved, EntrySaid, GrantTaken, Ledger, StoreError, Who,
};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::{Account, Asked, Credits, Heard, Order};
use crate::enforce::change::NotMade;
use crate::enforce::engine::Engine;
use crate::enforce::feed::Feed;
use crate::enforce::plans::{holder, period_of};
use crate::world::Clock;

/// Accounts and orders in one transaction.
const BATCH: usize = 1_000;
/// How long it waits before it asks a ledger again that could not be asked.
const AGAIN: Duration = Duration::from_millis(250);
/// How long the ledger may take before it counts as away.
const SLOW: Duration = Duration::from_millis(700);
/// How often reservations are looked at whose time is over.
const LOOK: Duration = Duration::from_secs(1);
/// In how many of these looks plans are asked what they bring, and entries of long ago are forgotten.
const REFILL_EVERY: u64 = 5;
const FORGET_EVERY: u64 = 3_600;
/// How long before a period begins its credits are granted, so that they are there with its first call.
const AHEAD_SECS: i64 = 300;

/// Keeps what credits are used.
pub struct Keeper {
    engine: Arc<Engine>,
    ledger: Ledger,
    feed: Arc<Feed>,
    clock: Arc<dyn Clock>,
}

impl Keeper {
    /// A keeper of an engine's credits.
    pub fn new(feed: Arc<Feed>, ledger: Ledger, clock: Arc<dyn Clock>) -> Self {
        Self { engine: feed.engine().clone(), ledger, feed, clock }
    }

    /// Moves credits for as long as the process lives. There is one keeper.
    pub async fn run(self) {
        let Some(heard) = self.engine.credits.heard.lock().take() else { return };
        // What is asked for now waits for nothing that has time.
        tokio::join!(self.move_for(heard), self.look_after());
    }

    async fn move_for(&self, mut heard: Heard) {
        let credits = &self.engine.credits;
        loop {
            let (mut short, mut orders) = (Vec::new(), Vec::new());
            tokio::select! {
                count = heard.short.recv_many(&mut short, BATCH) => if count == 0 { return },
                count = heard.orders.recv_many(&mut orders, BATCH) => if count == 0 { return },
            }
            while short.len() < BATCH
                && let Ok(one) = heard.short.try_recv()
            {
                short.push(one);
            }
            while orders.len() < BATCH
                && let Ok(one) = heard.orders.try_recv()
            {
                orders.push(one);
            }
            let is_over = credits.turn.lock().await;
            if *is_over {
                return;
            }
            if let Err(error) = self.move_all(&short, orders).await {
                tracing::warn!(cause = ?error, "no credits can be moved; calls that need some are refused");
                drop(is_over);
                tokio::time::sleep(AGAIN).await;
                short.iter().for_each(Account::ask);
            }
        }
    }

    /// Moves credits for these accounts and orders, and says so to whoever waits. A ledger that is slow is away for calls
    /// meanwhile.
    async fn move_all(&self, short: &[Arc<Account>], orders: Vec<Order>) -> Result<(), StoreError> {
        let (now, credits) = (self.clock.now(), &self.engine.credits);
        let mut plan = Moves::default();
        for account in short {
            for one in account.wants(now.ticks) {
                plan.of_account(account, one);
            }
        }
        for order in orders {
            plan.order(order, now.wall);
        }
        let wake = || short.iter().for_each(|account| account.wake());
        if plan.all.is_empty() {
            wake();
            return Ok(());
        }
        let cut_off = || {
            credits.line.is_cut_off.store(true, Ordering::Relaxed);
            credits.all().iter().for_each(|account| account.wake());
        };
        let moved = {
            let mut moving = pin!(self.ledger.move_credits(&plan.all));
            match tokio::time::timeout(SLOW, &mut moving).await {
                Ok(moved) => moved,
                Err(_) => {
                    cut_off();
                    moving.await
                }
            }
        };
        match moved {
            Ok(moved) => {
                plan.done(credits, moved);
                credits.line.is_cut_off.store(false, Ordering::Relaxed);
                wake();
                Ok(())
            }
            Err(error) => {
                plan.failed();
                cut_off();
                Err(error)
            }
        }
    }

    /// Gives up reservations whose time is over, grants what plans bring, and forgets what was long ago.
    async fn look_after(&self) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for look in 0_u64.. {
            looks.tick().await;
            let now = self.clock.now();
            let is_over = self.engine.credits.turn.lock().await;
            if *is_over {
                return;
            }
            match self.ledger.expire_credits(now.wall).await {
                Ok(taken) => self.engine.credits.note(&taken),
                Err(error) => tracing::warn!(cause = ?error, "reserved credits could not be given back"),
            }
            drop(is_over);
            if look % REFILL_EVERY == 0 {
                self.refill(now).await;
            }
            if look % FORGET_EVERY == 0
                && let Err(error) = self.ledger.forget_credit_entries(now.wall).await
            {
                tracing::warn!(cause = ?error, "charges of long ago could not be forgotten");
            }
        }
    }

    /// Grants what plans bring for the periods of now and of in a moment, as far as that was not done.
    async fn refill(&self, now: Moment) {
        for (owner, id, at) in self.engine.due_refills(now.wall, now.wall.plus_secs(AHEAD_SECS)) {
            let actor = Actor { organization: owner, who: Who::System("credits"), address: None, request: None };
            let author = Author { actor, at: self.clock.now().wall, idempotency: None };
            match self.feed.make(author, Change::RefillCredits { id, at }, self.clock.ticks()).await {
                Ok(_) => {}
                // Another process does it.
                Err(NotMade::Elsewhere) => return,
                Err(NotMade::Refused(ApplyError::Exists(_) | ApplyError::NotFound(_))) => {}
                Err(NotMade::Refused(error)) => {
                    tracing::warn!(cause = ?error, "the credits of a period could not be granted; it is tried again");
                }
            }
        }
    }
}

/// Who is told what became of a move.
enum For {
    /// With what was wanted.
    Taking(Arc<Account>, u64),
    /// And what must be so again if it comes to nothing.
    Withdrawal(Arc<Account>, u32, u64),
    Answer(oneshot::Sender<EntrySaid>),
}

/// What is moved in one transaction.
#[derive(Default)]
struct Moves {
    all: Vec<CreditMove>,
    told: Vec<For>,
}

impl Moves {
    fn of_account(&mut self, account: &Arc<Account>, one: CreditMove) {
        let told = match &one {
            CreditMove::GiveBack { grant, amount } => For::Withdrawal(account.clone(), *grant, *amount),
            CreditMove::Take { amount, .. } => For::Taking(account.clone(), *amount),
            CreditMove::Enter { .. } | CreditMove::Post { .. } | CreditMove::Void { .. } => return,
        };
        self.all.push(one);
        self.told.push(told);
    }

    fn order(&mut self, Order { name, asked, answer }: Order, at: Timestamp) {
        let one = match asked {
            Asked::Enter { account, amount, until } => {
                let (from, unused) = account.rooms(amount, at);
                unused.into_iter().for_each(|one| self.of_account(&account, one));
                CreditMove::Enter { name, holder: account.holder(), from, amount, at, until }
            }
            Asked::Post(amount) => CreditMove::Post { name, amount, at },
            Asked::Void => CreditMove::Void { name, at },
        };
        self.all.push(one);
        self.told.push(For::Answer(answer));
    }

    fn done(self, credits: &Credits, moved: Vec<CreditMoved>) {
        // Of each grant what it came to last of all.
        let mut totals = HashMap::<u32, u64>::new();
        for CreditMoved { taken, .. } in &moved {
            totals.extend(taken.iter().map(|one| (one.grant, one.total)));
        }
        let total = |one: &GrantTaken| totals.get(&one.grant).copied().unwrap_or(one.total);
        for (told, CreditMoved { taken, entry }) in self.told.into_iter().zip(moved) {
            match told {
                For::Withdrawal(account, ..) => {
                    taken.iter().for_each(|one| account.note(one.grant, total(one), one.given));
                }
                For::Taking(account, wanted) => {
                    taken.iter().for_each(|one| account.note(one.grant, total(one), one.given));
                    if taken.iter().map(|one| one.given).sum::<u64>() < wanted {
                        account.is_empty_now();
                    }
                }
                For::Answer(answer) => {
                    let taken: Vec<_> = taken.iter().map(|one| GrantTaken { total: total(one), ..*one }).collect();
                    credits.note(&taken);
                    if let Some(said) = entry {
                        let _ = answer.send(said);
                    }
                }
            }
        }
    }

    /// Nothing of it was done.
    fn failed(self) {
        for told in self.told {
            if let For::Withdrawal(account, grant, amount) = told {
                account.keep(grant, amount);
            }
        }
    }
}

impl Credits {
    /// So much is taken of grants by now.
    fn note(&self, taken: &[GrantTaken]) {
        for one in taken {
            if let Some(account) = self.of_grant(one.grant) {
                account.note(one.grant, one.total, 0);
            }
        }
    }

    /// Gives back what was taken and not used, at the end of a process. Nothing is moved after that.
    ///
    /// # Errors
    /// If the store fails; then that is lost to its holders.
    pub async fn settle(&self, ledger: &Ledger) -> Result<(), StoreError> {
        let mut is_over = self.turn.lock().await;
        *is_over = true;
        let moves: Vec<CreditMove> = self.all().iter().flat_map(|account| account.settle()).collect();
        if moves.is_empty() { Ok(()) } else { ledger.move_credits(&moves).await.map(drop) }
    }
}

impl Engine {
    /// The activations whose plans bring credits for the periods of these moments that were not granted, whose APIs they are
    /// of, and for which moment.
    fn due_refills(&self, now: Timestamp, soon: Timestamp) -> Vec<(OrganizationId, ActivationId, Timestamp)> {
        let mut due = Vec::new();
        self.snapshot.projects.each(|project| {
            for link in project.links.iter().filter(|link| link.state == ActivationState::Approved) {
                let Some((number, since)) = link.plan else { continue };
                let api = self.snapshot.apis.get(link.api);
                let Some(api) = api.as_ref() else { continue };
                let Some(plan) = api.plans.at(number, now) else { continue };
                let lacks = |at: Timestamp| {
                    let plan = api.plans.at(number, at).unwrap_or(plan);
                    let terms = plan.credits.filter(|terms| terms.refill.is_some())?;
                    let account = self.credits.account(api.organization, holder(&terms, project));
                    (!account.is_refilled(number, at)).then_some(at)
                };
                let next = period_of(plan, soon, since).filter(|span| span.start > now).map(|span| span.start);
                if let Some(at) = lacks(now).or_else(|| lacks(next?)) {
                    due.push((api.organization, link.id, at));
                }
            }
        });
        due
    }
}
