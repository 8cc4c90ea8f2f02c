//! People: they come in by invitation, have a role, log in, and are gone where they were taken away; none of it concerns
//! another organization.

use keystile_core::account::{EmailAddress, Locked, SessionLimits, TRIES};
use keystile_core::id::{AccountId, InvitationId, MemberId, MemberRoleId, OrganizationId, SessionId};
use keystile_core::member::{BuiltInRole, MemberRole, OrganizationKind};
use keystile_core::time::Timestamp;
use keystile_store::cipher::Algorithm;
use keystile_store::records::{
    Entry, Failure, InvitationState, Invite, Joining, Member, NewAccount, NewSession, PasswordHash, Shown, UsedFactor,
};
use keystile_store::{Actor, ApplyError, Author, Change, PasswordBy, Who};

use crate::world::{ALL, NOW, World, author, bytes, everywhere};

pub const LIMITS: SessionLimits = SessionLimits { idle_secs: 600, lifetime_secs: 3_600, proven_secs: 60 };
pub const OWNER: MemberRole = MemberRole::BuiltIn(BuiltInRole::Owner);
const AUDITOR: MemberRole = MemberRole::BuiltIn(BuiltInRole::Auditor);

pub fn lookup() -> [u8; 32] {
    let mut all = [0; 32];
    all[..16].copy_from_slice(&bytes());
    all
}

fn email(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

pub fn hash(of: &str) -> PasswordHash {
    PasswordHash::new(format!("$argon2id$hash-of-{of}"))
}

pub fn invite(organization: OrganizationId, address: Option<&str>, role: MemberRole) -> Invite {
    let id = InvitationId::from_entropy(bytes());
    Invite { id, organization, email: address.map(email), role, lookup: lookup(), ends_at: NOW.plus_secs(60) }
}

fn new_account(address: &str) -> NewAccount {
    let id = AccountId::from_entropy(bytes());
    NewAccount { id, email: email(address), name: "Somebody".to_owned(), entry: Entry::Password(hash(address)) }
}

/// What somebody with this password showed.
fn shown(password: &PasswordHash) -> Shown {
    shown_with(password, None, [9; 32])
}

fn shown_with(password: &PasswordHash, factor: Option<UsedFactor>, forgives: [u8; 32]) -> Shown {
    Shown::Password { hash: password.clone(), factor, forgives }
}

fn accept(invite: &Invite, joining: Joining) -> (MemberId, Change) {
    let member = MemberId::from_entropy(bytes());
    (member, Change::AcceptInvitation { lookup: invite.lookup, member, joining })
}

/// Somebody who joins an organization, with an account that is made for it.
pub async fn join(world: &World, organization: OrganizationId, address: &str, role: MemberRole) -> Member {
    let invite = invite(organization, Some(address), role);
    world.catalog.apply(&author(organization), Change::Invite(invite.clone())).await.unwrap();
    let (member, change) = accept(&invite, Joining::New(new_account(address)));
    world.catalog.apply(&author(organization), change).await.unwrap();
    world.catalog.member(organization, member).await.unwrap().unwrap()
}

pub fn session_of(member: &Member) -> NewSession {
    let (id, account) = (SessionId::from_entropy(bytes()), member.account.id);
    NewSession { id, account, lookup: lookup(), agent: "test".to_owned(), replaces: None, shown: None }
}

/// The same person's session.
pub async fn log_in(world: &World, member: &Member) -> NewSession {
    let session = session_of(member);
    world.catalog.apply(&by(member), Change::OpenSession(session.clone())).await.unwrap();
    session
}

pub fn by(member: &Member) -> Author {
    let who = Who::Account(member.account.id);
    let actor = Actor { organization: member.organization, who, address: None, request: None };
    Author { actor, at: NOW, idempotency: None }
}

pub async fn is_open(world: &World, session: &NewSession) -> bool {
    is_open_at(world, session, NOW).await
}

async fn is_open_at(world: &World, session: &NewSession, at: Timestamp) -> bool {
    world.catalog.session(session.lookup, &LIMITS, at).await.unwrap().is_some()
}

#[tokio::test]
async fn an_invitation_makes_one_member_who_logs_in() {
    everywhere(async |world| {
        let mine = world.mine.id;
        assert!(!world.catalog.has_owner().await.unwrap());
        let invite = invite(mine, Some("Ada@Example.com"), OWNER);
        world.apply(Change::Invite(invite.clone())).await.unwrap();
        let waiting = world.catalog.open_invitation(invite.lookup, NOW).await.unwrap().unwrap();
        assert_eq!((waiting.role, waiting.organization_name.as_str()), (OWNER, "mine"));
        assert_eq!(
            world.catalog.open_invitation(invite.lookup, invite.ends_at).await.unwrap(),
            None,
            "its time is over"
        );

        let (id, change) = accept(&invite, Joining::New(new_account("ada@example.com")));
        world.apply(change.clone()).await.unwrap();
        let again = world.apply(change).await;
        assert!(matches!(again, Err(ApplyError::NotFound("invitation"))), "{again:?}");
        let member = world.catalog.member(mine, id).await.unwrap().unwrap();
        assert_eq!((member.account.email.as_str(), member.role), ("ada@example.com", OWNER));
        assert_eq!(member.granted, BuiltInRole::Owner.permissions());
        assert!(world.catalog.has_owner().await.unwrap());
        assert_eq!(world.catalog.invitation(mine, invite.id).await.unwrap().unwrap().state, InvitationState::Accepted);

        let session = log_in(world, &member).await;
        let (found, membership) = world.catalog.session(session.lookup, &LIMITS, NOW).await.unwrap().unwrap();
        assert_eq!((found.id, found.account.id), (session.id, member.account.id));
        assert_eq!((membership.kind, &membership.member), (OrganizationKind::Owner, &member));
        let known = world.catalog.account_of(&email("ADA@example.com")).await.unwrap().unwrap();
        assert_eq!(known.password, Some(hash("ada@example.com")));
        assert_eq!(format!("{known:?}").matches("argon2").count(), 0, "a hash does not print itself");
        let entries = world.catalog.audit(mine, None, 3).await.unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["session.create", "member.create", "invitation.create"]);
        assert_eq!(entries[0].actor, member.account.id.to_string());
        let told = format!("{entries:?}");
        assert!(!told.contains("ada@") && !told.contains("Somebody"), "the audit knows people by their ids: {told}");
    })
    .await;
}

