//! What one holder has at the APIs of one organization.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keystile_core::credit::{CreditHolder, CreditKind, Grant, Spent, Wallet};
use keystile_core::id::OrganizationId;
use keystile_core::plan::{Drawing, Span};
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_store::records::CreditGrant;
use keystile_store::{CreditMove, Room};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Line;
use crate::enforce::draws::{Denied, Supply};

/// Least that is taken ahead of use.
const MIN_STEP: u64 = 16;
/// Most, in steps that double while one follows the other within [`SOON_NANOS`].
const MAX_STEP: u64 = 1 << 20;
/// A twentieth of what is left at most is taken in one step.
const STEPS_OF: u64 = 20;
const SOON_NANOS: u64 = 1_000_000_000;
/// What others took is asked for no more often, of an account that has nothing left: they may have given some back.
const LOOK_NANOS: u64 = 10_000_000_000;
/// Grants of which one step is taken.
const MAX_ROOMS: usize = 64;

/// What one holder has.
pub struct Account {
    owner: OrganizationId,
    holder: CreditHolder,
    state: Mutex<State>,
    /// Whether its keeper knows that it wants more.
    is_asking: AtomicBool,
    line: Arc<Line>,
    /// Told when more was taken, or could not be.
    supplied: watch::Sender<()>,
}

struct State {
    wallet: Wallet,
    /// The plans that brought credits for periods, and which.
    refills: Vec<(u32, Span)>,
    /// When it was last asked.
    now: Timestamp,
    /// How much was taken the last time.
    step: u64,
    /// When.
    taken_at: Ticks,
    /// What calls wanted, together, that was not there.
    wanted: u64,
    /// Whether it is to be asked what others took.
    is_doubted: bool,
}

/// What a call wants.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// What it costs.
    pub cost: u32,
    /// Whether what it really costs is told later.
    pub reports: bool,
    /// When.
    pub now: Moment,
}

/// What a call has spent: it may turn out to cost something else, or nothing.
pub struct Drawn {
    account: Arc<Account>,
    spent: Spent,
    /// Whether it was given back.
    is_void: bool,
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawn").field("spent", &self.spent).finish_non_exhaustive()
    }
}

impl Drawn {
    /// It costs this and not what was thought.
    pub fn costs(&mut self, cost: u32) {
        self.correct(cost.into());
    }

    /// It came to nothing: all is given back, once.
    pub fn void(&mut self) {
        self.correct(0);
        self.is_void = true;
    }

    fn correct(&mut self, is: u64) {
        if self.is_void {
            return;
        }
        let mut state = self.account.state.lock();
        let now = state.now;
        state.wallet.correct(&mut self.spent, is, now);
        // What is spent beyond what was taken is written down now, and not when somebody calls again.
        if state.runs_short() {
            self.account.ask();
        }
    }
}

impl Account {
    pub(super) fn new(owner: OrganizationId, holder: CreditHolder, line: Arc<Line>) -> Self {
        let state = State {
            wallet: Wallet::default(),
            refills: Vec::new(),
            now: Timestamp::from_micros(0),
            step: 0,
            taken_at: Ticks::from_nanos(0),
            wanted: 0,
            is_doubted: false,
        };
        let (is_asking, supplied) = (AtomicBool::new(false), watch::Sender::default());
        Self { owner, holder, state: Mutex::new(state), is_asking, line, supplied }
    }

    /// At whose APIs they are spent.
    pub const fn owner(&self) -> OrganizationId {
        self.owner
    }

    /// Whose they are.
    pub const fn holder(&self) -> CreditHolder {
        self.holder
    }

    /// Spends what a call costs, if there is so much. `charge` is asked in between: whether the call is let through by
    /// everything else, and what came of that. Says what is left as well.
    pub fn draw<R>(
        self: &Arc<Self>,
        order: Wanted,
        left: &mut u64,
        charge: impl FnOnce() -> (bool, R),
    ) -> Result<(R, Option<Drawn>), Denied> {
        let mut state = self.state.lock();
        let now = order.now.wall;
        state.now = now;
        // Whoever tells later what it costs must have something by then.
        let wanted = u64::from(if order.reports { order.cost.max(1) } else { order.cost });
        let found = state.wallet.draw(wanted, now);
        *left = state.wallet.left(now);
        match found {
            Drawing::Fits => {}
            Drawing::Exhausted => {
                if order.now.ticks.nanos_since(state.taken_at) >= LOOK_NANOS {
                    state.is_doubted = true;
                    state.wanted = state.wanted.max(wanted);
                }
                if state.runs_short() {
                    self.ask();
                }
                return Err(Denied::NoCredits);
            }
            Drawing::Short => {
                state.wanted = state.wanted.saturating_add(wanted);
                self.ask();
                if self.line.is_cut_off.load(Ordering::Relaxed) {
                    return Err(Denied::CutOff);
                }
                // Seen by whoever takes for it after this, who needs the lock first.
                return Err(Denied::Short(Supply::new(self.supplied.subscribe())));
            }
        }
        let (is_let_through, charged) = charge();
        let drawn = (is_let_through && wanted > 0).then(|| {
            let spent = state.wallet.spend(order.cost.into(), now);
            Drawn { account: self.clone(), spent, is_void: false }
        });
        *left = state.wallet.left(now);
        if state.runs_short() {
            self.ask();
        }
        Ok((charged, drawn))
    }

    /// What is left.
    pub fn left(&self, now: Timestamp) -> u64 {
        self.state.lock().wallet.left(now)
    }

