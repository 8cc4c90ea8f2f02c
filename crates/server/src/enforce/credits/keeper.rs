//! Moves credits in the ledger, for all that wait together: what calls will use, what is charged and reserved, and what goes
//! back.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keystile_core::credit::CreditHolder;
use keystile_core::id::OrganizationId;
use keystile_core::time::Timestamp;
use keystile_store::{CreditMove, CreditMoved, EntrySaid, GrantTaken, Ledger, NotMoved, StoreError};
use tokio::time::MissedTickBehavior;

use super::{Account, Asked, Credits, Order};
use crate::enforce::engine::Engine;
use crate::world::Clock;

/// Accounts and orders in one transaction.
const BATCH: usize = 1_000;
/// How long it waits before it asks a ledger again that could not be asked.
const AGAIN: Duration = Duration::from_millis(250);
/// How long the ledger may take before it counts as away.
const SLOW: Duration = Duration::from_millis(700);
/// How often reservations are looked at whose time is over.
const LOOK: Duration = Duration::from_secs(1);
/// In how many of these looks entries of long ago are forgotten, and how long it waits between some hundreds of them.
const FORGET_EVERY: u64 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// Keeps what credits are used.
pub struct Keeper {
    engine: Arc<Engine>,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
}

impl Keeper {
    /// A keeper of an engine's credits.
    pub fn new(engine: Arc<Engine>, ledger: Ledger, clock: Arc<dyn Clock>) -> Self {
        Self { engine, ledger, clock }
    }

    /// Moves credits for as long as the process lives. There is one keeper.
    pub async fn run(self) {
        let Some(mut heard) = self.engine.credits.heard.lock().take() else { return };
        let credits = &self.engine.credits;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = 0_u64;
        loop {
            let (mut short, mut orders, mut expires) = (Vec::new(), Vec::new(), false);
            tokio::select! {
                count = heard.short.recv_many(&mut short, BATCH) => if count == 0 { return },
                count = heard.orders.recv_many(&mut orders, BATCH) => if count == 0 { return },
                _ = looks.tick() => {
                    looked += 1;
                    expires = self.has_expired().await;
                    if looked.is_multiple_of(FORGET_EVERY) {
                        self.forget().await;
                    }
                    if !expires {
                        continue;
                    }
                }
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
            if let Err(error) = self.move_all(&short, orders, expires).await {
                tracing::warn!(cause = ?error, "no credits can be moved; calls that need some are refused");
                drop(is_over);
                tokio::time::sleep(AGAIN).await;
                short.iter().for_each(Account::ask);
            }
        }
    }

    /// Whether the time of a reservation is over. A ledger that does not say is not waited for.
    async fn has_expired(&self) -> bool {
        let asking = self.ledger.has_expired_credits(self.clock.now().wall);
        matches!(tokio::time::timeout(SLOW, asking).await, Ok(Ok(true)))
    }

    /// Forgets what was settled long ago, aside.
    async fn forget(&self) {
        self.engine.credits.forget_ended();
        let (ledger, now) = (self.ledger.clone(), self.clock.now().wall);
        tokio::spawn(async move {
            loop {
                match ledger.forget_credit_entries(now).await {
                    Ok(0) => return,
                    Ok(_) => tokio::time::sleep(PAUSE).await,
                    Err(error) => {
                        tracing::warn!(cause = ?error, "charges of long ago could not be forgotten");
                        return;
                    }
                }
            }
        });
    }

    /// Moves credits for these accounts and orders, and says so to whoever waits. A ledger that is slow is away for calls
    /// meanwhile.
    async fn move_all(&self, short: &[Arc<Account>], orders: Vec<Order>, expires: bool) -> Result<(), StoreError> {
        let (now, credits) = (self.clock.now(), &self.engine.credits);
        let mut plan = Moves::default();
        if expires {
            plan.push(CreditMove::Expire { at: now.wall }, For::Nobody);
        }
        // Before calls are taken for: what is here already is given back for them where that is needed.
        for order in orders {
            plan.order(order, now.wall);
        }
        for account in short {
            for one in account.wants(now.ticks) {
                plan.of_account(account, one);
            }
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
                plan.done(credits, moved, now.wall);
                credits.line.is_cut_off.store(false, Ordering::Relaxed);
                wake();
                Ok(())
            }
            Err(NotMoved { error, is_unknown }) => {
                plan.failed(is_unknown);
                cut_off();
                Err(error)
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
    Order(Order),
    Nobody,
}

/// What is moved in one transaction.
#[derive(Default)]
struct Moves {
    all: Vec<CreditMove>,
    told: Vec<For>,
    /// What orders in it take, by account.
    ordered: HashMap<(OrganizationId, CreditHolder), u64>,
}

impl Moves {
    fn push(&mut self, one: CreditMove, told: For) {
        self.all.push(one);
        self.told.push(told);
    }

    fn of_account(&mut self, account: &Arc<Account>, one: CreditMove) {
        let told = match &one {
            CreditMove::GiveBack { grant, amount } => For::Withdrawal(account.clone(), *grant, *amount),
            CreditMove::Take { amount, .. } => For::Taking(account.clone(), *amount),
            _ => For::Nobody,
        };
        self.push(one, told);
    }

    fn order(&mut self, order: Order, at: Timestamp) {
        let name = order.name.clone();
        let one = match &order.asked {
            Asked::Enter { account, project, amount, until } => {
                let ordered = self.ordered.entry((account.owner(), account.holder())).or_default();
                let (from, unused) = account.rooms(*amount, *ordered, at);
                *ordered = ordered.saturating_add(*amount);
                unused.into_iter().for_each(|one| self.of_account(account, one));
                let holder = account.holder();
                CreditMove::Enter { name, holder, project: *project, from, amount: *amount, at, until: *until }
            }
            Asked::Post(amount) => CreditMove::Post { name, amount: *amount, at },
            Asked::Void => CreditMove::Void { name, at },
            Asked::Find => CreditMove::Find { name },
        };
        self.push(one, For::Order(order));
    }

    fn done(self, credits: &Credits, moved: Vec<CreditMoved>, now: Timestamp) {
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
                        account.is_short_now();
                    }
                }
                For::Order(order) => {
                    credits.note(taken.iter().map(|one| GrantTaken { total: total(one), ..*one }));
                    if let Some(said) = entry {
                        credits.answer(order, said, now);
                    }
                }
                For::Nobody => credits.note(taken.iter().map(|one| GrantTaken { total: total(one), ..*one })),
            }
        }
    }

    /// Nothing of it was done; or it is not known, and then what was given back is not here any more.
    fn failed(self, is_unknown: bool) {
        for told in self.told {
            if let For::Withdrawal(account, grant, amount) = told
                && !is_unknown
            {
                account.keep(grant, amount);
            }
        }
    }
}

