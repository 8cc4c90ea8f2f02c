//! What organizations are told of credits before somebody is refused for want of them.

use std::str::FromStr;

use serde::Serialize;

use super::{CreditKind, Wallet};
use crate::plan::Span;
use crate::time::Timestamp;

/// Credits are low from this share on of what was granted, in percent.
const LOW_PERCENT: u128 = 20;
/// How long before their end what is left of credits is told of.
const AHEAD_SECS: i64 = 7 * 86_400;

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CreditNoticeKind {
    /// A fifth is left of the grants of which anything is left, or less.
    Low,
    /// Nothing is left, or too little for a call that came.
    Exhausted,
    /// A grant ends within seven days and is in the second half of its time, and something is left of it.
    Ending,
}

impl FromStr for CreditNoticeKind {
    type Err = crate::key::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Low, Self::Exhausted, Self::Ending];
        let allowed = "low, exhausted, ending";
        all.into_iter().find(|kind| kind.as_str() == text).ok_or(crate::key::UnknownWord { allowed })
    }
}

impl CreditNoticeKind {
    /// The word in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Exhausted => "exhausted",
            Self::Ending => "ending",
        }
    }

    /// The word for the event.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Low => "credits.low",
            Self::Exhausted => "credits.exhausted",
            Self::Ending => "credits.ending",
        }
    }
}

/// What is told of a holder's credits, once for each grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CreditNotice {
    /// The number of the grant under which it is told: the one that ends, else the one that began last.
    #[serde(skip)]
    pub grant: u32,
    /// Why.
    #[serde(skip)]
    pub kind: CreditNoticeKind,
    /// How many are left: of the grant that ends, else of all that can be spent.
    pub remaining: u64,
    /// Of how many: of that grant, else of all grants of which anything is left.
    pub of: u64,
    /// When the grant ends, if that is what is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

