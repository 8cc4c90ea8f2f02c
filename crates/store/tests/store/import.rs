//! Many keys at once.

use keystile_core::key::TextHash;
use keystile_core::policy::Policy;
use keystile_store::records::{ImportKey, KeyFilter, NewKey};
use keystile_store::{Change, Subject};

use crate::world::{ALL, World, everywhere, new_key, policy};

fn keys(world: &World, texts: impl IntoIterator<Item = String>) -> Vec<NewKey> {
    texts.into_iter().map(|text| new_key(&world.catalog, &text)).collect()
}

async fn import(world: &World, keys: Vec<NewKey>) -> Vec<usize> {
    let keys = keys.into_iter().map(ImportKey::from).collect();
    let change = Change::ImportKeys { project: world.mine.project, keys, policy: policy("pets.read") };
    world.apply(change).await.unwrap().duplicates
}

#[tokio::test]
async fn an_import_is_one_revision_and_one_entry() {
    everywhere(async |world| {
        let before = world.catalog.revision().await.unwrap();
        let last = world.catalog.last_key_number().await.unwrap();
        // More than one statement takes, and not a multiple of it.
        let duplicates = import(world, keys(world, (0..1_234).map(|n| format!("import {n}")))).await;
        assert_eq!(duplicates, [] as [usize; 0]);
        let told = world.catalog.feed_after(before, 10).await.unwrap();
        assert_eq!(told, [(before + 1, Subject::Keys(last + 1, last + 1_234))]);
        let entry = &world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0];
        assert_eq!((entry.action.as_str(), &entry.subject), ("key.import", &world.mine.project.to_string()));
        assert!(entry.after.contains("\"imported\":1234"), "{}", entry.after);
        assert_eq!(world.catalog.count_keys(world.mine.id).await.unwrap(), 1_235);
        assert_eq!(world.catalog.count_keys(world.theirs.id).await.unwrap(), 1);
        let keys = world.catalog.keys(world.mine.id, KeyFilter::default(), ALL).await.unwrap();
        assert_eq!(keys[0].policy, policy("pets.read"));
        world.catalog.settle().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn keys_that_are_known_are_named_by_their_place() {
    everywhere(async |world| {
        import(world, keys(world, ["a", "b"].map(String::from))).await;
        let texts = ["c", "a", "d", "c", "the first key of theirs", "e"];
        let duplicates = import(world, keys(world, texts.map(String::from))).await;
        assert_eq!(duplicates, [1, 3, 4], "known before, twice in the list, another organization's");
        assert_eq!(world.catalog.count_keys(world.mine.id).await.unwrap(), 1 + 2 + 3);
        // All of them known: nothing goes in, and it is said so.
        assert_eq!(import(world, keys(world, texts.map(String::from))).await, [0, 1, 2, 3, 4, 5]);
        assert_eq!(world.catalog.count_keys(world.mine.id).await.unwrap(), 6);
        assert_eq!(import(world, Vec::new()).await, [] as [usize; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_key_can_be_imported_again() {
    everywhere(async |world| {
        let id = world.add_key("again").await;
        assert_eq!(import(world, keys(world, ["again".to_owned()])).await, [0]);
        world.apply(Change::DeleteKey { id }).await.unwrap();
        assert_eq!(import(world, keys(world, ["again".to_owned()])).await, [] as [usize; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_is_still_known() {
    everywhere(async |world| {
        let id = world.add_key("revoked").await;
        world.revoke(id).await;
        assert_eq!(import(world, keys(world, ["revoked".to_owned()])).await, [0]);
    })
    .await;
}

#[tokio::test]
async fn a_key_imported_by_its_hash_is_the_key_of_its_text() {
    everywhere(async |world| {
        let by_hash = world.catalog.pepper().digest_of_hash(&TextHash::of("by hash"));
        let key = NewKey { digest: by_hash, ..new_key(&world.catalog, "named otherwise") };
        import(world, vec![key]).await;
        let duplicates = import(world, keys(world, ["by hash".to_owned()])).await;
        assert_eq!(duplicates, [0]);
    })
    .await;
}

#[tokio::test]
async fn an_import_that_fails_leaves_nothing() {
    everywhere(async |world| {
        let mut keys = keys(world, (0..700).map(|n| format!("half {n}")));
        // An id that is taken is no duplicate of a text: something is wrong with the caller's randomness.
        keys[650].id = world.mine.key;
        let keys = keys.into_iter().map(ImportKey::from).collect();
        let change = Change::ImportKeys { project: world.mine.project, keys, policy: Policy::default() };
        let before = world.catalog.revision().await.unwrap();
        assert!(world.apply(change).await.is_err());
        assert_eq!(world.catalog.count_keys(world.mine.id).await.unwrap(), 1);
        assert_eq!(world.catalog.revision().await.unwrap(), before);
    })
    .await;
}
