//! What the audit says of changes. That it can't be altered is in `tampering`.

use keystile_core::id::{KeyId, RequestId};
use keystile_core::key::KeyState;
use keystile_core::policy::Policy;
use keystile_store::{Actor, ApplyError, Author, Change, Who};

use crate::world::{ENGINES, Engine, NOW, World, bytes, everywhere};

async fn newest(world: &World) -> keystile_store::records::AuditEntry {
    world.catalog.audit(world.mine.id, None, 1).await.unwrap().remove(0)
}

#[tokio::test]
async fn e06_entries_say_who_did_what_when_and_from_where() {
    everywhere(async |world| {
        let (who, request) = (KeyId::from_entropy(bytes()), RequestId::from_entropy(bytes()));
        let actor = Actor {
            organization: world.mine.id,
            who: Who::ManagementKey(who),
            address: Some("2001:db8::1".parse().unwrap()),
            request: Some(request),
        };
        let author = Author { actor, at: NOW.plus_secs(9), idempotency: None };
        world.catalog.apply(&author, Change::DeleteKey { id: world.mine.key }).await.unwrap();
        let entry = newest(world).await;
        assert_eq!((entry.at, entry.organization), (NOW.plus_secs(9), world.mine.id));
        assert_eq!((entry.actor, entry.address, entry.request), (who.to_string(), actor.address, Some(request)));
        assert_eq!((entry.action.as_str(), entry.subject), ("key.delete", world.mine.key.to_string()));
        assert_eq!(entry.after, "");
        let before: serde_json::Value = serde_json::from_str(&entry.before).unwrap();
        assert_eq!(before["state"], "active");
    })
    .await;
}

#[tokio::test]
async fn e02_entries_hold_neither_digest_nor_secret() {
    everywhere(async |world| {
        let text = "ks_live_canary_of_a_secret_text";
        let pepper = &world.catalog.pepper();
        let digest: String = pepper.digest(text).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let key = keystile_store::records::NewKey {
            name: "canary".to_owned(),
            ..crate::world::new_key(&world.catalog, text)
        };
        let id = key.id;
        let policy = keystile_core::policy::Policy::default();
        world.apply(Change::CreateKey { project: world.mine.project, key, policy }).await.unwrap();
        world.revoke(id).await;
        for entry in world.catalog.audit(world.mine.id, None, 100).await.unwrap() {
            let all = format!("{entry:?}").to_lowercase();
            assert!(!all.contains(text) && !all.contains(&digest[..16]) && !all.contains("digest"), "{all}");
        }
    })
    .await;
}

#[tokio::test]
async fn e03_what_people_write_stays_inside_its_json() {
    everywhere(async |world| {
        let name = "\"},\n{\"action\":\"forged\"\u{1b}[2J\u{1}";
        let was = world.my_key(world.mine.key).await.revision;
        let policy = keystile_core::policy::Policy::default();
        let change = Change::UpdateKey {
            id: world.mine.key,
            was,
            name: name.to_owned(),
            policy,
            expires_at: None,
            tags: keystile_core::metadata::Tags::default(),
        };
        world.apply(change).await.unwrap();
        let entry = newest(world).await;
        let after: serde_json::Value = serde_json::from_str(&entry.after).unwrap();
        assert_eq!(after["name"], name);
        assert!(!entry.after.bytes().any(|byte| byte.is_ascii_control()), "{}", entry.after);
    })
    .await;
}

#[tokio::test]
async fn entries_have_no_gaps_and_come_page_by_page() {
    everywhere(async |world| {
        for n in 0..5 {
            world.add_key(&format!("audit {n}")).await;
        }
        let all = world.catalog.audit(world.mine.id, None, 100).await.unwrap();
        assert!(all.windows(2).all(|pair| pair[0].sequence > pair[1].sequence));
        assert_eq!(all[0].sequence, 15, "two organizations of five changes each, and five more");
        let older = world.catalog.audit(world.mine.id, Some(all[1].sequence), 2).await.unwrap();
        assert_eq!(older, all[2..4]);
    })
    .await;
}

#[tokio::test]
async fn e04_what_can_not_be_written_into_the_audit_is_not_done_and_no_secret_is_had() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        let recoverable = crate::texts::recoverable(&world, "a text to be had back").await;
        let refuses = match engine {
            Engine::Sqlite => {
                "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'the audit is full'); END"
            }
            Engine::Postgres => {
                "CREATE FUNCTION full_audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the audit is full'; END $$; \
                 CREATE TRIGGER full_audit BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION full_audit()"
            }
        };
        crate::tampering::run_in(&world, *engine, refuses).await;
        let (revision, key) = (world.catalog.revision().await.unwrap(), crate::world::new_key(&world.catalog, "new"));
        let id = key.id;
        let was = world.my_key(world.mine.key).await.revision;
        let state = KeyState::Revoked { at: NOW };
        for change in [
            Change::CreateKey { project: world.mine.project, key, policy: Policy::default() },
            // Whoever reveals a text reads it once this has gone well.
            Change::RevealKey { id: recoverable, version: 1 },
            Change::KeyState { id: world.mine.key, was, state, action: "revoke", reason: String::new() },
        ] {
            let name = format!("{change:?}");
            assert!(matches!(world.apply(change).await, Err(ApplyError::Store(_))), "{engine:?}: {name}");
        }
        assert_eq!(world.catalog.key(world.mine.id, id).await.unwrap(), None, "{engine:?}");
        assert_eq!(world.my_key(world.mine.key).await.state, KeyState::Active);
        assert_eq!(world.catalog.revision().await.unwrap(), revision);
    }
}
