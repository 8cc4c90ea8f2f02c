//! What holds for accounts of credits.

use std::cell::RefCell;

use keystile_core::credit::CreditKind;
use keystile_core::id::{CreditGrantId, ProjectId};
use keystile_core::time::{Moment, Ticks};
use keystile_store::{CreditMove, GrantTaken};

use super::*;
use crate::enforce::draws::Denied;

const OWNER: OrganizationId = OrganizationId::from_entropy([1; 16]);
const HOLDER: CreditHolder = CreditHolder::Project(ProjectId::from_entropy([2; 16]));
const NOON: Timestamp = Timestamp::from_secs(1_795_780_800);

struct World {
    credits: Credits,
    now: Moment,
    /// What is written down as taken.
    kept: RefCell<HashMap<u32, u64>>,
}

impl World {
    fn new(grants: &[(u64, Option<i64>)]) -> Self {
        let now = Moment { wall: NOON, ticks: Ticks::from_nanos(1 << 60) };
        let world = Self { credits: Credits::default(), now, kept: RefCell::default() };
        for (number, (amount, secs)) in (1..).zip(grants) {
            world.credits.learn(&grant(number, *amount, secs.map(|secs| NOON.plus_secs(secs))));
        }
        world
    }

    fn account(&self) -> Arc<Account> {
        self.credits.account(OWNER, HOLDER)
    }

    fn try_draw(&self, cost: u32, reports: bool) -> Result<Option<Drawn>, Denied> {
        let wanted = Wanted { cost, reports, now: self.now };
        self.account().draw(wanted, &mut 0, || (true, ())).map(|((), drawn)| drawn)
    }

    /// Draws, and takes first where that is needed.
    fn draw(&self, cost: u32) -> Result<Option<Drawn>, Denied> {
        let mut denied = self.try_draw(cost, false);
        for _ in 0..2 {
            if matches!(denied, Err(Denied::Short(_))) {
                self.take();
                denied = self.try_draw(cost, false);
            }
        }
        denied
    }

    fn is_asking(&self) -> bool {
        let mut heard = self.credits.heard.lock();
        let is_asking = heard.as_mut().unwrap().short.try_recv().is_ok();
        while heard.as_mut().unwrap().short.try_recv().is_ok() {}
        is_asking
    }

    /// As a keeper does with a ledger that has all of it.
    fn take(&self) {
        self.is_asking();
        for one in self.account().wants(self.now.ticks) {
            for taken in self.make(&one) {
                self.account().note(taken.grant, taken.total, taken.given);
            }
        }
    }

    fn make(&self, one: &CreditMove) -> Vec<GrantTaken> {
        let mut kept = self.kept.borrow_mut();
        match one {
            CreditMove::Take { from, amount } => {
                let mut rest = *amount;
                let each = from.iter().map(|(grant, amount)| {
                    let total = kept.entry(*grant).or_default();
                    let given = rest.min(amount - *total);
                    (*total, rest) = (*total + given, rest - given);
                    GrantTaken { grant: *grant, total: *total, given }
                });
                each.collect()
            }
            CreditMove::GiveBack { grant, amount } => {
                let total = kept.get_mut(grant).unwrap();
                *total -= amount;
                vec![GrantTaken { grant: *grant, total: *total, given: 0 }]
            }
            other => panic!("{other:?}"),
        }
    }

    fn left(&self) -> u64 {
        self.account().left(self.now.wall)
    }

    fn passed(&self, times: usize) -> usize {
        (0..times).filter(|_| self.draw(1).is_ok()).count()
    }
}

fn grant(number: u32, amount: u64, ends_at: Option<Timestamp>) -> CreditGrant {
    CreditGrant {
        id: CreditGrantId::from_entropy([7; 16]),
        number,
        organization: OWNER,
        holder: HOLDER,
        holder_organization: OWNER,
        kind: CreditKind::Paid,
        amount,
        note: String::new(),
        plan: None,
        starts_at: NOON.plus_secs(-60),
        ends_at,
        revoked_at: None,
        created_at: NOON,
        updated_at: NOON,
        revision: 1,
    }
}

#[test]
fn l01_exactly_what_was_granted_can_be_spent() {
    let world = World::new(&[(40, None), (25, Some(60))]);
    assert!(matches!(world.try_draw(1, false), Err(Denied::Short(_))), "nothing was taken for it");
    assert_eq!(world.passed(100), 65);
    assert!(matches!(world.draw(1), Err(Denied::NoCredits)));
    assert!(world.draw(0).is_ok(), "what costs nothing");
    assert_eq!((world.left(), world.kept.borrow().values().sum::<u64>()), (0, 65));
}

