//! What one project uses at one API.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use arrayvec::ArrayVec;
use keystile_core::limit::Counted;
use keystile_core::plan::{Balance, Drawing, Exhausted, Left, Outage, Period, Quota, QuotaNotice, QuotaOf, Span};
use keystile_core::time::{Ticks, Timestamp};
use keystile_core::zone::Zone;
use keystile_store::{Amount, Taken, Taking};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Lefts, Line, MAX_ORDER, Order, Reached};
use crate::enforce::draws::{Denied, Supply};

/// Least that is taken ahead of use.
const MIN_STEP: u64 = 16;
/// Most, in steps that double while one follows the other within [`SOON_NANOS`]. A crash loses what is left of one, less than
/// half, and the next one.
const MAX_STEP: u64 = 1 << 20;
/// A twentieth of a quota at most is taken in one step.
const STEPS_OF: u64 = 20;
const SOON_NANOS: u64 = 1_000_000_000;
/// What others took of an amount that is used up is asked for no more often: they may have given some back.
const LOOK_NANOS: u64 = 10_000_000_000;

/// By whose clock periods begin where no plan says it.
static UTC: LazyLock<Zone> = LazyLock::new(Zone::default);

/// What one project uses at one API.
pub struct Account {
    project: u32,
    api: u32,
    state: Mutex<State>,
    /// Whether its keeper knows that it wants more.
    is_asking: AtomicBool,
    line: Arc<Line>,
    /// Told when more was taken, or could not be.
    granted: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    books: Vec<Book>,
    /// Tells the quotas that were asked last from others.
    fingerprint: u64,
}

/// What is counted in periods of one kind.
struct Book {
    period: Period,
    counts: Counted,
    /// By which clock its period was found.
    zone: String,
    anchor: Timestamp,
    balance: Balance,
    /// How much was taken the last time.
    step: u64,
    /// When.
    taken_at: Ticks,
    /// What calls wanted, together, that was not there.
    wanted: u64,
    /// Whether it is to be asked what others took.
    is_doubted: bool,
    /// Whether one of the project's quotas looks at it now.
    is_asked: bool,
    /// How much there is at most, if that refuses calls.
    limit: Option<u64>,
    /// By how much steps are measured: the smallest quota that looks at it.
    scale: u64,
    /// What was used of a period that this one overlaps, by another clock.
    carried: u64,
    /// Up to where shares that are reached were told.
    told: u64,
}

/// What a call has drawn: it may turn out to cost something else, or nothing.
pub struct Drawn {
    account: Arc<Account>,
    cost: u32,
    /// Whether it was given back.
    is_void: bool,
    from: ArrayVec<(Period, Counted, Timestamp), MAX_ORDER>,
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawn").field("cost", &self.cost).finish_non_exhaustive()
    }
}

impl Drawn {
    /// It costs this and not what was thought.
    pub fn costs(&mut self, cost: u32) {
        let (was, is) = (std::mem::replace(&mut self.cost, cost), cost);
        self.correct(|counts| i64::from(counts.of(is)) - i64::from(counts.of(was)));
    }

    /// It came to nothing: all is given back, once.
    pub fn void(&mut self) {
        let cost = self.cost;
        self.correct(|counts| -i64::from(counts.of(cost)));
        self.is_void = true;
    }

    fn correct(&self, more: impl Fn(Counted) -> i64) {
        if self.is_void {
            return;
        }
        let mut state = self.account.state.lock();
        for (period, counts, start) in &self.from {
            let more = more(*counts);
            let is_it = |book: &&mut Book| {
                book.period == *period && book.counts == *counts && book.balance.span.start == *start
            };
            // Of a period that is over nothing is counted any more.
            if let Some(book) = state.books.iter_mut().find(is_it) {
                book.balance.correct(more);
            }
        }
        // What is used beyond what was taken is written down now, and not when somebody calls again.
        if state.books.iter().any(Book::runs_short) {
            self.account.ask();
        }
    }
}

impl Account {
    pub(super) fn new(project: u32, api: u32, line: Arc<Line>) -> Self {
        let (state, is_asking, granted) = (Mutex::default(), AtomicBool::new(false), watch::Sender::default());
        Self { project, api, state, is_asking, line, granted }
    }

