//! Roles: kept as they were told, nobody else's, told to nodes when they change, and not gone while keys have them.

use keystile_core::id::{KeyId, RoleId};
use keystile_core::key::KeyState;
use keystile_core::permission::Permission;
use keystile_core::policy::Policy;
use keystile_store::records::Role;
use keystile_store::{ApplyError, Change, Subject};

use crate::world::{ALL, NOW, World, bytes, everywhere, new_key, policy};

fn permissions(texts: &[&str]) -> Vec<Permission> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub fn create(id: RoleId, name: &str, granted: &[&str]) -> Change {
    let (name, permissions) = (name.parse().unwrap(), permissions(granted));
    Change::CreateRole { id, name, description: "a role".to_owned(), permissions }
}

fn update(of: &Role, name: &str, permissions: Vec<Permission>) -> Change {
    let name = name.parse().unwrap();
    Change::UpdateRole { id: of.id, was: of.revision, name, description: "changed".to_owned(), permissions }
}

async fn role(world: &World, name: &str, granted: &[&str]) -> Role {
    let id = RoleId::from_entropy(bytes());
    world.apply(create(id, name, granted)).await.unwrap();
    world.catalog.role(world.mine.id, id).await.unwrap().unwrap()
}

fn with(permission: &str, roles: &[&Role]) -> Policy {
    Policy { roles: roles.iter().map(|role| role.id).collect(), ..policy(permission) }.checked().unwrap()
}

async fn key(world: &World, policy: Policy) -> KeyId {
    let key = new_key(&world.catalog, &format!("{}", KeyId::from_entropy(bytes())));
    let id = key.id;
    world.apply(Change::CreateKey { project: world.mine.project, key, policy }).await.unwrap();
    id
}

