//! How many keys there may be, and what else is said of a project.

use keystile_core::id::ProjectId;
use keystile_core::key::Environment;
use keystile_core::metadata::{Labels, Metadata};
use keystile_core::policy::Policy;
use keystile_store::records::{KeyLimits, ProjectAbout, ProjectFilter, Suspension};
use keystile_store::{Applied, ApplyError, Change};

use crate::world::{ALL, ENGINES, NOW, World, bytes, everywhere, new_key};

async fn create(world: &World, project: ProjectId, text: &str) -> Result<Applied, ApplyError> {
    let change = Change::CreateKey { project, key: new_key(&world.catalog, text), policy: Policy::default() };
    world.apply(change).await
}

async fn import(world: &World, project: ProjectId, texts: &[&str]) -> Result<Applied, ApplyError> {
    let keys = texts.iter().map(|text| new_key(&world.catalog, text).into()).collect();
    world.apply(Change::ImportKeys { project, keys, policy: Policy::default() }).await
}

async fn bound(world: &World, project: ProjectId, max_keys: Option<u32>) {
    let kept = world.catalog.project(world.mine.id, project).await.unwrap().unwrap();
    let about = ProjectAbout { name: kept.name, max_keys, ..ProjectAbout::default() };
    world.apply(Change::UpdateProject { id: project, was: kept.revision, about }).await.unwrap();
}

async fn another_project(world: &World) -> ProjectId {
    let (id, environment) = (ProjectId::from_entropy(bytes()), Environment::Live);
    let about = ProjectAbout { name: "another".to_owned(), ..ProjectAbout::default() };
    world.apply(Change::CreateProject { id, about, environment }).await.unwrap();
    id
}

