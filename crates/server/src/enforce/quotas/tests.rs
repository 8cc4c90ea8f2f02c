//! What holds for accounts.

use std::cell::RefCell;

use keystile_core::decide::ActivationState;
use keystile_core::limit::Counted;
use keystile_core::plan::{Exhausted, Outage, Period, PlanTerms};
use keystile_core::time::{Ticks, Timestamp};
use keystile_store::Taken;

use super::*;
use crate::enforce::draws::Denied;

const OWNER: OrganizationId = OrganizationId::from_entropy([1; 16]);
const CALLER: OrganizationId = OrganizationId::from_entropy([2; 16]);
/// A Friday.
const NOON: Timestamp = Timestamp::from_secs(1_795_780_800);

fn quota(limit: u64, period: Period) -> Quota {
    Quota::new(period.as_str(), limit, period).unwrap()
}

struct World {
    quotas: Quotas,
    link: Link,
    plan: PlanView,
    now: Moment,
    /// What is written down as taken.
    kept: RefCell<HashMap<Amount, u64>>,
}

impl World {
    fn new(of_plan: Vec<Quota>, own: Vec<Quota>) -> Self {
        let now = Moment { wall: NOON, ticks: Ticks::from_nanos(1 << 60) };
        let quotas = Quotas::default();
        let link = Link { ceilings: own, ..Link::of(1, ActivationState::Approved) };
        Self { plan: view(of_plan), quotas, link, now, kept: RefCell::default() }
    }

    fn account(&self) -> Arc<Account> {
        self.quotas.account(7, 1)
    }

    fn order(&self, cost: u32) -> Order<'_> {
        Order {
            plan: Some(&self.plan),
            link: &self.link,
            between: [CALLER, OWNER],
            cost,
            reports: false,
            now: self.now,
        }
    }

    /// Draws, and takes first where that is needed.
    fn draw(&self, cost: u32) -> Result<Option<Drawn>, Denied> {
        let mut denied = self.try_draw(cost);
        for _ in 0..2 {
            if matches!(denied, Err(Denied::Short(_))) {
                self.take();
                denied = self.try_draw(cost);
            }
        }
        denied
    }

    fn try_draw(&self, cost: u32) -> Result<Option<Drawn>, Denied> {
        self.account().draw(&self.order(cost), &mut Lefts::new(), || (true, ())).map(|((), drawn)| drawn)
    }

    /// As a keeper does with a ledger that has all of it.
    fn take(&self) {
        for one in self.account().wants(self.now.ticks) {
            let mut kept = self.kept.borrow_mut();
            let total = kept.entry(one.amount).or_default();
            *total = one.carried.max(*total);
            let left = one.limit.map_or(u64::MAX, |limit| limit.saturating_sub(*total + one.owed));
            let given = one.owed + one.ahead.min(left);
            *total += given;
            self.account().grant(&one.amount, Taken { total: *total, given });
        }
    }

    fn cut_off(&self) {
        self.quotas.line.is_cut_off.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    fn used(&self) -> Vec<u64> {
        let mut lefts = Lefts::new();
        let _ = self.account().look(&self.order(0), 0, &mut lefts);
        lefts.iter().map(|left| left.used).collect()
    }

    fn told(&self) -> Vec<(u8, QuotaOf, usize)> {
        let mut heard = self.quotas.heard.lock();
        let mut told = Vec::new();
        while let Ok(Reached { notice, told: to, .. }) = heard.as_mut().unwrap().notices.try_recv() {
            told.push((notice.percent, notice.of, to.len()));
        }
        told
    }
}

fn view(quotas: Vec<Quota>) -> PlanView {
    let terms = PlanTerms { quotas, ..PlanTerms::default() };
    PlanView::new(&terms, Timestamp::from_secs(0), 1)
}

#[test]
fn l01_exactly_what_there_is_can_be_drawn() {
    let world = World::new(vec![quota(40, Period::Month)], vec![]);
    assert!(matches!(world.try_draw(1), Err(Denied::Short(_))), "nothing was taken for it");
    assert_eq!((0..100).filter(|_| world.draw(1).is_ok()).count(), 40);
    let Err(Denied::Exhausted(until)) = world.draw(1) else { panic!("it is used up") };
    assert_eq!(until.to_string(), "2026-12-01T00:00:00Z");
    assert!(world.draw(0).is_ok(), "what costs nothing");
    assert_eq!(world.used(), [40]);
}

