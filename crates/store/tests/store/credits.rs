//! Credits: what is granted, by hand and with plans, and what is taken of it.

use keystile_core::credit::{CreditHolder, CreditKind, CreditNotice, CreditNoticeKind, EntryState, MAX_OPEN_GRANTS};
use keystile_core::id::{ActivationId, CreditGrantId, OrganizationId, PlanId};
use keystile_core::plan::{CreditTerms, CreditsOf, Period, PlanTerms, Refill, Trial};
use keystile_core::time::Timestamp;
use keystile_store::records::{CreditEntry, CreditFilter, CreditGrant};
use keystile_store::{
    ApplyError, Change, CreditEntriesOf, CreditMove, CreditMoved, EntryName, EntrySaid, GrantTaken, Room, Subject,
};

use crate::world::{ALL, NOW, World, bytes, everywhere};

const DAY: i64 = 86_400;

/// Grants so many to the first organization's project.
pub fn grant(world: &World, amount: u64) -> Change {
    grant_to(CreditHolder::Project(world.mine.project), amount, None)
}

fn grant_to(holder: CreditHolder, amount: u64, ends_at: Option<Timestamp>) -> Change {
    let id = CreditGrantId::from_entropy(bytes());
    let note = "invoice 7".to_owned();
    Change::GrantCredits { id, holder, kind: CreditKind::Paid, amount, note, starts_at: NOW, ends_at }
}

fn name(world: &World, id: &str) -> EntryName {
    EntryName { owner: world.mine.id, id: id.to_owned() }
}

/// One of everything that is kept of credits.
pub async fn full(world: &World) {
    let made = granted(world, grant(world, 100)).await;
    let reserve = enter(world, "kept", &[(made.number, 100)], 7, Some(NOW.plus_secs(60)));
    world.ledger.move_credits(&[reserve]).await.unwrap();
    world.apply(Change::NoteCredits { notice: notice(made.number) }).await.unwrap();
}

fn notice(grant: u32) -> CreditNotice {
    CreditNotice { grant, kind: CreditNoticeKind::Low, remaining: 7, of: 100, ends_at: None }
}

async fn granted(world: &World, change: Change) -> CreditGrant {
    let Change::GrantCredits { id, .. } = &change else { panic!("{change:?}") };
    let id = *id;
    world.apply(change).await.unwrap();
    world.catalog.credit_grant(world.mine.id, id).await.unwrap().unwrap()
}

fn enter(world: &World, id: &str, from: &[Room], amount: u64, until: Option<Timestamp>) -> CreditMove {
    let holder = CreditHolder::Project(world.mine.project);
    CreditMove::Enter {
        name: name(world, id),
        holder,
        project: world.mine.project,
        from: from.to_vec(),
        amount,
        at: NOW,
        until,
    }
}

async fn moved(world: &World, one: CreditMove) -> CreditMoved {
    world.ledger.move_credits(&[one]).await.unwrap().pop().unwrap()
}

async fn said(world: &World, one: CreditMove) -> EntrySaid {
    moved(world, one).await.entry.unwrap()
}

async fn taken(world: &World) -> Vec<(u32, u64)> {
    world.ledger.credits_taken().await.unwrap()
}

#[tokio::test]
async fn that_credits_run_down_is_told_once_of_a_grant_to_each_side() {
    everywhere(async |world| {
        let own = granted(world, grant(world, 100)).await.number;
        let note = async |notice| world.apply(Change::NoteCredits { notice }).await;
        note(notice(own)).await.unwrap();
        assert!(matches!(note(notice(own)).await, Err(ApplyError::Exists(_))));
        note(CreditNotice { kind: CreditNoticeKind::Exhausted, ..notice(own) }).await.unwrap();
        let theirs = world.apply_as_other(Change::NoteCredits { notice: notice(own) }).await;
        assert!(matches!(theirs, Err(ApplyError::NotFound(_))), "whoever has nothing to do with it");
        let (id, wish) = (ActivationId::from_entropy(bytes()), keystile_store::records::Wish::default());
        let link = Change::CreateActivation { id, project: world.theirs.project, api: world.mine.api, wish };
        world.apply(link).await.unwrap();
        let held = grant_to(CreditHolder::Organization(world.theirs.id), 100, None);
        let held = granted(world, held).await.number;
        note(notice(held)).await.unwrap();
        world.apply_as_other(Change::NoteCredits { notice: notice(held) }).await.unwrap();
        let twice = world.apply_as_other(Change::NoteCredits { notice: notice(held) }).await;
        assert!(matches!(twice, Err(ApplyError::Exists(_))));
    })
    .await;
}