fn is_full(done: Result<Applied, ApplyError>, whose: &str) {
    match done {
        Err(ApplyError::Conflict(why)) => assert!(why.contains(&format!("the {whose} may have ")), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_project_has_no_more_keys_than_it_may() {
    everywhere(async |world| {
        let project = world.mine.project;
        create(world, project, "no limit").await.unwrap();
        bound(world, project, Some(3)).await;
        create(world, project, "the last").await.unwrap();
        let before = world.catalog.revision().await.unwrap();
        is_full(create(world, project, "one more").await, "project");
        is_full(import(world, project, &["imported"]).await, "project");
        assert_eq!(world.catalog.revision().await.unwrap(), before, "nothing was kept of them");
        assert_eq!(world.catalog.count_keys(world.mine.id).await.unwrap(), 3);
        // Those that are known already take no room, revoked and deleted ones make some.
        assert_eq!(import(world, project, &["no limit"]).await.unwrap().duplicates, [0]);
        world.revoke(world.mine.key).await;
        is_full(import(world, project, &["imported", "and another"]).await, "project");
        import(world, project, &["imported", "no limit"]).await.unwrap();
        is_full(create(world, project, "one more").await, "project");
        // Others have their own room.
        create(world, another_project(world).await, "elsewhere").await.unwrap();
        bound(world, project, Some(0)).await;
        is_full(create(world, project, "one more").await, "project");
        bound(world, project, None).await;
        create(world, project, "one more").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_servers_limits_hold_beside_a_projects_own() {
    everywhere(async |world| {
        world.catalog.limit_keys(KeyLimits { per_project: Some(2), per_organization: Some(3) });
        let (project, another) = (world.mine.project, another_project(world).await);
        bound(world, project, Some(100)).await;
        create(world, project, "second").await.unwrap();
        is_full(create(world, project, "third").await, "project");
        create(world, another, "third").await.unwrap();
        is_full(create(world, another, "fourth").await, "organization");
        bound(world, another, Some(1)).await;
        is_full(create(world, another, "fourth").await, "project");
        // Another organization has room of its own.
        let key = new_key(&world.catalog, "theirs");
        world
            .apply_as_other(Change::CreateKey { project: world.theirs.project, key, policy: Policy::default() })
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn of_keys_that_are_made_at_once_no_more_than_may_be_are_kept() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        world.catalog.limit_keys(KeyLimits { per_project: Some(4), per_organization: None });
        let making = (0..12).map(|n| {
            let (catalog, author, project) = (world.catalog.clone(), world.mine.author(), world.mine.project);
            let key = new_key(&catalog, &format!("at once {n}"));
            let change = Change::CreateKey { project, key, policy: Policy::default() };
            tokio::spawn(async move { catalog.apply(&author, change).await.is_ok() })
        });
        let mut made = 0;
        for task in making.collect::<Vec<_>>() {
            made += usize::from(task.await.unwrap());
        }
        assert_eq!((made, world.catalog.count_keys(world.mine.id).await.unwrap()), (3, 4), "{engine:?}");
    }
}

#[tokio::test]
async fn what_is_written_on_a_project_is_kept_and_labels_find_it() {
    everywhere(async |world| {
        let labels = |texts: &[&str]| Labels::new(texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap();
        let mut made = Vec::new();
        for (name, own) in [("a", &["blue", "team:x"][..]), ("b", &["blue-green", "team:x"]), ("c", &["Blue", "büro"])]
        {
            let (id, environment) = (ProjectId::from_entropy(bytes()), Environment::Live);
            let metadata = Metadata::new([("n\"ame'".to_owned(), name.into())].into_iter().collect()).unwrap();
            let about =
                ProjectAbout { name: name.to_owned(), labels: labels(own), metadata, ..ProjectAbout::default() };
            world.apply(Change::CreateProject { id, about: about.clone(), environment }).await.unwrap();
            let kept = world.catalog.project(world.mine.id, id).await.unwrap().unwrap();
            assert_eq!((kept.labels, kept.metadata), (about.labels, about.metadata));
            made.push(id);
        }
        for (wanted, expected) in [
            (&["blue"][..], &["a"][..]),
            (&["team:x"], &["b", "a"]),
            (&["team:x", "blue-green"], &["b"]),
            (&["blue", "blue-green"], &[]),
            (&["Blue"], &["c"]),
            (&["büro"], &["c"]),
            (&["lu"], &[]),
            (&["%"][..0], &["c", "b", "a", "mine"]),
        ] {
            let filter =
                ProjectFilter { name: None, labels: wanted.iter().map(|text| text.parse().unwrap()).collect() };
            let found = world.catalog.projects(world.mine.id, &filter, ALL).await.unwrap();
            let names: Vec<&str> = found.iter().map(|project| project.name.as_str()).collect();
            assert_eq!(names, expected, "{wanted:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_project_is_suspended_and_goes_on() {
    everywhere(async |world| {
        let (id, catalog) = (world.mine.project, &world.catalog);
        let project = async || catalog.project(world.mine.id, id).await.unwrap().unwrap();
        let suspension = Some(Suspension { since: NOW, reason: "not paid".to_owned() });
        for suspension in [suspension.clone(), None, suspension] {
            let was = project().await.revision;
            world.apply(Change::SuspendProject { id, was, suspension: suspension.clone() }).await.unwrap();
            let kept = project().await;
            assert_eq!(kept.suspension, suspension);
            let fed = catalog.feed_project(kept.number).await.unwrap().unwrap();
            assert_eq!(fed.project, kept);
            let late = Change::SuspendProject { id, was, suspension: None };
            assert!(matches!(world.apply(late).await, Err(ApplyError::Stale)));
        }
        let entries = catalog.audit(world.mine.id, None, 3).await.unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["project.suspend", "project.resume", "project.suspend"]);
        assert!(entries[0].after.contains("not paid"), "{}", entries[0].after);
        // A change of something else leaves it.
        bound(world, id, Some(9)).await;
        assert!(project().await.suspension.is_some());
    })
    .await;
}
