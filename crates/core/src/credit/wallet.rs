//! What one process has of a holder's credits. As with quotas (see [`Balance`](crate::plan::Balance)) nothing is used that
//! was not taken from the store before, so that credits are never overspent: not by any number of nodes, not through any
//! crash. What of it was not used in a crash is lost to the holder, at most a step.

use arrayvec::ArrayVec;

use super::CreditKind;
use crate::plan::{Drawing, Span};
use crate::time::Timestamp;

/// Grants that one call is noted under; of more, the last one stands for the rest.
const MAX_PARTS: usize = 4;

/// Credits that were granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The number under which it is kept.
    pub number: u32,
    /// Why they were granted.
    pub kind: CreditKind,
    /// How many.
    pub amount: u64,
    /// When they can be spent.
    pub span: Span,
}

/// A grant, and what is used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purse {
    /// The grant.
    pub grant: Grant,
    /// What others took out of it: other nodes, this one before it was last started, reservations.
    pub others: u64,
    /// What was taken out of it here.
    pub granted: u64,
    /// What was used here; never more than was taken.
    pub used: u64,
    /// What of that was for calls that turned out to cost more: no call knows which of it is its own.
    paid: u64,
}

impl Purse {
    /// What was taken out of it, by all.
    pub const fn taken(&self) -> u64 {
        self.others.saturating_add(self.granted)
    }

    /// What is in it for calls here.
    const fn free(&self) -> u64 {
        self.granted - self.used
    }

    /// What of it is not used.
    pub const fn left(&self) -> u64 {
        self.grant.amount.saturating_sub(self.others.saturating_add(self.used))
    }

    /// In which order they are spent: what ends first, and of what ends together the older one.
    const fn order(&self) -> (Timestamp, u32) {
        (self.grant.span.end, self.grant.number)
    }
}

/// What a call has spent, grant by grant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spent {
    parts: ArrayVec<(u32, u64), MAX_PARTS>,
    total: u64,
}

impl Spent {
    /// All of it.
    pub const fn total(&self) -> u64 {
        self.total
    }

    fn note(&mut self, grant: u32, amount: u64) {
        match self.parts.iter().position(|(of, _)| *of == grant) {
            Some(place) => self.parts[place].1 += amount,
            None if self.parts.is_full() => self.parts[MAX_PARTS - 1].1 += amount,
            None => self.parts.push((grant, amount)),
        }
    }
}

/// What is so from one moment up to another: between them no grant begins or ends.
#[derive(Debug, Clone, Copy)]
struct Sums {
    during: Span,
    /// What is there for calls here.
    free: u64,
    /// What is left, with what may be taken from the store.
    left: u64,
    /// The first purse that has some for calls.
    first: usize,
}

/// What one process has of a holder's credits.
#[derive(Debug, Clone, Default)]
pub struct Wallet {
    /// In the order in which they are spent.
    purses: Vec<Purse>,
    /// What was used and not taken out of any of them yet: calls that turned out to cost more than was thought.
    owed: u64,
    sums: Option<Sums>,
}

impl Wallet {
    /// Puts a grant in, or what has become of it.
    pub fn put(&mut self, grant: Grant) {
        let purse = match self.purses.iter().position(|purse| purse.grant.number == grant.number) {
            Some(place) => Purse { grant, ..self.purses.remove(place) },
            None => Purse { grant, others: 0, granted: 0, used: 0, paid: 0 },
        };
        let place = self.purses.partition_point(|other| other.order() < purse.order());
        self.purses.insert(place, purse);
        self.sums = None;
    }

    /// The grants, with what is used of each, in the order in which they are spent.
    pub fn purses(&self) -> &[Purse] {
        &self.purses
    }

    /// Those that can be spent at a moment.
    pub fn open(&self, now: Timestamp) -> impl Iterator<Item = &Purse> {
        self.purses.iter().filter(move |purse| purse.grant.span.holds(now))
    }

    /// What was used and not taken out of a grant yet.
    pub const fn owed(&self) -> u64 {
        self.owed
    }

    /// What is there for calls here.
    pub fn free(&mut self, now: Timestamp) -> u64 {
        self.sums(now).free
    }

    /// What is left, by all that is known here.
    pub fn left(&mut self, now: Timestamp) -> u64 {
        self.sums(now).left.saturating_sub(self.owed)
    }

    /// What may be taken from the store, by all that is known here.
    pub fn untaken(&self, now: Timestamp) -> u64 {
        self.open(now).map(|purse| purse.grant.amount.saturating_sub(purse.taken())).sum()
    }

    /// What a call finds that wants so much.
    pub fn draw(&mut self, wanted: u64, now: Timestamp) -> Drawing {
        if self.left(now) < wanted {
            Drawing::Exhausted
        } else if self.free(now) < wanted {
            Drawing::Short
        } else {
            Drawing::Fits
        }
    }

    /// Spends so much, which [`Self::draw`] found to fit; what does not is not spent.
    pub fn spend(&mut self, wanted: u64, now: Timestamp) -> Spent {
        let mut spent = Spent::default();
        self.spend_more(&mut spent, wanted, now);
        spent
    }

