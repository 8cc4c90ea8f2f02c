//! Passkeys: what is kept of them, each answer taken once, and nobody left without a way in.

use keystile_core::id::PasskeyId;
use keystile_store::records::{Challenge, Member, NewPasskey, NewSession, Passkey, Shown, UsedPasskey, Ways};
use keystile_store::{ApplyError, Change, PasswordBy};

use crate::people::{LIMITS, OWNER, by, hash, is_open, join, log_in, lookup, session_of};
use crate::world::{ALL, NOW, World, bytes, everywhere};

fn challenge() -> Challenge {
    Challenge { lookup: lookup(), ends_at: NOW.plus_secs(60) }
}

fn passkey_of(member: &Member, credential_id: &[u8]) -> NewPasskey {
    NewPasskey {
        id: PasskeyId::from_entropy(bytes()),
        account: member.account.id,
        credential_id: credential_id.to_vec(),
        credential: "{\"counter\":1}".to_owned(),
        name: "Laptop".to_owned(),
        challenge: challenge(),
    }
}

/// Gives somebody a passkey.
pub async fn add(world: &World, member: &Member, credential_id: &[u8]) -> Passkey {
    let passkey = passkey_of(member, credential_id);
    world.catalog.apply(&by(member), Change::AddPasskey(passkey)).await.unwrap();
    world.catalog.passkey_of(credential_id).await.unwrap().unwrap()
}

/// Where both passkeys and a provider let people in.
pub fn ways() -> Ways {
    Ways { passkeys: true, issuer: Some("https://id.example.com".to_owned()) }
}

/// A session that a passkey opens, whose counter goes on from `was`.
fn opens(member: &Member, passkey: &Passkey, was: &str, challenge: Challenge) -> NewSession {
    let used = UsedPasskey { id: passkey.id, was: was.to_owned(), is: "{\"counter\":2}".to_owned(), challenge };
    NewSession { shown: Some(Shown::Passkey(used)), ..session_of(member) }
}