impl Credits {
    /// So much is taken of grants by now.
    fn note(&self, taken: impl Iterator<Item = GrantTaken>) {
        for one in taken {
            if let Some(account) = self.of_grant(one.grant) {
                account.note(one.grant, one.total, 0);
            }
        }
    }

    /// Says what became of an order. One for which there was too little is tried once more where something is here that others
    /// did not leave in the ledger.
    fn answer(&self, order: Order, said: EntrySaid, now: Timestamp) {
        let account = match &order.asked {
            Asked::Enter { account, .. } => Some(account),
            Asked::Post(_) | Asked::Void | Asked::Find => None,
        };
        let is_hidden = account.is_some_and(|account| account.has_unused(now));
        if matches!(said, EntrySaid::TooFew(_)) && is_hidden && !order.is_again {
            // Whoever asked hears nothing if there is no room for it, and asks again.
            let _ = self.line.orders.try_send(Order { is_again: true, ..order });
            return;
        }
        let _ = order.answer.send(said);
    }

    /// Gives back what was taken and not used, at the end of a process. Nothing is moved after that.
    ///
    /// # Errors
    /// If the store fails; then that is lost to its holders.
    pub async fn settle(&self, ledger: &Ledger) -> Result<(), StoreError> {
        let mut is_over = self.turn.lock().await;
        *is_over = true;
        let moves: Vec<CreditMove> = self.all().iter().flat_map(|account| account.settle()).collect();
        if moves.is_empty() { Ok(()) } else { ledger.move_credits(&moves).await.map(drop).map_err(|not| not.error) }
    }
}
