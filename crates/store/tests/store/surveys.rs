//! What is found when somebody looks through an installation, beside its server.

use keystile_core::api::ApiSettings;
use keystile_core::code::Code;
use keystile_core::id::{ApiId, KeyId};
use keystile_core::key::KeyKind;
use keystile_core::member::{BuiltInRole, MemberRole};
use keystile_core::policy::Policy;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_store::Change;
use keystile_store::records::NewKey;
use keystile_store::survey::{UNUSED_DAYS, look};

use crate::moving::kept;
use crate::world::{ENGINES, NOW, World, bytes, new_key, policy, settings};

async fn add(world: &World, key: NewKey, policy: Policy) -> KeyId {
    let id = key.id;
    world.apply(Change::CreateKey { project: world.mine.project, key, policy }).await.unwrap();
    id
}

#[tokio::test]
async fn what_somebody_should_look_at_is_found_and_nothing_else() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        let later = NOW.plus_secs((UNUSED_DAYS + 1) * 86_400);
        let seen = async |now| look(&kept(*engine, world.folder.path()), now).await.unwrap().unwrap();
        let before = seen(NOW).await;
        assert!(before.is_current && before.newest == Some(NOW), "{engine:?}: {before:?}");
        let ends = Some(later.plus_secs(86_400));
        let of = |text: &str| NewKey { expires_at: ends, ..new_key(&world.catalog, text) };

        let endless = add(&world, new_key(&world.catalog, "endless"), policy("a")).await;
        let used = add(&world, of("used"), policy("a")).await;
        let unused = add(&world, of("unused"), policy("a")).await;
        let exposed = add(&world, of("exposed"), policy("a")).await;
        world.apply(Change::KeyExposed { id: exposed, version: 0, action: "expose" }).await.unwrap();
        let revoked = add(&world, new_key(&world.catalog, "revoked"), policy("a")).await;
        world.revoke(revoked).await;
        let ended = add(&world, NewKey { expires_at: Some(NOW), ..of("ended") }, policy("*")).await;
        let management = |text: &str| NewKey { kind: KeyKind::Management, ..of(text) };
        let mighty = add(&world, management("mighty"), policy("*")).await;
        let bound = serde_json::from_str(r#"{"networks":{"allow":["10.0.0.0/8"]}}"#).unwrap();
        add(&world, management("bound"), Policy { restrictions: bound, ..policy("*") }).await;
        add(&world, management("narrow"), policy("keys.*")).await;
        let forever = NewKey { expires_at: None, ..management("forever") };
        let forever = add(&world, forever, policy("keys.read")).await;
        let api = ApiId::from_entropy(bytes());
        let plain = ApiSettings {
            path_prefix: "/plain".parse().unwrap(),
            max_key_days: Some(30),
            recoverable_keys: true,
            upstream: "http://10.0.0.7:80".parse().unwrap(),
            ..settings(9)
        };
        world
            .apply(Change::CreateApi { id: api, name: "plain".to_owned(), settings: plain, document: None })
            .await
            .unwrap();
        let dimensions = Dimensions {
            organization: 1,
            api: 1,
            project: 1,
            key: world.my_key(used).await.number,
            version: 0,
            label: 0,
            code: Code::Allowed,
            status: 200,
        };
        let at = later.plus_secs(-86_400);
        let event =
            UsageEvent { at, dimensions, client: None, facets: None, counts: Counts { calls: 1, ..Counts::default() } };
        world.ledger.append(1, 1, NOW, &[], &[event]).await.unwrap();
        world.ledger.roll_up().await.unwrap();

        let owner = MemberRole::BuiltIn(BuiltInRole::Owner);
        let safe = crate::people::join(&world, world.mine.id, "safe@example.com", owner).await;
        let session = crate::people::log_in(&world, &safe).await;
        crate::people::with_totp(&world, &safe, &session).await;
        let auditor = MemberRole::BuiltIn(BuiltInRole::Auditor);
        crate::people::join(&world, world.mine.id, "auditor@example.com", auditor).await;
        assert_eq!(seen(NOW).await.single_factor.count, 0);
        let lax = crate::people::join(&world, world.mine.id, "lax@example.com", owner).await;
        assert_eq!(seen(NOW).await.single_factor.named, [lax.id]);

        let now = seen(NOW).await;
        let fresh = |found: &[KeyId], before: &[KeyId]| -> Vec<KeyId> {
            found.iter().filter(|id| !before.contains(id)).copied().collect()
        };
        assert_eq!(fresh(&now.endless.named, &before.endless.named), [endless]);
        assert_eq!((now.exposed.named.as_slice(), now.all_powerful.named.as_slice()), (&[exposed][..], &[mighty][..]));
        assert_eq!((now.endless_management.named.as_slice(), now.unused.count), (&[forever][..], 0));
        assert_eq!((now.recoverable.named.as_slice(), now.plain_upstreams.named.as_slice()), (&[api][..], &[api][..]));
        assert_eq!(now.lax, before.lax, "{engine:?}");
        let unused_later = seen(later).await.unused;
        assert!(unused_later.named.contains(&unused) && unused_later.named.contains(&endless), "{unused_later:?}");
        for id in [used, revoked, ended, mighty] {
            assert!(!unused_later.named.contains(&id), "{engine:?}: {unused_later:?}");
        }
        let nowhere = tempfile::tempdir().unwrap();
        assert_eq!(look(&kept(*engine, nowhere.path()), NOW).await.unwrap(), None);
    }
}
