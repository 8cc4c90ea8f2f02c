//! Versions of keys, and keys that come back after they were deleted.

use keystile_core::id::KeyId;
use keystile_core::key::KeyState;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use keystile_store::hand_over::{Token, lookup_of};
use keystile_store::records::{FeedKey, FormerVersion, KeyFilter, NewVersion};
use keystile_store::{Applied, ApplyError, Change, Subject};

use crate::world::{ALL, NOW, World, everywhere, new_key};

fn at(secs: i64) -> Timestamp {
    NOW.plus_secs(secs)
}

/// Gives a key this text; the one before is good for a minute.
pub async fn rotate(world: &World, id: KeyId, text: &str) -> Result<Applied, ApplyError> {
    let key = world.my_key(id).await;
    let made = new_key(&world.catalog, text);
    let fresh = NewVersion {
        hint: format!("hint of {text}"),
        digest: made.digest,
        pepper_version: made.pepper_version,
        text: None,
    };
    let expires_at = Some(at(1_000));
    world.apply(Change::RotateKey { id, was: key.revision, fresh, former_ends_at: at(60), expires_at }).await
}

async fn told(world: &World, id: KeyId) -> FeedKey {
    let number = world.my_key(id).await.number;
    let mut told = Vec::new();
    world.catalog.feed_keys(number..=number, &mut |key| told.push(key)).await.unwrap();
    told.pop().unwrap()
}

async fn import(world: &World, text: &str) -> Vec<usize> {
    let keys = vec![new_key(&world.catalog, text).into()];
    let change = Change::ImportKeys { project: world.mine.project, keys, policy: Policy::default() };
    world.apply(change).await.unwrap().duplicates
}

