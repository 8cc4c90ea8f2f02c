//! What each change does, and why one is refused.

use std::sync::atomic::{AtomicBool, Ordering};

use keystile_core::api::{ApiSettings, UpgradeProtocol};
use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, KeyId, OrganizationId, ProjectId};
use keystile_core::key::{Environment, KeyKind, KeyState, Pepper, PepperSecret, Standing, TextHash};
use keystile_core::member::OrganizationKind;
use keystile_core::metadata::Tags;
use keystile_core::policy::Policy;
use keystile_store::records::{Document, DocumentInfo, KeyFilter, NewKey, Page, ProjectAbout, Wish};
use keystile_store::{ApplyError, Change, OpenError};

use crate::world::{
    ALL, ENGINES, NOW, World, author, bytes, create_api, create_project, everywhere, new_key, policy, settings,
};

#[tokio::test]
async fn an_api_is_kept_as_it_was_told() {
    everywhere(async |world| {
        let (catalog, mine) = (&world.catalog, world.mine.id);
        let id = ApiId::from_entropy(bytes());
        let info = DocumentInfo { title: "Pets".to_owned(), version: "1".to_owned(), operations: 2, skipped: 0 };
        let document = Document { info: info.clone(), operations: "[1,2]".to_owned() };
        let change =
            Change::CreateApi { id, name: "pets".to_owned(), settings: settings(9_001), document: Some(document) };
        let applied = world.apply(change).await.unwrap();
        let api = catalog.api(mine, id).await.unwrap().unwrap();
        assert_eq!((api.name.as_str(), api.active, &api.settings), ("pets", true, &settings(9_001)));
        assert_eq!(api.document.as_ref(), Some(&info));
        assert_eq!((api.revision, api.created_at, api.organization), (applied.revision, NOW, mine));
        assert_eq!(api.organization_number, world.mine.number);
        assert_eq!(catalog.api_operations(api.number).await.unwrap().as_deref(), Some("[1,2]"));

        let update = |was, document| Change::UpdateApi {
            id,
            was,
            name: "cats".to_owned(),
            active: false,
            settings: settings(9_002),
            document,
        };
        let applied = world.apply(update(api.revision, None)).await.unwrap();
        let changed = catalog.api(mine, id).await.unwrap().unwrap();
        assert_eq!((changed.name.as_str(), changed.active, changed.revision), ("cats", false, applied.revision));
        assert_eq!(changed.document.as_ref(), Some(&info), "the document was left");
        world.apply(update(changed.revision, Some(None))).await.unwrap();
        assert_eq!(catalog.api(mine, id).await.unwrap().unwrap().document, None);
        assert_eq!(catalog.api_operations(api.number).await.unwrap(), None);

        world.apply(Change::DeleteApi { id }).await.unwrap();
        assert_eq!(catalog.api(mine, id).await.unwrap(), None);
        assert_eq!(catalog.api_ids(&[api.number]).await.unwrap()[&api.number], id, "usage still names it");
        assert_eq!(catalog.api_number(mine, id).await.unwrap(), Some(api.number));
    })
    .await;
}