    /// Draws from all quotas or from none. `charge` is asked in between, if they have room: whether the call is let through
    /// by everything else, and what came of that.
    pub fn draw<R>(
        self: &Arc<Self>,
        order: &Order<'_>,
        lefts: &mut Lefts,
        charge: impl FnOnce() -> (bool, R),
    ) -> Result<(R, Option<Drawn>), Denied> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let places = state.places(order);
        let is_away = self.line.is_cut_off.load(Ordering::Relaxed);
        let (mut until, mut is_short, mut is_cut_off) = (None::<Timestamp>, false, false);
        // Of several quotas that look at one balance, each call wants it once.
        let mut wants = ArrayVec::<usize, MAX_ORDER>::new();
        for ((quota, _), place) in order.quotas().zip(&places) {
            let book = &mut state.books[*place];
            if quota.on_exhausted == Exhausted::Allow {
                continue;
            }
            let wanted = quota.counted(order.cost);
            let end = book.balance.span.end;
            match book.balance.draw(wanted, quota.limit) {
                Drawing::Fits => {}
                Drawing::Exhausted => {
                    until = until.max(Some(end));
                    let is_long_ago = order.now.ticks.nanos_since(book.taken_at) >= LOOK_NANOS;
                    book.is_doubted |= is_long_ago && book.balance.others > 0;
                }
                Drawing::Short => {
                    if !wants.contains(place) {
                        wants.push(*place);
                        book.wanted = book.wanted.saturating_add(wanted);
                    }
                    is_short = true;
                    is_cut_off |= is_away && quota.on_outage == Outage::Refuse;
                }
            }
        }
        self.say(state, order, &places, lefts);
        if until.is_some() {
            // What came afterwards may have used it up.
            self.tell(state, order, &places);
        }
        if is_short || state.books.iter().any(Book::runs_short) {
            self.ask();
        }
        match until {
            Some(until) => return Err(Denied::Exhausted(until)),
            None if is_cut_off => return Err(Denied::CutOff),
            // Seen by whoever takes for it after this, who needs the lock first.
            None if is_short && !is_away => return Err(Denied::Short(Supply::new(self.granted.subscribe()))),
            None => {}
        }
        let (is_let_through, charged) = charge();
        let mut from = ArrayVec::new();
        if is_let_through && (order.cost > 0 || order.reports) {
            for ((quota, _), place) in order.quotas().zip(&places) {
                let book = &mut state.books[*place];
                let one = (book.period, book.counts, book.balance.span.start);
                // Several quotas may look at one balance.
                if !from.contains(&one) {
                    from.push(one);
                    book.balance.used += quota.counted(order.cost);
                }
            }
            self.tell(state, order, &places);
        }
        self.say(state, order, &places, lefts);
        if state.books.iter().any(Book::runs_short) {
            self.ask();
        }
        let drawn = Drawn { account: self.clone(), cost: order.cost, is_void: false, from };
        Ok((charged, (!drawn.from.is_empty()).then_some(drawn)))
    }

    /// What is left, and whether a call of this cost would find enough. Draws nothing.
    pub fn look(&self, order: &Order<'_>, cost: u32, lefts: &mut Lefts) -> Result<(), Denied> {
        let mut state = self.state.lock();
        let places = state.places(order);
        self.say(&state, order, &places, lefts);
        for ((quota, _), left) in order.quotas().zip(&*lefts) {
            if quota.on_exhausted == Exhausted::Refuse && left.remaining < quota.counted(cost) {
                return Err(Denied::Exhausted(left.span.end));
            }
        }
        Ok(())
    }

    fn say(&self, state: &State, order: &Order<'_>, places: &[usize], lefts: &mut Lefts) {
        lefts.clear();
        lefts.extend(
            order.quotas().zip(places).map(|((quota, _), place)| state.books[*place].balance.left(quota.limit)),
        );
    }

    /// Tells of shares that are reached.
    fn tell(&self, state: &mut State, order: &Order<'_>, places: &[usize]) {
        for ((quota, of), place) in order.quotas().zip(places) {
            let book = &state.books[*place];
            if let Some(percent) = quota.reached(book.told, book.balance.total()) {
                let notice = notice(quota, of, percent, &book.balance);
                let [project, api] = order.between;
                let mut told = ArrayVec::from_iter([project]);
                if of == QuotaOf::Plan && api != project {
                    told.push(api);
                }
                // Without a keeper nobody is told.
                let _ = self.line.notices.send(Reached { id: order.link.id, notice, told });
            }
        }
        for place in places {
            let book = &mut state.books[*place];
            book.told = book.told.max(book.balance.total());
        }
    }

    pub(super) fn ask(self: &Arc<Self>) {
        if !self.is_asking.swap(true, Ordering::AcqRel) {
            let _ = self.line.short.send(self.clone());
        }
    }

    /// What is to be taken for it now.
    pub(super) fn wants(&self, now: Ticks) -> Vec<Taking> {
        self.is_asking.store(false, Ordering::Release);
        let mut state = self.state.lock();
        let short = state.books.iter_mut().filter(|book| book.runs_short());
        short
            .map(|book| {
                let Balance { used, granted, .. } = book.balance;
                let is_doubted = std::mem::take(&mut book.is_doubted);
                let (owed, carried) = (used.saturating_sub(granted), book.carried);
                if is_doubted && !book.is_low() {
                    book.taken_at = now;
                    return Taking { amount: book.amount(self), carried, owed, ahead: 0, limit: book.limit };
                }
                let is_soon = now.nanos_since(book.taken_at) < SOON_NANOS;
                let most = (book.scale / STEPS_OF).clamp(MIN_STEP, MAX_STEP);
                book.step = if is_soon { book.step.saturating_mul(2) } else { MIN_STEP }.clamp(MIN_STEP, most);
                book.taken_at = now;
                let wanted = std::mem::take(&mut book.wanted).saturating_sub(granted.saturating_sub(used));
                Taking { amount: book.amount(self), carried, owed, ahead: book.step.max(wanted), limit: book.limit }
            })
            .collect()
    }

    /// This was taken for it.
    pub(super) fn grant(&self, amount: &Amount, taken: Taken) {
        let mut state = self.state.lock();
        if let Some(book) = state.books.iter_mut().find(|book| book.amount(self) == *amount) {
            book.balance.granted = book.balance.granted.saturating_add(taken.given);
            book.carried = 0;
            book.balance.others = taken.total.saturating_sub(book.balance.granted);
        }
    }

    pub(super) fn wake(&self) {
        self.granted.send_replace(());
    }

    /// What was taken and is not used, which is not there any more after this; and what is used and was not taken.
    pub(super) fn settle(&self) -> (Vec<(Amount, u64)>, Vec<Taking>) {
        let mut state = self.state.lock();
        let (mut unused, mut owed) = (Vec::new(), Vec::new());
        for book in &mut state.books {
            let amount = book.amount(self);
            let balance = &mut book.balance;
            if balance.granted > balance.used {
                unused.push((amount, balance.granted - balance.used));
            } else if balance.used > balance.granted {
                let carried = book.carried;
                owed.push(Taking { amount, carried, owed: balance.used - balance.granted, ahead: 0, limit: None });
            }
            balance.granted = balance.used;
        }
        (unused, owed)
    }

    pub(super) fn restore(&self, amount: Amount, taken: u64) {
        let mut state = self.state.lock();
        let is_it = |book: &&mut Book| book.period == amount.period && book.counts == amount.counts;
        match state.books.iter_mut().find(is_it) {
            // Of two periods the later one; of two that overlap, by different clocks, what is used most.
            Some(book) if book.balance.span.start >= amount.span.end => {}
            Some(book) if book.balance.span.end > amount.span.start && book.balance.others >= taken => {}
            Some(book) => book.balance = Balance::new(amount.span, taken),
            None => {
                let book = Book::new(amount.period, amount.counts);
                state.books.push(Book { balance: Balance::new(amount.span, taken), ..book });
            }
        }
    }
}