#[tokio::test]
async fn an_invitation_that_is_withdrawn_or_for_somebody_else_leads_nowhere() {
    everywhere(async |world| {
        let mine = world.mine.id;
        let withdrawn = invite(mine, None, AUDITOR);
        world.apply(Change::Invite(withdrawn.clone())).await.unwrap();
        world.apply(Change::WithdrawInvitation { id: withdrawn.id }).await.unwrap();
        let (_, change) = accept(&withdrawn, Joining::New(new_account("a@b.c")));
        assert!(matches!(world.apply(change).await, Err(ApplyError::NotFound(_))));

        let personal = invite(mine, Some("a@b.c"), AUDITOR);
        world.apply(Change::Invite(personal.clone())).await.unwrap();
        let (_, change) = accept(&personal, Joining::New(new_account("x@b.c")));
        assert!(matches!(world.apply(change).await, Err(ApplyError::Conflict(_))));
        let (_, change) = accept(&personal, Joining::New(new_account("a@b.c")));
        assert!(matches!(world.apply_as_other(change.clone()).await, Err(ApplyError::NotFound(_))), "for mine alone");
        world.apply(change).await.unwrap();
        assert!(matches!(
            world.apply(Change::WithdrawInvitation { id: personal.id }).await,
            Err(ApplyError::Conflict(_))
        ));

        // Whoever has an account joins with it, and with no other.
        let theirs = invite(world.theirs.id, Some("a@b.c"), OWNER);
        world.apply_as_other(Change::Invite(theirs.clone())).await.unwrap();
        let (_, twice) = accept(&theirs, Joining::New(new_account("a@b.c")));
        assert!(matches!(world.apply_as_other(twice).await, Err(ApplyError::Exists(_))));
        let known = world.catalog.account_of(&email("a@b.c")).await.unwrap().unwrap().account.id;
        let (_, change) = accept(&theirs, Joining::Known(known, None));
        world.apply_as_other(change).await.unwrap();
        let memberships = world.catalog.memberships(known).await.unwrap();
        assert_eq!(memberships.iter().map(|one| one.organization).collect::<Vec<_>>(), [mine, world.theirs.id]);
        let second = invite(mine, None, OWNER);
        world.apply(Change::Invite(second.clone())).await.unwrap();
        let (_, change) = accept(&second, Joining::Known(known, None));
        assert!(matches!(world.apply(change).await, Err(ApplyError::Exists(_))), "nobody is a member twice");
    })
    .await;
}

