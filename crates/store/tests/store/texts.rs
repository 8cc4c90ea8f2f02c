//! Texts of keys that can be had back: sealed, of the latest version alone, and gone with the key's use (issue 4, SECURITY.md
//! §2).

use keystile_core::api::ApiSettings;
use keystile_core::id::{ActivationId, ApiId, KeyId};
use keystile_core::key::KeyState;
use keystile_core::policy::Policy;
use keystile_store::records::{NewKey, NewVersion, Wish};
use keystile_store::{ApplyError, Change};
use sqlx::ConnectOptions;

use crate::world::{Engine, NOW, World, bytes, everywhere, new_key, salt};

/// A key of this text, which can be had back.
pub async fn recoverable(world: &World, text: &str) -> KeyId {
    let made = new_key(&world.catalog, text);
    let sealed = world.catalog.seal_key_text(world.mine.id, (made.id, 1), text, &salt());
    let key = NewKey { text: Some(sealed), ..made };
    let id = key.id;
    world.apply(Change::CreateKey { project: world.mine.project, key, policy: Policy::default() }).await.unwrap();
    id
}

async fn kept(world: &World, key: KeyId) -> Option<(u16, String)> {
    let kept = world.catalog.key_text(world.mine.id, key).await.unwrap();
    kept.map(|(version, text)| (version, String::from_utf8(text.to_vec()).unwrap()))
}

async fn rotate(world: &World, key: KeyId, text: &str, keep: bool) {
    let (made, now) = (new_key(&world.catalog, text), world.my_key(key).await);
    let sealed = world.catalog.seal_key_text(world.mine.id, (key, now.version + 1), text, &salt());
    let fresh = NewVersion {
        hint: made.hint,
        digest: made.digest,
        pepper_version: made.pepper_version,
        text: keep.then_some(sealed),
    };
    let change = Change::RotateKey { id: key, was: now.revision, fresh, former_ends_at: NOW, expires_at: None };
    world.apply(change).await.unwrap();
}

#[tokio::test]
async fn the_text_of_the_latest_version_is_had_back_and_that_is_written_down() {
    everywhere(async |world| {
        let (key, other) = (recoverable(world, "the first text").await, world.add_key("not kept").await);
        assert!(world.my_key(key).await.recoverable && !world.my_key(other).await.recoverable);
        world.apply(Change::RevealKey { id: key, version: 1 }).await.unwrap();
        assert_eq!(kept(world, key).await, Some((1, "the first text".to_owned())));
        let entry = world.catalog.audit(world.mine.id, None, 1).await.unwrap().remove(0);
        assert_eq!((entry.action.as_str(), entry.subject), ("key.reveal", key.to_string()));
        assert!(!entry.after.contains("the first text"));

        assert!(matches!(world.apply(Change::RevealKey { id: other, version: 1 }).await, Err(ApplyError::Exists(_))));
        assert_eq!(kept(world, other).await, None);
        rotate(world, key, "the second text", true).await;
        let former = world.apply(Change::RevealKey { id: key, version: 1 }).await;
        assert!(matches!(former, Err(ApplyError::Stale)), "the audit says which text is shown");
        assert_eq!(kept(world, key).await, Some((2, "the second text".to_owned())));
        rotate(world, key, "the third text", false).await;
        assert_eq!(kept(world, key).await, None);
        assert!(!world.my_key(key).await.recoverable);
    })
    .await;
}

#[tokio::test]
async fn z05_a_text_of_another_organization_is_none() {
    everywhere(async |world| {
        let key = recoverable(world, "mine").await;
        assert!(world.catalog.key_text(world.theirs.id, key).await.unwrap().is_none());
        assert!(matches!(
            world.apply_as_other(Change::RevealKey { id: key, version: 1 }).await,
            Err(ApplyError::NotFound("key"))
        ));
    })
    .await;
}

#[tokio::test]
async fn a_key_that_can_not_be_used_any_more_keeps_no_text() {
    everywhere(async |world| {
        let ways: [&dyn Fn(KeyId, u64) -> Change; 3] = [
            &|id, was| Change::KeyState {
                id,
                was,
                state: KeyState::Revoked { at: NOW },
                action: "revoke",
                reason: String::new(),
            },
            &|id, was| Change::CompromiseKey { id, was, replacement: None, reason: String::new() },
            &|id, _| Change::DeleteKey { id },
        ];
        for (n, way) in ways.iter().enumerate() {
            let key = recoverable(world, &format!("text {n}")).await;
            let disabled = KeyState::Disabled { since: NOW };
            let was = world.my_key(key).await.revision;
            world
                .apply(Change::KeyState { id: key, was, state: disabled, action: "disable", reason: String::new() })
                .await
                .unwrap();
            assert!(kept(world, key).await.is_some(), "it may be enabled again");
            let was = world.my_key(key).await.revision;
            world.apply(way(key, was)).await.unwrap();
            assert_eq!(kept(world, key).await, None, "{n}");
        }
        let deleted = recoverable(world, "deleted and back").await;
        world.apply(Change::DeleteKey { id: deleted }).await.unwrap();
        world.apply(Change::UndeleteKey { id: deleted }).await.unwrap();
        assert!(!world.my_key(deleted).await.recoverable);
        let of_project = recoverable(world, "of a project").await;
        world.apply(Change::DeleteProject { id: world.mine.project }).await.unwrap();
        assert_eq!(kept(world, of_project).await, None);
    })
    .await;
}

#[tokio::test]
async fn no_text_is_kept_of_a_key_that_opens_what_its_owner_does_not_want_that_of() {
    everywhere(async |world| {
        let allow = async |allowed: bool| {
            let api = world.catalog.api(world.mine.id, world.mine.api).await.unwrap().unwrap();
            let settings = ApiSettings { recoverable_keys: allowed, ..api.settings };
            let (id, was, name) = (api.id, api.revision, api.name);
            world.apply(Change::UpdateApi { id, was, name, active: true, settings, document: None }).await.unwrap();
        };
        allow(true).await;
        let key = recoverable(world, "the owner changes her mind").await;
        allow(false).await;
        assert_eq!(kept(world, key).await, None);
        let key = recoverable(world, "the project may call another API").await;
        let api = ApiId::from_entropy(bytes());
        world.apply(crate::world::create_api(api, "another")).await.unwrap();
        assert!(kept(world, key).await.is_some());
        let id = ActivationId::from_entropy(bytes());
        let link = Change::CreateActivation { id, project: world.mine.project, api, wish: Wish::default() };
        world.apply(link).await.unwrap();
        assert_eq!(kept(world, key).await, None);
    })
    .await;
}

#[tokio::test]
async fn c03_a_text_that_is_moved_to_another_key_opens_nothing() {
    let world = World::new(Engine::Sqlite).await;
    let (one, other) = (recoverable(&world, "one").await, recoverable(&world, "other").await);
    let path = world.folder.path().join("data/catalog.db");
    let mut db = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let swap = format!(
        "UPDATE key_texts SET sealed = (SELECT sealed FROM key_texts WHERE key = {}) WHERE key = {}",
        world.my_key(one).await.number,
        world.my_key(other).await.number
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(swap)).execute(&mut db).await.unwrap();
    assert_eq!(kept(&world, one).await, Some((1, "one".to_owned())));
    let error = world.catalog.key_text(world.mine.id, other).await.unwrap_err().0.to_string();
    assert!(error.contains("was altered, or belongs elsewhere"), "{error}");
}
