use crate::credit::CreditKind;
use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Grant, Spent, Wallet};
use crate::plan::{CreditTerms, Drawing, PlanTerms, Span};
use crate::time::Timestamp;

const EVER: Timestamp = Timestamp::from_micros(i64::MAX);

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn grant(number: u32, amount: u64, start: i64, end: i64) -> Grant {
    Grant { number, kind: CreditKind::Paid, amount, span: Span { start: at(start), end: at(end) } }
}

/// Takes as much as there is, up to so much, as the store does: of the grants that can be spent, in order.
fn take(store: &mut HashMap<u32, u64>, wallet: &mut Wallet, amount: u64, now: Timestamp) -> u64 {
    let mut rest = amount;
    let open: Vec<Grant> = wallet.open(now).map(|purse| purse.grant).collect();
    for grant in open {
        let kept = store.entry(grant.number).or_default();
        let given = rest.min(grant.amount - *kept);
        *kept += given;
        rest -= given;
        wallet.taken(grant.number, *kept, given);
    }
    amount - rest
}

fn wallet(grants: &[Grant]) -> Wallet {
    let mut wallet = Wallet::default();
    grants.iter().for_each(|grant| wallet.put(*grant));
    wallet
}

#[test]
fn what_ends_first_is_spent_first() {
    let mut one = wallet(&[
        Grant { span: Span { end: EVER, ..grant(1, 5, 0, 0).span }, ..grant(1, 5, 0, 0) },
        grant(2, 5, 0, 200),
        grant(3, 5, 0, 100),
        grant(4, 5, 50, 60),
    ]);
    let mut store = HashMap::new();
    assert_eq!(one.draw(1, at(10)), Drawing::Short);
    assert_eq!(take(&mut store, &mut one, 100, at(10)), 15, "the fourth has not begun");
    assert_eq!(one.draw(15, at(10)), Drawing::Fits);
    assert_eq!(one.draw(16, at(10)), Drawing::Exhausted);
    one.spend(7, at(10));
    let used = |one: &Wallet| one.purses().iter().map(|purse| (purse.grant.number, purse.used)).collect::<Vec<_>>();
    assert_eq!(used(&one), [(4, 0), (3, 5), (2, 2), (1, 0)]);
    assert_eq!(one.left(at(10)), 8);
    // Another one begins, and ends: what was in it is gone.
    assert_eq!((one.left(at(55)), one.left(at(60))), (13, 8));
    assert_eq!(one.left(at(200)), 5);
    assert_eq!(one.left(at(10)), 8, "a clock that is set back finds what it found before");
    assert_eq!(one.withdraw(Some(at(200))), [(2, 3)], "what was not used of those that have ended");
    assert_eq!(one.withdraw(None), [(1, 5)]);
}

#[test]
fn what_is_not_spent_after_all_goes_back_to_where_it_came_from() {
    let mut one = wallet(&[grant(1, 5, 0, 100), grant(2, 50, 0, 200)]);
    take(&mut HashMap::new(), &mut one, 55, at(1));
    let mut spent = one.spend(8, at(1));
    one.correct(&mut spent, 6, at(1));
    assert_eq!((spent.total(), one.left(at(1))), (6, 49));
    assert_eq!(one.purses().iter().map(|purse| purse.used).collect::<Vec<_>>(), [5, 1]);
    one.correct(&mut spent, 0, at(1));
    one.correct(&mut spent, 0, at(1));
    assert_eq!((spent.total(), one.left(at(1))), (0, 55), "once");
}