#[tokio::test]
async fn credits_are_granted_seen_by_both_sides_and_taken_back_by_whoever_granted_them() {
    everywhere(async |world| {
        let made = granted(world, grant(world, 100)).await;
        assert_eq!((made.organization, made.holder_organization), (world.mine.id, world.mine.id));
        assert_eq!((made.holder, made.amount), (CreditHolder::Project(world.mine.project), 100));
        assert_eq!((made.kind, made.note.as_str(), made.ends_at), (CreditKind::Paid, "invoice 7", None));
        let news = world.catalog.feed_after(0, 1_000).await.unwrap();
        assert_eq!(news.last().unwrap().1, Subject::Credits(made.number));
        assert_eq!(world.catalog.feed_credits(NOW).await.unwrap().iter().collect::<Vec<_>>(), [&made]);
        // Nobody else has to do with it.
        assert_eq!(world.catalog.credit_grant(world.theirs.id, made.id).await.unwrap(), None);
        let revoke = |was| Change::RevokeCredits { id: made.id, was, reason: "refunded".to_owned() };
        assert!(matches!(world.apply_as_other(revoke(made.revision)).await, Err(ApplyError::NotFound(_))));
        assert!(matches!(world.apply(revoke(made.revision - 1)).await, Err(ApplyError::Stale)));
        world.apply(revoke(made.revision)).await.unwrap();
        let gone = world.catalog.feed_credit(made.number).await.unwrap().unwrap();
        assert_eq!((gone.revoked_at, gone.note.as_str(), gone.span().end), (Some(NOW), "refunded", NOW));
        assert_eq!(world.catalog.feed_credits(NOW).await.unwrap(), []);
        let again = world.apply(revoke(gone.revision)).await;
        assert!(matches!(&again, Err(ApplyError::Conflict(why)) if why.contains("were revoked")), "{again:?}");
    })
    .await;
}

#[tokio::test]
async fn credits_go_to_those_alone_that_have_to_do_with_the_organizations_apis() {
    everywhere(async |world| {
        let other = CreditHolder::Project(world.theirs.project);
        for holder in [other, CreditHolder::Organization(world.theirs.id)] {
            let refused = world.apply(grant_to(holder, 5, None)).await;
            assert!(matches!(refused, Err(ApplyError::NotFound(_))), "{refused:?}");
        }
        // Once their project is linked to my API, both may have some.
        let (id, wish) = (ActivationId::from_entropy(bytes()), keystile_store::records::Wish::default());
        let link = Change::CreateActivation { id, project: world.theirs.project, api: world.mine.api, wish };
        world.apply(link).await.unwrap();
        let made = granted(world, grant_to(other, 5, Some(NOW.plus_secs(60)))).await;
        assert_eq!((made.holder, made.holder_organization), (other, world.theirs.id));
        let shared = granted(world, grant_to(CreditHolder::Organization(world.theirs.id), 6, None)).await;
        // They see what they hold, and I see what I granted.
        let seen = async |by: OrganizationId, filter: CreditFilter| {
            let rows = world.catalog.credit_grants(by, filter, ALL).await.unwrap();
            rows.iter().map(|one| one.id).collect::<Vec<_>>()
        };
        let all = CreditFilter::default();
        assert_eq!(seen(world.theirs.id, all).await, [shared.id, made.id]);
        assert_eq!(seen(world.mine.id, all).await, [shared.id, made.id]);
        let of_project = CreditFilter { project: Some(world.theirs.project), ..all };
        assert_eq!(seen(world.mine.id, of_project).await, [made.id]);
        let of_organization = CreditFilter { organization: Some(world.theirs.id), ..all };
        assert_eq!(seen(world.mine.id, of_organization).await, [shared.id]);
        assert_eq!(seen(world.mine.id, CreditFilter { kind: Some(CreditKind::Trial), ..all }).await, []);
        // What was said of a grant goes when the project is erased.
        world.apply_as_other(Change::EraseProject { id: world.theirs.project }).await.unwrap();
        assert_eq!(world.catalog.feed_credit(made.number).await.unwrap().unwrap().note, "");
    })
    .await;
}

#[tokio::test]
async fn a_holder_has_only_so_many_open_grants() {
    everywhere(async |world| {
        let mut all = Vec::new();
        for _ in 0..MAX_OPEN_GRANTS {
            all.push(granted(world, grant(world, 1)).await);
        }
        let refused = world.apply(grant(world, 1)).await;
        assert!(matches!(refused, Err(ApplyError::Exists(why)) if why.contains("used up")), "{refused:?}");
        let was = all[0].revision;
        world.apply(Change::RevokeCredits { id: all[0].id, was, reason: String::new() }).await.unwrap();
        world.apply(grant(world, 1)).await.unwrap();
    })
    .await;
}