#[tokio::test]
async fn a_rotation_keeps_the_text_before_as_a_former_version() {
    everywhere(async |world| {
        let id = world.add_key("one").await;
        let digest = |text: &str| world.catalog.pepper().digest(text);
        let key = world.my_key(id).await;
        assert_eq!((key.version, key.versioned_at), (1, NOW));
        assert_eq!(world.catalog.former_versions(key.number).await.unwrap(), []);

        let applied = rotate(world, id, "two").await.unwrap();
        rotate(world, id, "three").await.unwrap();
        let key = world.my_key(id).await;
        assert_eq!((key.version, key.hint.as_str(), key.expires_at), (3, "hint of three", Some(at(1_000))));
        let former = |version, hint: &str| FormerVersion {
            version,
            hint: hint.to_owned(),
            created_at: NOW,
            superseded_at: NOW,
            ends_at: at(60),
        };
        let known = world.catalog.former_versions(key.number).await.unwrap();
        assert_eq!(known, [former(2, "hint of two"), former(1, "ks_…")], "newest first");

        let feed = told(world, id).await;
        assert_eq!((feed.version, feed.digest), (3, digest("three")));
        let versions: Vec<_> =
            feed.former.iter().map(|former| (former.version, former.digest, former.ends_at)).collect();
        assert_eq!(versions, [(1, digest("one"), at(60)), (2, digest("two"), at(60))]);
        assert!(world.catalog.feed_after(applied.revision - 1, 1).await.unwrap().len() == 1, "nodes are told");

        let entry = &world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0];
        assert_eq!((entry.action.as_str(), entry.subject.as_str()), ("key.rotate", id.to_string().as_str()));
        assert!(entry.before.contains("\"version\":2") && entry.after.contains("\"version\":3"), "{entry:?}");
        assert!(entry.after.contains("former_ends_at"), "{}", entry.after);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_former_version_is_moved_and_of_no_other() {
    everywhere(async |world| {
        let id = world.add_key("one").await;
        rotate(world, id, "two").await.unwrap();
        let end = async |version, ends_at| {
            let was = world.my_key(id).await.revision;
            let change = Change::EndKeyVersion { id, was, version, ends_at, action: "end_version" };
            world.apply(change).await
        };
        end(1, at(5)).await.unwrap();
        assert_eq!(told(world, id).await.former[0].ends_at, at(5));
        let entry = &world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0];
        assert_eq!(entry.action, "key.end_version");
        assert!(entry.before.contains(&at(60).to_string()) && entry.after.contains(&at(5).to_string()), "{entry:?}");
        for version in [0, 2, 3] {
            let ended = end(version, at(5)).await;
            assert!(matches!(ended, Err(ApplyError::NotFound(_))), "{version}: {ended:?}");
        }
        // By somebody who has not seen the last change.
        let change = Change::EndKeyVersion { id, was: 0, version: 1, ends_at: at(9), action: "end_version" };
        assert!(matches!(world.apply(change).await, Err(ApplyError::Stale)));
        let was = world.my_key(id).await.revision;
        let change = Change::EndKeyVersion { id, was, version: 1, ends_at: at(9), action: "end_version" };
        assert!(matches!(world.apply_as_other(change).await, Err(ApplyError::NotFound(_))), "another's key");
    })
    .await;
}

#[tokio::test]
async fn a_text_opens_one_key_even_as_a_former_version() {
    everywhere(async |world| {
        let id = world.add_key("one").await;
        rotate(world, id, "two").await.unwrap();
        assert_eq!(import(world, "one").await, [0], "a former version");
        assert_eq!(import(world, "two").await, [0], "the latest version");
        let key = new_key(&world.catalog, "one");
        let made = world.apply(Change::CreateKey { project: world.mine.project, key, policy: Policy::default() }).await;
        assert!(matches!(made, Err(ApplyError::Exists(_))), "{made:?}");
        let other = world.add_key("another").await;
        for text in ["one", "two"] {
            let rotated = rotate(world, other, text).await;
            assert!(matches!(rotated, Err(ApplyError::Exists(_))), "{text}: {rotated:?}");
        }
        let back = rotate(world, id, "one").await;
        assert!(matches!(back, Err(ApplyError::Exists(_))), "no version comes back: {back:?}");
        assert_eq!(world.my_key(other).await.version, 1, "nothing was changed");
        assert_eq!(world.my_key(id).await.version, 2);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_key_comes_back_as_it_was_with_its_versions() {
    everywhere(async |world| {
        let id = world.add_key("one").await;
        rotate(world, id, "two").await.unwrap();
        world.revoke(id).await;
        let before = world.my_key(id).await;
        assert!(matches!(world.apply(Change::UndeleteKey { id }).await, Err(ApplyError::NotFound(_))), "it is there");
        world.apply(Change::DeleteKey { id }).await.unwrap();
        assert_eq!(world.catalog.key(world.mine.id, id).await.unwrap(), None);
        let deleted = world.catalog.deleted_key(world.mine.id, id).await.unwrap().unwrap();
        assert_eq!(deleted.deleted_at, Some(NOW));
        assert_eq!(world.catalog.deleted_key(world.theirs.id, id).await.unwrap(), None);
        let filter = KeyFilter { deleted_after: Some(Timestamp::from_secs(0)), ..KeyFilter::default() };
        assert_eq!(world.catalog.keys(world.mine.id, filter, ALL).await.unwrap(), [deleted]);
        let other = world.apply_as_other(Change::UndeleteKey { id }).await;
        assert!(matches!(other, Err(ApplyError::NotFound(_))), "another's key");

        let applied = world.apply(Change::UndeleteKey { id }).await.unwrap();
        let after = world.my_key(id).await;
        assert_eq!(after, keystile_store::records::Key { revision: applied.revision, ..before }, "revoked as before");
        let feed = told(world, id).await;
        assert!(!feed.deleted && feed.former.len() == 1, "{feed:?}");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_others_know_ends_as_the_other_one_begins() {
    everywhere(async |world| {
        let id = world.add_key("one").await;
        let key = world.my_key(id).await;
        let fresh = new_key(&world.catalog, "two");
        let other = fresh.id;
        let change = |was, replacement| Change::CompromiseKey { id, was, replacement, reason: "a leak".to_owned() };
        assert!(matches!(world.apply(change(0, None)).await, Err(ApplyError::Stale)));
        let taken = new_key(&world.catalog, "the first key of theirs");
        let failed = world.apply(change(key.revision, Some(taken))).await;
        assert!(matches!(failed, Err(ApplyError::Exists(_))), "{failed:?}");
        assert_eq!(world.my_key(id).await, key, "both or nothing");

        let applied = world.apply(change(key.revision, Some(fresh.clone()))).await.unwrap();
        let (ended, begun) = (world.my_key(id).await, world.my_key(other).await);
        assert_eq!(ended.state, KeyState::Revoked { at: NOW });
        assert_eq!((begun.project, &begun.policy, begun.state), (key.project, &key.policy, KeyState::Active));
        assert_eq!((ended.revision + 1, begun.revision), (applied.revision, applied.revision));
        let told = world.catalog.feed_after(key.revision, 10).await.unwrap();
        let keys = |number| Subject::Keys(number, number);
        assert_eq!(told, [(ended.revision, keys(ended.number)), (begun.revision, keys(begun.number))]);
        let entry = &world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0];
        assert_eq!((entry.action.as_str(), entry.subject.as_str()), ("key.compromise", id.to_string().as_str()));
        assert!(entry.after.contains("a leak") && entry.after.contains(&other.to_string()), "{}", entry.after);
        // What was revoked before keeps its moment.
        let was = world.my_key(id).await.revision;
        let change = Change::CompromiseKey { id, was, replacement: None, reason: String::new() };
        world.apply(change).await.unwrap();
        assert_eq!(world.my_key(id).await.state, KeyState::Revoked { at: NOW });
    })
    .await;
}

#[tokio::test]
async fn a_deleted_key_stays_away_if_a_text_of_it_belongs_to_another_by_now() {
    everywhere(async |world| {
        for taken in ["the first text", "the second text"] {
            let id = world.add_key(&format!("{taken} 1")).await;
            rotate(world, id, &format!("{taken} 2")).await.unwrap();
            world.apply(Change::DeleteKey { id }).await.unwrap();
            let text = if taken == "the first text" { 1 } else { 2 };
            assert_eq!(import(world, &format!("{taken} {text}")).await, [] as [usize; 0], "its texts are free");
            let back = world.apply(Change::UndeleteKey { id }).await;
            assert!(matches!(back, Err(ApplyError::Exists(_))), "{taken}: {back:?}");
        }
        // A key whose project is gone has nowhere to come back to.
        let id = world.add_key("of a project").await;
        world.apply(Change::DeleteProject { id: world.mine.project }).await.unwrap();
        let back = world.apply(Change::UndeleteKey { id }).await;
        assert!(matches!(back, Err(ApplyError::NotFound("project"))), "{back:?}");
    })
    .await;
}

#[tokio::test]
async fn a_text_waits_for_its_token_and_is_gone_when_it_was_opened_or_its_time_is_over() {
    everywhere(async |world| {
        let (catalog, id) = (&world.catalog, world.mine.key);
        let token = |n: u8| Token::new([n; 32]);
        let offer = async |n: u8, ends: i64| {
            let sealed = catalog.seal_hand_over(&token(n), "the text", &[n; 24]);
            let change = Change::HandOver { id, lookup: lookup_of(&token(n)), sealed, ends_at: at(ends) };
            world.apply(change).await.unwrap();
        };
        let waits = async |n: u8, now: i64| catalog.waiting_text(&token(n), at(now)).await.unwrap();
        offer(1, 60).await;
        offer(2, 90).await;
        let found = waits(1, 59).await.unwrap();
        assert_eq!((found.organization, found.key, &**found.text), (world.mine.id, id, &b"the text"[..]));
        assert!(waits(1, 60).await.is_none() && waits(3, 0).await.is_none());
        let opening = || Change::OpenHandOver { lookup: lookup_of(&token(1)) };
        let other = world.apply_as_other(opening()).await;
        assert!(matches!(other, Err(ApplyError::NotFound(_))), "another's: {other:?}");
        assert!(waits(1, 0).await.is_some(), "nothing was opened");
        world.apply(opening()).await.unwrap();
        assert!(waits(1, 0).await.is_none());
        let again = world.apply(opening()).await;
        assert!(matches!(again, Err(ApplyError::NotFound(_))), "{again:?}");
        for entry in catalog.audit(world.mine.id, None, 5).await.unwrap() {
            assert!(!format!("{entry:?}").contains("the text"));
        }
        assert_eq!(catalog.wipe_hand_overs(at(89)).await.unwrap(), 0);
        assert_eq!(catalog.wipe_hand_overs(at(90)).await.unwrap(), 1);
        assert!(waits(2, 0).await.is_none(), "nobody came for it");
        offer(4, 60).await;
        world.apply(Change::DeleteKey { id }).await.unwrap();
        assert!(waits(4, 0).await.is_none(), "of a deleted key nothing is given out");
    })
    .await;
}