#[test]
fn what_costs_more_in_the_end_is_spent_as_far_as_there_is_any() {
    let mut store = HashMap::new();
    let mut one = wallet(&[grant(1, 10, 0, 100)]);
    take(&mut store, &mut one, 4, at(1));
    let mut spent = one.spend(1, at(1));
    one.correct(&mut spent, 9, at(1));
    // Three were free, and five more are still in the store.
    assert_eq!((spent.total(), one.owed(), one.left(at(1))), (9, 5, 1));
    assert_eq!(one.draw(2, at(1)), Drawing::Exhausted);
    take(&mut store, &mut one, 5, at(1));
    assert_eq!((one.owed(), one.left(at(1)), store[&1]), (0, 1, 9));
    let mut last = one.spend(0, at(1));
    one.correct(&mut last, 1_000, at(1));
    assert_eq!((last.total(), one.left(at(1))), (1, 0), "not more than there is");
    take(&mut store, &mut one, 1, at(1));
    // What was paid afterwards goes back as well, in whole or in part.
    one.correct(&mut spent, 3, at(1));
    assert_eq!((spent.total(), one.left(at(1))), (3, 6));
    one.correct(&mut spent, 0, at(1));
    one.correct(&mut last, 0, at(1));
    assert_eq!(one.left(at(1)), 10);
    // Not what nobody paid.
    let mut more = one.spend(9, at(1));
    one.correct(&mut more, 100, at(1));
    one.forgive();
    one.correct(&mut more, 0, at(1));
    assert_eq!((more.total(), one.left(at(1))), (0, 10));
}

