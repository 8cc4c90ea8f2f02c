//! Links that let somebody in: once, until they end, and no longer than what they were made for.

use keystile_core::id::SessionId;
use keystile_store::records::{Member, NewSession, Shown, UsedFactor, UsedLink};
use keystile_store::{ApplyError, Change};

use crate::people::{LIMITS, OWNER, by, join, log_in, lookup, with_totp};
use crate::world::{NOW, World, bytes, everywhere};

async fn offer(world: &World, member: &Member) -> [u8; 32] {
    let lookup = lookup();
    let ends_at = NOW.plus_secs(60);
    world.apply(Change::OfferSignIn { account: member.account.id, lookup, ends_at }).await.unwrap();
    lookup
}

fn entering(member: &Member, lookup: [u8; 32], factor: Option<UsedFactor>) -> Change {
    let shown = Some(Shown::Link(UsedLink { lookup, factor, forgives: [9; 32] }));
    let id = SessionId::from_entropy(bytes());
    let account = member.account.id;
    Change::OpenSession(NewSession {
        id,
        account,
        lookup: crate::people::lookup(),
        agent: String::new(),
        replaces: None,
        shown,
    })
}

async fn enter(world: &World, member: &Member, change: Change) -> bool {
    match world.catalog.apply(&by(member), change).await {
        Ok(_) => true,
        Err(ApplyError::NotFound("proof")) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_link_lets_its_account_in_once_and_until_it_ends() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let bob = join(world, world.mine.id, "bob@b.c", OWNER).await;
        let link = offer(world, &ada).await;
        let found = world.catalog.account_of_link(link, NOW).await.unwrap().unwrap();
        assert_eq!(found.account.id, ada.account.id);
        assert_eq!(world.catalog.account_of_link(link, NOW.plus_secs(60)).await.unwrap(), None);
        assert!(!enter(world, &bob, entering(&bob, link, None)).await, "it is another account's");
        assert!(enter(world, &ada, entering(&ada, link, None)).await);
        assert!(!enter(world, &ada, entering(&ada, link, None)).await, "of two who show it the second is refused");
        assert_eq!(world.catalog.account_of_link(link, NOW).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a10_a_link_is_not_all_where_codes_are_asked_for_and_is_not_spent_by_that() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let session = log_in(world, &ada).await;
        let codes = with_totp(world, &ada, &session).await;
        let link = offer(world, &ada).await;
        assert!(!enter(world, &ada, entering(&ada, link, None)).await);
        let wrong = UsedFactor::RecoveryCode { lookup: [8; 32] };
        assert!(!enter(world, &ada, entering(&ada, link, Some(wrong))).await);
        let right = UsedFactor::RecoveryCode { lookup: codes[0] };
        assert!(enter(world, &ada, entering(&ada, link, Some(right))).await);
    })
    .await;
}

#[tokio::test]
async fn links_are_bounded_forgotten_and_end_with_all_sessions() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let mut links = Vec::new();
        for _ in 0..7 {
            links.push(offer(world, &ada).await);
        }
        let mut open = Vec::new();
        for link in &links {
            open.extend(world.catalog.account_of_link(*link, NOW).await.unwrap());
        }
        assert_eq!(open.len(), 5);
        world.catalog.forget_sessions(&LIMITS, NOW.plus_secs(59)).await.unwrap();
        let link = offer(world, &ada).await;
        let end = Change::EndSessions { account: ada.account.id, except: None };
        world.catalog.apply(&by(&ada), end).await.unwrap();
        assert_eq!(world.catalog.account_of_link(link, NOW).await.unwrap(), None);
        let link = offer(world, &ada).await;
        assert!(world.catalog.forget_sessions(&LIMITS, NOW.plus_secs(60)).await.unwrap() > 0);
        assert_eq!(world.catalog.account_of_link(link, NOW.plus_secs(-1)).await.unwrap(), None, "it is gone");
        let other = Change::OfferSignIn { account: ada.account.id, lookup: lookup(), ends_at: NOW.plus_secs(60) };
        let refused = world.apply_as_other(other).await;
        assert!(matches!(refused, Err(ApplyError::NotFound(_))), "whose member it is not offers nothing: {refused:?}");
    })
    .await;
}
