//! A request that is sent again makes nothing twice.

use keystile_core::id::ProjectId;
use keystile_core::time::Timestamp;
use keystile_store::{ApplyError, Author, Change, Idempotency};

use crate::world::{NOW, Tenant, bytes, create_project, everywhere};

fn asked(tenant: &Tenant, key: u8, request: u8, at: Timestamp, subject: ProjectId) -> Author {
    let idempotency = Idempotency { key: [key; 32], request: [request; 32], subject: subject.to_string() };
    Author { at, idempotency: Some(idempotency), ..tenant.author() }
}

fn make(id: ProjectId) -> Change {
    create_project(id, "asked for")
}

#[tokio::test]
async fn a_repeated_request_is_told_what_it_made() {
    everywhere(async |world| {
        let (first, second) = (ProjectId::from_entropy(bytes()), ProjectId::from_entropy(bytes()));
        world.catalog.apply(&asked(&world.mine, 1, 1, NOW, first), make(first)).await.unwrap();
        let revision = world.catalog.revision().await.unwrap();
        let again = world.catalog.apply(&asked(&world.mine, 1, 1, NOW, second), make(second)).await;
        let Err(ApplyError::Repeated { subject }) = again else { panic!("{again:?}") };
        assert_eq!(subject, first.to_string());
        assert_eq!(world.catalog.revision().await.unwrap(), revision);
        assert_eq!(world.catalog.project(world.mine.id, second).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    everywhere(async |world| {
        let (first, second) = (ProjectId::from_entropy(bytes()), ProjectId::from_entropy(bytes()));
        world.catalog.apply(&asked(&world.mine, 1, 1, NOW, first), make(first)).await.unwrap();
        let other = world.catalog.apply(&asked(&world.mine, 1, 2, NOW, second), make(second)).await;
        assert!(matches!(other, Err(ApplyError::KeyReused)), "{other:?}");
    })
    .await;
}

#[tokio::test]
async fn z05_the_key_of_one_organization_says_nothing_about_anothers() {
    everywhere(async |world| {
        let (first, second) = (ProjectId::from_entropy(bytes()), ProjectId::from_entropy(bytes()));
        world.catalog.apply(&asked(&world.mine, 1, 1, NOW, first), make(first)).await.unwrap();
        world.catalog.apply(&asked(&world.theirs, 1, 2, NOW, second), make(second)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_request_that_failed_can_be_made_again() {
    everywhere(async |world| {
        let taken = world.mine.project;
        let refused = world.catalog.apply(&asked(&world.mine, 1, 1, NOW, taken), make(taken)).await;
        assert!(matches!(refused, Err(ApplyError::Exists(_))), "{refused:?}");
        let free = ProjectId::from_entropy(bytes());
        world.catalog.apply(&asked(&world.mine, 1, 1, NOW, free), make(free)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_request_is_forgotten_after_a_day() {
    everywhere(async |world| {
        let ids: [ProjectId; 3] = std::array::from_fn(|_| ProjectId::from_entropy(bytes()));
        let day = 24 * 3_600;
        world.catalog.apply(&asked(&world.mine, 1, 1, NOW, ids[0]), make(ids[0])).await.unwrap();
        let soon = asked(&world.mine, 1, 1, NOW.plus_secs(day), ids[1]);
        assert!(matches!(world.catalog.apply(&soon, make(ids[1])).await, Err(ApplyError::Repeated { .. })));
        let late = asked(&world.mine, 1, 1, NOW.plus_secs(day + 1), ids[2]);
        world.catalog.apply(&late, make(ids[2])).await.unwrap();
    })
    .await;
}
