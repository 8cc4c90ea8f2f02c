//! Of which keys something is to be told, and that it is told once.

use keystile_core::key::{KeyNotice, KeyState, Standing};
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use keystile_store::records::NewKey;
use keystile_store::{ApplyError, Change, Due};

use crate::versions::rotate;
use crate::world::{NOW, World, everywhere, new_key};

fn at(secs: i64) -> Timestamp {
    NOW.plus_secs(secs)
}

async fn note(world: &World, due: &Due, notice: KeyNotice) {
    assert!(!world.catalog.was_told(due.number, &notice).await.unwrap());
    world.apply(Change::NoteKey { id: due.key, notice }).await.unwrap();
    assert!(world.catalog.was_told(due.number, &notice).await.unwrap());
    let again = world.apply(Change::NoteKey { id: due.key, notice }).await;
    assert!(matches!(again, Err(ApplyError::Exists(_))), "{again:?}");
    let other = world.apply_as_other(Change::NoteKey { id: due.key, notice }).await;
    assert!(matches!(other, Err(ApplyError::NotFound(_))), "{other:?}");
}

#[tokio::test]
async fn keys_are_found_by_their_end_until_it_was_told() {
    everywhere(async |world| {
        let catalog = &world.catalog;
        let mut ids = Vec::new();
        for (n, ends) in [100, 200, 300].into_iter().enumerate() {
            let key = NewKey { expires_at: Some(at(ends)), ..new_key(catalog, &format!("ending {n}")) };
            ids.push(key.id);
            world
                .apply(Change::CreateKey { project: world.mine.project, key, policy: Policy::default() })
                .await
                .unwrap();
        }
        let notice = |ends: i64| KeyNotice::Expired { ended_at: at(ends) };
        let kind = notice(0).identity().0;
        let ending = async |after, until, life| {
            let found = catalog.keys_ending((at(after), at(until)), life, kind, 10).await.unwrap();
            found.iter().map(|due| due.key).collect::<Vec<_>>()
        };
        assert_eq!(ending(0, 300, 0).await, ids);
        assert_eq!(ending(100, 299, 0).await, [ids[1]], "after the one moment and until the other");
        assert_eq!(ending(0, 300, 200).await, ids[1..], "that lives so long");
        let found = catalog.keys_ending((at(0), at(100)), 0, kind, 10).await.unwrap();
        let expected = (world.mine.id, ids[0], 1, at(100));
        assert_eq!((found[0].organization, found[0].key, found[0].version, found[0].moment), expected);
        note(world, &found[0], notice(100)).await;
        assert_eq!(ending(0, 300, 0).await, ids[1..]);
        assert_eq!(catalog.keys_ending((at(0), at(300)), 0, "expiring_3", 10).await.unwrap().len(), 3, "other kinds");
        // One that does not call any more is nobody's concern.
        world.revoke(ids[1]).await;
        world.apply(Change::DeleteKey { id: ids[2] }).await.unwrap();
        assert_eq!(ending(0, 300, 0).await, []);
        let entry = &catalog.audit(world.mine.id, None, 10).await.unwrap()[2];
        assert_eq!((entry.action.as_str(), &entry.subject), ("key.expired", &ids[0].to_string()));
        assert!(entry.after.contains("ended_at"), "{}", entry.after);
    })
    .await;
}

#[tokio::test]
async fn former_versions_are_found_by_their_end_until_it_was_told() {
    everywhere(async |world| {
        let id = world.add_key("one").await;
        rotate(world, id, "two").await.unwrap();
        rotate(world, id, "three").await.unwrap();
        let kind = KeyNotice::VersionEnded { version: 0, ended_at: NOW }.identity().0;
        let ended = async |until| world.catalog.versions_ended((at(0), at(until)), kind, 10).await.unwrap();
        assert_eq!(ended(59).await, []);
        let found = ended(60).await;
        let mut versions: Vec<_> = found.iter().map(|due| (due.key, due.version, due.moment)).collect();
        versions.sort_by_key(|(_, version, _)| *version);
        assert_eq!(versions, [(id, 1, at(60)), (id, 2, at(60))]);
        for due in found {
            note(world, &due, KeyNotice::VersionEnded { version: due.version, ended_at: due.moment }).await;
        }
        assert_eq!(ended(60).await, []);
    })
    .await;
}

#[tokio::test]
async fn keys_of_an_api_are_found_by_the_age_of_their_version() {
    everywhere(async |world| {
        let catalog = &world.catalog;
        let api = catalog.api(world.mine.id, world.mine.api).await.unwrap().unwrap().number;
        let theirs = catalog.api(world.theirs.id, world.theirs.api).await.unwrap().unwrap().number;
        let kind = KeyNotice::RotationDue { version: 0, due_at: NOW, days: 0 }.identity().0;
        let made = async |after, until| catalog.keys_made(api, (at(after), at(until)), kind, 10).await.unwrap();
        assert_eq!(made(-10, -1).await, []);
        let found = made(-10, 0).await;
        assert_eq!(found.iter().map(|due| due.key).collect::<Vec<_>>(), [world.mine.key]);
        note(world, &found[0], KeyNotice::RotationDue { version: 1, due_at: NOW, days: 0 }).await;
        assert_eq!(made(-10, 0).await, []);
        let of_api = async |api, standing| catalog.keys_of_api(api, at(0), standing, 0, 10).await.unwrap();
        assert_eq!(of_api(theirs, Standing::Active).await[0].organization, world.theirs.id);
        let active = of_api(api, Standing::Active).await;
        assert_eq!(active.len(), 1);
        assert_eq!(catalog.keys_of_api(api, at(0), Standing::Active, active[0].number, 10).await.unwrap(), []);
        let (id, was) = (world.mine.key, world.my_key(world.mine.key).await.revision);
        let state = KeyState::Disabled { since: NOW };
        world.apply(Change::KeyState { id, was, state, action: "disable", reason: String::new() }).await.unwrap();
        assert_eq!((of_api(api, Standing::Active).await.len(), of_api(api, Standing::Disabled).await.len()), (0, 1));
        world.apply(Change::DeleteActivation { id: world.mine.activation }).await.unwrap();
        assert_eq!(of_api(api, Standing::Disabled).await, []);
    })
    .await;
}