#[test]
fn terms_are_read_as_they_are_said() {
    let read = |text: &str| serde_json::from_str::<PlanTerms>(text).map_err(|error| error.to_string());
    let said = r#"{"credits":{"of":"organization","trial":{"amount":1000},"refill":{"amount":5000,"period":"month"}}}"#;
    let terms = read(said).unwrap().credits.unwrap();
    assert_eq!(
        serde_json::to_string(&terms).unwrap(),
        r#"{"of":"organization","trial":{"amount":1000,"days":90},"refill":{"amount":5000,"period":"month"}}"#
    );
    assert_eq!(read(r#"{"credits":{}}"#).unwrap().credits, Some(CreditTerms::default()));
    for (said, wrong) in [
        (r#"{"credits":{"trial":{"amount":0}}}"#, "an amount of credits is 1 to"),
        (r#"{"credits":{"trial":{"amount":1,"days":0}}}"#, "1 to 3650 days"),
        (r#"{"credits":{"refill":{"amount":1,"period":"day"}}}"#, "for a day take a quota"),
        (r#"{"credits":{"refund":1}}"#, "unknown field"),
        (r#"{"credits":{},"price":{"currency":"EUR","unit_price":"0.1"}}"#, "paid by credits"),
    ] {
        let error = read(said).unwrap_err();
        assert!(error.contains(wrong), "{said}: {error}");
    }
    assert!(read(r#"{"credits":{},"price":{"currency":"EUR","base_fee":"9"}}"#).is_ok(), "a fee is no price of calls");
}

/// What happens to nodes that share a store.
#[derive(Debug, Clone)]
enum Event {
    Grant { amount: u64, start: i64, length: i64 },
    Draw { node: usize, cost: u64 },
    Costs { node: usize, call: usize, is: u64 },
    Take { node: usize, amount: u64 },
    Reserve { amount: u64 },
    Withdraw { node: usize, all: bool },
    Crash { node: usize },
    Pass { time: i64 },
}

const NODES: usize = 3;

fn event() -> impl Strategy<Value = Event> {
    let node = 0..NODES;
    prop_oneof![
        2 => (1..60_u64, -20..60_i64, 1..200_i64).prop_map(|(amount, start, length)| Event::Grant { amount, start, length }),
        8 => (node.clone(), 0..12_u64).prop_map(|(node, cost)| Event::Draw { node, cost }),
        3 => (node.clone(), 0..8_usize, 0..40_u64).prop_map(|(node, call, is)| Event::Costs { node, call, is }),
        6 => (node.clone(), 1..30_u64).prop_map(|(node, amount)| Event::Take { node, amount }),
        2 => (1..30_u64).prop_map(|amount| Event::Reserve { amount }),
        1 => (node.clone(), any::<bool>()).prop_map(|(node, all)| Event::Withdraw { node, all }),
        1 => node.prop_map(|node| Event::Crash { node }),
        2 => (-5..40_i64).prop_map(|time| Event::Pass { time }),
    ]
}

proptest! {
    /// L-1: whatever nodes do, crash and reserve, in any order: of no grant more is spent than it has, and the sum over all
    /// that was ever spent is within what was granted.
    #[test]
    fn l01_credits_are_never_overspent_by_nodes_that_crash_and_reserve(events in vec(event(), 1..200)) {
        let (mut store, mut grants, mut now) = (HashMap::<u32, u64>::new(), Vec::<Grant>::new(), 0_i64);
        let mut nodes: Vec<(Wallet, Vec<Spent>)> = (0..NODES).map(|_| (Wallet::default(), Vec::new())).collect();
        // What nodes that crashed had used, and what was reserved, grant by grant.
        let mut gone = HashMap::<u32, u64>::new();
        for event in events {
            match event {
                Event::Grant { amount, start, length } => {
                    let number = u32::try_from(grants.len()).unwrap() + 1;
                    let grant = grant(number, amount, now + start, now + start + length);
                    grants.push(grant);
                    nodes.iter_mut().for_each(|(wallet, _)| wallet.put(grant));
                }
                Event::Draw { node, cost } => {
                    let (wallet, calls) = &mut nodes[node];
                    if wallet.draw(cost, at(now)) == Drawing::Fits {
                        let spent = wallet.spend(cost, at(now));
                        prop_assert_eq!(spent.total(), cost, "what fits is spent");
                        calls.push(spent);
                    }
                }
                Event::Costs { node, call, is } => {
                    let (wallet, calls) = &mut nodes[node];
                    if let Some(spent) = calls.iter_mut().rev().nth(call) {
                        wallet.correct(spent, is, at(now));
                        prop_assert!(spent.total() <= is);
                    }
                }
                Event::Take { node, amount } => {
                    let (wallet, _) = &mut nodes[node];
                    let amount = amount + wallet.owed();
                    if take(&mut store, wallet, amount, at(now)) < amount {
                        wallet.forgive();
                    }
                }
                Event::Reserve { amount } => {
                    let mut rest = amount;
                    for grant in grants.iter().filter(|grant| grant.span.holds(at(now))) {
                        let kept = store.entry(grant.number).or_default();
                        let part = rest.min(grant.amount - *kept);
                        *kept += part;
                        rest -= part;
                        *gone.entry(grant.number).or_default() += part;
                    }
                }
                Event::Withdraw { node, all } => {
                    for (number, unused) in nodes[node].0.withdraw((!all).then_some(at(now))) {
                        *store.get_mut(&number).unwrap() -= unused;
                    }
                }
                Event::Crash { node } => {
                    for purse in nodes[node].0.purses() {
                        *gone.entry(purse.grant.number).or_default() += purse.used;
                    }
                    let mut fresh = Wallet::default();
                    for grant in &grants {
                        fresh.put(*grant);
                        fresh.taken(grant.number, store.get(&grant.number).copied().unwrap_or(0), 0);
                    }
                    nodes[node] = (fresh, Vec::new());
                }
                Event::Pass { time } => now += time,
            }
            let mut spent = 0;
            for grant in &grants {
                let of = |wallet: &Wallet| wallet.purses().iter().find(|one| one.grant.number == grant.number).unwrap().used;
                let used = nodes.iter().map(|(wallet, _)| of(wallet)).sum::<u64>() + gone.get(&grant.number).copied().unwrap_or(0);
                let taken = store.get(&grant.number).copied().unwrap_or(0);
                prop_assert!(used <= taken, "of grant {}: {used} used, {taken} taken", grant.number);
                prop_assert!(taken <= grant.amount);
                spent += used;
            }
            prop_assert!(spent <= grants.iter().map(|grant| grant.amount).sum());
        }
    }

    /// One node that takes what it needs spends all that it was granted, to the unit, and is then refused.
    #[test]
    fn all_that_was_granted_can_be_spent(amounts in vec(1..40_u64, 1..6), costs in vec(1..5_u64, 1..400), ahead in 1..20_u64) {
        let grants: Vec<Grant> = (1..).zip(&amounts).map(|(number, amount)| grant(number, *amount, 0, 1_000 + i64::from(number))).collect();
        let (mut one, mut store, mut left) = (wallet(&grants), HashMap::new(), amounts.iter().sum::<u64>());
        for cost in costs {
            let found = one.draw(cost, at(1));
            prop_assert_eq!(found == Drawing::Exhausted, cost > left);
            if found == Drawing::Short {
                take(&mut store, &mut one, cost + ahead, at(1));
            }
            if found != Drawing::Exhausted {
                prop_assert_eq!(one.draw(cost, at(1)), Drawing::Fits);
                one.spend(cost, at(1));
                left -= cost;
            }
            prop_assert_eq!(one.left(at(1)), left);
        }
    }
}
