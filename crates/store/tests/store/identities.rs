//! What people are known by at identity providers: by issuer and subject, each word of a provider taken once.

use keystile_core::id::{AccountId, IdentityId, MemberId};
use keystile_core::member::{BuiltInRole, MemberRole};
use keystile_store::records::{
    Challenge, Entry, Joining, Member, Named, NewAccount, NewIdentity, NewSession, Shown, UsedIdentity, Ways,
};
use keystile_store::{ApplyError, Change};

use crate::passkeys::ways;
use crate::people::{LIMITS, OWNER, by, invite, is_open, join, log_in, lookup, session_of};
use crate::world::{ALL, NOW, World, bytes, everywhere};

fn challenge() -> Challenge {
    Challenge { lookup: lookup(), ends_at: NOW.plus_secs(60) }
}

fn named(issuer: &str, subject: &str) -> Named {
    Named { issuer: issuer.to_owned(), subject: subject.to_owned() }
}

fn identity_of(account: AccountId, subject: &str) -> NewIdentity {
    let named = named("https://id.example.com", subject);
    NewIdentity { id: IdentityId::from_entropy(bytes()), account, named, challenge: challenge() }
}

/// Connects somebody with a provider.
pub async fn add(world: &World, member: &Member, subject: &str) -> IdentityId {
    let identity = identity_of(member.account.id, subject);
    let id = identity.id;
    world.catalog.apply(&by(member), Change::AddIdentity(identity)).await.unwrap();
    id
}

fn opens(member: &Member, named: Named, challenge: Challenge) -> NewSession {
    let used = UsedIdentity { named, proven_at: Some(NOW.plus_secs(-90)), challenge };
    NewSession { shown: Some(Shown::Identity(used)), ..session_of(member) }
}

#[tokio::test]
async fn a13_somebody_is_known_by_issuer_and_subject_and_what_is_vouched_for_is_taken_once() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let id = add(world, &ada, "1").await;
        let ours = named("https://id.example.com", "1");
        let found = world.catalog.identity_of(&ours).await.unwrap().unwrap();
        assert_eq!((found.id, found.account, found.used_at), (id, ada.account.id, None));
        for other in [named("https://id.example.com", "2"), named("https://other.example.com", "1")] {
            assert_eq!(world.catalog.identity_of(&other).await.unwrap(), None, "{other:?}");
        }
        let apply =
            async |session: &NewSession| world.catalog.apply(&by(&ada), Change::OpenSession(session.clone())).await;
        let once = challenge();
        let session = opens(&ada, ours.clone(), once);
        apply(&session).await.unwrap();
        let (opened, _) = world.catalog.session(session.lookup, &LIMITS, NOW).await.unwrap().unwrap();
        assert_eq!(opened.times.proven_at, NOW.plus_secs(-90), "what was proven at the provider, was proven then");
        assert_eq!(world.catalog.identities(ada.account.id, ALL).await.unwrap()[0].used_at, Some(NOW));
        for refused in [opens(&ada, ours.clone(), once), opens(&ada, named("https://id.example.com", "2"), challenge())]
        {
            assert!(matches!(apply(&refused).await, Err(ApplyError::NotFound("proof"))));
        }
        let bob = join(world, world.theirs.id, "bob@b.c", OWNER).await;
        let twice = world.catalog.apply(&by(&bob), Change::AddIdentity(identity_of(bob.account.id, "1"))).await;
        assert!(matches!(twice, Err(ApplyError::Exists(_))), "{twice:?}");
        let session = log_in(world, &bob).await;
        let remove = Change::RemoveIdentity { id, account: bob.account.id, except: session.id, ways: ways() };
        assert!(matches!(world.catalog.apply(&by(&bob), remove).await, Err(ApplyError::NotFound("identity"))));
        assert!(world.catalog.identities(bob.account.id, ALL).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn somebody_joins_without_a_password_and_keeps_a_way_in() {
    everywhere(async |world| {
        let mine = world.mine.id;
        let invite = invite(mine, Some("ada@b.c"), MemberRole::BuiltIn(BuiltInRole::Auditor));
        world.apply(Change::Invite(invite.clone())).await.unwrap();
        let account = AccountId::from_entropy(bytes());
        let identity = identity_of(account, "7");
        let id = identity.id;
        let email = "ada@b.c".parse().unwrap();
        let new = NewAccount { id: account, email, name: String::new(), entry: Entry::Identity(identity) };
        let member = MemberId::from_entropy(bytes());
        let change = Change::AcceptInvitation { lookup: invite.lookup, member, joining: Joining::New(new) };
        world.apply(change).await.unwrap();
        let ada = world.catalog.member(mine, member).await.unwrap().unwrap();
        assert!(!ada.account.has_password && !ada.account.lets_password_alone_in());
        let session = opens(&ada, named("https://id.example.com", "7"), challenge());
        world.catalog.apply(&by(&ada), Change::OpenSession(session.clone())).await.unwrap();
        let remove = Change::RemoveIdentity { id, account, except: session.id, ways: ways() };
        let refused = world.catalog.apply(&by(&ada), remove.clone()).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "{refused:?}");
        crate::passkeys::add(world, &ada, b"one").await;
        // What the settings name no more lets nobody in, so it counts as none.
        let dead = Change::RemoveIdentity { id, account, except: session.id, ways: Ways::default() };
        let refused = world.catalog.apply(&by(&ada), dead).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "{refused:?}");
        world.catalog.apply(&by(&ada), remove).await.unwrap();
        assert!(is_open(world, &session).await);
    })
    .await;
}
