//! Peppers: another one is taken into use, keys get it when their texts are presented, and the one before it is retired.

use keystile_core::id::KeyId;
use keystile_core::key::{KeyState, Pepper};
use keystile_core::policy::Policy;
use keystile_store::records::{ImportKey, NewVersion, Rehashed};
use keystile_store::{ApplyError, Change};

use crate::world::{NOW, World, bytes, everywhere, new_key, random, salt};

async fn rotate(world: &World) -> u32 {
    let mut secret = [0; 32];
    random(&mut secret).unwrap();
    let (version, sealed) = world.catalog.new_pepper(&secret, &salt());
    world.apply(Change::RotatePepper { version, sealed }).await.unwrap();
    version
}

async fn retire(world: &World, version: u32) -> Result<(), ApplyError> {
    world.apply(Change::RetirePepper { version, forget: false }).await.map(|_| ())
}

/// Which pepper has how many texts, the newest first.
async fn counts(world: &World) -> Vec<(u32, u64)> {
    let encryption = world.catalog.encryption(NOW).await.unwrap();
    encryption.peppers.iter().map(|one| (one.version, one.digests)).collect()
}

fn presented(key: KeyId, version: u16, text: &str, peppers: &[Pepper]) -> Rehashed {
    let [newest, .., older] = peppers else { panic!("two at least") };
    Rehashed { key, version, was: older.digest(text), digest: newest.digest(text) }
}