impl Wallet {
    /// What there is to be told of now: that credits are low or used up, and of each grant that ends soon, but for refills, of
    /// which the next one comes by itself.
    pub fn notices(&mut self, now: Timestamp) -> Vec<CreditNotice> {
        let mut notices = Vec::new();
        // What was taken back is nobody's.
        let has_begun = |span: Span| span.start <= now && span.start < span.end;
        let begun = self.purses().iter().filter(|purse| has_begun(purse.grant.span));
        // Whatever comes later is a reason to tell anew.
        let Some(latest) = begun.max_by_key(|purse| (purse.grant.span.start, purse.grant.number)) else {
            return notices;
        };
        let grant = latest.grant.number;
        let of = self.open(now).filter(|purse| purse.left() > 0);
        let of = of.fold(0_u64, |sum, purse| sum.saturating_add(purse.grant.amount));
        let remaining = self.left(now);
        let kind = match remaining {
            0 => Some(CreditNoticeKind::Exhausted),
            _ if u128::from(remaining) * 100 <= u128::from(of) * LOW_PERCENT => Some(CreditNoticeKind::Low),
            _ => None,
        };
        notices.extend(kind.map(|kind| CreditNotice { grant, kind, remaining, of, ends_at: None }));
        let soon = now.plus_secs(AHEAD_SECS);
        let ends_soon = |grant: &super::Grant| {
            let (passed, to_come) =
                (now.as_secs() - grant.span.start.as_secs(), grant.span.end.as_secs() - now.as_secs());
            // One that is short from the beginning ends soon all the time.
            grant.kind != CreditKind::Refill && grant.span.end <= soon && to_come <= passed
        };
        notices.extend(self.open(now).filter(|purse| purse.left() > 0 && ends_soon(&purse.grant)).map(|purse| {
            CreditNotice {
                grant: purse.grant.number,
                kind: CreditNoticeKind::Ending,
                remaining: purse.left(),
                of: purse.grant.amount,
                ends_at: Some(purse.grant.span.end),
            }
        }));
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grant;
    use super::*;

    const DAY: i64 = 86_400;
    const EVER: Timestamp = Timestamp::from_micros(i64::MAX);

    fn at(day: i64) -> Timestamp {
        Timestamp::from_secs(day * DAY)
    }

    fn grant(number: u32, kind: CreditKind, amount: u64, (start, end): (i64, Option<i64>)) -> Grant {
        Grant { number, kind, amount, span: Span { start: at(start), end: end.map_or(EVER, at) } }
    }

    /// What is told when so much of each grant is used.
    fn told(grants: &[(Grant, u64)], day: i64) -> Vec<(u32, CreditNoticeKind, u64, u64)> {
        let mut wallet = Wallet::default();
        for (grant, used) in grants {
            wallet.put(*grant);
            wallet.taken(grant.number, *used, 0);
        }
        wallet.notices(at(day)).iter().map(|one| (one.grant, one.kind, one.remaining, one.of)).collect()
    }

    #[test]
    fn credits_are_told_of_when_they_are_low_and_when_there_are_none() {
        use CreditNoticeKind::{Exhausted, Low};
        let paid = |number| grant(number, CreditKind::Paid, 100, (1, None));
        for (used, expected) in [
            (0, None),
            (79, None),
            (80, Some((Low, 20, 100))),
            (99, Some((Low, 1, 100))),
            (100, Some((Exhausted, 0, 0))),
        ] {
            let expected: Vec<_> = expected.map(|(kind, left, of)| (1, kind, left, of)).into_iter().collect();
            assert_eq!(told(&[(paid(1), used)], 2), expected, "{used}");
        }
        assert_eq!(told(&[], 2), []);
        assert_eq!(told(&[(paid(1), 100)], 0), [], "before any begins");
        // What was used up long ago makes nothing low that was just bought.
        assert_eq!(told(&[(paid(1), 100), (paid(2), 100), (paid(3), 0)], 2), []);
        assert_eq!(told(&[(paid(1), 100), (paid(3), 90)], 2), [(3, Low, 10, 100)]);
        let revoked = grant(5, CreditKind::Paid, 10, (2, Some(2)));
        assert_eq!(told(&[(paid(1), 90), (revoked, 0)], 2), [(1, Low, 10, 100)], "what was taken back is nobody's");
        // What begins later is no reason to tell anew before it does.
        let later = grant(4, CreditKind::Refill, 50, (10, Some(20)));
        assert_eq!(told(&[(paid(1), 100), (later, 0)], 9), [(1, Exhausted, 0, 0)]);
        assert_eq!(told(&[(paid(1), 100), (later, 0)], 10), []);
        assert_eq!(told(&[(paid(1), 100), (later, 7)], 20), [(4, Exhausted, 0, 0)], "it has ended");
    }

    #[test]
    fn what_is_left_is_told_of_a_week_before_it_ends() {
        use CreditNoticeKind::Ending;
        let trial = grant(1, CreditKind::Trial, 100, (0, Some(90)));
        assert_eq!(told(&[(trial, 5)], 82), []);
        assert_eq!(told(&[(trial, 5)], 83), [(1, Ending, 95, 100)]);
        assert_eq!(told(&[(trial, 5)], 90), [(1, CreditNoticeKind::Exhausted, 0, 0)]);
        let ever = (grant(9, CreditKind::Paid, 100, (0, None)), 0);
        assert_eq!(told(&[(trial, 100), ever], 83), [], "nothing of it is left");
        let refill = grant(2, CreditKind::Refill, 100, (0, Some(30)));
        let short = grant(3, CreditKind::Bonus, 100, (0, Some(7)));
        assert_eq!(told(&[(refill, 0), (short, 0), ever], 3), []);
        assert_eq!(
            told(&[(refill, 0), (short, 0), ever], 4),
            [(3, Ending, 100, 100)],
            "in the second half of its time"
        );
    }
}
