//! What one holder has at the APIs of one organization.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keystile_core::credit::{CreditHolder, CreditKind, CreditNotice, CreditNoticeKind, Grant, Purse, Spent, Wallet};
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
/// How long a grant that has ended is remembered here, for what calls give back of it.
pub const ENDED_SECS: i64 = 86_400;

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
    /// Whether a call found too little since something was granted last.
    was_refused: bool,
    /// The organization whose they are, or whose project's.
    held_by: Option<OrganizationId>,
    /// What plans brought: the trial, or credits for a time.
    brought: Vec<(u32, Option<Span>)>,
    /// When it was last asked.
    now: Timestamp,
    /// How much was taken the last time.
    step: u64,
    /// When.
    taken_at: Ticks,
    /// What calls wanted, together, that was not there.
    wanted: u64,
    /// Whether it is to be asked what others took, of an account that has nothing left.
    is_doubted: bool,
    /// From which of the grants on that is asked next.
    asked_to: usize,
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
            was_refused: false,
            held_by: None,
            brought: Vec::new(),
            now: Timestamp::from_micros(0),
            step: 0,
            taken_at: Ticks::from_nanos(0),
            wanted: 0,
            is_doubted: false,
            asked_to: 0,
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
                state.was_refused = true;
                state.is_doubted |= order.now.ticks.nanos_since(state.taken_at) >= LOOK_NANOS;
                if state.runs_short() {
                    self.ask();
                }
                return Err(Denied::NoCredits);
            }
            Drawing::Short => {
                self.ask();
                if self.line.is_cut_off.load(Ordering::Relaxed) {
                    // It does not wait, and those after it neither: what one of them wants is enough to ask for.
                    state.wanted = state.wanted.max(wanted);
                    return Err(Denied::CutOff);
                }
                state.wanted = state.wanted.saturating_add(wanted);
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

    /// The organization whose they are, or whose project's, once anything was granted.
    pub(super) fn held_by(&self) -> Option<OrganizationId> {
        self.state.lock().held_by
    }

    /// What there is to be told of now.
    pub(super) fn notices(&self, now: Timestamp) -> Vec<CreditNotice> {
        let mut state = self.state.lock();
        let mut notices = state.wallet.notices(now);
        // Of what is left there is too little for a call that came.
        let was_refused = state.was_refused;
        for notice in notices.iter_mut().filter(|notice| was_refused && notice.kind == CreditNoticeKind::Low) {
            notice.kind = CreditNoticeKind::Exhausted;
        }
        notices
    }

    /// What of a grant is used, by all.
    pub(super) fn used(&self, number: u32) -> Option<u64> {
        let state = self.state.lock();
        let purse = state.wallet.purses().iter().find(|purse| purse.grant.number == number)?;
        Some(purse.others + purse.used)
    }

    /// Whether a plan has brought a trial, as far as that is known.
    pub(super) fn has_trial(&self, plan: u32) -> bool {
        self.state.lock().brought.contains(&(plan, None))
    }

    /// Whether a plan has brought credits for a period, of which this is a moment.
    pub(super) fn is_refilled(&self, plan: u32, at: Timestamp, period: Span) -> bool {
        let is_it = |(of, span): &(u32, Option<Span>)| {
            *of == plan && span.is_some_and(|span| span.start < period.end && span.end > at)
        };
        self.state.lock().brought.iter().any(is_it)
    }

    pub(super) fn learn(&self, grant: &CreditGrant) {
        let mut state = self.state.lock();
        (state.held_by, state.was_refused) = (Some(grant.holder_organization), false);
        let never = Timestamp::from_micros(i64::MAX);
        // What was taken back does not come again either.
        let span = Span { start: grant.starts_at, end: grant.ends_at.unwrap_or(never) };
        let brought = match (grant.kind, grant.plan) {
            (CreditKind::Refill, Some((_, plan))) => Some((plan, Some(span))),
            (CreditKind::Trial, Some((_, plan))) => Some((plan, None)),
            _ => None,
        };
        if let Some(brought) = brought.filter(|brought| !state.brought.contains(brought)) {
            state.brought.retain(|(_, span)| span.is_none_or(|span| span.end > grant.created_at));
            state.brought.push(brought);
        }
        let (number, kind, amount) = (grant.number, grant.kind, grant.amount);
        state.wallet.put(Grant { number, kind, amount, span: grant.span() });
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
        let state = &mut *state;
        let at = state.now;
        let ended = state.wallet.withdraw(Some(at));
        let mut moves: Vec<_> = ended.into_iter().map(give_back).collect();
        state.wallet.forget_ended(at.plus_secs(-ENDED_SECS));
        if !state.runs_short() {
            return moves;
        }
        let has_room = state.wallet.untaken(at) > 0;
        let is_it = |purse: &&Purse| if has_room { purse.taken() < purse.grant.amount } else { purse.others > 0 };
        // Of those that seem to be used up not always the same ones are asked for.
        let skipped = if has_room { 0 } else { state.asked_to };
        let open = state.wallet.open(at).filter(is_it).skip(skipped).take(MAX_ROOMS);
        let from: Vec<Room> = open.map(|purse| (purse.grant.number, purse.grant.amount)).collect();
        state.asked_to = if has_room || from.len() < MAX_ROOMS { 0 } else { skipped + MAX_ROOMS };
        state.is_doubted = false;
        let is_soon = now.nanos_since(state.taken_at) < SOON_NANOS;
        let most = (state.wallet.left(at) / STEPS_OF).clamp(MIN_STEP, MAX_STEP);
        state.step = if is_soon { state.step.saturating_mul(2) } else { MIN_STEP }.clamp(MIN_STEP, most);
        state.taken_at = now;
        // What calls wait for, and a step besides: they are not alone.
        let wanted = std::mem::take(&mut state.wanted).saturating_sub(state.wallet.free(at));
        let amount = state.wallet.owed().saturating_add(state.step).saturating_add(wanted);
        if !from.is_empty() {
            moves.push(CreditMove::Take { from, amount });
        }
        moves
    }

    /// The grants from which a charge or a reservation is taken, besides so much that others in the same batch take, and what
    /// has to be given back for it of what calls would have used.
    pub(super) fn rooms(&self, amount: u64, besides: u64, now: Timestamp) -> (Vec<Room>, Vec<CreditMove>) {
        let mut state = self.state.lock();
        state.now = state.now.max(now);
        let wanted = amount.saturating_add(besides);
        let unused = if state.wallet.untaken(now) < wanted { state.wallet.withdraw(None) } else { Vec::new() };
        // Those that seem to be used up are asked only where the others are not enough.
        let is_enough = state.wallet.untaken(now) >= wanted;
        let open = state.wallet.open(now).filter(|purse| !is_enough || purse.taken() < purse.grant.amount);
        let rooms = open.map(|purse| (purse.grant.number, purse.grant.amount)).collect();
        (rooms, unused.into_iter().map(give_back).collect())
    }

    /// Whether something is here that was taken ahead of calls.
    pub(super) fn has_unused(&self, now: Timestamp) -> bool {
        self.state.lock().wallet.free(now) > 0
    }

    /// So much is taken of a grant by now, and so much of that for here.
    pub(super) fn note(&self, number: u32, total: u64, given: u64) {
        self.state.lock().wallet.taken(number, total, given);
    }

    /// What was withdrawn could not be given back: it is still here.
    pub(super) fn keep(&self, number: u32, amount: u64) {
        self.state.lock().wallet.put_back(number, amount);
    }

    /// There was less than was asked for: if nothing is left at all, what nobody has paid for yet nobody pays.
    pub(super) fn is_short_now(&self) {
        let mut state = self.state.lock();
        if state.wallet.untaken(state.now) == 0 {
            state.wallet.forgive();
        }
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
        is_low && (self.is_doubted || self.wallet.left(now) > free)
    }
}