#[test]
fn l01_what_calls_cost_is_taken_for_them_however_much_that_is() {
    for cost in [1, 5, 17, 20, 60, 100, 200, 700] {
        let world = World::new(vec![quota(10_000, Period::Month)], vec![]);
        let mut drawn = 0;
        // A keeper that takes whenever it is asked to, as well as when a call waits.
        while world.draw(cost).is_ok() {
            drawn += u64::from(cost);
            world.take();
        }
        assert_eq!(drawn, 10_000 / u64::from(cost) * u64::from(cost), "{cost} each");
    }
}

#[test]
fn calls_that_wait_together_are_taken_for_together() {
    let world = World::new(vec![quota(10_000, Period::Month)], vec![]);
    assert!((0..500).all(|_| matches!(world.try_draw(1), Err(Denied::Short(_)))));
    world.take();
    assert_eq!((0..500).filter(|_| world.try_draw(1).is_ok()).count(), 500);
}

#[test]
fn l01_what_a_call_turns_out_to_cost_is_taken_at_once_and_told() {
    let world = World::new(vec![quota(100, Period::Month)], vec![]);
    let free = Order { cost: 0, reports: true, ..world.order(0) };
    let drawn = world.account().draw(&free, &mut Lefts::new(), || (true, ())).unwrap().1;
    drawn.unwrap().costs(700);
    assert_eq!(world.used(), [700], "what cost nothing at first as well");
    let owed = world.account().wants(world.now.ticks);
    assert_eq!(owed[0].owed, 700, "nobody has to call for that");
    assert!(matches!(world.try_draw(1), Err(Denied::Exhausted(_))));
    assert_eq!(world.told(), [(100, QuotaOf::Plan, 2)]);
}

#[test]
fn l01_the_clock_of_another_zone_gives_nobody_a_month_anew() {
    let mut world = World::new(vec![quota(10, Period::Month)], vec![]);
    assert_eq!((0..20).filter(|_| world.draw(1).is_ok()).count(), 10);
    for zone in ["Asia/Tokyo", "UTC", "America/Havana"] {
        world.plan.zone = zone.parse().unwrap();
        assert!(matches!(world.draw(1), Err(Denied::Exhausted(_))), "{zone}");
        assert_eq!(world.used(), [10]);
    }
}

#[test]
fn a_call_draws_from_all_quotas_or_from_none_and_not_if_its_limits_refuse_it() {
    let by_calls = Quota { counts: Counted::Calls, ..quota(3, Period::Day) };
    let world = World::new(vec![quota(100, Period::Month), by_calls], vec![quota(50, Period::Week)]);
    world.draw(20).unwrap();
    assert_eq!(world.used(), [20, 1, 20]);
    assert!(matches!(world.draw(31), Err(Denied::Exhausted(_))), "the ceiling");
    assert_eq!(world.used(), [20, 1, 20]);
    world.draw(2).unwrap();
    world.draw(2).unwrap();
    assert!(matches!(world.draw(1), Err(Denied::Exhausted(_))), "three calls a day");
    assert_eq!(world.used(), [24, 3, 24]);
    let refused = |world: &World| world.account().draw(&world.order(1), &mut Lefts::new(), || (false, ())).unwrap().1;
    let other = World::new(vec![quota(100, Period::Month)], vec![]);
    other.draw(1).unwrap();
    assert!(refused(&other).is_none());
    assert_eq!(other.used(), [1]);
}

#[test]
fn quotas_of_one_period_look_at_one_balance_whatever_their_names_and_limits() {
    let mut world = World::new(vec![quota(10, Period::Month)], vec![quota(6, Period::Month)]);
    assert_eq!((0..9).filter(|_| world.draw(1).is_ok()).count(), 6);
    assert_eq!(world.used(), [6, 6]);
    world.link.ceilings.clear();
    world.plan = view(vec![Quota::new("renamed", 8, Period::Month).unwrap()]);
    assert_eq!((0..9).filter(|_| world.draw(1).is_ok()).count(), 2);
}

