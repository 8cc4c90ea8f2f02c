//! Looking through everything that is kept.

use keystile_core::id::WebhookId;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_store::check::{Checked, check};
use keystile_store::upkeep::Kept;
use keystile_store::{Change, RootKeys};

use crate::tampering::run_in;
use crate::texts::recoverable;
use crate::world::{ENGINES, Engine, NOW, World, bytes, create_webhook, salt, url};

pub async fn looked(world: &World, engine: Engine) -> Checked {
    let root_keys = RootKeys::from(&world.folder.path().join("root.key"));
    check(&kept(world, engine), &root_keys).await.unwrap().unwrap()
}

fn kept(world: &World, engine: Engine) -> Kept {
    match engine {
        Engine::Sqlite => Kept::Folder(world.folder.path().join("data")),
        Engine::Postgres => Kept::Database(url(world.folder.path())),
    }
}

/// What is wrong, by its word.
fn words(checked: &Checked) -> Vec<&'static str> {
    checked.wrong.iter().map(|wrong| wrong.id).collect()
}

async fn filled(engine: Engine) -> World {
    let world = World::new(engine).await;
    let (api, name) = (world.mine.api, "header:a".parse().unwrap());
    let sealed = world.catalog.seal_api_secret(world.mine.id, (api, &name), b"value", &salt());
    world.apply(Change::SetApiSecret { api, name, sealed }).await.unwrap();
    recoverable(&world, "a text to be had back").await;
    let webhook = create_webhook(&world.catalog, world.mine.id, WebhookId::from_entropy(bytes()), &[]);
    world.apply(webhook).await.unwrap();
    let dimensions = Dimensions {
        organization: 1,
        api: 1,
        project: 1,
        key: 1,
        version: 0,
        label: 0,
        code: keystile_core::code::Code::Allowed,
        status: 200,
    };
    let event = UsageEvent {
        at: NOW,
        dimensions,
        client: None,
        facets: None,
        counts: Counts { calls: 1, ..Counts::default() },
    };
    world.ledger.append(1, 1, NOW, &[], &[event]).await.unwrap();
    world
}

#[tokio::test]
async fn what_is_sound_is_found_so_beside_whoever_uses_it() {
    for engine in ENGINES {
        let world = filled(*engine).await;
        let checked = looked(&world, *engine).await;
        assert_eq!(checked.wrong, [], "{engine:?}");
        for (name, count) in [("keys", 3), ("secrets", 5), ("APIs", 2), ("webhooks", 1)] {
            assert!(checked.counts.contains(&(name, count)), "{engine:?} {name}: {:?}", checked.counts);
        }
        let other = RootKeys {
            current: keystile_store::RootSource::Given("5a".repeat(32).into(), "a test".to_owned()),
            previous: None,
        };
        assert_eq!(words(&check(&kept(&world, *engine), &other).await.unwrap().unwrap()), ["root_key"]);
    }
}

#[tokio::test]
async fn r04_what_was_altered_is_named() {
    for engine in ENGINES {
        for (statement, word, names) in [
            ("UPDATE api_secrets SET name = 'header:b'", "secrets", "the secret header:b of api_"),
            ("UPDATE key_texts SET version = 2", "secrets", "the text of key_"),
            ("UPDATE meta SET value = substr(value, 2) WHERE name = 'seed'", "secrets", "the seed"),
            ("UPDATE encryption_keys SET algorithm = 2", "secrets", "encryption key 1 was altered"),
            ("UPDATE policies SET document = 'x'", "rows", "a key (key_"),
            ("UPDATE apis SET settings = '{}'", "rows", "one of the APIs"),
            ("UPDATE projects SET labels = 'x'", "rows", "one of the projects"),
            ("UPDATE projects SET suspended_at = 1 WHERE number = 1", "seals", "row 1 of projects was altered"),
            ("UPDATE keys SET policy = policy + 0 WHERE number = 1", "seals", "key_"),
            ("UPDATE revisions SET first = 1 WHERE revision = 4", "seals", "row 4 of revisions"),
            ("UPDATE audit SET after = 'x' WHERE sequence = 3", "audit", "entry 3"),
            ("UPDATE audit_end SET sequence = 5", "audit", ""),
        ] {
            let world = filled(*engine).await;
            run_in(&world, *engine, statement).await;
            let checked = looked(&world, *engine).await;
            assert!(
                checked.wrong.iter().all(|wrong| [word, "seals"].contains(&wrong.id))
                    && checked.wrong.iter().any(|wrong| wrong.id == word && wrong.what.contains(names)),
                "{engine:?} {statement}: {:?}",
                checked.wrong
            );
        }
    }
}
