//! The keys that secrets are under: made, changed and retired while everything goes on; and the root key above them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use keystile_core::api::SecretName;
use keystile_core::id::WebhookId;
use keystile_store::cipher::Algorithm;
use keystile_store::encryption::Encryption;
use keystile_store::{ApplyError, Change, OpenError, RootKeyError, RootKeys, RootSource, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use crate::tampering::run_in;
use crate::texts::recoverable;
use crate::world::{ENGINES, Engine, NOW, World, bytes, create_webhook, everywhere, random, salt, url};

fn header(name: &str) -> SecretName {
    format!("header:{name}").parse().unwrap()
}

async fn rotate(world: &World, algorithm: Algorithm) -> u32 {
    let mut key = [0; 32];
    random(&mut key).unwrap();
    let key = world.catalog.new_encryption_key(algorithm, &key, &salt()).await.unwrap();
    let version = key.version;
    world.apply(Change::RotateEncryptionKey { key }).await.unwrap();
    version
}

/// Encrypts everything anew, a few records at a time; says how many times that took.
async fn rewrap(world: &World, limit: u32) -> u32 {
    for times in 0.. {
        if status(world).await.older_records() == 0 {
            return times;
        }
        let mut entropy = [0; 32];
        random(&mut entropy).unwrap();
        world.apply(Change::Rewrap { limit, entropy }).await.unwrap();
    }
    unreachable!()
}

async fn retire(world: &World, version: u32) -> Result<(), ApplyError> {
    world.apply(Change::RetireEncryptionKey { version }).await.map(|_| ())
}

async fn status(world: &World) -> Encryption {
    world.catalog.encryption(NOW).await.unwrap()
}

async fn set(world: &World, name: &SecretName, value: &str) -> Result<(), ApplyError> {
    let api = world.mine.api;
    let sealed = world.catalog.seal_api_secret(world.mine.id, (api, name), value.as_bytes(), &salt());
    world.apply(Change::SetApiSecret { api, name: name.clone(), sealed }).await.map(|_| ())
}

async fn read(world: &World) -> Vec<(String, String)> {
    let api = world.mine.api;
    let number = world.catalog.api_number(world.mine.id, api).await.unwrap().unwrap();
    let opened = world.catalog.feed_api_secrets(number, api).await.unwrap().unwrap();
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    opened.iter().map(|secret| (secret.name.to_string(), text(&secret.value))).collect()
}

#[tokio::test]
async fn c03_every_secret_is_under_the_new_key_before_the_old_one_is_retired_and_opens_after_it() {
    everywhere(async |world| {
        let (catalog, mine) = (&world.catalog, world.mine.id);
        set(world, &header("a"), "first").await.unwrap();
        let text = recoverable(world, "a text to be had back").await;
        let webhook = WebhookId::from_entropy(bytes());
        world.apply(create_webhook(catalog, mine, webhook, &[])).await.unwrap();
        // Two of one webhook: the old one signs for a while.
        let secret = catalog.seal_webhook_secret(mine, webhook, b"second secret", &salt());
        world.apply(Change::RotateWebhookSecret { id: webhook, secret, old_until: NOW.plus_secs(60) }).await.unwrap();
        let before = status(world).await;
        assert_eq!(before.keys.iter().map(|key| (key.version, key.records)).collect::<Vec<_>>(), [(1, 6)]);
        assert_eq!(before.peppers.iter().map(|one| (one.version, one.digests)).collect::<Vec<_>>(), [(1, 3)]);

        let refused = retire(world, 1).await;
        assert!(matches!(&refused, Err(ApplyError::Conflict(why)) if why.contains("rotate first")), "{refused:?}");
        assert!(matches!(retire(world, 9).await, Err(ApplyError::NotFound(_))));

        assert_eq!(rotate(world, Algorithm::XChaCha20Poly1305).await, 2);
        set(world, &header("b"), "second").await.unwrap();
        let refused = retire(world, 1).await;
        assert!(matches!(&refused, Err(ApplyError::Conflict(why)) if why.contains("6 records")), "{refused:?}");
        assert_eq!(rewrap(world, 4).await, 2, "four at a time");
        retire(world, 1).await.unwrap();

        let after = status(world).await;
        assert_eq!((after.unversioned, after.keys.len()), (0, 1));
        assert_eq!((after.keys[0].version, after.keys[0].records), (2, 7));
        assert_eq!(after.keys[0].algorithm, Algorithm::XChaCha20Poly1305);
        let pair = |name: &str, value: &str| (format!("header:{name}"), value.to_owned());
        assert_eq!(read(world).await, [pair("a", "first"), pair("b", "second")]);
        assert_eq!(catalog.key_text(mine, text).await.unwrap().unwrap().1.as_slice(), b"a text to be had back");
        let webhook = catalog.webhook(mine, webhook).await.unwrap().unwrap();
        let secrets = catalog.webhook_secrets(&webhook, NOW).await.unwrap();
        assert_eq!(secrets.iter().map(|one| &one[..]).collect::<Vec<_>>(), [&b"second secret"[..], b"first secret"]);
        let told: Vec<String> =
            catalog.audit(mine, None, 10).await.unwrap().into_iter().map(|one| one.action).collect();
        assert_eq!(told[..2], ["encryption.retire", "encryption.rewrap"]);
    })
    .await;
}

#[tokio::test]
async fn c03_keys_change_under_load_and_no_secret_is_lost() {
    everywhere(async |world| {
        let (ended, made) = (AtomicBool::new(false), AtomicU64::new(0));
        let writing = async {
            let mut retried = 0_u32;
            while !ended.load(Ordering::Relaxed) {
                let n = made.fetch_add(1, Ordering::Relaxed) + 1;
                let name = header(&format!("h{}", n % 7));
                // A key that was retired between sealing and keeping: the sender is told to come again.
                while let Err(error) = set(world, &name, &format!("value {n}")).await {
                    assert!(
                        matches!(&error, ApplyError::Conflict(why) if why.contains("send the request again")),
                        "{error:?}"
                    );
                    retried += 1;
                }
                let opened = read(world).await;
                assert!(opened.contains(&(name.to_string(), format!("value {n}"))), "{opened:?}");
                tokio::task::yield_now().await;
            }
            retried
        };
        let changing = async {
            for round in 0..8 {
                let version = rotate(world, Algorithm::ALL[round % 2]).await;
                rewrap(world, 3).await;
                retire(world, version - 1).await.unwrap();
            }
            ended.store(true, Ordering::Relaxed);
        };
        tokio::join!(writing, changing);
        assert_eq!(read(world).await.len() as u64, made.load(Ordering::Relaxed).min(7));
        assert_eq!(status(world).await.keys.iter().map(|key| key.version).collect::<Vec<_>>(), [9]);
    })
    .await;
}

#[tokio::test]
async fn c03_a_secret_under_a_key_that_was_retired_meanwhile_is_not_kept() {
    everywhere(async |world| {
        let (api, name) = (world.mine.api, header("late"));
        let sealed = world.catalog.seal_api_secret(world.mine.id, (api, &name), b"late", &salt());
        rotate(world, Algorithm::Aes256Gcm).await;
        rewrap(world, 100).await;
        retire(world, 1).await.unwrap();
        let refused = world.apply(Change::SetApiSecret { api, name: name.clone(), sealed }).await;
        assert!(matches!(&refused, Err(ApplyError::Conflict(why)) if why.contains("again")), "{refused:?}");
        set(world, &name, "again").await.unwrap();
        assert_eq!(read(world).await, [("header:late".to_owned(), "again".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn c01_a_secret_that_does_not_open_is_named_when_everything_is_encrypted_anew() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        for name in ["a", "b"] {
            set(&world, &header(name), name).await.unwrap();
        }
        // Each has the other's.
        let swap =
            "UPDATE api_secrets SET sealed = (SELECT o.sealed FROM api_secrets o WHERE o.name <> api_secrets.name)";
        run_in(&world, *engine, swap).await;
        rotate(&world, Algorithm::Aes256Gcm).await;
        let refused = world.apply(Change::Rewrap { limit: 100, entropy: [1; 32] }).await;
        let Err(ApplyError::Conflict(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("the secret header:a of api_"), "{why}");
        for name in ["a", "b"] {
            set(&world, &header(name), "anew").await.unwrap();
        }
        rewrap(&world, 100).await;
        retire(&world, 1).await.unwrap();
        assert_eq!(read(&world).await.len(), 2);
    }
}

/// Opens a world's installation with other root keys.
async fn open(engine: Engine, folder: &Path, root_keys: RootKeys) -> Result<Store, OpenError> {
    let data = folder.join("data");
    match engine {
        Engine::Sqlite => Store::open(&data, root_keys, NOW, &mut random).await,
        Engine::Postgres => Store::open_database(&url(folder), &data, root_keys, NOW, &mut random).await,
    }
}

async fn close(store: Store) {
    store.catalog.close().await;
    store.ledger.close().await;
}

#[tokio::test]
async fn c09_the_root_key_is_changed_by_naming_the_one_before_it() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        set(&world, &header("a"), "value").await.unwrap();
        rotate(&world, Algorithm::Aes256Gcm).await;
        let (api, number) =
            (world.mine.api, world.catalog.api_number(world.mine.id, world.mine.api).await.unwrap().unwrap());
        let (digest, owner) = (world.catalog.pepper().digest("x"), world.mine.id);
        let folder = world.close().await;
        let file = RootSource::File(folder.path().join("root.key"));
        let phrase = |text: &str| RootSource::Passphrase(text.to_owned().into(), "the file /phrase".to_owned());
        let given = RootSource::Given("5a".repeat(32).into(), "the environment variable ROOT".to_owned());

        let alone = RootKeys { current: given.clone(), previous: None };
        let refused = open(*engine, folder.path(), alone.clone()).await.map(|_| ());
        let Err(OpenError::Root(error @ RootKeyError::Wrong { .. })) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("ROOT"), "{error}");

        // From a file to the environment, to a passphrase, and back; each is refused once it is a former one.
        let words = phrase("six words that were drawn by lot");
        for (previous, current) in [(&file, &given), (&given, &words), (&words, &file)] {
            let both = RootKeys { current: current.clone(), previous: Some(previous.clone()) };
            let store = open(*engine, folder.path(), both.clone()).await.unwrap();
            assert!(store.catalog.root_has_changed());
            close(store).await;
            // It is told until it stands in the audit.
            let store = open(*engine, folder.path(), both.clone()).await.unwrap();
            assert!(store.catalog.root_has_changed());
            store.catalog.apply(&crate::world::author(owner), Change::NoteRootChange).await.unwrap();
            close(store).await;
            let store = open(*engine, folder.path(), both).await.unwrap();
            assert!(!store.catalog.root_has_changed(), "once");
            close(store).await;
            let former = RootKeys { current: previous.clone(), previous: None };
            let refused = open(*engine, folder.path(), former).await.map(|_| ());
            assert!(matches!(refused, Err(OpenError::Root(RootKeyError::Wrong { .. }))), "{refused:?}");
            let store =
                open(*engine, folder.path(), RootKeys { current: current.clone(), previous: None }).await.unwrap();
            let secrets = store.catalog.feed_api_secrets(number, api).await.unwrap().unwrap();
            assert_eq!(secrets[0].value.as_slice(), b"value");
            assert_eq!(store.catalog.pepper().digest("x"), digest);
            assert_eq!(store.catalog.verify_audit().await.unwrap(), None);
            close(store).await;
        }
    }
}

#[tokio::test]
async fn c09_a_process_whose_root_key_another_one_changed_makes_no_key_that_nobody_could_open() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        let key = world.catalog.new_encryption_key(Algorithm::Aes256Gcm, &[1; 32], &salt()).await.unwrap();
        // What another process does that then gives up.
        run_in(&world, *engine, "UPDATE meta SET value = substr(value, 2) WHERE name = 'root_check'").await;
        let refused = world.apply(Change::RotateEncryptionKey { key }).await;
        assert!(
            matches!(&refused, Err(ApplyError::Conflict(why)) if why.contains("start the server anew")),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn what_is_retired_is_nowhere_in_the_files_when_that_is_answered() {
    let world = World::new(Engine::Sqlite).await;
    let data = world.folder.path().join("data");
    let options = SqliteConnectOptions::new().filename(data.join("catalog.db"));
    let mut db = options.connect().await.unwrap();
    let (wrapped,): (Vec<u8>,) =
        sqlx::query_as("SELECT wrapped FROM encryption_keys").fetch_one(&mut db).await.unwrap();
    db.close().await.unwrap();
    let is_there = || {
        ["catalog.db", "catalog.db-wal"].iter().any(|file| {
            let bytes = fs::read(data.join(file)).unwrap_or_default();
            bytes.windows(wrapped.len()).any(|window| window == wrapped)
        })
    };
    assert!(is_there());
    rotate(&world, Algorithm::Aes256Gcm).await;
    rewrap(&world, 100).await;
    retire(&world, 1).await.unwrap();
    assert!(!is_there());
}

/// An installation of before there were encryption keys, as that version left it.
pub async fn installation_9() -> TempDir {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let kept = [
        ("catalog.db", include_str!("installation_9/catalog.sql")),
        ("usage.db", include_str!("installation_9/usage.sql")),
    ];
    for (file, dump) in kept {
        let options = SqliteConnectOptions::new().filename(data.join(file)).create_if_missing(true).foreign_keys(false);
        let mut db = options.connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(dump.to_owned())).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    }
    fs::write(folder.path().join("root.key"), include_str!("installation_9/root.key")).unwrap();
    folder
}

#[tokio::test]
async fn an_installation_of_before_there_were_encryption_keys_opens_and_is_encrypted_anew() {
    let folder = installation_9().await;
    let (data, root) = (folder.path().join("data"), folder.path().join("root.key"));
    let everything = async |store: &Store| {
        let catalog = &store.catalog;
        let owner = catalog.organizations().await.unwrap()[0].id;
        let api = &catalog.apis(owner, None, crate::world::ALL).await.unwrap()[0];
        let secrets = catalog.feed_api_secrets(api.number, api.id).await.unwrap().unwrap();
        assert_eq!(secrets[0].value.as_slice(), b"Bearer upstream-canary");
        let key = "key_78IIa7kSrnyPFfAAFd1sr6".parse().unwrap();
        let text = catalog.key_text(owner, key).await.unwrap().unwrap().1;
        assert_eq!(text.as_slice(), b"ks_live_BHLzJ2XHquaNIXf06OOWhD0R6AHrK2xLKSTL3Rd3DB");
        let digest = catalog.pepper().digest(std::str::from_utf8(&text).unwrap());
        assert_eq!(catalog.known_digests(&[digest]).await.unwrap().len(), 1);
        let webhook = &catalog.webhooks(owner, crate::world::ALL).await.unwrap()[0];
        assert_eq!(catalog.webhook_secrets(webhook, NOW).await.unwrap()[0][..4], [0x26, 0x1c, 0xfe, 0xb2]);
        assert_eq!(catalog.verify_audit().await.unwrap(), None);
        owner
    };
    let store = Store::open(&data, &root, NOW, &mut random).await.unwrap();
    let owner = everything(&store).await;
    let status = store.catalog.encryption(NOW).await.unwrap();
    assert_eq!((status.unversioned, status.keys[0].records), (4, 1), "the pepper and three secrets; the seed");
    store.catalog.apply(&crate::world::author(owner), Change::Rewrap { limit: 9, entropy: [1; 32] }).await.unwrap();
    assert_eq!(store.catalog.encryption(NOW).await.unwrap().older_records(), 0);
    everything(&store).await;
    close(store).await;
    let store = Store::open(&data, &root, NOW, &mut random).await.unwrap();
    everything(&store).await;
    close(store).await;
}