#[test]
fn the_next_period_begins_anew_and_a_clock_that_is_set_back_does_not() {
    let mut world = World::new(vec![quota(5, Period::Day)], vec![]);
    assert_eq!((0..9).filter(|_| world.draw(1).is_ok()).count(), 5);
    world.now.wall = NOON.plus_secs(86_400);
    assert_eq!((0..9).filter(|_| world.draw(1).is_ok()).count(), 5);
    world.now.wall = NOON;
    assert!(world.draw(1).is_err());
}

#[test]
fn what_turns_out_to_cost_something_else_is_put_right_and_what_came_to_nothing_is_given_back() {
    let by_calls = Quota { counts: Counted::Calls, ..quota(100, Period::Day) };
    let world = World::new(vec![quota(1_000, Period::Month), by_calls], vec![]);
    let mut drawn = world.draw(1).unwrap().unwrap();
    drawn.costs(300);
    assert_eq!(world.used(), [300, 1]);
    drawn.costs(20);
    assert_eq!(world.used(), [20, 1]);
    drawn.void();
    drawn.void();
    assert_eq!(world.used(), [0, 0]);
}

#[test]
fn what_goes_on_beyond_its_quota_is_let_through_and_counted() {
    let soft = Quota { on_exhausted: Exhausted::Allow, ..quota(3, Period::Month) };
    let world = World::new(vec![soft], vec![]);
    assert_eq!((0..9).filter(|_| world.try_draw(1).is_ok()).count(), 9, "nobody waits for a disk");
    assert_eq!(world.used(), [9]);
    let owed = world.account().wants(world.now.ticks);
    assert_eq!((owed[0].owed, owed[0].limit), (9, None));
}

#[test]
fn where_the_store_is_away_a_quota_says_whether_calls_go_on() {
    let world = World::new(vec![quota(100, Period::Month)], vec![]);
    assert!(matches!(world.try_draw(1), Err(Denied::Short(_))));
    world.cut_off();
    assert!(matches!(world.try_draw(1), Err(Denied::CutOff)));
    let lenient = Quota { on_outage: Outage::Allow, ..quota(100, Period::Month) };
    let other = World::new(vec![lenient], vec![]);
    assert!(matches!(other.try_draw(1), Err(Denied::Short(_))), "not before it is known to be away");
    other.cut_off();
    assert_eq!((0..200).filter(|_| other.try_draw(1).is_ok()).count(), 100, "but not more than there is");
}

#[test]
fn a_share_that_is_reached_is_told_once_to_whom_it_concerns() {
    let mut world = World::new(vec![quota(10, Period::Month)], vec![quota(20, Period::Month)]);
    let draw = |count: usize, world: &World| (0..count).for_each(|_| drop(world.draw(1)));
    draw(7, &world);
    assert_eq!(world.told(), []);
    draw(1, &world);
    assert_eq!(world.told(), [(80, QuotaOf::Plan, 2)]);
    draw(5, &world);
    assert_eq!(world.told(), [(100, QuotaOf::Plan, 2)]);
    // Another plan is looked at from the beginning; what was told before is told nobody twice by the store.
    world.plan = view(vec![quota(12, Period::Month)]);
    draw(1, &world);
    assert_eq!(world.told(), [(80, QuotaOf::Plan, 2)]);
}

#[test]
fn what_others_have_taken_is_gone() {
    let world = World::new(vec![quota(40, Period::Month)], vec![]);
    let span = Period::Month.at(NOON, &Zone::default(), Timestamp::from_secs(0));
    let amount = Amount { project: 7, api: 1, period: Period::Month, counts: Counted::Cost, span };
    world.quotas.restore([(amount, 35)]);
    assert_eq!(world.used(), [35]);
    assert!(matches!(world.try_draw(6), Err(Denied::Exhausted(_))));
    assert!(matches!(world.try_draw(5), Err(Denied::Short(_))));
    world.account().wants(world.now.ticks);
    world.account().grant(&amount, Taken { total: 40, given: 5 });
    assert_eq!((0..9).filter(|_| world.try_draw(1).is_ok()).count(), 5);
    // At the end nothing is left over.
    let (unused, owed) = world.account().settle();
    assert!(unused.is_empty() && owed.is_empty());
}