/// A plan whose calls are paid by credits of which some come with it.
async fn plan(world: &World, of: CreditsOf) -> PlanId {
    let id = PlanId::from_entropy(bytes());
    let trial = Some(Trial { amount: 50, days: 30 });
    let refill = Some(Refill { amount: 10, period: Period::Month });
    let terms = PlanTerms { credits: Some(CreditTerms { of, trial, refill }), ..PlanTerms::default() };
    let (name, description) = ("Prepaid".parse().unwrap(), String::new());
    let create = Change::CreatePlan { id, api: world.mine.api, name, description, standard: false, terms };
    world.apply(create).await.unwrap();
    id
}

async fn set_plan(world: &World, plan: Option<PlanId>) {
    let link = world.catalog.activation(world.mine.id, world.mine.activation).await.unwrap().unwrap();
    world.apply(Change::SetPlan { id: link.id, was: link.revision, plan }).await.unwrap();
}

async fn refill(world: &World, at: Timestamp) -> Result<(), ApplyError> {
    let mut author = world.mine.author();
    author.at = at;
    let due = vec![(world.mine.activation, at)];
    world.catalog.apply(&author, Change::RefillCredits { due }).await.map(drop)
}

#[tokio::test]
async fn a_trial_comes_with_a_plan_once_and_a_refill_in_each_period() {
    everywhere(async |world| {
        let plan = plan(world, CreditsOf::Project).await;
        set_plan(world, Some(plan)).await;
        let kinds = async || {
            let rows = world.catalog.credit_grants(world.mine.id, CreditFilter::default(), ALL).await.unwrap();
            rows.iter().map(|one| (one.kind, one.amount)).collect::<Vec<_>>()
        };
        let first = [(CreditKind::Refill, 10), (CreditKind::Trial, 50)];
        assert_eq!(kinds().await, first);
        let open = world.catalog.feed_credits(NOW).await.unwrap();
        assert_eq!(open.iter().map(|one| one.plan.unwrap().0).collect::<Vec<_>>(), [plan, plan]);
        assert_eq!(open[0].ends_at, Some(NOW.plus_secs(30 * DAY)), "the trial");
        assert_eq!((open[1].starts_at, open[1].span().holds(NOW)), (NOW, true), "from now to the end of the month");
        // Nothing of it comes again with the plan that is given up and taken again.
        set_plan(world, None).await;
        set_plan(world, Some(plan)).await;
        assert_eq!(kinds().await, first);
        assert!(matches!(refill(world, NOW).await, Err(ApplyError::Exists(_))));
        // The next month brings its own, a little before or a little later.
        let end = open[1].ends_at.unwrap();
        refill(world, end).await.unwrap();
        assert!(matches!(refill(world, end.plus_secs(5)).await, Err(ApplyError::Exists(_))));
        let open = world.catalog.feed_credits(end).await.unwrap();
        let last = open.last().unwrap();
        assert_eq!((last.kind, last.amount, last.starts_at), (CreditKind::Refill, 10, end));
        assert_eq!(kinds().await.len(), 3);
        // Nor does a clock that is set back a little bring it again.
        assert!(matches!(refill(world, NOW.plus_secs(-2)).await, Err(ApplyError::Exists(_))));
        assert_eq!(world.catalog.verify_audit().await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn credits_of_an_organization_come_once_for_all_its_projects() {
    everywhere(async |world| {
        let plan = plan(world, CreditsOf::Organization).await;
        set_plan(world, Some(plan)).await;
        let other = keystile_core::id::ProjectId::from_entropy(bytes());
        let about = keystile_store::records::ProjectAbout { name: "second".to_owned(), ..Default::default() };
        let environment = keystile_core::key::Environment::Live;
        world.apply(Change::CreateProject { id: other, about, environment }).await.unwrap();
        let id = ActivationId::from_entropy(bytes());
        let wish = keystile_store::records::Wish { plan: Some(plan), ..Default::default() };
        let link = Change::CreateActivation { id, project: other, api: world.mine.api, wish };
        world.apply(link).await.unwrap();
        let open = world.catalog.feed_credits(NOW).await.unwrap();
        assert_eq!(
            open.iter().map(|one| one.holder).collect::<Vec<_>>(),
            [CreditHolder::Organization(world.mine.id); 2]
        );
    })
    .await;
}

#[tokio::test]
async fn l01_of_no_grant_more_is_taken_than_it_has() {
    everywhere(async |world| {
        let from = [(1, 10), (2, 5)];
        let take = |amount| CreditMove::Take { from: from.to_vec(), amount };
        let one = moved(world, take(8)).await;
        assert_eq!(one.taken, [GrantTaken { grant: 1, total: 8, given: 8 }]);
        let one = moved(world, take(4)).await;
        assert_eq!(
            one.taken,
            [GrantTaken { grant: 1, total: 10, given: 2 }, GrantTaken { grant: 2, total: 2, given: 2 }]
        );
        assert_eq!(moved(world, take(100)).await.taken[1], GrantTaken { grant: 2, total: 5, given: 3 });
        assert_eq!(moved(world, take(1)).await.taken.iter().map(|one| one.given).sum::<u64>(), 0);
        assert_eq!(taken(world).await, [(1, 10), (2, 5)]);
        let back = CreditMove::GiveBack { grant: 1, amount: 3 };
        assert_eq!(moved(world, back).await.taken, [GrantTaken { grant: 1, total: 7, given: 0 }]);
        assert_eq!(world.ledger.credits_taken_of(&[1, 9]).await.unwrap(), [(1, 7)]);
    })
    .await;
}

#[tokio::test]
async fn l02_an_entry_that_is_asked_for_again_is_made_once() {
    everywhere(async |world| {
        let from = [(1, 10), (2, 10)];
        let charge = |id: &str, amount| enter(world, id, &from, amount, None);
        let EntrySaid::Done(made) = said(world, charge("a", 12)).await else { panic!("not made") };
        assert_eq!((made.state, made.posted, made.settled_at), (EntryState::Posted, Some(12), Some(NOW)));
        assert_eq!(said(world, charge("a", 12)).await, EntrySaid::Before(made.clone()));
        assert_eq!(said(world, charge("a", 11)).await, EntrySaid::Conflict(made.clone()));
        let reserve = enter(world, "a", &from, 12, Some(NOW.plus_secs(9)));
        assert_eq!(said(world, reserve).await, EntrySaid::Conflict(made));
        assert_eq!(taken(world).await, [(1, 10), (2, 2)]);
        assert_eq!(said(world, charge("b", 9)).await, EntrySaid::TooFew(8));
        assert_eq!(taken(world).await, [(1, 10), (2, 2)], "nothing of it");
        // Of another owner the same id is another entry.
        let theirs = EntryName { owner: world.theirs.id, id: "a".to_owned() };
        let CreditMove::Enter { holder, project, from, amount, at, until, .. } = charge("a", 1) else { unreachable!() };
        let other = CreditMove::Enter { name: theirs, holder, project, from, amount, at, until };
        assert!(matches!(said(world, other).await, EntrySaid::Done(_)));
        // In one batch, too.
        let twice = world.ledger.move_credits(&[charge("c", 1), charge("c", 1)]).await.unwrap();
        assert!(matches!(twice[1].entry, Some(EntrySaid::Before(_))), "{twice:?}");
        assert_eq!(taken(world).await, [(1, 10), (2, 4)]);
    })
    .await;
}

#[tokio::test]
async fn what_is_reserved_is_posted_voided_or_given_up_and_the_rest_goes_back() {
    everywhere(async |world| {
        let from = [(2, 10), (1, 10)];
        let until = NOW.plus_secs(60);
        let reserve = |id: &str, amount| enter(world, id, &from, amount, Some(until));
        let post = |id: &str, amount| CreditMove::Post { name: name(world, id), amount, at: NOW };
        let void = |id: &str| CreditMove::Void { name: name(world, id), at: NOW };
        let EntrySaid::Done(made) = said(world, reserve("a", 15)).await else { panic!("not made") };
        assert_eq!((made.state, made.posted, made.ends_at), (EntryState::Reserved, None, Some(until)));
        assert_eq!(taken(world).await, [(1, 5), (2, 10)], "in the order in which they are spent");
        let EntrySaid::Conflict(_) = said(world, post("a", Some(16))).await else { panic!("more than was reserved") };
        let EntrySaid::Done(made) = said(world, post("a", Some(9))).await else { panic!("not posted") };
        assert_eq!((made.state, made.posted), (EntryState::Posted, Some(9)));
        assert_eq!(taken(world).await, [(1, 0), (2, 9)], "what is spent last goes back first");
        assert_eq!(said(world, post("a", Some(9))).await, EntrySaid::Before(made.clone()));
        assert_eq!(said(world, post("a", Some(8))).await, EntrySaid::Conflict(made.clone()));
        assert_eq!(said(world, void("a")).await, EntrySaid::Conflict(made.clone()));
        // Asked for again after it was posted: it was made.
        assert_eq!(said(world, reserve("a", 15)).await, EntrySaid::Before(made));
        assert!(matches!(said(world, reserve("b", 11)).await, EntrySaid::Done(_)));
        assert_eq!(said(world, reserve("c", 1)).await, EntrySaid::TooFew(0));
        let EntrySaid::Done(voided) = said(world, void("b")).await else { panic!("not voided") };
        assert_eq!((voided.state, voided.posted), (EntryState::Voided, Some(0)));
        assert_eq!(said(world, void("b")).await, EntrySaid::Before(voided.clone()));
        assert_eq!(said(world, post("b", None)).await, EntrySaid::Conflict(voided));
        assert_eq!(said(world, void("none")).await, EntrySaid::NoSuch);
        assert_eq!(said(world, post("none", None)).await, EntrySaid::NoSuch);
        // Nobody says in time what became of it.
        assert!(matches!(said(world, reserve("d", 11)).await, EntrySaid::Done(_)));
        assert!(!world.ledger.has_expired_credits(until.plus_secs(-1)).await.unwrap());
        assert_eq!(moved(world, CreditMove::Expire { at: until.plus_secs(-1) }).await.taken, []);
        let late = CreditMove::Post { name: name(world, "d"), amount: None, at: until };
        assert!(matches!(said(world, late).await, EntrySaid::Conflict(_)), "its time is over");
        assert!(world.ledger.has_expired_credits(until).await.unwrap());
        let back = moved(world, CreditMove::Expire { at: until }).await.taken;
        assert_eq!(back, [GrantTaken { grant: 1, total: 0, given: 0 }, GrantTaken { grant: 2, total: 9, given: 0 }]);
        // Whoever asks for it again has nothing.
        let EntrySaid::Conflict(given_up) = said(world, reserve("d", 11)).await else { panic!("it is given up") };
        assert_eq!(given_up.state, EntryState::Expired);
        let found = said(world, CreditMove::Find { name: name(world, "d") }).await;
        assert_eq!(found, EntrySaid::Before(given_up));
        assert_eq!(said(world, CreditMove::Find { name: name(world, "none") }).await, EntrySaid::NoSuch);
        let of = CreditEntriesOf::Project(world.mine.project);
        let entries = world.ledger.credit_entries(world.mine.id, of, None, 10).await.unwrap();
        let shown: Vec<_> = entries.iter().map(|one: &CreditEntry| (one.id.as_str(), one.state, one.posted)).collect();
        let (posted, voided, expired) = (EntryState::Posted, EntryState::Voided, EntryState::Expired);
        assert_eq!(shown, [("d", expired, Some(0)), ("b", voided, Some(0)), ("a", posted, Some(9))]);
        let after = Some((NOW, "d".to_owned()));
        let rest = world.ledger.credit_entries(world.mine.id, of, after, 1).await.unwrap();
        assert_eq!(rest.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["b"]);
        // Long after that nobody knows of them.
        assert_eq!(world.ledger.forget_credit_entries(NOW.plus_secs(90 * DAY)).await.unwrap(), 0);
        assert_eq!(world.ledger.forget_credit_entries(until.plus_secs(91 * DAY)).await.unwrap(), 3);
        assert_eq!(world.ledger.credit_entries(world.mine.id, of, None, 10).await.unwrap(), []);
        assert_eq!(taken(world).await, [(1, 0), (2, 9)], "what was spent stays so");
    })
    .await;
}

#[tokio::test]
async fn what_was_charged_for_a_project_is_forgotten_with_it_and_what_is_reserved_goes_back() {
    everywhere(async |world| {
        let from = [(1, 10)];
        assert!(matches!(said(world, enter(world, "mail-ada", &from, 3, None)).await, EntrySaid::Done(_)));
        let until = Some(NOW.plus_secs(60));
        assert!(matches!(said(world, enter(world, "job", &from, 5, until)).await, EntrySaid::Done(_)));
        let theirs = CreditEntriesOf::Shared(world.mine.id);
        assert_eq!(world.ledger.credit_entries(world.mine.id, theirs, None, 10).await.unwrap(), []);
        world.ledger.forget_credit_entries_of(world.mine.project, NOW).await.unwrap();
        assert_eq!(world.ledger.credit_entries(world.mine.id, CreditEntriesOf::All, None, 10).await.unwrap(), []);
        assert_eq!(taken(world).await, [(1, 3)]);
    })
    .await;
}