#[tokio::test]
async fn two_apis_never_have_the_same_route() {
    everywhere(async |world| {
        let routed = |hosts: &[&str], prefix: &str| ApiSettings {
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            path_prefix: prefix.parse().unwrap(),
            ..settings(9_001)
        };
        let create = async |settings: ApiSettings| {
            let id = ApiId::from_entropy(bytes());
            world.apply(Change::CreateApi { id, name: "a".to_owned(), settings, document: None }).await.map(|_| id)
        };
        let first = create(routed(&["a.test", "b.test"], "/v1")).await.unwrap();
        for (hosts, prefix, is_taken) in [
            (&["b.test"][..], "/v1", true),
            (&["b.test"], "/v1/", true),
            (&["b.test"], "/v2", false),
            (&["c.test"], "/v1", false),
            (&[], "/v1", false),
            (&[], "/v1", true),
        ] {
            let made = create(routed(hosts, prefix)).await;
            assert_eq!(matches!(made, Err(ApplyError::Exists(_))), is_taken, "{hosts:?} {prefix}: {made:?}");
        }
        let update = async |settings: ApiSettings| {
            let was = world.catalog.api(world.mine.id, first).await.unwrap().unwrap().revision;
            let change =
                Change::UpdateApi { id: first, was, name: "a".to_owned(), active: true, settings, document: None };
            world.apply(change).await
        };
        update(routed(&["a.test", "b.test"], "/v1")).await.unwrap();
        assert!(matches!(update(routed(&["b.test"], "/v2")).await, Err(ApplyError::Exists(_))));
        world.apply(Change::DeleteApi { id: first }).await.unwrap();
        create(routed(&["a.test"], "/v1")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_key_is_kept_as_it_was_told() {
    everywhere(async |world| {
        let tags = Tags {
            labels: serde_json::from_str("[\"team:billing\"]").unwrap(),
            metadata: serde_json::from_str("{\"plan\":\"gold\"}").unwrap(),
        };
        let key = NewKey {
            kind: KeyKind::Management,
            expires_at: Some(NOW.plus_secs(60)),
            tags: tags.clone(),
            ..new_key(&world.catalog, "management")
        };
        let id = key.id;
        let policy = policy("pets.read");
        let change = Change::CreateKey { project: world.mine.project, key, policy: policy.clone() };
        let applied = world.apply(change).await.unwrap();
        let kept = world.my_key(id).await;
        assert_eq!((kept.name.as_str(), kept.hint.as_str(), kept.kind), ("management", "ks_…", KeyKind::Management));
        assert_eq!((kept.project, kept.organization), (world.mine.project, world.mine.id));
        assert_eq!((kept.environment, kept.state), (Environment::Live, KeyState::Active));
        assert_eq!((kept.policy, kept.expires_at, kept.tags), (policy, Some(NOW.plus_secs(60)), tags));
        assert_eq!((kept.created_at, kept.updated_at, kept.revision), (NOW, NOW, applied.revision));

        let change = Change::UpdateKey {
            id,
            was: kept.revision,
            name: "renamed".to_owned(),
            policy: Policy::default(),
            expires_at: None,
            tags: keystile_core::metadata::Tags::default(),
        };
        world.apply(change).await.unwrap();
        let changed = world.my_key(id).await;
        assert_eq!((changed.name.as_str(), changed.expires_at), ("renamed", None));
        assert_eq!((changed.policy, changed.tags), (Policy::default(), Tags::default()));
    })
    .await;
}

#[tokio::test]
async fn every_state_of_a_key_is_kept_with_its_moment() {
    everywhere(async |world| {
        let id = world.mine.key;
        for (state, action) in [
            (KeyState::Disabled { since: NOW }, "disable"),
            (KeyState::Active, "enable"),
            (KeyState::Revoked { at: NOW.plus_secs(1) }, "revoke"),
        ] {
            let was = world.my_key(id).await.revision;
            world.apply(Change::KeyState { id, was, state, action, reason: String::new() }).await.unwrap();
            assert_eq!(world.my_key(id).await.state, state);
            let last = &world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0];
            assert_eq!((last.action.as_str(), last.subject.as_str()), (&*format!("key.{action}"), &*id.to_string()));
        }
    })
    .await;
}

#[tokio::test]
async fn a_project_takes_its_keys_and_links_with_it() {
    everywhere(async |world| {
        let (catalog, mine) = (&world.catalog, world.mine);
        world.apply(Change::DeleteProject { id: mine.project }).await.unwrap();
        assert_eq!(catalog.project(mine.id, mine.project).await.unwrap(), None);
        assert_eq!(catalog.key(mine.id, mine.key).await.unwrap(), None);
        assert_eq!(catalog.activation(mine.id, mine.activation).await.unwrap(), None);
        assert_eq!(catalog.count_keys(mine.id).await.unwrap(), 0);
        assert!(catalog.key_number(mine.id, mine.key).await.unwrap().is_some(), "usage still names it");
        assert_eq!(catalog.count_keys(world.theirs.id).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_not_overwritten() {
    everywhere(async |world| {
        let (catalog, mine) = (&world.catalog, world.mine);
        let api = catalog.api(mine.id, mine.api).await.unwrap().unwrap().revision;
        let project = catalog.project(mine.id, mine.project).await.unwrap().unwrap().revision;
        let link = catalog.activation(mine.id, mine.activation).await.unwrap().unwrap().revision;
        let key = world.my_key(mine.key).await.revision;
        let text = || "changed".to_owned();
        let changes = || {
            [
                Change::UpdateApi {
                    id: mine.api,
                    was: api,
                    name: text(),
                    active: true,
                    settings: settings(1),
                    document: None,
                },
                Change::UpdateProject {
                    id: mine.project,
                    was: project,
                    about: ProjectAbout { name: text(), ..ProjectAbout::default() },
                },
                Change::UpdateActivation {
                    id: mine.activation,
                    was: link,
                    state: ActivationState::Suspended,
                    reason: text(),
                    granted: None,
                    plan: None,
                },
                Change::UpdateKey {
                    id: mine.key,
                    was: key,
                    name: text(),
                    policy: Policy::default(),
                    expires_at: None,
                    tags: keystile_core::metadata::Tags::default(),
                },
            ]
        };
        for change in changes() {
            world.apply(change).await.unwrap();
        }
        let revision = catalog.revision().await.unwrap();
        let late = Change::KeyState {
            id: mine.key,
            was: key,
            state: KeyState::Active,
            action: "enable",
            reason: String::new(),
        };
        for change in changes().into_iter().chain([late]) {
            let name = format!("{change:?}");
            let refused = world.apply(change).await;
            assert!(matches!(refused, Err(ApplyError::Stale)), "{name}: {refused:?}");
        }
        assert_eq!(catalog.revision().await.unwrap(), revision);
    })
    .await;
}

#[tokio::test]
async fn what_is_there_already_is_not_made_twice() {
    everywhere(async |world| {
        let mine = world.mine;
        let link = Change::CreateActivation {
            id: ActivationId::from_entropy(bytes()),
            project: mine.project,
            api: mine.api,
            wish: Wish::default(),
        };
        let same_text = new_key(&world.catalog, "the first key of mine");
        for change in [
            link.clone(),
            Change::CreateKey { project: mine.project, key: same_text, policy: Policy::default() },
            create_api(mine.api, "x"),
            create_project(mine.project, "x"),
            Change::CreateOrganization { id: mine.id, name: "x".to_owned(), kind: OrganizationKind::Owner },
        ] {
            let name = format!("{change:?}");
            let refused = world.apply(change).await;
            assert!(matches!(refused, Err(ApplyError::Exists(_))), "{name}: {refused:?}");
        }
        // A link that was taken away can be made anew.
        world.apply(Change::DeleteActivation { id: mine.activation }).await.unwrap();
        world.apply(link).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_can_not_be_changed() {
    everywhere(async |world| {
        let project = ProjectId::from_entropy(bytes());
        for change in [
            Change::DeleteApi { id: ApiId::from_entropy(bytes()) },
            Change::DeleteProject { id: project },
            Change::DeleteActivation { id: ActivationId::from_entropy(bytes()) },
            Change::DeleteKey { id: KeyId::from_entropy(bytes()) },
            Change::CreateKey { project, key: new_key(&world.catalog, "x"), policy: Policy::default() },
        ] {
            let name = format!("{change:?}");
            assert!(matches!(world.apply(change).await, Err(ApplyError::NotFound(_))), "{name}");
        }
        // Nor what was there once.
        world.apply(Change::DeleteKey { id: world.mine.key }).await.unwrap();
        let again = world.apply(Change::DeleteKey { id: world.mine.key }).await;
        assert!(matches!(again, Err(ApplyError::NotFound(_))), "{again:?}");
    })
    .await;
}

#[tokio::test]
async fn an_organization_is_the_tenant_of_its_own_making() {
    everywhere(async |world| {
        let id = OrganizationId::from_entropy(bytes());
        let change = Change::CreateOrganization { id, name: "third".to_owned(), kind: OrganizationKind::Owner };
        world.catalog.apply(&author(id), change).await.unwrap();
        let made = world.catalog.organization(id, id).await.unwrap().unwrap();
        assert_eq!((made.name.as_str(), made.number), ("third", 3));
        let entries = world.catalog.audit(id, None, 10).await.unwrap();
        assert_eq!(entries.iter().map(|entry| &*entry.action).collect::<Vec<_>>(), ["organization.create"]);
        let all: Vec<_> = world.catalog.organizations().await.unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(all, [world.mine.id, world.theirs.id, id]);
    })
    .await;
}

#[tokio::test]
async fn lists_come_newest_first_and_page_by_page() {
    everywhere(async |world| {
        let mut expected = vec![world.mine.key];
        for n in 0..5 {
            expected.insert(0, world.add_key(&format!("page {n}")).await);
        }
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = Page { before, limit: 2 };
            let keys = world.catalog.keys(world.mine.id, KeyFilter::default(), page).await.unwrap();
            let Some(last) = keys.last() else { break };
            before = Some(last.number);
            seen.extend(keys.iter().map(|key| key.id));
        }
        assert_eq!(seen, expected);
    })
    .await;
}

#[tokio::test]
async fn keys_are_found_by_project_state_and_kind() {
    everywhere(async |world| {
        let other = ProjectId::from_entropy(bytes());
        world.apply(create_project(other, "other")).await.unwrap();
        let management = NewKey { kind: KeyKind::Management, ..new_key(&world.catalog, "m") };
        let managing = management.id;
        world.apply(Change::CreateKey { project: other, key: management, policy: Policy::default() }).await.unwrap();
        let revoked = world.add_key("revoked").await;
        world.revoke(revoked).await;

        let all = KeyFilter::default;
        for (filter, expected) in [
            (all(), vec![revoked, managing, world.mine.key]),
            (KeyFilter { project: Some(other), ..all() }, vec![managing]),
            (KeyFilter { standing: Some(Standing::Revoked), ..all() }, vec![revoked]),
            (KeyFilter { standing: Some(Standing::Active), ..all() }, vec![managing, world.mine.key]),
            (KeyFilter { kind: Some(KeyKind::Management), ..all() }, vec![managing]),
            (KeyFilter { project: Some(other), standing: Some(Standing::Revoked), ..all() }, vec![]),
            (KeyFilter { name: Some("revoked".to_owned()), ..all() }, vec![revoked]),
            (KeyFilter { name: Some("REVOKED".to_owned()), ..all() }, vec![]),
            (KeyFilter { search: Some("EVOK".to_owned()), ..all() }, vec![revoked]),
            (KeyFilter { search: Some("ks_…".to_owned()), ..all() }, vec![revoked, managing, world.mine.key]),
            (KeyFilter { search: Some(managing.to_string()), ..all() }, vec![managing]),
            (KeyFilter { search: Some(world.theirs.key.to_string()), ..all() }, vec![]),
            // No letter of it stands for others.
            (KeyFilter { search: Some("r%d".to_owned()), ..all() }, vec![]),
            (KeyFilter { search: Some("_evoked".to_owned()), ..all() }, vec![]),
            (KeyFilter { search: Some("\\".to_owned()), ..all() }, vec![]),
            (KeyFilter { search: Some("a\0b".to_owned()), ..all() }, vec![]),
        ] {
            let keys = world.catalog.keys(world.mine.id, filter.clone(), ALL).await.unwrap();
            assert_eq!(keys.iter().map(|key| key.id).collect::<Vec<_>>(), expected, "{filter:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_key_frees_its_text_and_keeps_its_number() {
    everywhere(async |world| {
        let first = world.add_key("a text").await;
        let number = world.my_key(first).await.number;
        world.apply(Change::DeleteKey { id: first }).await.unwrap();
        let second = world.add_key("a text").await;
        assert!(world.my_key(second).await.number > number, "numbers are never used twice");
        assert_eq!(world.catalog.key_ids(&[number]).await.unwrap()[&number], first);
    })
    .await;
}

#[tokio::test]
async fn policies_that_are_the_same_are_one() {
    everywhere(async |world| {
        let before = world.catalog.feed_policies(0).await.unwrap().len();
        for n in 0..3 {
            let key = new_key(&world.catalog, &format!("shared {n}"));
            let change = Change::CreateKey { project: world.mine.project, key, policy: policy("pets.read") };
            world.apply(change).await.unwrap();
        }
        let policies = world.catalog.feed_policies(0).await.unwrap();
        assert_eq!(policies.len(), before + 1);
        assert_eq!(policies.last().map(|(_, kept)| kept.clone()), Some(policy("pets.read")));
    })
    .await;
}

#[tokio::test]
async fn writers_at_the_same_time_all_get_their_turn() {
    everywhere(async |world| {
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let (catalog, author) = (world.catalog.clone(), world.mine.author());
                let key = new_key(&catalog, &format!("at once {n}"));
                let change = Change::CreateKey { project: world.mine.project, key, policy: Policy::default() };
                tokio::spawn(async move { catalog.apply(&author, change).await.map(|applied| applied.revision) })
            })
            .collect();
        let mut revisions = Vec::new();
        for task in tasks {
            revisions.push(task.await.unwrap().unwrap());
        }
        revisions.sort_unstable();
        assert!(revisions.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{revisions:?}");
    })
    .await;
}

#[tokio::test]
async fn k05_two_installations_keep_different_digests_of_one_text() {
    for engine in ENGINES {
        let (one, other) = (World::new(*engine).await, World::new(*engine).await);
        let text = "ks_live_one_text";
        let digests = [&one, &other].map(|world| world.catalog.pepper().digest(text));
        assert_ne!(digests[0], digests[1]);
        // Whoever writes the plain hash of a text of his choice into the table has not made a key of it.
        let plain = TextHash::of(text);
        let unkeyed = Pepper::new(1, &PepperSecret::new([0; 32])).digest_of_hash(&plain);
        assert!(digests.iter().all(|digest| *digest != unkeyed));
    }
}

#[tokio::test]
async fn a_source_of_randomness_that_fails_stops_the_first_start() {
    let folder = tempfile::TempDir::new().unwrap();
    let (data, root) = (folder.path().join("data"), folder.path().join("root.key"));
    let opened = keystile_store::Store::open(&data, &root, NOW, &mut |_: &mut [u8]| Err(OpenError::NoEntropy)).await;
    assert!(matches!(opened, Err(OpenError::NoEntropy)));
    assert!(!root.exists());
}

#[tokio::test]
async fn k12_that_a_key_is_exposed_is_noted_once() {
    everywhere(async |world| {
        let id = world.mine.key;
        let before = world.my_key(id).await;
        assert_eq!(before.exposed_at, None);
        let applied = world.apply(Change::KeyExposed { id, version: 0, action: "expose" }).await.unwrap();
        let after = world.my_key(id).await;
        assert_eq!((after.exposed_at, after.revision, after.state), (Some(NOW), applied.revision, KeyState::Active));
        assert!(matches!(
            world.apply(Change::KeyExposed { id, version: 0, action: "expose" }).await,
            Err(ApplyError::Exists(_))
        ));
        let entry = &world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0];
        assert_eq!(entry.action, "key.expose");
        // Its next text is nobody's; whoever still sends the one before is on the way out.
        crate::versions::rotate(world, id, "another text").await.unwrap();
        assert_eq!(world.my_key(id).await.exposed_at, None);
        let former = Change::KeyExposed { id, version: 1, action: "expose" };
        assert!(matches!(world.apply(former).await, Err(ApplyError::Exists(_))));
        world.apply(Change::KeyExposed { id, version: 2, action: "expose" }).await.unwrap();
        assert_eq!(world.my_key(id).await.exposed_at, Some(NOW));
        // Of a canary every text is listened for.
        let canary = NewKey { kind: KeyKind::Canary, ..new_key(&world.catalog, "canary") };
        let id = canary.id;
        let (project, policy) = (world.mine.project, Policy::default());
        world.apply(Change::CreateKey { project, key: canary, policy }).await.unwrap();
        crate::versions::rotate(world, id, "another canary").await.unwrap();
        world.apply(Change::KeyExposed { id, version: 1, action: "canary_used" }).await.unwrap();
        assert_eq!(world.my_key(id).await.exposed_at, Some(NOW));
        assert!(matches!(
            world.apply(Change::KeyExposed { id: world.theirs.key, version: 0, action: "expose" }).await,
            Err(ApplyError::NotFound(_))
        ));
    })
    .await;
}

#[test]
fn an_api_of_which_nothing_is_said_switches_to_websockets_and_is_kept_as_ever() {
    let kept = |upgrades: &str| format!("{{\"upstream\":\"http://127.0.0.1:9\"{upgrades}}}");
    let read = |text: String| serde_json::from_str::<ApiSettings>(&text).expect("it is sound");
    let silent = read(kept(""));
    assert_eq!(silent, ApiSettings::new(silent.upstream.clone()));
    assert_eq!(silent.upgrades, [UpgradeProtocol::WebSocket]);
    assert!(!serde_json::to_string(&silent).unwrap().contains("upgrades"));
    for said in ["[]", "[\"tcp\"]", "[\"websocket\",\"SPDY/3.1\"]"] {
        let settings = read(kept(&format!(",\"upgrades\":{said}")));
        let again = serde_json::to_string(&settings).unwrap();
        assert!(again.contains(&format!("\"upgrades\":{said}")), "{again}");
        assert_eq!(read(again), settings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_the_newest_revision_while_others_are_made_gets_one() {
    everywhere(async |world| {
        let (catalog, stop) = (world.catalog.clone(), std::sync::Arc::new(AtomicBool::new(false)));
        let asking = {
            let stop = stop.clone();
            tokio::spawn(async move {
                let mut newest = 0;
                while !stop.load(Ordering::Relaxed) {
                    let now = catalog.revision().await.expect("the store has not gone back");
                    assert!(now >= newest);
                    newest = now;
                }
            })
        };
        for n in 0..300 {
            world.add_key(&format!("made meanwhile {n}")).await;
        }
        stop.store(true, Ordering::Relaxed);
        asking.await.unwrap();
    })
    .await;
}
