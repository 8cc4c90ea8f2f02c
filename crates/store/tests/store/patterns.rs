//! Patterns: kept as they were told, nobody else's, told to nodes when they change, and not gone while keys or projects have
//! them.

use keystile_core::id::{KeyId, PatternId, ProjectId};
use keystile_core::key::Environment;
use keystile_core::pattern::Filter;
use keystile_core::policy::Policy;
use keystile_store::records::{Pattern, ProjectAbout};
use keystile_store::{ApplyError, Change, Subject};

use crate::world::{ALL, NOW, World, bytes, everywhere, new_key, policy};

fn filter(method: &str) -> Filter {
    serde_json::from_str(&format!(r#"{{"allow":[{{"methods":["{method}"]}}]}}"#)).unwrap()
}

pub fn create(id: PatternId, name: &str) -> Change {
    let name = name.parse().unwrap();
    Change::CreatePattern { id, name, description: "a pattern".to_owned(), filter: filter("GET") }
}

fn update(of: &Pattern, name: &str, filter: Filter) -> Change {
    let name = name.parse().unwrap();
    Change::UpdatePattern { id: of.id, was: of.revision, name, description: "changed".to_owned(), filter }
}

async fn pattern(world: &World, name: &str) -> Pattern {
    let id = PatternId::from_entropy(bytes());
    world.apply(create(id, name)).await.unwrap();
    world.catalog.pattern(world.mine.id, id).await.unwrap().unwrap()
}

fn with(permission: &str, patterns: &[&Pattern]) -> Policy {
    Policy { patterns: patterns.iter().map(|one| one.id).collect(), ..policy(permission) }.checked().unwrap()
}

async fn key(world: &World, policy: Policy) -> KeyId {
    let key = new_key(&world.catalog, &format!("{}", KeyId::from_entropy(bytes())));
    let id = key.id;
    world.apply(Change::CreateKey { project: world.mine.project, key, policy }).await.unwrap();
    id
}

fn about(name: &str, patterns: &[PatternId]) -> ProjectAbout {
    ProjectAbout { name: name.to_owned(), patterns: patterns.to_vec(), ..ProjectAbout::default() }
}

async fn conflict(world: &World, change: Change) -> String {
    match world.apply(change).await {
        Err(ApplyError::Conflict(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_pattern_is_kept_as_it_was_told_and_nodes_are_told_of_it() {
    everywhere(async |world| {
        let before = world.catalog.revision().await.unwrap();
        let made = pattern(world, "reading").await;
        assert_eq!((made.name.as_str(), made.description.as_str(), made.created_at), ("reading", "a pattern", NOW));
        assert_eq!(made.filter, filter("GET"));
        assert_eq!(world.catalog.patterns(world.mine.id, None, ALL).await.unwrap(), std::slice::from_ref(&made));
        let named = world.catalog.pattern_named(world.mine.id, &made.name).await.unwrap();
        assert_eq!(named.as_ref(), Some(&made));
        assert_eq!(world.catalog.feed_pattern(made.number).await.unwrap(), Some(made.clone()));

        let taken = world.apply(create(PatternId::from_entropy(bytes()), "reading")).await;
        assert!(matches!(taken, Err(ApplyError::Exists(_))), "{taken:?}");
        world.apply(update(&made, "writing", filter("POST"))).await.unwrap();
        let changed = world.catalog.pattern(world.mine.id, made.id).await.unwrap().unwrap();
        assert_eq!((changed.name.as_str(), &changed.filter), ("writing", &filter("POST")));
        assert!(matches!(world.apply(update(&made, "x", filter("GET"))).await, Err(ApplyError::Stale)));

        world.apply(Change::DeletePattern { id: made.id, unassign: false }).await.unwrap();
        assert_eq!(world.catalog.pattern(world.mine.id, made.id).await.unwrap(), None);
        assert_eq!(world.catalog.feed_patterns().await.unwrap(), []);
        assert_ne!(pattern(world, "writing").await.number, made.number, "the name is free again");
        let told = world.catalog.feed_after(before, 10).await.unwrap();
        let told: Vec<Subject> = told.into_iter().map(|(_, subject)| subject).collect();
        assert_eq!(told[..3], [Subject::Pattern(made.number); 3]);
        let entries = world.catalog.audit(world.mine.id, None, 4).await.unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["pattern.create", "pattern.delete", "pattern.update", "pattern.create"]);
        assert!(entries[2].before.contains("GET") && entries[2].after.contains("POST"));
    })
    .await;
}

#[tokio::test]
async fn z05_a_pattern_of_another_organization_is_none() {
    everywhere(async |world| {
        let mine = pattern(world, "reading").await;
        let theirs = PatternId::from_entropy(bytes());
        world.apply_as_other(create(theirs, "reading")).await.unwrap();
        let was = world.catalog.pattern(world.theirs.id, theirs).await.unwrap().unwrap().revision;
        assert_eq!(world.catalog.pattern(world.mine.id, theirs).await.unwrap(), None);
        assert_eq!(world.catalog.patterns(world.mine.id, None, ALL).await.unwrap(), std::slice::from_ref(&mine));
        assert_eq!(world.catalog.pattern_named(world.mine.id, &mine.name).await.unwrap().unwrap().id, mine.id);
        let before = world.catalog.revision().await.unwrap();
        let stolen = Policy { patterns: vec![theirs], ..Policy::default() };
        let own = world.catalog.project(world.mine.id, world.mine.project).await.unwrap().unwrap();
        let name = "x".parse().unwrap();
        for change in [
            Change::UpdatePattern { id: theirs, was, name, description: String::new(), filter: filter("GET") },
            Change::DeletePattern { id: theirs, unassign: true },
            Change::CreateKey {
                project: world.mine.project,
                key: new_key(&world.catalog, "with a stranger's pattern"),
                policy: stolen.clone(),
            },
            Change::ImportKeys {
                project: world.mine.project,
                keys: vec![new_key(&world.catalog, "brought with a stranger's pattern").into()],
                policy: stolen,
            },
            Change::UpdateProject { id: own.id, was: own.revision, about: about("x", &[theirs]) },
            Change::CreateProject {
                id: ProjectId::from_entropy(bytes()),
                about: about("x", &[theirs]),
                environment: Environment::Live,
            },
        ] {
            let refused = world.apply(change).await;
            assert!(matches!(refused, Err(ApplyError::NotFound("pattern"))), "{refused:?}");
        }
        assert_eq!(world.catalog.revision().await.unwrap(), before, "nothing was changed");
    })
    .await;
}

#[tokio::test]
async fn a_pattern_in_use_is_not_deleted_unless_keys_and_projects_lose_it() {
    everywhere(async |world| {
        let (reading, other) = (pattern(world, "reading").await, pattern(world, "other").await);
        let first = key(world, with("a", &[&reading])).await;
        let second = key(world, with("b", &[&reading, &other])).await;
        let deleted = key(world, with("d", &[&reading])).await;
        let untouched = key(world, with("e", &[&other])).await;
        world.apply(Change::DeleteKey { id: deleted }).await.unwrap();
        let project = async || world.catalog.project(world.mine.id, world.mine.project).await.unwrap().unwrap();
        let was = project().await.revision;
        let assigned = about("mine", &[reading.id, other.id]);
        world.apply(Change::UpdateProject { id: world.mine.project, was, about: assigned }).await.unwrap();
        let untouched_before = world.my_key(untouched).await;

        let delete = |unassign| Change::DeletePattern { id: reading.id, unassign };
        let why = conflict(world, delete(false)).await;
        assert!(why.starts_with("2 keys and 1 project have this pattern;") && why.contains("unassign=true"), "{why}");
        let applied = world.apply(delete(true)).await.unwrap();
        for (id, policy) in [(first, with("a", &[])), (second, with("b", &[&other]))] {
            assert_eq!(world.my_key(id).await.policy, policy);
        }
        assert_eq!(project().await.patterns, [other.id]);
        assert_eq!(world.my_key(untouched).await, untouched_before);
        let told = world.catalog.feed_after(applied.revision - 1, 10).await.unwrap();
        let last: Vec<Subject> = told.into_iter().map(|(_, subject)| subject).collect();
        assert_eq!(last, [Subject::Pattern(reading.number)], "nodes lose it when nobody names it any more");
        // It was taken from deleted ones as well.
        world.apply(Change::UndeleteKey { id: deleted }).await.unwrap();
        assert_eq!(world.my_key(deleted).await.policy, with("d", &[]));
        assert_eq!(world.catalog.verify_audit().await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_key_does_not_come_back_without_what_it_had_to_pass() {
    everywhere(async |world| {
        let reading = pattern(world, "reading").await;
        let only = key(world, with("a", &[&reading])).await;
        world.apply(Change::DeleteKey { id: only }).await.unwrap();
        world.apply(Change::DeletePattern { id: reading.id, unassign: false }).await.unwrap();
        let why = conflict(world, Change::UndeleteKey { id: only }).await;
        assert!(why.starts_with("a pattern that this key must pass was deleted"), "{why}");
    })
    .await;
}
