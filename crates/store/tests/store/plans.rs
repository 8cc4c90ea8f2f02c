//! Plans: what they say from when, who has which, and what is taken of amounts ahead of use.

use keystile_core::api::{ApiSettings, Approval};
use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, PlanId};
use keystile_core::limit::{Counted, LimitName};
use keystile_core::plan::{Period, PlanTerms, Quota, QuotaNotice, QuotaOf, Span};
use keystile_core::time::Timestamp;
use keystile_store::records::{Activation, Plan, Wish};
use keystile_store::{Amount, ApplyError, Change, Subject, Taken, Taking};

use crate::world::{ALL, NOW, World, bytes, create_api, everywhere};

fn terms(limit: u64) -> PlanTerms {
    PlanTerms { quotas: vec![Quota::new("month", limit, Period::Month).unwrap()], ..PlanTerms::default() }
}

pub fn create(api: ApiId, id: PlanId, name: &str, standard: bool) -> Change {
    let (name, description) = (name.parse().unwrap(), "a plan".to_owned());
    Change::CreatePlan { id, api, name, description, standard, terms: terms(100) }
}

fn update(of: &Plan, standard: bool, terms: Option<(PlanTerms, Timestamp)>) -> Change {
    let (name, description) = (of.name.clone(), of.description.clone());
    Change::UpdatePlan { id: of.id, was: of.revision, name, description, standard, terms }
}

async fn seen(world: &World, id: PlanId) -> Plan {
    world.catalog.plan(world.mine.id, id).await.unwrap().unwrap()
}

async fn plan(world: &World, name: &str, standard: bool) -> Plan {
    let id = PlanId::from_entropy(bytes());
    world.apply(create(world.mine.api, id, name, standard)).await.unwrap();
    seen(world, id).await
}

/// One of everything that is kept of plans.
pub async fn full(world: &World) {
    let made = plan(world, "Free", true).await;
    set_plan(world, Some(made.id)).await;
    let notice = notice();
    world.apply(Change::NoteQuota { id: world.mine.activation, notice }).await.unwrap();
    world
        .ledger
        .take(&[Taking { amount: amount(Period::Month, 0), carried: 0, owed: 0, ahead: 5, limit: None }])
        .await
        .unwrap();
}

fn notice() -> QuotaNotice {
    QuotaNotice {
        name: LimitName::new("month").unwrap(),
        of: QuotaOf::Plan,
        period: Period::Month,
        starts_at: NOW,
        ends_at: NOW.plus_secs(60),
        limit: 10,
        used: 8,
        percent: 80,
    }
}

async fn link(world: &World) -> Activation {
    world.catalog.activation(world.mine.id, world.mine.activation).await.unwrap().unwrap()
}

async fn set_plan(world: &World, plan: Option<PlanId>) -> Activation {
    let was = link(world).await;
    world.apply(Change::SetPlan { id: was.id, was: was.revision, plan }).await.unwrap();
    link(world).await
}