#[test]
fn l01_what_calls_cost_is_taken_for_them_however_much_that_is() {
    for cost in [1, 5, 17, 60, 700] {
        let world = World::new(&[(6_000, None), (4_000, None)]);
        let mut spent = 0;
        while world.draw(cost).is_ok() {
            spent += u64::from(cost);
            world.take();
        }
        assert_eq!(spent, 10_000 / u64::from(cost) * u64::from(cost), "{cost} each");
    }
}

#[test]
fn more_is_taken_before_a_step_is_used_up_and_steps_grow() {
    let world = World::new(&[(100_000, None)]);
    let mut waits = 0;
    for _ in 0..20_000 {
        if matches!(world.try_draw(1, false), Err(Denied::Short(_))) {
            waits += 1;
        }
        if world.is_asking() {
            world.take();
        }
    }
    assert!(waits <= 1, "{waits} waited");
    let ahead = world.kept.borrow()[&1] - 20_000;
    assert!(ahead <= 100_000 / 10, "{ahead} would be lost in a crash");
}

#[test]
fn who_reports_later_must_have_something() {
    let world = World::new(&[(100, None)]);
    let mut drawn = world.draw(0).unwrap();
    assert!(drawn.is_none(), "it costs nothing");
    assert!(matches!(world.try_draw(0, true), Err(Denied::Short(_))));
    world.take();
    drawn = world.try_draw(0, true).unwrap();
    drawn.as_mut().unwrap().costs(250);
    assert_eq!(world.left(), 0, "as far as there is any");
    assert!(world.is_asking(), "it is written down now");
    world.take();
    assert_eq!(world.kept.borrow()[&1], 100);
    assert!(matches!(world.try_draw(0, true), Err(Denied::NoCredits)));
    drawn.as_mut().unwrap().void();
    drawn.as_mut().unwrap().void();
    assert_eq!(world.left(), 100, "all of it goes back, once");
}

#[test]
fn what_a_call_does_not_spend_is_there_for_another() {
    let world = World::new(&[(3, None)]);
    let mut first = world.draw(3).unwrap().unwrap();
    assert!(matches!(world.draw(1), Err(Denied::NoCredits)));
    first.void();
    first.void();
    assert_eq!(world.left(), 3);
    let mut second = world.draw(3).unwrap().unwrap();
    second.costs(1);
    assert_eq!(world.passed(9), 2);
    // Refused by something else, it spends nothing.
    let world = World::new(&[(3, None)]);
    world.take();
    assert_eq!(world.passed(1), 1);
    let wanted = Wanted { cost: 1, reports: false, now: world.now };
    let mut left = 0;
    let refused = world.account().draw(wanted, &mut left, || (false, ()));
    assert!(matches!(refused, Ok(((), None))) && left == 2);
}

#[test]
fn a_charge_finds_what_was_taken_ahead_of_calls() {
    let world = World::new(&[(20, None)]);
    assert_eq!(world.passed(2), 2);
    assert!(world.kept.borrow()[&1] > 10, "a step was taken");
    let (from, unused) = world.account().rooms(18, 0, NOON);
    assert_eq!(from, [(1, 20)]);
    for one in &unused {
        for taken in world.make(one) {
            world.account().note(taken.grant, taken.total, taken.given);
        }
    }
    assert_eq!(world.kept.borrow()[&1], 2, "what calls have used");
    // It could not be given back: it is still here.
    let world = World::new(&[(20, None)]);
    assert_eq!(world.passed(2), 2);
    let before = world.left();
    let (_, unused) = world.account().rooms(18, 0, NOON);
    assert_eq!(unused.len(), 1);
    for one in unused {
        let CreditMove::GiveBack { grant, amount } = one else { panic!("{one:?}") };
        world.account().keep(grant, amount);
    }
    assert_eq!((world.left(), world.passed(9)), (before, 9));
    assert_eq!(world.account().rooms(1, 0, NOON).1, [], "there is enough beside it");
    assert_eq!(world.account().rooms(1, 5, NOON).1.len(), 1, "others of the batch take the rest");
}