impl State {
    /// Where each quota is counted; those whose period is over begin anew.
    fn places(&mut self, order: &Order<'_>) -> ArrayVec<usize, MAX_ORDER> {
        let now = order.now.wall;
        let zone = order.zone().unwrap_or(&UTC);
        let is_another = self.fingerprint != order.fingerprint();
        self.fingerprint = order.fingerprint();
        if is_another {
            for book in &mut self.books {
                (book.told, book.limit, book.scale, book.is_asked) = (0, None, u64::MAX, false);
            }
        }
        order
            .quotas()
            .map(|(quota, _)| {
                let is_it = |book: &Book| book.period == quota.period && book.counts == quota.counts;
                let place = self.books.iter().position(is_it).unwrap_or_else(|| {
                    self.books.push(Book::new(quota.period, quota.counts));
                    self.books.len() - 1
                });
                let book = &mut self.books[place];
                book.turn(now, zone, order.anchor());
                book.is_asked = true;
                book.scale = book.scale.min(quota.limit);
                if quota.on_exhausted == Exhausted::Refuse {
                    book.limit = Some(book.limit.map_or(quota.limit, |limit| limit.min(quota.limit)));
                }
                place
            })
            .collect()
    }
}

impl Book {
    fn new(period: Period, counts: Counted) -> Self {
        let never = Span { start: Timestamp::from_micros(0), end: Timestamp::from_micros(0) };
        Self {
            period,
            counts,
            zone: String::new(),
            anchor: Timestamp::from_micros(0),
            balance: Balance::new(never, 0),
            step: 0,
            taken_at: Ticks::from_nanos(0),
            wanted: 0,
            is_doubted: false,
            is_asked: false,
            limit: None,
            scale: u64::MAX,
            carried: 0,
            told: 0,
        }
    }