    /// What of a grant is used, by all.
    pub(super) fn used(&self, number: u32) -> Option<u64> {
        let state = self.state.lock();
        let purse = state.wallet.purses().iter().find(|purse| purse.grant.number == number)?;
        Some(purse.others + purse.used)
    }

    /// Whether a plan has brought credits for the period of a moment.
    pub(super) fn is_refilled(&self, plan: u32, at: Timestamp) -> bool {
        self.state.lock().refills.iter().any(|(of, span)| *of == plan && span.holds(at))
    }

    pub(super) fn learn(&self, grant: &CreditGrant) {
        let mut state = self.state.lock();
        let never = Timestamp::from_micros(i64::MAX);
        if let (CreditKind::Refill, Some((_, plan))) = (grant.kind, grant.plan) {
            // One that was taken back does not come again either.
            let span = Span { start: grant.starts_at, end: grant.ends_at.unwrap_or(never) };
            state
                .refills
                .retain(|(of, other)| *of != plan || (other.start != span.start && other.end > grant.created_at));
            state.refills.push((plan, span));
        }
        state.wallet.put(Grant { number: grant.number, amount: grant.amount, span: grant.span() });
        state.is_doubted = true;
    }

    pub(super) fn forget(&self, number: u32) {
        let mut state = self.state.lock();
        let gone = state.wallet.purses().iter().find(|purse| purse.grant.number == number).map(|purse| purse.grant);
        if let Some(grant) = gone {
            let span = Span { end: grant.span.start, ..grant.span };
            state.wallet.put(Grant { span, ..grant });
        }
    }

    pub(super) fn ask(self: &Arc<Self>) {
        if !self.is_asking.swap(true, Ordering::AcqRel) {
            let _ = self.line.short.send(self.clone());
        }
    }

    /// What is to be moved for it now: what is taken ahead of use, and what is given back of grants that have ended.
    pub(super) fn wants(&self, now: Ticks) -> Vec<CreditMove> {
        self.is_asking.store(false, Ordering::Release);
        let mut state = self.state.lock();
        let at = state.now;
        let ended = state.wallet.withdraw(Some(at));
        let mut moves: Vec<_> = ended.into_iter().map(give_back).collect();
        if !state.runs_short() {
            return moves;
        }
        let is_doubted = std::mem::take(&mut state.is_doubted);
        let from: Vec<Room> = state
            .wallet
            .open(at)
            .filter(|purse| purse.taken() < purse.grant.amount || is_doubted && purse.others > 0)
            .map(|purse| (purse.grant.number, purse.grant.amount))
            .take(MAX_ROOMS)
            .collect();
        let is_soon = now.nanos_since(state.taken_at) < SOON_NANOS;
        let most = (state.wallet.left(at) / STEPS_OF).clamp(MIN_STEP, MAX_STEP);
        state.step = if is_soon { state.step.saturating_mul(2) } else { MIN_STEP }.clamp(MIN_STEP, most);
        state.taken_at = now;
        let wanted = std::mem::take(&mut state.wanted).saturating_sub(state.wallet.free(at));
        let amount = state.wallet.owed().saturating_add(state.step.max(wanted));
        if !from.is_empty() {
            moves.push(CreditMove::Take { from, amount });
        }
        moves
    }

    /// The grants from which a charge or a reservation is taken, and what has to be given back for it of what calls would
    /// have used.
    pub(super) fn rooms(&self, amount: u64, now: Timestamp) -> (Vec<Room>, Vec<CreditMove>) {
        let mut state = self.state.lock();
        state.now = state.now.max(now);
        let unused = if state.wallet.untaken(now) < amount { state.wallet.withdraw(None) } else { Vec::new() };
        let open = state.wallet.open(now).map(|purse| (purse.grant.number, purse.grant.amount));
        (open.collect(), unused.into_iter().map(give_back).collect())
    }

    /// So much is taken of a grant by now, and so much of that for here.
    pub(super) fn note(&self, number: u32, total: u64, given: u64) {
        self.state.lock().wallet.taken(number, total, given);
    }

    /// What was withdrawn could not be given back: it is still here.
    pub(super) fn keep(&self, number: u32, amount: u64) {
        self.state.lock().wallet.put_back(number, amount);
    }

    /// There was less than was asked for: what nobody has paid for yet nobody pays.
    pub(super) fn is_empty_now(&self) {
        self.state.lock().wallet.forgive();
    }

    pub(super) fn wake(&self) {
        self.supplied.send_replace(());
    }

    /// What is given back at the end of a process, and what it owes.
    pub(super) fn settle(&self) -> Vec<CreditMove> {
        let mut state = self.state.lock();
        let at = state.now;
        let owed = state.wallet.owed();
        let mut moves: Vec<_> = state.wallet.withdraw(None).into_iter().map(give_back).collect();
        if owed > 0 {
            let from = state.wallet.open(at).map(|purse| (purse.grant.number, purse.grant.amount)).collect();
            moves.push(CreditMove::Take { from, amount: owed });
            state.wallet.forgive();
        }
        moves
    }
}

const fn give_back((grant, amount): (u32, u64)) -> CreditMove {
    CreditMove::GiveBack { grant, amount }
}

impl State {
    /// Whether its keeper has something to do for it.
    fn runs_short(&mut self) -> bool {
        let now = self.now;
        if self.wallet.owed() > 0 {
            return true;
        }
        let free = self.wallet.free(now);
        let is_low = free <= self.step / 2 || free < self.wanted;
        is_low && (self.is_doubted && self.wanted > 0 || self.wallet.left(now) > free)
    }
}
