//! Keys that came with a slow hash of another system.

use keystile_core::id::KeyId;
use keystile_core::key::{DigestAlgorithm, MAX_CANDIDATES, ShortToken, SlowHash, TextHash};
use keystile_core::policy::Policy;
use keystile_store::records::{FeedKey, FeedSlow, ImportKey};
use keystile_store::{Applied, ApplyError, Change};

use crate::versions::rotate;
use crate::world::{World, everywhere, new_key};

/// A key that is known by this hash, and found by this beginning.
pub fn slow_key(world: &World, beginning: &str, hash: &str) -> ImportKey {
    let pepper = &world.catalog.pepper();
    let slow = SlowHash { lookup: pepper.lookup_of_beginning(beginning), hash: hash.to_owned() };
    let key = new_key(&world.catalog, hash);
    ImportKey {
        key: keystile_store::records::NewKey { digest: pepper.placeholder(&slow), ..key },
        algorithm: DigestAlgorithm::Bcrypt,
        slow: Some(slow),
        older: Vec::new(),
    }
}

async fn import(world: &World, keys: Vec<ImportKey>) -> Applied {
    let change = Change::ImportKeys { project: world.mine.project, keys, policy: Policy::default() };
    world.apply(change).await.unwrap()
}

async fn rehash(world: &World, id: KeyId, version: u16, text: &str) -> Result<Applied, ApplyError> {
    let pepper = &world.catalog.pepper();
    let change = Change::RehashKey { id, version, digest: pepper.digest(text), pepper_version: pepper.version() };
    world.apply(change).await
}

async fn told(world: &World) -> Vec<FeedSlow> {
    let mut told = Vec::new();
    world.catalog.feed_slow_hashes(1..=u32::MAX, true, &mut |slow| told.push(slow)).await.unwrap();
    told
}

async fn key(world: &World, id: KeyId) -> FeedKey {
    let number = world.my_key(id).await.number;
    let mut told = Vec::new();
    world.catalog.feed_keys(number..=number, &mut |key| told.push(key)).await.unwrap();
    told.pop().unwrap()
}

#[tokio::test]
async fn a_slow_hash_is_told_until_its_text_was_presented() {
    everywhere(async |world| {
        let slow = slow_key(world, "sk_one", "$2b$04$one");
        let (id, placeholder, hash) = (slow.key.id, slow.key.digest, slow.slow.clone());
        let applied = import(world, vec![slow, new_key(&world.catalog, "plain").into()]).await;
        assert_eq!((applied.duplicates.len(), applied.ambiguous.len()), (0, 0));
        let number = world.my_key(id).await.number;
        let feed = |slow| FeedSlow { key: number, version: 1, digest: placeholder, slow };
        assert_eq!(told(world).await, [feed(hash)]);
        assert_eq!(key(world, id).await.digest, placeholder);

        let before = world.my_key(id).await;
        let applied = rehash(world, id, 1, "sk_one and the rest").await.unwrap();
        assert_eq!(key(world, id).await.digest, world.catalog.pepper().digest("sk_one and the rest"));
        assert_eq!(told(world).await, [feed(None)], "what stood for it is known, the hash is gone");
        let mut waiting = Vec::new();
        world.catalog.feed_slow_hashes(1..=u32::MAX, false, &mut |slow| waiting.push(slow)).await.unwrap();
        assert_eq!(waiting, []);
        assert_eq!(world.my_key(id).await, before, "nothing that is shown has changed");
        assert_eq!(applied.revision, world.catalog.revision().await.unwrap(), "nodes are told all the same");
        let entry = &world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0];
        assert_eq!((entry.action.as_str(), entry.subject.as_str()), ("key.rehash", id.to_string().as_str()));
        assert!(!entry.after.contains("$2b$") && !entry.before.contains("$2b$"), "k04: {entry:?}");
        let again = rehash(world, id, 1, "another text").await;
        assert!(matches!(again, Err(ApplyError::NotFound(_))), "{again:?}");
    })
    .await;
}

