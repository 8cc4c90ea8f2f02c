//! Secrets of APIs: sealed in their places, open for nodes, and nowhere in clear.

use keystile_core::api::{MAX_SECRETS, SecretName};
use keystile_core::id::ApiId;
use keystile_store::{ApplyError, Change};

use crate::world::{World, bytes, create_api, everywhere, salt};

const VALUE: &str = "Bearer very-secret-indeed";

fn header(name: &str) -> SecretName {
    format!("header:{name}").parse().unwrap()
}

async fn set(world: &World, api: ApiId, name: &SecretName, value: &str) -> Result<(), ApplyError> {
    let sealed = world.catalog.seal_api_secret(world.mine.id, (api, name), value.as_bytes(), &salt());
    world.apply(Change::SetApiSecret { api, name: name.clone(), sealed }).await.map(|_| ())
}

async fn open(world: &World, api: ApiId) -> Vec<(String, String)> {
    let number = world.catalog.api_number(world.mine.id, api).await.unwrap().unwrap();
    let opened = world.catalog.feed_api_secrets(number, api).await.unwrap().unwrap();
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    opened.iter().map(|secret| (secret.name.to_string(), text(&secret.value))).collect()
}

#[tokio::test]
async fn a_secret_is_had_back_changed_and_taken_away() {
    everywhere(async |world| {
        let (api, mine) = (world.mine.api, world.mine.id);
        set(world, api, &header("b"), "1").await.unwrap();
        set(world, api, &header("a"), VALUE).await.unwrap();
        set(world, api, &header("b"), "2").await.unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(open(world, api).await, [pair("header:a", VALUE), pair("header:b", "2")]);
        let kept = world.catalog.api(mine, api).await.unwrap().unwrap();
        let names: Vec<_> =
            world.catalog.api_secrets(&kept).await.unwrap().iter().map(|secret| secret.name.clone()).collect();
        assert_eq!(names, [header("a"), header("b")]);

        world.apply(Change::RemoveApiSecret { api, name: header("b") }).await.unwrap();
        let again = world.apply(Change::RemoveApiSecret { api, name: header("b") }).await;
        assert!(matches!(again, Err(ApplyError::NotFound("secret"))), "{again:?}");
        assert_eq!(open(world, api).await, [pair("header:a", VALUE)]);
        let foreign = set(world, world.theirs.api, &header("a"), VALUE).await;
        assert!(matches!(foreign, Err(ApplyError::NotFound("API"))), "{foreign:?}");
        let entries = world.catalog.audit(mine, None, 100).await.unwrap();
        assert!(entries.iter().any(|entry| entry.action == "api.secret.set"));
        assert!(!format!("{entries:?}").contains(VALUE));
    })
    .await;
}

#[tokio::test]
async fn an_api_has_only_so_many_and_they_go_with_it() {
    everywhere(async |world| {
        let api = ApiId::from_entropy(bytes());
        world.apply(create_api(api, "many")).await.unwrap();
        for n in 0..MAX_SECRETS {
            set(world, api, &header(&format!("h{n}")), "x").await.unwrap();
        }
        set(world, api, &header("h0"), "y").await.unwrap();
        assert!(matches!(set(world, api, &header("more"), "x").await, Err(ApplyError::Exists(_))));
        let number = world.catalog.api_number(world.mine.id, api).await.unwrap().unwrap();
        world.apply(Change::DeleteApi { id: api }).await.unwrap();
        assert!(world.catalog.feed_api_secrets(number, api).await.unwrap().unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_value_stands_in_no_file() {
    everywhere(async |world| {
        set(world, world.mine.api, &header("a"), VALUE).await.unwrap();
        for entry in std::fs::read_dir(world.folder.path().join("data")).unwrap() {
            let content = std::fs::read(entry.unwrap().path()).unwrap_or_default();
            assert!(!content.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()));
        }
    })
    .await;
}
