//! What is used of an amount in one period. Nothing that must not be overspent may hang on what a crash forgets, so whoever
//! counts takes from the store ahead of use: `granted` was written down as used before it is, and what of it was not used
//! in a crash is lost to the project. So a hard quota is never overspent, by any number of nodes, through any crash; it
//! ends early by what of its grants was not used.

use super::period::Span;

/// What one counts of an amount in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// The period.
    pub span: Span,
    /// What others took out of it: other nodes, and this one before it was last started.
    pub others: u64,
    /// What was taken out of it here.
    pub granted: u64,
    /// What was used here.
    pub used: u64,
}

/// What a call finds that wants some of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    /// It fits.
    Fits,
    /// It may fit, but more has to be taken from the store first.
    Short,
    /// There is not enough left.
    Exhausted,
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How much there is.
    pub limit: u64,
    /// How much of it is used, perhaps more than there is.
    pub used: u64,
    /// How much of it is left.
    pub remaining: u64,
    /// The period: when it is over, all of it is there again.
    pub span: Span,
}

impl Balance {
    /// Of a period in which nothing was used; `others` is what is written down of it.
    pub const fn new(span: Span, others: u64) -> Self {
        Self { span, others, granted: 0, used: 0 }
    }

    /// What is used of it, by all.
    pub const fn total(&self) -> u64 {
        self.others.saturating_add(self.used)
    }

    /// What a call finds that wants so much, if no more than `limit` may be used.
    pub const fn draw(&self, wanted: u64, limit: u64) -> Drawing {
        if self.total().saturating_add(wanted) > limit {
            Drawing::Exhausted
        } else if self.used.saturating_add(wanted) > self.granted {
            Drawing::Short
        } else {
            Drawing::Fits
        }
    }

    /// What is left of so much.
    pub const fn left(&self, limit: u64) -> Left {
        Left { limit, used: self.total(), remaining: limit.saturating_sub(self.total()), span: self.span }
    }

    /// So much more is used than was thought, or less.
    pub const fn correct(&mut self, more: i64) {
        self.used = self.used.saturating_add_signed(more);
    }
}