    /// A call turned out to cost this and not what it spent. What it costs more is spent as far as there is any left.
    pub fn correct(&mut self, spent: &mut Spent, is: u64, now: Timestamp) {
        if is > spent.total {
            let more = is - spent.total;
            let rest = more - self.spend_more(spent, more, now);
            let owed = rest.min(self.left(now));
            self.owed += owed;
            spent.total += owed;
        } else {
            self.give_back(spent, spent.total - is);
        }
    }

    /// Spends as much of this as is free; returns how much that is.
    fn spend_more(&mut self, spent: &mut Spent, wanted: u64, now: Timestamp) -> u64 {
        let mut sums = self.sums(now);
        let mut rest = wanted;
        while rest > 0
            && let Some(purse) = self.purses.get_mut(sums.first)
        {
            let part = if purse.grant.span.holds(now) { purse.free().min(rest) } else { 0 };
            if part > 0 {
                purse.used += part;
                rest -= part;
                spent.note(purse.grant.number, part);
            }
            if rest > 0 {
                sums.first += 1;
            }
        }
        let done = wanted - rest;
        spent.total += done;
        (sums.free, sums.left) = (sums.free - done, sums.left.saturating_sub(done));
        self.sums = Some(sums);
        done
    }

    fn give_back(&mut self, spent: &mut Spent, amount: u64) {
        let mut rest = amount.min(spent.total);
        spent.total -= rest;
        let of_owed = rest.min(self.owed);
        // What nobody has paid for yet.
        let noted: u64 = spent.parts.iter().map(|(_, amount)| amount).sum();
        let of_owed = of_owed.min((spent.total + rest).saturating_sub(noted));
        self.owed -= of_owed;
        rest -= of_owed;
        // The last ones first: they are spent last.
        for (number, noted) in spent.parts.iter_mut().rev() {
            let purse = self.purses.iter_mut().find(|purse| purse.grant.number == *number);
            let part = rest.min(*noted);
            if let Some(purse) = purse {
                purse.used -= part.min(purse.used);
            }
            *noted -= part;
            rest -= part;
        }
        // What was owed and is paid by now; not what was forgiven.
        for purse in self.purses.iter_mut().rev() {
            let part = rest.min(purse.paid).min(purse.used);
            purse.used -= part;
            purse.paid -= part;
            rest -= part;
        }
        self.sums = None;
    }

    /// So much is taken of a grant by now, by all, and so much of that just now, for here.
    pub fn taken(&mut self, number: u32, total: u64, given: u64) {
        if let Some(purse) = self.purses.iter_mut().find(|purse| purse.grant.number == number) {
            purse.granted += given;
            purse.others = total.saturating_sub(purse.granted);
            let paid = self.owed.min(purse.free());
            purse.used += paid;
            purse.paid += paid;
            self.owed -= paid;
            self.sums = None;
        }
    }

    /// What was withdrawn could not be given back: it is still here.
    pub fn put_back(&mut self, number: u32, amount: u64) {
        if let Some(purse) = self.purses.iter_mut().find(|purse| purse.grant.number == number) {
            purse.granted += amount;
            self.sums = None;
        }
    }

    /// Nobody pays any more for what is owed: there is nothing left.
    pub const fn forgive(&mut self) {
        self.owed = 0;
    }

    /// Takes out what was taken from the store and not used, of grants that have ended, or of all of them: it is to be given
    /// back.
    pub fn withdraw(&mut self, ended_by: Option<Timestamp>) -> Vec<(u32, u64)> {
        let mut unused = Vec::new();
        for purse in &mut self.purses {
            if purse.free() > 0 && ended_by.is_none_or(|now| purse.grant.span.end <= now) {
                unused.push((purse.grant.number, purse.free()));
                purse.granted = purse.used;
            }
        }
        self.sums = None;
        unused
    }

    /// Leaves out grants that ended before a moment and of which nothing is to be given back.
    pub fn forget_ended(&mut self, before: Timestamp) {
        self.purses.retain(|purse| purse.free() > 0 || purse.grant.span.end >= before);
        self.sums = None;
    }

    fn sums(&mut self, now: Timestamp) -> Sums {
        if let Some(sums) = self.sums
            && sums.during.holds(now)
        {
            return sums;
        }
        let mut sums = Sums {
            during: Span { start: Timestamp::from_micros(i64::MIN), end: Timestamp::from_micros(i64::MAX) },
            free: 0,
            left: 0,
            first: self.purses.len(),
        };
        for (place, purse) in self.purses.iter().enumerate() {
            let Span { start, end } = purse.grant.span;
            for edge in [start, end] {
                if edge <= now {
                    sums.during.start = sums.during.start.max(edge);
                } else {
                    sums.during.end = sums.during.end.min(edge);
                }
            }
            if purse.grant.span.holds(now) {
                sums.free += purse.free();
                sums.left = sums.left.saturating_add(purse.left());
                if purse.free() > 0 {
                    sums.first = sums.first.min(place);
                }
            }
        }
        self.sums = Some(sums);
        sums
    }
}
