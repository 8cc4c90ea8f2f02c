//! What one project uses at one API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrayvec::ArrayVec;
use keystile_core::limit::Counted;
use keystile_core::plan::{Balance, Drawing, Exhausted, Left, Outage, Period, Quota, QuotaNotice, QuotaOf, Span, Zone};
use keystile_core::time::{Ticks, Timestamp};
use keystile_store::{Amount, Taken, Taking};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::{Lefts, MAX_ORDER, Order, Word};

/// Least that is taken ahead of use.
const MIN_STEP: u64 = 16;
/// Most, in steps that double while one follows the other within [`SOON_NANOS`]. A crash loses one of them.
const MAX_STEP: u64 = 1 << 20;
/// A twentieth of a quota at most is taken in one step.
const STEPS_OF: u64 = 20;
const SOON_NANOS: u64 = 1_000_000_000;
/// How long a call waits for what has to be taken for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one project uses at one API.
pub struct Account {
    project: u32,
    api: u32,
    state: Mutex<State>,
    /// Whether its keeper knows that it wants more.
    is_asking: AtomicBool,
    words: mpsc::UnboundedSender<Word>,
    /// Told when more was taken, or could not be.
    granted: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    books: Vec<Book>,
    /// Tells the quotas that were asked last from others.
    fingerprint: u64,
    /// Whether the ledger could not be asked the last time.
    is_cut_off: bool,
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
    /// What a call wanted that was not there.
    wanted: u64,
    /// How much there is at most, if that refuses calls.
    limit: Option<u64>,
    /// Up to where shares that are reached were told.
    told: u64,
}

/// Why nothing was drawn.
#[derive(Debug)]
pub enum Denied {
    /// A quota is used up, until then.
    Exhausted(Timestamp),
    /// More has to be taken from the ledger first.
    Short(Grant),
    /// The same, and the ledger can't be asked.
    CutOff,
}

/// What is taken for an account next.
#[derive(Debug)]
pub struct Grant(watch::Receiver<()>);

impl Grant {
    /// Waits for it; whether it came in time.
    pub async fn has_come(mut self) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.0.changed()).await, Ok(Ok(())))
    }
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
    }
}

impl Account {
    pub(super) fn new(project: u32, api: u32, words: mpsc::UnboundedSender<Word>) -> Self {
        let (state, is_asking, granted) = (Mutex::default(), AtomicBool::new(false), watch::Sender::default());
        Self { project, api, state, is_asking, words, granted }
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
        let (mut until, mut is_short, mut is_cut_off) = (None::<Timestamp>, false, false);
        for ((quota, _), place) in order.quotas().zip(&places) {
            let book = &mut state.books[*place];
            if quota.on_exhausted == Exhausted::Allow {
                continue;
            }
            let wanted = quota.counted(order.cost);
            let end = book.balance.span.end;
            match book.balance.draw(wanted, quota.limit) {
                Drawing::Fits => {}
                Drawing::Exhausted => until = until.max(Some(end)),
                Drawing::Short => {
                    book.wanted = book.wanted.max(wanted);
                    is_short = true;
                    is_cut_off |= state.is_cut_off && quota.on_outage == Outage::Refuse;
                }
            }
        }
        self.say(state, order, &places, lefts);
        if is_short {
            self.ask();
        }
        match until {
            Some(until) => return Err(Denied::Exhausted(until)),
            None if is_cut_off => return Err(Denied::CutOff),
            // Seen by whoever takes for it after this, who needs the lock first.
            None if is_short && !state.is_cut_off => return Err(Denied::Short(Grant(self.granted.subscribe()))),
            None => {}
        }
        let (is_let_through, charged) = charge();
        let mut from = ArrayVec::new();
        if is_let_through && order.cost > 0 {
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
                let _ = self.words.send(Word::Reached(order.link.id, Box::new(notice), told));
            }
        }
        for place in places {
            let book = &mut state.books[*place];
            book.told = book.told.max(book.balance.total());
        }
    }

    pub(super) fn ask(self: &Arc<Self>) {
        if !self.is_asking.swap(true, Ordering::AcqRel) {
            let _ = self.words.send(Word::Short(self.clone()));
        }
    }

    /// What is to be taken for it now.
    pub(super) fn wants(&self, now: Ticks) -> Vec<Taking> {
        self.is_asking.store(false, Ordering::Release);
        let mut state = self.state.lock();
        let short = state.books.iter_mut().filter(|book| book.runs_short());
        short
            .map(|book| {
                let is_soon = now.nanos_since(book.taken_at) < SOON_NANOS;
                let most = book.limit.map_or(MAX_STEP, |limit| (limit / STEPS_OF).clamp(MIN_STEP, MAX_STEP));
                book.step = if is_soon { book.step.saturating_mul(2) } else { MIN_STEP }.clamp(MIN_STEP, most);
                book.taken_at = now;
                let ahead = book.step.max(std::mem::take(&mut book.wanted));
                let owed = book.balance.used.saturating_sub(book.balance.granted);
                Taking { amount: book.amount(self), owed, ahead, limit: book.limit }
            })
            .collect()
    }

    /// This was taken for it.
    pub(super) fn grant(&self, amount: &Amount, taken: Taken) {
        let mut state = self.state.lock();
        state.is_cut_off = false;
        if let Some(book) = state.books.iter_mut().find(|book| book.amount(self) == *amount) {
            book.balance.granted = book.balance.granted.saturating_add(taken.given);
            book.balance.others = taken.total.saturating_sub(book.balance.granted);
        }
    }

    /// Nothing could be taken.
    pub(super) fn cut_off(&self) {
        self.state.lock().is_cut_off = true;
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
                owed.push(Taking { amount, owed: balance.used - balance.granted, ahead: 0, limit: None });
            }
            balance.granted = balance.used;
        }
        (unused, owed)
    }

    pub(super) fn restore(&self, amount: Amount, taken: u64) {
        let book = Book { balance: Balance::new(amount.span, taken), ..Book::new(amount.period, amount.counts) };
        self.state.lock().books.push(book);
    }
}

impl State {
    /// Where each quota is counted; those whose period is over begin anew.
    fn places(&mut self, order: &Order<'_>) -> ArrayVec<usize, MAX_ORDER> {
        let now = order.now.wall;
        let utc = Zone::default();
        let zone = order.zone().unwrap_or(&utc);
        let is_another = self.fingerprint != order.fingerprint();
        self.fingerprint = order.fingerprint();
        if is_another {
            self.books.iter_mut().for_each(|book| (book.told, book.limit) = (0, None));
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
            limit: None,
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
        // A clock that was set back a little gives nobody a period anew.
        let is_back = is_by && span.end <= self.balance.span.start && self.balance.total() > 0;
        if !is_by {
            (self.zone, self.anchor) = (zone.name().to_owned(), anchor);
        }
        if span != self.balance.span && !is_back {
            (self.balance, self.told, self.wanted) = (Balance::new(span, 0), 0, 0);
        }
    }

    /// Whether less than half of a step is left of what was taken ahead of use, and there may be more.
    fn runs_short(&self) -> bool {
        let balance = &self.balance;
        let is_short = balance.used.saturating_add(self.step / 2).max(self.wanted) >= balance.granted;
        let taken = balance.others.saturating_add(balance.granted);
        is_short && (balance.used > balance.granted || self.limit.is_none_or(|limit| taken < limit))
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