#[tokio::test]
async fn k06_every_key_gets_the_new_pepper_when_it_is_presented_and_the_old_one_is_retired_then() {
    everywhere(async |world| {
        let catalog = &world.catalog;
        let (active, revoked, deleted) =
            (world.add_key("active").await, world.add_key("revoked").await, world.add_key("deleted").await);
        // A former version, good for a while.
        let (made, now) = (new_key(catalog, "second"), world.my_key(active).await);
        let fresh = NewVersion { hint: made.hint, digest: made.digest, pepper_version: 1, text: None };
        let former_ends_at = NOW.plus_secs(60);
        let change = Change::RotateKey { id: active, was: now.revision, fresh, former_ends_at, expires_at: None };
        world.apply(change).await.unwrap();

        let refused = retire(world, 1).await;
        assert!(matches!(&refused, Err(ApplyError::Conflict(why)) if why.contains("newest")), "{refused:?}");
        assert_eq!(rotate(world).await, 2);
        let peppers = catalog.peppers();
        assert_eq!(peppers.iter().map(Pepper::version).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(catalog.pepper().version(), 2);
        // The first keys of both organizations, and four texts of three keys.
        assert_eq!(counts(world).await, [(2, 0), (1, 6)]);

        let keys = vec![presented(active, 2, "second", &peppers), presented(active, 1, "active", &peppers)];
        world.apply(Change::RehashKeys { keys: keys.clone(), pepper_version: 2 }).await.unwrap();
        assert_eq!(counts(world).await, [(2, 2), (1, 4)]);
        let again = world.apply(Change::RehashKeys { keys, pepper_version: 2 }).await;
        assert!(matches!(again, Err(ApplyError::NotFound(_))), "{again:?}");
        // Of others, and what does not fit, nothing is changed.
        for strange in [
            presented(world.theirs.key, 1, "the first key of theirs", &peppers),
            presented(world.mine.key, 1, "another text", &peppers),
            presented(world.mine.key, 7, "the first key of mine", &peppers),
            Rehashed {
                digest: peppers[0].digest("second"),
                ..presented(world.mine.key, 1, "the first key of mine", &peppers)
            },
        ] {
            let change = Change::RehashKeys { keys: vec![strange], pepper_version: 2 };
            assert!(matches!(world.apply(change).await, Err(ApplyError::NotFound(_))), "{strange:?}");
        }

        let refused = retire(world, 1).await;
        assert!(matches!(&refused, Err(ApplyError::Conflict(why)) if why.contains("needed for 4 of")), "{refused:?}");
        world.revoke(revoked).await;
        world.apply(Change::DeleteKey { id: deleted }).await.unwrap();
        let keys = vec![presented(world.mine.key, 1, "the first key of mine", &peppers)];
        world.apply(Change::RehashKeys { keys, pepper_version: 2 }).await.unwrap();
        let keys = vec![presented(world.theirs.key, 1, "the first key of theirs", &peppers)];
        world.apply_as_other(Change::RehashKeys { keys, pepper_version: 2 }).await.unwrap();
        assert_eq!(counts(world).await, [(2, 4), (1, 0)]);
        // The text of the revoked key would be unknown, and could be imported as a good one.
        let refused = retire(world, 1).await;
        assert!(matches!(&refused, Err(ApplyError::Conflict(why)) if why.contains("still tells 1 of")), "{refused:?}");
        world.apply(Change::RetirePepper { version: 1, forget: true }).await.unwrap();
        assert!(matches!(retire(world, 1).await, Err(ApplyError::NotFound(_))));
        assert_eq!(counts(world).await, [(2, 4)]);
        assert_eq!(catalog.peppers().len(), 1);
        assert!(matches!(world.my_key(revoked).await.state, KeyState::Revoked { .. }));
    })
    .await;
}

#[tokio::test]
async fn k06_a_text_that_is_known_under_an_older_pepper_is_not_taken_over_again() {
    everywhere(async |world| {
        let id = world.add_key("known").await;
        world.revoke(id).await;
        rotate(world).await;
        let peppers = world.catalog.peppers();
        let one = |text: &str| {
            let key = new_key(&world.catalog, text);
            ImportKey { older: vec![peppers[1].digest(text)], ..key.into() }
        };
        let change = Change::ImportKeys {
            project: world.mine.project,
            keys: vec![one("known"), one("fresh")],
            policy: Policy::default(),
        };
        // Else a key that was revoked would be good again.
        assert_eq!(world.apply(change).await.unwrap().duplicates, [0]);
    })
    .await;
}

#[tokio::test]
async fn c03_peppers_are_encrypted_anew_like_everything_else_and_open_at_the_next_start() {
    everywhere(async |world| {
        rotate(world).await;
        let key = world
            .catalog
            .new_encryption_key(
                keystile_store::cipher::Algorithm::XChaCha20Poly1305,
                &[bytes(), bytes()].concat().try_into().unwrap(),
                &salt(),
            )
            .await
            .unwrap();
        world.apply(Change::RotateEncryptionKey { key }).await.unwrap();
        world.apply(Change::Rewrap { limit: 100, entropy: [3; 32] }).await.unwrap();
        world.apply(Change::RetireEncryptionKey { version: 1 }).await.unwrap();
        let encryption = world.catalog.encryption(NOW).await.unwrap();
        assert_eq!(encryption.keys.iter().map(|key| (key.version, key.records)).collect::<Vec<_>>(), [(2, 3)]);
        let before: Vec<_> = world.catalog.peppers().iter().map(|pepper| pepper.digest("x")).collect();
        assert_eq!(
            world.catalog.read_peppers().await.unwrap().iter().map(|pepper| pepper.digest("x")).collect::<Vec<_>>(),
            before
        );
    })
    .await;
}

#[tokio::test]
async fn k06_a_deleted_key_does_not_come_back_while_another_has_its_text_whatever_peppers_came_between() {
    everywhere(async |world| {
        let first = world.add_key("one text").await;
        world.apply(Change::DeleteKey { id: first }).await.unwrap();
        rotate(world).await;
        let older = |text: &str| vec![world.catalog.peppers()[1].digest(text)];
        let key = new_key(&world.catalog, "one text");
        let second = key.id;
        let keys = vec![ImportKey { older: older("one text"), ..key.into() }];
        let import = Change::ImportKeys { project: world.mine.project, keys, policy: Policy::default() };
        assert!(world.apply(import).await.unwrap().duplicates.is_empty());
        let back = world.apply(Change::UndeleteKey { id: first }).await;
        assert!(matches!(back, Err(ApplyError::Exists(_))), "{back:?}");
        // Nor after the other one was presented under the next pepper.
        rotate(world).await;
        let peppers = world.catalog.peppers();
        let keys = vec![presented(second, 1, "one text", &peppers[..2])];
        world.apply(Change::RehashKeys { keys, pepper_version: 3 }).await.unwrap();
        let back = world.apply(Change::UndeleteKey { id: first }).await;
        assert!(matches!(back, Err(ApplyError::Exists(_))), "{back:?}");
        world.apply(Change::DeleteKey { id: second }).await.unwrap();
        world.apply(Change::UndeleteKey { id: first }).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn k06_a_slow_hash_is_not_taken_over_again_whatever_its_text_was_hashed_with_since() {
    everywhere(async |world| {
        let slow = crate::slow::slow_key(world, "sk_one_", "$2b$04$one");
        let (placeholder, id) = (slow.key.digest, slow.key.id);
        let (project, policy) = (world.mine.project, Policy::default());
        world.apply(Change::ImportKeys { project, keys: vec![slow.clone()], policy: policy.clone() }).await.unwrap();
        let first = world.catalog.pepper().digest("sk_one and the rest");
        world.apply(Change::RehashKey { id, version: 1, digest: first, pepper_version: 1 }).await.unwrap();
        rotate(world).await;
        let peppers = world.catalog.peppers();
        let keys = vec![presented(id, 1, "sk_one and the rest", &peppers)];
        world.apply(Change::RehashKeys { keys, pepper_version: 2 }).await.unwrap();
        let again = crate::slow::slow_key(world, "sk_one_", "$2b$04$one");
        assert_ne!(again.key.digest, placeholder, "under another pepper");
        let again = ImportKey { older: vec![placeholder], ..again };
        let applied = world.apply(Change::ImportKeys { project, keys: vec![again], policy }).await.unwrap();
        assert_eq!(applied.duplicates, [0]);
    })
    .await;
}
