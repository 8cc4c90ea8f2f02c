//! Changes on conditions: made only in the state that they are for, or only tried.

use keystile_core::id::ProjectId;
use keystile_core::key::KeyState;
use keystile_store::records::ProjectAbout;
use keystile_store::{ApplyError, Change, Conditions, Expected, Idempotency, Thing};

use crate::world::{NOW, World, bytes, create_project, everywhere};

fn only(tag: impl ToString) -> Conditions {
    Conditions { expected: Some(Expected::OneOf(vec![tag.to_string()])), dry_run: false }
}

const THERE: Conditions = Conditions { expected: Some(Expected::There), dry_run: false };
const TRIED: Conditions = Conditions { expected: None, dry_run: true };

async fn rename(world: &World, name: &str) -> Change {
    let project = world.catalog.project(world.mine.id, world.mine.project).await.unwrap().unwrap();
    let about = ProjectAbout { name: name.to_owned(), ..ProjectAbout::default() };
    Change::UpdateProject { id: project.id, was: project.revision, about }
}

#[tokio::test]
async fn a_change_is_made_in_the_state_that_it_is_for_and_in_no_other() {
    everywhere(async |world| {
        let (catalog, author) = (&world.catalog, world.mine.author());
        let tag = async || catalog.tag(&catalog.project(world.mine.id, world.mine.project).await.unwrap().unwrap());
        let first = tag().await;
        catalog.apply_if(&only(first), &author, rename(world, "second").await).await.unwrap();
        let second = tag().await;
        assert_ne!(first, second);
        for refused in [only(first), only(""), Conditions { expected: Some(Expected::OneOf(vec![])), dry_run: false }] {
            let change = rename(world, "third").await;
            assert!(matches!(catalog.apply_if(&refused, &author, change).await, Err(ApplyError::Unmet)), "{refused:?}");
            let change = Change::DeleteProject { id: world.mine.project };
            assert!(matches!(catalog.apply_if(&refused, &author, change).await, Err(ApplyError::Unmet)), "{refused:?}");
        }
        assert_eq!(tag().await, second, "nothing was changed");
        catalog.apply_if(&THERE, &author, rename(world, "third").await).await.unwrap();
        let third = tag().await;
        // Nothing that is made is in a state yet.
        let fresh = ProjectId::from_entropy(bytes());
        let made = catalog.apply_if(&THERE, &author, create_project(fresh, "fresh")).await;
        assert!(matches!(made, Err(ApplyError::Unmet)), "{made:?}");
        // What can't be done in any case is answered as always.
        let missing = Change::DeleteProject { id: fresh };
        assert!(matches!(catalog.apply_if(&only(third), &author, missing).await, Err(ApplyError::NotFound(_))));
        catalog.apply_if(&only(third), &author, Change::DeleteProject { id: world.mine.project }).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_only_tried_is_told_and_leaves_nothing_behind() {
    everywhere(async |world| {
        let (catalog, author) = (&world.catalog, world.mine.author());
        let revision = catalog.revision().await.unwrap();
        let key = world.my_key(world.mine.key).await;
        let state = KeyState::Revoked { at: NOW };
        let revoke = Change::KeyState { id: key.id, was: key.revision, state, action: "revoke", reason: String::new() };
        let tried = catalog.apply_if(&TRIED, &author, revoke).await.unwrap();
        let [Thing::Key(would_be)] = tried.preview.as_slice() else { panic!("{tried:?}") };
        assert_eq!(would_be.state, state);
        assert_eq!(world.my_key(key.id).await, key);

        let id = ProjectId::from_entropy(bytes());
        let idempotency = Idempotency { key: [7; 32], request: [7; 32], subject: id.to_string() };
        let asked = keystile_store::Author { idempotency: Some(idempotency), ..author.clone() };
        let tried = catalog.apply_if(&TRIED, &asked, create_project(id, "tried")).await.unwrap();
        let [Thing::Project(would_be)] = tried.preview.as_slice() else { panic!("{tried:?}") };
        assert_eq!((would_be.id, would_be.name.as_str()), (id, "tried"));
        assert_eq!(catalog.project(world.mine.id, id).await.unwrap(), None);

        // What would be refused is refused.
        let taken = create_project(world.mine.project, "taken");
        assert!(matches!(catalog.apply_if(&TRIED, &author, taken).await, Err(ApplyError::Exists(_))));
        let unmet = Conditions { dry_run: true, ..only("") };
        let rename = rename(world, "unmet").await;
        assert!(matches!(catalog.apply_if(&unmet, &author, rename).await, Err(ApplyError::Unmet)));

        assert_eq!(catalog.revision().await.unwrap(), revision, "no revision");
        // The next change is the next one, and the request that was tried can be made.
        let made = catalog.apply(&asked, create_project(id, "made")).await.unwrap();
        assert_eq!((made.revision, made.preview), (revision + 1, vec![]));
    })
    .await;
}