#[test]
fn what_others_gave_back_is_found_after_a_while() {
    let mut world = World::new(&[(10, None)]);
    // Another process has all of it.
    world.kept.borrow_mut().insert(1, 10);
    world.credits.restore([(1, 10)]);
    assert!(matches!(world.draw(1), Err(Denied::NoCredits)));
    world.take();
    assert!(matches!(world.draw(1), Err(Denied::NoCredits)));
    world.is_asking();
    world.kept.borrow_mut().insert(1, 4);
    world.now.ticks = Ticks::from_nanos((1 << 60) + 11_000_000_000);
    assert!(matches!(world.draw(1), Err(Denied::NoCredits)));
    assert!(world.is_asking());
    world.take();
    assert_eq!(world.passed(9), 6);
}

#[test]
fn grants_that_are_taken_back_or_altered_are_spent_no_more() {
    let world = World::new(&[(10, None), (10, None)]);
    assert_eq!(world.passed(2), 2);
    world.credits.learn(&CreditGrant { revoked_at: Some(NOON), ..grant(1, 10, None) });
    assert_eq!(world.left(), 10);
    world.credits.forget(2);
    assert!(matches!(world.draw(1), Err(Denied::NoCredits)));
    assert_eq!(world.credits.used(&[1]), HashMap::from([(1, 2)]));
    // What was taken of them ahead of use goes back.
    world.take();
    assert_eq!(world.kept.borrow()[&1], 2);
}

#[test]
fn an_orderly_end_gives_back_what_was_not_used() {
    let world = World::new(&[(1_000, None)]);
    assert_eq!(world.passed(5), 5);
    for one in world.account().settle() {
        world.make(&one);
    }
    assert_eq!(world.kept.borrow()[&1], 5);
}

#[test]
fn without_a_ledger_what_was_taken_is_spent_and_then_nothing() {
    let world = World::new(&[(1_000, None)]);
    assert_eq!(world.passed(1), 1);
    world.credits.line.is_cut_off.store(true, std::sync::atomic::Ordering::Relaxed);
    let spent = std::iter::from_fn(|| world.try_draw(1, false).ok()).count();
    assert!((8..=32).contains(&spent), "{spent}");
    assert!((0..1_000).all(|_| matches!(world.try_draw(9, false), Err(Denied::CutOff))));
    // It is asked again, for one of them and not for all that were refused meanwhile.
    assert!(world.is_asking());
    let before = world.kept.borrow()[&1];
    world.take();
    assert!((9..60).contains(&(world.kept.borrow()[&1] - before)), "{before}");
    assert!(world.try_draw(9, false).is_ok());
}

#[test]
fn what_many_gave_back_is_found_in_turn() {
    let all = vec![(1, None); 150];
    let mut world = World::new(&all);
    let used: Vec<(u32, u64)> = (1..=150).map(|number| (number, 1)).collect();
    world.kept.borrow_mut().extend(used.iter().copied());
    world.credits.restore(used);
    world.kept.borrow_mut().insert(149, 0);
    for look in 1..=3 {
        world.now.ticks = Ticks::from_nanos((1 << 60) + look * 11_000_000_000);
        assert!(matches!(world.draw(1), Err(Denied::NoCredits)), "look {look}");
        world.take();
    }
    assert_eq!(world.passed(5), 1);
}

#[test]
fn a_call_that_is_refused_takes_nothing_ahead_for_itself() {
    let mut world = World::new(&[(900_000, None)]);
    assert_eq!(world.passed(1), 1);
    world.now.ticks = Ticks::from_nanos((1 << 60) + 11_000_000_000);
    assert!(matches!(world.draw(1_000_000), Err(Denied::NoCredits)));
    world.take();
    assert!(world.kept.borrow()[&1] < 900_000 / 10, "a crash would lose it");
}

#[test]
fn grants_that_ended_long_ago_are_forgotten() {
    let mut world = World::new(&[(5, Some(10)), (5, None)]);
    assert_eq!(world.passed(3), 3);
    world.now.wall = NOON.plus_secs(20);
    assert_eq!(world.passed(9), 5);
    world.take();
    assert_eq!(world.credits.used(&[1]), HashMap::from([(1, 3)]));
    world.now.wall = NOON.plus_secs(90_000);
    world.credits.learn(&grant(3, 5, None));
    assert_eq!(world.passed(9), 5);
    world.credits.forget_ended();
    assert_eq!(world.credits.used(&[1]), HashMap::new());
    assert_eq!(world.credits.used(&[2]), HashMap::from([(2, 5)]));
}