#[tokio::test]
async fn a06_what_a_passkey_answers_is_taken_once_and_its_counter_goes_on() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let passkey = add(world, &ada, b"ada's").await;
        assert_eq!((passkey.account, passkey.name.as_str(), passkey.used_at), (ada.account.id, "Laptop", None));
        let known = world.catalog.account(ada.account.id).await.unwrap().unwrap().account;
        assert!(known.passkeys == 1 && known.has_password);
        let apply =
            async |session: &NewSession| world.catalog.apply(&by(&ada), Change::OpenSession(session.clone())).await;

        let once = challenge();
        let first = opens(&ada, &passkey, &passkey.credential, once);
        apply(&first).await.unwrap();
        assert!(is_open(world, &first).await);
        let kept = world.catalog.passkey(ada.account.id, passkey.id).await.unwrap().unwrap();
        assert_eq!((kept.credential.as_str(), kept.used_at), ("{\"counter\":2}", Some(NOW)));
        for (why, session) in [
            ("the answer was taken", opens(&ada, &kept, &kept.credential, once)),
            ("the counter went on meanwhile", opens(&ada, &passkey, &passkey.credential, challenge())),
        ] {
            let refused = apply(&session).await;
            assert!(matches!(refused, Err(ApplyError::NotFound("proof"))), "{why}: {refused:?}");
            assert!(!is_open(world, &session).await);
        }
        // Somebody else's opens nothing of hers.
        let bob = join(world, world.mine.id, "bob@b.c", OWNER).await;
        let his = add(world, &bob, b"bob's").await;
        let refused = apply(&opens(&ada, &his, &his.credential, challenge())).await;
        assert!(matches!(refused, Err(ApplyError::NotFound("proof"))), "{refused:?}");

        // What was answered is remembered for as long as it could be answered.
        world.catalog.forget_sessions(&LIMITS, NOW).await.unwrap();
        assert!(apply(&opens(&ada, &kept, &kept.credential, once)).await.is_err());
        world.catalog.forget_sessions(&LIMITS, once.ends_at.plus_secs(86_400 - 1)).await.unwrap();
        assert!(apply(&opens(&ada, &kept, &kept.credential, once)).await.is_err(), "whatever a clock says");
        world.catalog.forget_sessions(&LIMITS, once.ends_at.plus_secs(86_400)).await.unwrap();
        apply(&opens(&ada, &kept, &kept.credential, once)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn passkeys_are_their_holders_and_one_is_of_one_account() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let bob = join(world, world.theirs.id, "bob@b.c", OWNER).await;
        let (hers, session) = (add(world, &ada, b"one").await, log_in(world, &bob).await);
        let twice = world.catalog.apply(&by(&bob), Change::AddPasskey(passkey_of(&bob, b"one"))).await;
        assert!(matches!(twice, Err(ApplyError::Exists(_))), "{twice:?}");
        let account = bob.account.id;
        for change in [
            Change::RenamePasskey { id: hers.id, account, name: "his".to_owned() },
            Change::RemovePasskey { id: hers.id, account, except: session.id, ways: ways() },
        ] {
            let refused = world.catalog.apply(&by(&bob), change).await;
            assert!(matches!(refused, Err(ApplyError::NotFound("passkey"))), "{refused:?}");
        }
        assert_eq!(world.catalog.passkey(account, hers.id).await.unwrap(), None);
        assert!(world.catalog.passkeys(account, ALL).await.unwrap().is_empty());
        assert!(is_open(world, &session).await, "what is refused changes nothing");

        let account = ada.account.id;
        let (kept, other) = (log_in(world, &ada).await, log_in(world, &ada).await);
        let rename = Change::RenamePasskey { id: hers.id, account, name: "Phone".to_owned() };
        world.catalog.apply(&by(&ada), rename).await.unwrap();
        assert_eq!(world.catalog.passkeys(account, ALL).await.unwrap()[0].name, "Phone");
        for n in 1..20u8 {
            add(world, &ada, &[n]).await;
        }
        let many = world.catalog.apply(&by(&ada), Change::AddPasskey(passkey_of(&ada, b"more"))).await;
        assert!(matches!(many, Err(ApplyError::Conflict(_))), "{many:?}");
        let remove = Change::RemovePasskey { id: hers.id, account, except: kept.id, ways: ways() };
        world.catalog.apply(&by(&ada), remove).await.unwrap();
        assert!(is_open(world, &kept).await && !is_open(world, &other).await, "other sessions end");
        assert!(world.catalog.passkey_of(b"one").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_password_goes_where_passkeys_are_and_nobody_is_left_without_a_way_in() {
    everywhere(async |world| {
        let ada = join(world, world.mine.id, "ada@b.c", OWNER).await;
        let bob = join(world, world.mine.id, "bob@b.c", OWNER).await;
        let (account, kept) = (ada.account.id, log_in(world, &ada).await);
        let no_password = Change::RemovePassword { account, except: kept.id, ways: ways() };
        let refused = world.catalog.apply(&by(&ada), no_password.clone()).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "it is all that there is: {refused:?}");
        let reset =
            |lookup| Change::OfferReset { member: ada.id, was: ada.revision, lookup, ends_at: NOW.plus_secs(60) };
        world.catalog.apply(&by(&bob), reset(lookup())).await.unwrap();
        let passkey = add(world, &ada, b"one").await;
        let refused = world.catalog.apply(&by(&bob), reset(lookup())).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "a way in beside the passkey: {refused:?}");
        crate::people::with_totp(world, &ada, &kept).await;
        let other = log_in(world, &ada).await;
        let dead = Change::RemovePassword { account, except: kept.id, ways: Ways::default() };
        let refused = world.catalog.apply(&by(&ada), dead).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "passkeys are of no use there: {refused:?}");
        world.catalog.apply(&by(&ada), no_password.clone()).await.unwrap();
        assert!(is_open(world, &kept).await && !is_open(world, &other).await, "other sessions end");
        let known = world.catalog.account(account).await.unwrap().unwrap();
        assert!(known.password.is_none() && !known.account.has_password && !known.account.has_totp);
        assert!(matches!(world.catalog.apply(&by(&ada), no_password).await, Err(ApplyError::NotFound("password"))));

        // nobody makes a weaker way in, and the last one stays.
        let refused = world.catalog.apply(&by(&bob), reset(lookup())).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "{refused:?}");
        let remove = Change::RemovePasskey { id: passkey.id, account, except: kept.id, ways: ways() };
        let refused = world.catalog.apply(&by(&ada), remove.clone()).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "{refused:?}");
        assert!(world.catalog.passkey(account, passkey.id).await.unwrap().is_some());
        let set = |shown| {
            let by = PasswordBy::Holder { shown, session: kept.id, lookup: kept.lookup };
            Change::SetPassword { account, password: hash("another"), alone: true, by }
        };
        world.catalog.apply(&by(&ada), set(None)).await.unwrap();
        let refused = world.catalog.apply(&by(&ada), set(None)).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "there is one by now: {refused:?}");
        world.catalog.apply(&by(&ada), remove).await.unwrap();

        // Whoever lost all passkeys is helped in two steps, both in the audit.
        add(world, &ada, b"two").await;
        world
            .catalog
            .apply(&by(&ada), Change::RemovePassword { account, except: kept.id, ways: ways() })
            .await
            .unwrap();
        let factors = Change::RemoveFactors { account, except: None, of: Some((ada.id, ada.revision)) };
        world.catalog.apply(&by(&bob), factors).await.unwrap();
        assert!(!is_open(world, &kept).await);
        world.catalog.apply(&by(&bob), reset(lookup())).await.unwrap();
    })
    .await;
}