#[tokio::test]
async fn the_same_hash_is_not_taken_over_twice_even_after_its_text_was_presented() {
    everywhere(async |world| {
        let keys = || vec![slow_key(world, "sk_one", "$2b$04$one"), slow_key(world, "sk_two", "$2b$04$two")];
        let first = keys();
        let id = first[0].key.id;
        import(world, first).await;
        assert_eq!(import(world, keys()).await.duplicates, [0, 1]);
        rehash(world, id, 1, "sk_one and the rest").await.unwrap();
        assert_eq!(import(world, keys()).await.duplicates, [0, 1]);
        let text = vec![new_key(&world.catalog, "sk_one and the rest").into()];
        assert_eq!(import(world, text).await.duplicates, [0], "its text is known by now");
        // A text that another key has meanwhile is not given to a second one.
        let other = slow_key(world, "sk_six", "$2b$04$six");
        let other_id = other.key.id;
        import(world, vec![other]).await;
        let taken = rehash(world, other_id, 1, "sk_one and the rest").await;
        assert!(matches!(taken, Err(ApplyError::Exists(_))), "{taken:?}");
        assert_eq!(told(world).await.iter().filter(|slow| slow.slow.is_some()).count(), 2, "nothing was changed");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_key_with_a_slow_hash_can_be_imported_again_and_then_stays_away() {
    everywhere(async |world| {
        let slow = slow_key(world, "sk_one", "$2b$04$one");
        let id = slow.key.id;
        import(world, vec![slow]).await;
        rehash(world, id, 1, "sk_one and the rest").await.unwrap();
        world.apply(Change::DeleteKey { id }).await.unwrap();
        assert_eq!(told(world).await, []);
        assert_eq!(import(world, vec![slow_key(world, "sk_one", "$2b$04$one")]).await.duplicates, [] as [usize; 0]);
        let back = world.apply(Change::UndeleteKey { id }).await;
        assert!(matches!(back, Err(ApplyError::Exists(_))), "{back:?}");
    })
    .await;
}

#[tokio::test]
async fn k10_a_rotated_key_keeps_its_slow_hash_as_that_of_a_former_version() {
    everywhere(async |world| {
        let slow = slow_key(world, "sk_one", "$2b$04$one");
        let (id, placeholder) = (slow.key.id, slow.key.digest);
        import(world, vec![slow]).await;
        rotate(world, id, "the second text").await.unwrap();
        let rotated = key(world, id).await;
        assert_eq!((rotated.version, rotated.former[0].digest), (2, placeholder));
        assert!(told(world).await[0].slow.is_some());
        rehash(world, id, 1, "sk_one and the rest").await.unwrap();
        let digest = |text: &str| world.catalog.pepper().digest(text);
        let rehashed = key(world, id).await;
        assert_eq!((rehashed.digest, rehashed.former.len()), (digest("the second text"), 1));
        assert_eq!(rehashed.former[0].digest, digest("sk_one and the rest"));
        assert_eq!(rehashed.former[0].ends_at, rotated.former[0].ends_at);
    })
    .await;
}

#[tokio::test]
async fn a_lookup_leads_to_so_many_hashes_and_no_more() {
    everywhere(async |world| {
        let many = |from: usize, to: usize| -> Vec<ImportKey> {
            (from..to).map(|n| slow_key(world, "sk_all", &format!("$2b$04${n}"))).collect()
        };
        let first = import(world, many(0, 10)).await;
        assert_eq!((first.duplicates.len(), first.ambiguous.len()), (0, 0));
        let mut next = many(5, 20);
        next.push(slow_key(world, "sk_few", "$2b$04$few"));
        let next = import(world, next).await;
        assert_eq!(next.duplicates, [0, 1, 2, 3, 4], "those that are there already");
        assert_eq!(next.ambiguous.len(), 20 - MAX_CANDIDATES);
        assert!(!next.ambiguous.contains(&15), "another lookup has room");
        assert_eq!(told(world).await.len(), MAX_CANDIDATES + 1);
    })
    .await;
}

#[tokio::test]
async fn k05_a_key_with_a_short_token_is_known_to_be_one() {
    everywhere(async |world| {
        assert!(!world.catalog.has_keys_with_token().await.unwrap());
        let pepper = &world.catalog.pepper();
        let token = ShortToken::parse("mycompany_BRTRKFsL").unwrap();
        let digest = pepper.digest_of_prefixed(token, &TextHash::of("the long token"));
        let made = new_key(&world.catalog, "x");
        let id = made.id;
        let one = ImportKey {
            key: keystile_store::records::NewKey { digest, ..made },
            algorithm: DigestAlgorithm::HmacSha256OfPrefixed,
            older: Vec::new(),
            slow: None,
        };
        import(world, vec![one.clone()]).await;
        assert!(world.catalog.has_keys_with_token().await.unwrap());
        assert_eq!(import(world, vec![one]).await.duplicates, [0]);
        rotate(world, id, "the second text").await.unwrap();
        assert!(world.catalog.has_keys_with_token().await.unwrap(), "as a former version");
        assert_eq!(key(world, id).await.former[0].digest, digest);
    })
    .await;
}