#[tokio::test]
async fn a_plan_says_something_else_from_a_moment_on_and_forgets_nothing() {
    everywhere(async |world| {
        let made = plan(world, "Free", false).await;
        assert_eq!((made.name.as_str(), made.description.as_str(), made.standard), ("Free", "a plan", false));
        assert_eq!((made.versions.len(), &made.at(NOW).unwrap().terms), (1, &terms(100)));
        let later = NOW.plus_secs(3_600);
        world.apply(update(&made, false, Some((terms(200), later)))).await.unwrap();
        // One of the past begins now.
        world.apply(update(&seen(world, made.id).await, false, Some((terms(50), NOW.plus_secs(-60))))).await.unwrap();
        let changed = seen(world, made.id).await;
        let said: Vec<_> = changed.versions.iter().map(|one| (one.version, one.from)).collect();
        assert_eq!(said, [(1, NOW), (3, NOW), (2, later)], "in the order in which they are in force");
        assert_eq!(changed.at(NOW).unwrap().terms, terms(50));
        assert_eq!(changed.at(later).unwrap().terms, terms(200));
        assert_eq!(
            world.catalog.plans(world.mine.id, Some(world.mine.api), Some("Free"), ALL).await.unwrap(),
            std::slice::from_ref(&changed)
        );
        let number = world.catalog.api(world.mine.id, world.mine.api).await.unwrap().unwrap().number;
        assert_eq!(world.catalog.feed_plans(number).await.unwrap(), std::slice::from_ref(&changed));

        let stale = world.apply(update(&made, false, None)).await;
        assert!(matches!(stale, Err(ApplyError::Stale)), "{stale:?}");
        let taken = world.apply(create(world.mine.api, PlanId::from_entropy(bytes()), "Free", false)).await;
        assert!(matches!(taken, Err(ApplyError::Exists(why)) if why.contains("of this name")), "{taken:?}");
        world.apply(Change::DeletePlan { id: made.id }).await.unwrap();
        assert_eq!(world.catalog.plan(world.mine.id, made.id).await.unwrap(), None);
        assert_eq!(world.catalog.feed_plans(number).await.unwrap(), []);
        let told = world.catalog.feed_after(0, u32::MAX).await.unwrap();
        assert!(told.iter().rev().take(4).all(|(_, subject)| *subject == Subject::Api(number)), "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn of_an_apis_plans_one_is_the_standard_one_and_who_is_let_in_gets_it() {
    everywhere(async |world| {
        let (free, paid) = (plan(world, "Free", true).await, plan(world, "Paid", true).await);
        assert!(!seen(world, free.id).await.standard && paid.standard);
        world.apply(update(&seen(world, free.id).await, true, None)).await.unwrap();
        assert!(!seen(world, paid.id).await.standard);

        // Let in without another word: it gets the standard one, and what it has stays.
        let judge = |was: &Activation, plan| Change::UpdateActivation {
            id: was.id,
            was: was.revision,
            state: ActivationState::Approved,
            reason: String::new(),
            granted: None,
            plan,
        };
        world.apply(judge(&link(world).await, None)).await.unwrap();
        assert_eq!(link(world).await.plan, None, "it was let in before, without a plan");
        let Change::UpdateActivation { id, was, reason, granted, plan, .. } = judge(&link(world).await, None) else {
            unreachable!()
        };
        let refuse = Change::UpdateActivation { id, was, state: ActivationState::Refused, reason, granted, plan };
        world.apply(refuse).await.unwrap();
        world.apply(judge(&link(world).await, None)).await.unwrap();
        let has = link(world).await.plan.unwrap();
        assert_eq!((has.plan, has.name.as_str(), has.since), (free.id, "Free", NOW));
        world.apply(judge(&link(world).await, Some(Some(paid.id)))).await.unwrap();
        world.apply(judge(&link(world).await, None)).await.unwrap();
        assert_eq!(link(world).await.plan.unwrap().plan, paid.id);

        // A plan that a project has is not deleted.
        let refused = world.apply(Change::DeletePlan { id: paid.id }).await;
        assert!(matches!(&refused, Err(ApplyError::Conflict(why)) if why.contains("1 project has")), "{refused:?}");
        assert_eq!(set_plan(world, None).await.plan, None);
        world.apply(Change::DeletePlan { id: paid.id }).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn l01_a_link_that_is_deleted_and_asked_for_anew_begins_no_billing_period() {
    everywhere(async |world| {
        // An API of theirs that lets everybody in, with a plan.
        let (api, id) = (ApiId::from_entropy(bytes()), PlanId::from_entropy(bytes()));
        let Change::CreateApi { name, settings, document, .. } = create_api(api, "shared") else { unreachable!() };
        let settings = ApiSettings { approval: Approval::Automatic, ..settings };
        world.apply_as_other(Change::CreateApi { id: api, name, settings, document }).await.unwrap();
        world.apply_as_other(create(api, id, "Free", true)).await.unwrap();
        let ask = async |at: Timestamp| {
            let (id, project, wish) = (ActivationId::from_entropy(bytes()), world.mine.project, Wish::default());
            let author = keystile_store::Author { at, ..world.mine.author() };
            world.catalog.apply(&author, Change::CreateActivation { id, project, api, wish }).await.unwrap();
            world.catalog.activation(world.mine.id, id).await.unwrap().unwrap()
        };
        let first = ask(NOW).await;
        world.apply(Change::DeleteActivation { id: first.id }).await.unwrap();
        let second = ask(NOW.plus_secs(864_000)).await;
        assert_eq!(second.plan.clone().unwrap().since, NOW);
        // Nor does it get another plan than it was given.
        let tiny = PlanId::from_entropy(bytes());
        world.apply_as_other(create(api, tiny, "Tiny", false)).await.unwrap();
        let set = Change::SetPlan { id: second.id, was: second.revision, plan: Some(tiny) };
        world.apply_as_other(set).await.unwrap();
        world.apply(Change::DeleteActivation { id: second.id }).await.unwrap();
        let third = ask(NOW.plus_secs(964_000)).await;
        assert_eq!(third.plan.clone().unwrap().plan, tiny);
        // Nor by way of a link that had none.
        let none = Change::SetPlan { id: third.id, was: third.revision, plan: None };
        world.apply_as_other(none).await.unwrap();
        world.apply(Change::DeleteActivation { id: third.id }).await.unwrap();
        assert_eq!(ask(NOW.plus_secs(974_000)).await.plan.unwrap().plan, tiny);
    })
    .await;
}

#[tokio::test]
async fn z05_plans_are_given_by_the_apis_side_and_ceilings_by_the_projects() {
    everywhere(async |world| {
        let mine = plan(world, "Free", false).await;
        let was = link(world).await;
        let theirs = PlanId::from_entropy(bytes());
        world.apply_as_other(create(world.theirs.api, theirs, "Free", false)).await.unwrap();
        let other = world.catalog.plan(world.theirs.id, theirs).await.unwrap().unwrap();
        assert_eq!(world.catalog.plan(world.mine.id, theirs).await.unwrap(), None);
        let set = |plan| Change::SetPlan { id: was.id, was: was.revision, plan: Some(plan) };
        let ceilings = vec![Quota::new("own", 5, Period::Day).unwrap()];
        for (change, as_other) in [
            (create(world.theirs.api, PlanId::from_entropy(bytes()), "Mine", false), false),
            (update(&other, true, None), false),
            (Change::DeletePlan { id: theirs }, false),
            // Of another API.
            (set(theirs), false),
            (set(mine.id), true),
            (Change::SetCeilings { id: was.id, was: was.revision, ceilings: ceilings.clone() }, true),
        ] {
            let refused = if as_other { world.apply_as_other(change).await } else { world.apply(change).await };
            assert!(matches!(refused, Err(ApplyError::NotFound(_))), "{refused:?}");
        }

        // Of a link between two, each side has its part.
        let id = ActivationId::from_entropy(bytes());
        let wish = Wish { plan: Some(theirs), ..Wish::default() };
        let (project, api) = (world.mine.project, world.theirs.api);
        world.apply(Change::CreateActivation { id, project, api, wish }).await.unwrap();
        let asked = world.catalog.activation(world.mine.id, id).await.unwrap().unwrap();
        assert_eq!((asked.plan, asked.wish.plan), (None, Some(theirs)));
        let own = Change::SetPlan { id, was: asked.revision, plan: Some(theirs) };
        assert!(matches!(world.apply(own).await, Err(ApplyError::NotFound(_))));
        let ours = Change::SetCeilings { id, was: asked.revision, ceilings: ceilings.clone() };
        assert!(matches!(world.apply_as_other(ours.clone()).await, Err(ApplyError::NotFound(_))));
        world.apply(ours).await.unwrap();
        let asked = world.catalog.activation(world.theirs.id, id).await.unwrap().unwrap();
        assert_eq!(asked.ceilings, ceilings);
        let approve = Change::UpdateActivation {
            id,
            was: asked.revision,
            state: ActivationState::Approved,
            reason: String::new(),
            granted: None,
            plan: None,
        };
        world.apply_as_other(approve).await.unwrap();
        let has = world.catalog.activation(world.mine.id, id).await.unwrap().unwrap();
        assert_eq!(has.plan.map(|own| own.plan), Some(theirs), "what was asked for");
        let fed = world.catalog.feed_projects().await.unwrap();
        let fed = fed.iter().flat_map(|one| &one.activations).find(|one| one.id == id).unwrap();
        assert_eq!((fed.plan, &fed.ceilings), (Some((other.number, NOW)), &ceilings));
    })
    .await;
}

#[tokio::test]
async fn a_share_of_a_quota_is_told_once_in_a_period_to_each_side() {
    everywhere(async |world| {
        let notice = notice();
        let id = world.mine.activation;
        let note = |notice: &QuotaNotice| world.apply(Change::NoteQuota { id, notice: notice.clone() });
        note(&notice).await.unwrap();
        assert!(matches!(note(&notice).await, Err(ApplyError::Exists(_))));
        note(&QuotaNotice { percent: 100, ..notice.clone() }).await.unwrap();
        note(&QuotaNotice { starts_at: NOW.plus_secs(60), ..notice.clone() }).await.unwrap();
        note(&QuotaNotice { of: QuotaOf::Project, ..notice.clone() }).await.unwrap();
        let theirs = world.apply_as_other(Change::NoteQuota { id, notice }).await;
        assert!(matches!(theirs, Err(ApplyError::NotFound(_))), "whoever has nothing to do with it");
    })
    .await;
}

fn amount(period: Period, start: i64) -> Amount {
    let span = Span { start: NOW.plus_secs(start), end: NOW.plus_secs(start + 60) };
    Amount { project: 1, api: 2, period, counts: Counted::Cost, span }
}

#[tokio::test]
async fn l01_no_more_is_taken_ahead_of_use_than_there_is() {
    everywhere(async |world| {
        let month = amount(Period::Month, 0);
        let take = async |amount, owed, ahead, limit| {
            world.ledger.take(&[Taking { amount, carried: 0, owed, ahead, limit }]).await.unwrap()[0]
        };
        assert_eq!(take(month, 0, 16, Some(20)).await, Taken { total: 16, given: 16 });
        assert_eq!(take(month, 0, 16, Some(20)).await, Taken { total: 20, given: 4 });
        assert_eq!(take(month, 0, 16, Some(20)).await, Taken { total: 20, given: 0 });
        // What was used is used, whatever there was.
        assert_eq!(take(month, 3, 16, Some(20)).await, Taken { total: 23, given: 3 });
        assert_eq!(take(month, 0, 5, None).await, Taken { total: 28, given: 5 });
        // Another amount of the same project is another one.
        let calls = Amount { counts: Counted::Calls, ..month };
        assert_eq!(take(calls, 0, 1, Some(1)).await, Taken { total: 1, given: 1 });
        world.ledger.give_back(&[(month, 8), (calls, 2)]).await.unwrap();
        let mut kept = world.ledger.balances().await.unwrap();
        kept.sort_by_key(|(_, taken)| *taken);
        assert_eq!(kept, [(calls, 1), (month, 20)], "more than was taken is not given back");
        // The next period begins anew, and the last one goes on for whoever is late.
        let next = amount(Period::Month, 60);
        assert_eq!(take(next, 0, 7, Some(10)).await, Taken { total: 7, given: 7 });
        assert_eq!(take(month, 2, 5, Some(10)).await, Taken { total: 22, given: 2 });
        assert!(world.ledger.balances().await.unwrap().contains(&(next, 7)));
        // By another clock the same time is not there anew, however often it is said.
        let moved = amount(Period::Month, 90);
        let carry = Taking { amount: moved, carried: 7, owed: 0, ahead: 5, limit: Some(10) };
        assert_eq!(world.ledger.take(&[carry]).await.unwrap(), [Taken { total: 10, given: 3 }]);
        assert_eq!(world.ledger.take(&[carry]).await.unwrap(), [Taken { total: 10, given: 0 }]);
        // What is long over is forgotten.
        take(amount(Period::Month, 600), 0, 1, None).await;
        let left: Vec<_> = world.ledger.balances().await.unwrap().into_iter().map(|(one, _)| one.period).collect();
        assert_eq!(left.len(), 2, "this one, and what is counted otherwise");
    })
    .await;
}