    fn amount(&self, account: &Account) -> Amount {
        let (project, api) = (account.project, account.api);
        Amount { project, api, period: self.period, counts: self.counts, span: self.balance.span }
    }

    /// Goes on to the period of this moment.
    fn turn(&mut self, now: Timestamp, zone: &Zone, anchor: Timestamp) {
        let is_by = self.zone == zone.name() && (self.anchor == anchor || self.period != Period::BillingPeriod);
        if is_by && self.balance.span.holds(now) {
            return;
        }
        let span = self.period.at(now, zone, anchor);
        // A clock that was set back gives nobody a period anew, nor does a call that began before midnight.
        let is_back =
            is_by && span.end <= self.balance.span.start && self.balance != Balance::new(self.balance.span, 0);
        // The same time by the clock of another zone is used already. A billing period from another day is another one.
        let is_moved = !is_by && self.period != Period::BillingPeriod;
        let overlaps = span.start < self.balance.span.end && self.balance.span.start < span.end;
        let carried = if is_moved && overlaps { self.balance.total() } else { 0 };
        if !is_by {
            (self.zone, self.anchor) = (zone.name().to_owned(), anchor);
        }
        if span != self.balance.span && !is_back {
            self.balance = Balance::new(span, carried);
            (self.told, self.wanted, self.carried) = (0, 0, carried);
        }
    }

    /// Whether its keeper has something to do for it.
    fn runs_short(&self) -> bool {
        self.is_asked && (self.is_doubted || self.is_low())
    }

    /// Whether less than half of a step is left of what was taken ahead of use, or less than calls wait for, and there may be
    /// more.
    fn is_low(&self) -> bool {
        let balance = &self.balance;
        let (used, granted) = (balance.used, balance.granted);
        let is_low = used.saturating_add(self.step / 2) >= granted || used.saturating_add(self.wanted) > granted;
        let taken = balance.others.saturating_add(granted);
        is_low && (used > granted || self.carried > 0 && granted == 0 || self.limit.is_none_or(|limit| taken < limit))
    }
}

fn notice(quota: &Quota, of: QuotaOf, percent: u8, balance: &Balance) -> QuotaNotice {
    let Left { limit, span: Span { start, end }, .. } = balance.left(quota.limit);
    QuotaNotice {
        name: quota.name.clone(),
        of,
        period: quota.period,
        starts_at: start,
        ends_at: end,
        limit,
        used: balance.total(),
        percent,
    }
}