#[tokio::test]
async fn an_organization_keeps_somebody_who_can_let_others_in() {
    everywhere(async |world| {
        let mine = world.mine.id;
        let ada = join(world, mine, "ada@b.c", OWNER).await;
        let bob = join(world, mine, "bob@b.c", AUDITOR).await;
        let demote = |member: &Member| Change::UpdateMember { id: member.id, was: member.revision, role: AUDITOR };
        for change in [demote(&ada), Change::DeleteMember { id: ada.id, was: ada.revision }] {
            assert!(matches!(world.apply(change).await, Err(ApplyError::Conflict(_))));
        }
        let promote = Change::UpdateMember { id: bob.id, was: bob.revision, role: OWNER };
        world.apply(promote.clone()).await.unwrap();
        assert!(matches!(world.apply(promote).await, Err(ApplyError::Stale)));
        let session = log_in(world, &ada).await;
        world.apply(demote(&ada)).await.unwrap();
        let (_, membership) = world.catalog.session(session.lookup, &LIMITS, NOW).await.unwrap().unwrap();
        assert_eq!(membership.member.role, AUDITOR, "the next request knows");
        let was = world.catalog.member(mine, ada.id).await.unwrap().unwrap().revision;
        assert!(matches!(
            world.apply(Change::DeleteMember { id: ada.id, was: ada.revision }).await,
            Err(ApplyError::Stale)
        ));
        world.apply(Change::DeleteMember { id: ada.id, was }).await.unwrap();
        assert!(!is_open(world, &session).await, "whoever is no member is not logged in");
        assert_eq!(world.catalog.members(mine, None, ALL).await.unwrap().len(), 1);
        assert_eq!(world.catalog.memberships(ada.account.id).await.unwrap(), []);
        let refused = world.catalog.apply(&by(&ada), Change::OpenSession(session_of(&ada))).await;
        assert!(matches!(refused, Err(ApplyError::NotFound(_))), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn a_role_of_members_is_kept_while_somebody_has_it() {
    everywhere(async |world| {
        let mine = world.mine.id;
        let id = MemberRoleId::from_entropy(bytes());
        let create = |id, name: &str| Change::CreateMemberRole {
            id,
            name: name.parse().unwrap(),
            description: String::new(),
            permissions: vec!["keys.read".parse().unwrap()],
        };
        world.apply(create(id, "night")).await.unwrap();
        let taken = world.apply(create(MemberRoleId::from_entropy(bytes()), "night")).await;
        assert!(matches!(taken, Err(ApplyError::Exists(_))));
        join(world, mine, "ada@b.c", OWNER).await;
        let bob = join(world, mine, "bob@b.c", MemberRole::Custom(id)).await;
        assert_eq!((bob.role_name.as_ref().map(|name| name.as_str()), bob.granted.len()), (Some("night"), 1));
        assert!(matches!(world.apply(Change::DeleteMemberRole { id }).await, Err(ApplyError::Conflict(_))));
        let role = world.catalog.member_role(mine, id).await.unwrap().unwrap();
        let change = Change::UpdateMemberRole {
            id,
            was: role.revision,
            name: "day".parse().unwrap(),
            description: "x".to_owned(),
            permissions: Vec::new(),
        };
        world.apply(change).await.unwrap();
        assert_eq!(world.catalog.member(mine, bob.id).await.unwrap().unwrap().granted, []);
        let was = world.catalog.member(mine, bob.id).await.unwrap().unwrap().revision;
        assert!(was > bob.revision, "what the role grants is a part of the member");
        world.apply(Change::DeleteMember { id: bob.id, was }).await.unwrap();
        let promised = invite(mine, None, MemberRole::Custom(id));
        world.apply(Change::Invite(promised.clone())).await.unwrap();
        assert!(matches!(world.apply(Change::DeleteMemberRole { id }).await, Err(ApplyError::Conflict(_))));
        world.apply(Change::WithdrawInvitation { id: promised.id }).await.unwrap();
        world.apply(Change::DeleteMemberRole { id }).await.unwrap();
        assert_eq!(world.catalog.member_roles(mine, None, ALL).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_role_of_another_kind_of_organization_is_not_given() {
    everywhere(async |world| {
        let id = OrganizationId::from_entropy(bytes());
        let change = Change::CreateOrganization { id, name: "Shop".to_owned(), kind: OrganizationKind::Consumer };
        let refused = world.apply_as_other(change.clone()).await;
        assert!(matches!(refused, Err(ApplyError::NotFound(_))), "only the first makes others: {refused:?}");
        world.apply(change).await.unwrap();
        assert_eq!(world.catalog.organization(world.theirs.id, id).await.unwrap(), None);
        let made = world.catalog.organization(world.mine.id, id).await.unwrap().unwrap();
        assert_eq!(made.kind, OrganizationKind::Consumer);
        assert_eq!(world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0].action, "organization.create");
        let refused = world.apply(Change::Invite(invite(id, None, OWNER))).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "{refused:?}");
        let fit = invite(id, None, MemberRole::BuiltIn(BuiltInRole::ConsumerAdmin));
        assert!(matches!(world.apply_as_other(Change::Invite(fit.clone())).await, Err(ApplyError::NotFound(_))));
        world.apply(Change::Invite(fit)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn z05_people_of_another_organization_are_none() {
    everywhere(async |world| {
        let (mine, theirs) = (world.mine.id, world.theirs.id);
        join(world, mine, "ada@b.c", OWNER).await;
        let foreign = join(world, theirs, "eve@b.c", OWNER).await;
        let session = log_in(world, &foreign).await;
        let open = invite(theirs, None, AUDITOR);
        world.apply_as_other(Change::Invite(open.clone())).await.unwrap();
        let role = MemberRoleId::from_entropy(bytes());
        let make = Change::CreateMemberRole {
            id: role,
            name: "x".parse().unwrap(),
            description: String::new(),
            permissions: Vec::new(),
        };
        world.apply_as_other(make).await.unwrap();
        let catalog = &world.catalog;
        assert_eq!(catalog.member(mine, foreign.id).await.unwrap(), None);
        assert_eq!(catalog.members(mine, Some("eve@b.c"), ALL).await.unwrap(), []);
        assert_eq!(catalog.member_role(mine, role).await.unwrap(), None);
        assert_eq!(catalog.sessions(mine, (&LIMITS, NOW), ALL).await.unwrap(), []);
        assert_eq!(catalog.invitations(mine, ALL).await.unwrap().len(), 1, "the one that was accepted");
        let changes = [
            Change::UpdateMember { id: foreign.id, was: foreign.revision, role: AUDITOR },
            Change::DeleteMember { id: foreign.id, was: foreign.revision },
            Change::DeleteMemberRole { id: role },
            Change::EndSession { id: session.id },
            Change::ProveSession { id: session.id, lookup: lookup(), shown: shown(&hash("x")) },
            Change::MoveSession { id: session.id, organization: mine, lookup: lookup() },
            Change::OfferReset {
                member: foreign.id,
                was: foreign.revision,
                lookup: lookup(),
                ends_at: NOW.plus_secs(9),
            },
        ];
        for change in changes {
            let refused = world.apply(change).await;
            assert!(matches!(refused, Err(ApplyError::NotFound(_))), "{refused:?}");
        }
        let refused = world.apply(Change::EndSessions { account: foreign.account.id, except: None }).await;
        assert!(matches!(refused, Err(ApplyError::NotFound(_))), "{refused:?}");
        assert!(is_open(world, &session).await, "sessions elsewhere are not mine to end");
        // Whoever is no tenant of mine sees none of mine, the first organization's rights apart.
        assert_eq!(
            catalog.invitation(theirs, catalog.invitations(mine, ALL).await.unwrap()[0].id).await.unwrap(),
            None
        );
        assert!(catalog.invitation(mine, open.id).await.unwrap().is_some(), "whoever runs the installation sees all");
    })
    .await;
}

#[tokio::test]
async fn a04_a09_tries_are_counted_before_they_are_made_whether_there_is_an_account_or_not() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let (hers, nobodys) = (lookup(), lookup());
        let catalog = &world.catalog;
        for (account, lookup) in [(Some(ada.account.id), hers), (None, nobodys)] {
            // Many at once: each is counted, and no more are made than may be.
            let tries = futures_util::future::join_all((0..20).map(|_| catalog.reserve_try(lookup, NOW))).await;
            let made = tries.into_iter().filter_map(|tried| tried.unwrap().ok());
            let mut made: Vec<u32> = made.map(|tried| tried.in_a_row).collect();
            made.sort_unstable();
            assert_eq!(made, (1..=TRIES).collect::<Vec<_>>());
            for in_a_row in [TRIES - 1, TRIES] {
                world.apply(Change::FailLogin { account, failure: Failure::Password { in_a_row } }).await.unwrap();
            }
            let locked = catalog.reserve_try(lookup, NOW.plus_secs(899)).await.unwrap();
            assert_eq!(locked, Err(Locked::Until(NOW.plus_secs(900))));
            let later = NOW.plus_secs(900);
            let tried = catalog.reserve_try(lookup, later).await.unwrap().unwrap();
            assert_eq!(tried.in_a_row, 6, "one after the other from there on");
            catalog.release_try(tried).await.unwrap();
            let again = catalog.reserve_try(lookup, later).await.unwrap().unwrap();
            assert_eq!(again.in_a_row, 6, "one that was neither is taken back, and locks nothing anew");
        }
        let entries = world.catalog.audit(world.mine.id, None, 4).await.unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["login.lock", "login.fail", "login.lock", "login.fail"]);
        assert_eq!((entries[0].subject.as_str(), entries[2].subject.clone()), ("unknown", ada.account.id.to_string()));

        let session = NewSession { shown: Some(shown_with(&hash("ada@b.c"), None, hers)), ..session_of(&ada) };
        world.catalog.apply(&by(&ada), Change::OpenSession(session)).await.unwrap();
        let count = async |lookup, at| catalog.reserve_try(lookup, at).await.unwrap().unwrap().in_a_row;
        assert_eq!(count(hers, NOW).await, 1, "until it goes right");
        catalog.forget_sessions(&LIMITS, NOW.plus_secs(29 * 86_400)).await.unwrap();
        assert_eq!(count(nobodys, NOW.plus_secs(86_400)).await, 7);
        catalog.forget_sessions(&LIMITS, NOW.plus_secs(32 * 86_400)).await.unwrap();
        for lookup in [hers, nobodys] {
            assert_eq!(count(lookup, NOW.plus_secs(32 * 86_400)).await, 1, "all alike");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_shown_is_used_only_while_it_is_so() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let account = ada.account.id;
        let kept = log_in(world, &ada).await;
        let with = |of: &PasswordHash| NewSession { shown: Some(shown(of)), ..session_of(&ada) };
        let open = async |session| world.catalog.apply(&by(&ada), Change::OpenSession(session)).await;
        open(with(&hash("ada@b.c"))).await.unwrap();
        let other = open(with(&hash("another"))).await;
        assert!(matches!(other, Err(ApplyError::NotFound("proof"))), "{other:?}");
        let prove = Change::ProveSession { id: kept.id, lookup: lookup(), shown: shown(&hash("another")) };
        let other = world.catalog.apply(&by(&ada), prove).await;
        assert!(matches!(other, Err(ApplyError::NotFound("proof"))), "{other:?}");
        // A factor that came meanwhile is asked for, too.
        with_totp(world, &ada, &kept).await;
        let late = open(with(&hash("ada@b.c"))).await;
        assert!(matches!(late, Err(ApplyError::NotFound("proof"))), "{late:?}");
        // Of somebody else's proof nothing is taken, nor is another's session proven with it.
        let bob = join(world, world.mine.id, "bob@b.c", AUDITOR).await;
        let prove = Change::ProveSession { id: kept.id, lookup: lookup(), shown: shown(&hash("bob@b.c")) };
        assert!(world.catalog.apply(&by(&bob), prove).await.is_err());
        assert_eq!(world.catalog.sessions_of(account, (&LIMITS, NOW), ALL).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn s05_another_password_ends_the_sessions_and_a_link_to_one_opens_once() {
    everywhere(async |world| {
        let (mine, theirs) = (world.mine.id, world.theirs.id);
        let ada = join(world, mine, "ada@b.c", OWNER).await;
        let account = ada.account.id;
        let (kept, other) = (log_in(world, &ada).await, log_in(world, &ada).await);
        let set = |password: &str, by| Change::SetPassword { account, password: hash(password), alone: true, by };
        let fresh = lookup();
        let holder = |of: &PasswordHash| PasswordBy::Holder { shown: Some(shown(of)), session: kept.id, lookup: fresh };
        world.catalog.apply(&by(&ada), set("second", holder(&hash("ada@b.c")))).await.unwrap();
        assert!(world.catalog.session(fresh, &LIMITS, NOW).await.unwrap().is_some(), "it goes on under another token");
        assert!(!is_open(world, &kept).await && !is_open(world, &other).await);
        let again = world.catalog.apply(&by(&ada), set("third", holder(&hash("ada@b.c")))).await;
        assert!(matches!(again, Err(ApplyError::NotFound("proof"))), "of two at once one is made: {again:?}");

        let link = |lookup| PasswordBy::Link { lookup, forgives: [9; 32] };
        let offer = async |lookup| {
            let now = world.catalog.member(mine, ada.id).await.unwrap().unwrap();
            let change = Change::OfferReset { member: ada.id, was: now.revision, lookup, ends_at: NOW.plus_secs(60) };
            world.apply(change).await
        };
        let (first, second) = (lookup(), lookup());
        offer(first).await.unwrap();
        offer(second).await.unwrap();
        assert_eq!(world.catalog.account_to_reset(first, NOW).await.unwrap(), None, "the next one takes its place");
        assert_eq!(world.catalog.account_to_reset(second, NOW.plus_secs(60)).await.unwrap(), None);
        assert!(world.catalog.account_to_reset(second, NOW).await.unwrap().is_some());
        world.apply(set("third", link(second))).await.unwrap();
        assert!(world.catalog.session(fresh, &LIMITS, NOW).await.unwrap().is_none());
        assert!(matches!(world.apply(set("fourth", link(second))).await, Err(ApplyError::NotFound("link"))));
        let known = world.catalog.account(account).await.unwrap().unwrap();
        assert_eq!(known.password, Some(hash("third")));
        world.catalog.rehash_password(account, &hash("third"), &hash("third, anew")).await.unwrap();
        world.catalog.rehash_password(account, &hash("third"), &hash("late")).await.unwrap();
        let known = world.catalog.account(account).await.unwrap().unwrap();
        assert_eq!(known.password, Some(hash("third, anew")));

        // A link is good for what somebody was when it was made, not for what they become.
        let early = lookup();
        offer(early).await.unwrap();
        join(world, mine, "bob@b.c", OWNER).await;
        let demote = Change::UpdateMember { id: ada.id, was: ada.revision, role: AUDITOR };
        world.apply(demote).await.unwrap();
        assert!(matches!(world.apply(set("x", link(early))).await, Err(ApplyError::NotFound("link"))));
        let early = lookup();
        offer(early).await.unwrap();
        let theirs_too = invite(theirs, None, OWNER);
        world.apply_as_other(Change::Invite(theirs_too.clone())).await.unwrap();
        let (_, change) = accept(&theirs_too, Joining::Known(account, None));
        world.apply_as_other(change).await.unwrap();
        assert!(matches!(world.apply(set("x", link(early))).await, Err(ApplyError::NotFound("link"))));
        // Whoever manages another organization that she is in gets no hold of her.
        let there = world.catalog.memberships(account).await.unwrap().pop().unwrap().member;
        let offer =
            Change::OfferReset { member: there.id, was: there.revision, lookup: lookup(), ends_at: NOW.plus_secs(60) };
        assert!(matches!(world.apply_as_other(offer).await, Err(ApplyError::Conflict(_))));
    })
    .await;
}

#[tokio::test]
async fn invitations_go_with_whoever_made_them() {
    everywhere(async |world| {
        let mine = world.mine.id;
        join(world, mine, "ada@b.c", OWNER).await;
        let (bob, eve) = (join(world, mine, "bob@b.c", OWNER).await, join(world, mine, "eve@b.c", OWNER).await);
        let (by_bob, by_eve) = (invite(mine, None, AUDITOR), invite(mine, None, AUDITOR));
        world.catalog.apply(&by(&bob), Change::Invite(by_bob.clone())).await.unwrap();
        world.catalog.apply(&by(&eve), Change::Invite(by_eve.clone())).await.unwrap();
        assert_eq!(
            world.catalog.invitation(mine, by_bob.id).await.unwrap().unwrap().made_by,
            bob.account.id.to_string()
        );
        world.apply(Change::DeleteMember { id: bob.id, was: bob.revision }).await.unwrap();
        world.apply(Change::UpdateMember { id: eve.id, was: eve.revision, role: AUDITOR }).await.unwrap();
        for invite in [&by_bob, &by_eve] {
            assert_eq!(world.catalog.open_invitation(invite.lookup, NOW).await.unwrap(), None);
        }
        // Who was taken away comes back with the account that there is.
        let again = invite(mine, Some("bob@b.c"), AUDITOR);
        world.apply(Change::Invite(again.clone())).await.unwrap();
        let known = |of: &str| Joining::Known(bob.account.id, Some(shown(&hash(of))));
        let (_, wrong) = accept(&again, known("another"));
        assert!(matches!(world.apply(wrong).await, Err(ApplyError::NotFound("proof"))));
        let (_, right) = accept(&again, known("bob@b.c"));
        world.apply(right).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn s04_a_session_lasts_while_it_is_used_and_not_for_ever() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let session = log_in(world, &ada).await;
        let at = |secs| NOW.plus_secs(secs);
        assert!(is_open_at(world, &session, at(599)).await && !is_open_at(world, &session, at(600)).await);
        for n in 1..=6 {
            world.catalog.note_session_used(session.id, at(599 * n)).await.unwrap();
        }
        assert!(is_open_at(world, &session, at(3_599)).await && !is_open_at(world, &session, at(3_600)).await);
        assert_eq!(world.catalog.sessions_of(ada.account.id, (&LIMITS, at(3_599)), ALL).await.unwrap().len(), 1);
        assert_eq!(world.catalog.sessions(world.mine.id, (&LIMITS, at(3_600)), ALL).await.unwrap(), []);
        assert_eq!(world.catalog.forget_sessions(&LIMITS, at(3_599)).await.unwrap(), 0);
        assert_eq!(world.catalog.forget_sessions(&LIMITS, at(3_600)).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn s01_a_session_that_takes_the_place_of_another_or_moves_has_another_token() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let first = log_in(world, &ada).await;
        let second = NewSession { replaces: Some(first.id), ..session_of(&ada) };
        world.catalog.apply(&by(&ada), Change::OpenSession(second.clone())).await.unwrap();
        assert!(!is_open(world, &first).await && is_open(world, &second).await);

        let fresh = lookup();
        let prove = Change::ProveSession { id: second.id, lookup: fresh, shown: shown(&hash("ada@b.c")) };
        world.catalog.apply(&by(&ada), prove).await.unwrap();
        assert!(!is_open(world, &second).await);
        let stranger = Change::MoveSession { id: second.id, organization: world.theirs.id, lookup: lookup() };
        let refused = world.catalog.apply(&by(&ada), stranger.clone()).await;
        assert!(matches!(refused, Err(ApplyError::NotFound(_))), "{refused:?}");
        let into = invite(world.theirs.id, None, OWNER);
        world.apply_as_other(Change::Invite(into.clone())).await.unwrap();
        let (_, change) = accept(&into, Joining::Known(ada.account.id, None));
        world.apply_as_other(change).await.unwrap();
        let Change::MoveSession { lookup: moved, .. } = stranger else { unreachable!() };
        world.catalog.apply(&by(&ada), stranger).await.unwrap();
        assert!(world.catalog.session(fresh, &LIMITS, NOW).await.unwrap().is_none());
        let (session, membership) = world.catalog.session(moved, &LIMITS, NOW).await.unwrap().unwrap();
        assert_eq!((session.organization, membership.organization), (world.theirs.id, world.theirs.id));
        // She ends it wherever she is, and an account has no more sessions than anybody keeps track of.
        let refused = world.catalog.apply(&by(&ada), Change::EndSession { id: second.id }).await;
        assert!(matches!(refused, Err(ApplyError::NotFound("session"))), "it is elsewhere: {refused:?}");
        let end = Change::EndOwnSession { id: second.id, account: ada.account.id };
        world.catalog.apply(&by(&ada), end).await.unwrap();
        let mut all = Vec::new();
        for _ in 0..52 {
            all.push(log_in(world, &ada).await);
        }
        assert!(!is_open(world, &all[1]).await && is_open(world, &all[2]).await);
    })
    .await;
}

/// One-time codes of somebody, asked for from step 10 on, with two recovery codes.
pub async fn with_totp(world: &World, member: &Member, session: &NewSession) -> [[u8; 32]; 2] {
    let (account, codes) = (member.account.id, [lookup(), lookup()]);
    let sealed = world.catalog.seal_totp(account, b"a seed of twenty byt", &crate::world::salt());
    world.catalog.apply(&by(member), Change::OfferTotp { account, sealed }).await.unwrap();
    let confirm = Change::ConfirmTotp { account, made_at: NOW, step: 10, codes: codes.to_vec(), except: session.id };
    world.catalog.apply(&by(member), confirm).await.unwrap();
    codes
}

#[tokio::test]
async fn a07_a08_codes_are_taken_once_and_their_seed_is_sealed() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let account = ada.account.id;
        let (kept, other) = (log_in(world, &ada).await, log_in(world, &ada).await);
        let early = Change::SetRecoveryCodes { account, codes: vec![lookup()] };
        assert!(matches!(world.catalog.apply(&by(&ada), early).await, Err(ApplyError::Conflict(_))));
        assert!(world.catalog.totp(account).await.unwrap().is_none());
        let codes = with_totp(world, &ada, &kept).await;
        assert!(is_open(world, &kept).await && !is_open(world, &other).await, "other sessions ended");
        let totp = world.catalog.totp(account).await.unwrap().unwrap();
        assert_eq!((&totp.seed[..], totp.is_confirmed, totp.last_step), (&b"a seed of twenty byt"[..], true, 10));
        assert!(world.catalog.account(account).await.unwrap().unwrap().account.has_totp);
        let sealed = world.catalog.seal_totp(account, b"another", &crate::world::salt());
        let again = world.catalog.apply(&by(&ada), Change::OfferTotp { account, sealed }).await;
        assert!(matches!(again, Err(ApplyError::Conflict(_))), "nobody replaces what is asked for: {again:?}");

        let with = |factor| NewSession {
            shown: Some(shown_with(&hash("ada@b.c"), Some(factor), [9; 32])),
            ..session_of(&ada)
        };
        let step = |step| with(UsedFactor::Totp { step });
        let code = |lookup| with(UsedFactor::RecoveryCode { lookup });
        for (session, is_taken) in [
            (step(9), false),
            (step(10), false),
            (step(11), true),
            (step(11), false),
            (step(12), true),
            (code(codes[0]), true),
            (code(codes[0]), false),
            (code(lookup()), false),
        ] {
            let opened = world.catalog.apply(&by(&ada), Change::OpenSession(session.clone())).await;
            assert_eq!(opened.is_ok(), is_taken, "{:?}", session.shown);
            assert_eq!(is_open(world, &session).await, is_taken);
        }
        assert_eq!(world.catalog.recovery_codes_left(account).await.unwrap(), 1);
        let used = shown_with(&hash("ada@b.c"), Some(UsedFactor::Totp { step: 12 }), [9; 32]);
        let prove = Change::ProveSession { id: kept.id, lookup: lookup(), shown: used };
        assert!(matches!(world.catalog.apply(&by(&ada), prove).await, Err(ApplyError::NotFound("proof"))));
        assert!(is_open(world, &kept).await, "what is refused changes nothing");
        let fresh = Change::SetRecoveryCodes { account, codes: vec![lookup(); 1] };
        world.catalog.apply(&by(&ada), fresh).await.unwrap();
        let gone = world.catalog.apply(&by(&ada), Change::OpenSession(code(codes[1]))).await;
        assert!(gone.is_err(), "others take their place");

        // They go with the key that they are sealed under.
        let limit = 100;
        let key =
            world.catalog.new_encryption_key(Algorithm::Aes256Gcm, &[5; 32], &crate::world::salt()).await.unwrap();
        world.apply(Change::RotateEncryptionKey { key }).await.unwrap();
        world.apply(Change::Rewrap { limit, entropy: [6; 32] }).await.unwrap();
        world.apply(Change::RetireEncryptionKey { version: 1 }).await.unwrap();
        assert_eq!(&world.catalog.totp(account).await.unwrap().unwrap().seed[..], b"a seed of twenty byt");

        let remove = Change::RemoveFactors { account, except: None, of: None };
        let set = |password: &str, was: &str, step, alone| {
            let shown = shown_with(&hash(was), Some(UsedFactor::Totp { step }), [9; 32]);
            let by = PasswordBy::Holder { shown: Some(shown), session: kept.id, lookup: lookup() };
            Change::SetPassword { account, password: hash(password), alone, by }
        };
        world.catalog.apply(&by(&ada), set("short", "ada@b.c", 13, false)).await.unwrap();
        let refused = world.catalog.apply(&by(&ada), remove.clone()).await;
        assert!(
            matches!(refused, Err(ApplyError::Conflict(_))),
            "A-1: a short password is not left alone: {refused:?}"
        );
        world.catalog.apply(&by(&ada), set("long", "short", 14, true)).await.unwrap();
        world.catalog.apply(&by(&ada), remove.clone()).await.unwrap();
        assert_eq!(world.catalog.recovery_codes_left(account).await.unwrap(), 0);
        assert!(world.catalog.totp(account).await.unwrap().is_none());
        assert!(matches!(world.catalog.apply(&by(&ada), remove).await, Err(ApplyError::NotFound(_))));
    })
    .await;
}