async fn conflict(world: &World, change: Change) -> String {
    match world.apply(change).await {
        Err(ApplyError::Conflict(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_role_is_kept_as_it_was_told_and_nodes_are_told_of_it() {
    everywhere(async |world| {
        let before = world.catalog.revision().await.unwrap();
        let made = role(world, "reader", &["pets.read", "shop.*"]).await;
        assert_eq!((made.name.as_str(), made.description.as_str()), ("reader", "a role"));
        assert_eq!((&made.permissions, made.created_at), (&permissions(&["pets.read", "shop.*"]), NOW));
        assert_eq!(world.catalog.roles(world.mine.id, None, ALL).await.unwrap(), std::slice::from_ref(&made));
        let named = world.catalog.role_named(world.mine.id, &made.name).await.unwrap();
        assert_eq!(named.as_ref(), Some(&made));
        assert_eq!(world.catalog.feed_role(made.number).await.unwrap(), Some(made.clone()));

        let taken = world.apply(create(RoleId::from_entropy(bytes()), "reader", &[])).await;
        assert!(matches!(taken, Err(ApplyError::Exists(_))), "{taken:?}");
        world.apply(update(&made, "looker", permissions(&["a"]))).await.unwrap();
        let changed = world.catalog.role(world.mine.id, made.id).await.unwrap().unwrap();
        assert_eq!((changed.name.as_str(), &changed.permissions), ("looker", &permissions(&["a"])));
        assert!(matches!(world.apply(update(&made, "x", Vec::new())).await, Err(ApplyError::Stale)));

        world.apply(Change::DeleteRole { id: made.id, from_keys: false }).await.unwrap();
        assert_eq!(world.catalog.role(world.mine.id, made.id).await.unwrap(), None);
        assert_eq!(world.catalog.feed_roles().await.unwrap(), []);
        // The name is free again, and its new holder is another role.
        assert_ne!(role(world, "looker", &[]).await.number, made.number);
        let told = world.catalog.feed_after(before, 10).await.unwrap();
        let told: Vec<Subject> = told.into_iter().map(|(_, subject)| subject).collect();
        assert_eq!(told[..3], [Subject::Role(made.number); 3]);
        let entries = world.catalog.audit(world.mine.id, None, 4).await.unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["role.create", "role.delete", "role.update", "role.create"]);
        assert!(entries[2].before.contains("shop.*") && entries[2].after.contains("looker"));
    })
    .await;
}

#[tokio::test]
async fn z05_a_role_of_another_organization_is_none() {
    everywhere(async |world| {
        let mine = role(world, "reader", &["pets.read"]).await;
        let theirs = RoleId::from_entropy(bytes());
        world.apply_as_other(create(theirs, "reader", &["*"])).await.unwrap();
        let was = world.catalog.role(world.theirs.id, theirs).await.unwrap().unwrap().revision;
        assert_eq!(world.catalog.role(world.mine.id, theirs).await.unwrap(), None);
        assert_eq!(world.catalog.roles(world.mine.id, None, ALL).await.unwrap(), std::slice::from_ref(&mine));
        assert_eq!(world.catalog.role_named(world.mine.id, &mine.name).await.unwrap().unwrap().id, mine.id);
        let before = world.catalog.revision().await.unwrap();
        let stolen = Policy { roles: vec![theirs], ..Policy::default() };
        let own = world.my_key(world.mine.key).await;
        for change in [
            Change::UpdateRole {
                id: theirs,
                was,
                name: "x".parse().unwrap(),
                description: String::new(),
                permissions: Vec::new(),
            },
            Change::DeleteRole { id: theirs, from_keys: true },
            Change::CreateKey {
                project: world.mine.project,
                key: new_key(&world.catalog, "with a stranger's role"),
                policy: stolen.clone(),
            },
            Change::ImportKeys {
                project: world.mine.project,
                keys: vec![new_key(&world.catalog, "brought with a stranger's role").into()],
                policy: stolen.clone(),
            },
            Change::UpdateKey {
                id: own.id,
                was: own.revision,
                name: own.name.clone(),
                policy: stolen,
                expires_at: None,
                tags: keystile_core::metadata::Tags::default(),
            },
        ] {
            let refused = world.apply(change).await;
            assert!(matches!(refused, Err(ApplyError::NotFound("role"))), "{refused:?}");
        }
        assert_eq!(world.catalog.revision().await.unwrap(), before, "nothing was changed");
    })
    .await;
}

#[tokio::test]
async fn a_role_that_keys_have_is_not_deleted_unless_they_lose_it() {
    everywhere(async |world| {
        let (reader, writer) = (role(world, "reader", &["pets.read"]).await, role(world, "writer", &["pets.*"]).await);
        let first = key(world, with("a", &[&reader])).await;
        let second = key(world, with("b", &[&reader, &writer])).await;
        let revoked = key(world, with("c", &[&reader])).await;
        let deleted = key(world, with("d", &[&reader])).await;
        let untouched = key(world, with("e", &[&writer])).await;
        world.revoke(revoked).await;
        world.apply(Change::DeleteKey { id: deleted }).await.unwrap();
        let untouched_before = world.my_key(untouched).await;

        let delete = |from_keys| Change::DeleteRole { id: reader.id, from_keys };
        let why = conflict(world, delete(false)).await;
        assert!(why.starts_with("2 keys have this role;") && why.contains("from_keys=true"), "{why}");
        let was = world.my_key(first).await.revision;
        world.apply(Change::DeleteKey { id: first }).await.unwrap();
        assert!(conflict(world, delete(false)).await.starts_with("1 key has this role;"));
        world.apply(Change::UndeleteKey { id: first }).await.unwrap();

        let applied = world.apply(delete(true)).await.unwrap();
        for (id, policy) in [(first, with("a", &[])), (second, with("b", &[&writer])), (revoked, with("c", &[]))] {
            let key = world.my_key(id).await;
            assert_eq!(key.policy, policy);
            assert!(key.revision > was, "whoever read it before is told that it changed");
        }
        assert_eq!(world.my_key(untouched).await, untouched_before);
        let told = world.catalog.feed_after(applied.revision - 2, 10).await.unwrap();
        let [first, second, revoked] =
            [world.my_key(first).await.number, world.my_key(second).await.number, world.my_key(revoked).await.number];
        assert!(told.iter().any(|(_, subject)| *subject == Subject::Keys(first, revoked)), "{told:?} {second}");
        // What comes back does so without what is gone.
        world.apply(Change::UndeleteKey { id: deleted }).await.unwrap();
        assert_eq!(world.my_key(deleted).await.policy, with("d", &[]));
        assert_eq!(world.catalog.verify_audit().await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_only_revoked_ones_share_a_role_with_is_no_reason_to_keep_it() {
    everywhere(async |world| {
        let reader = role(world, "reader", &["pets.read"]).await;
        let held = key(world, with("a", &[&reader])).await;
        let was = world.my_key(held).await.revision;
        let state = KeyState::Revoked { at: NOW };
        world.apply(Change::KeyState { id: held, was, state, action: "revoke", reason: String::new() }).await.unwrap();
        world.apply(Change::DeleteRole { id: reader.id, from_keys: false }).await.unwrap();
        assert_eq!(world.my_key(held).await.policy.roles, []);
    })
    .await;
}

#[tokio::test]
async fn no_key_comes_to_more_permissions_than_one_may_have() {
    everywhere(async |world| {
        let many = |from: usize, count: usize| -> Vec<Permission> {
            (from..from + count).map(|n| format!("p{n}").parse().unwrap()).collect()
        };
        let made = role(world, "many", &[]).await;
        world.apply(update(&made, "many", many(0, 200))).await.unwrap();
        let made = world.catalog.role(world.mine.id, made.id).await.unwrap().unwrap();
        let of = |own| Policy { permissions: own, roles: vec![made.id], ..Policy::default() };
        let key_of = |text: &str, own| Change::CreateKey {
            project: world.mine.project,
            key: new_key(&world.catalog, text),
            policy: of(own),
        };
        assert!(conflict(world, key_of("too many", many(300, 57))).await.contains("256"));
        let full = key_of("full", many(300, 56));
        let Change::CreateKey { key: ref full_key, .. } = full else { unreachable!() };
        let id = full_key.id;
        world.apply(full).await.unwrap();
        assert!(conflict(world, update(&made, "many", many(0, 201))).await.contains("256"));
        // What nobody has counts for nothing, until somebody has it again.
        world.apply(Change::DeleteKey { id }).await.unwrap();
        world.apply(update(&made, "many", many(0, 201))).await.unwrap();
        assert!(conflict(world, Change::UndeleteKey { id }).await.contains("256"));
    })
    .await;
}
