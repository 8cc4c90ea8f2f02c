//! The snapshot learns from the feed: whatever is done to the catalogue, a node that followed and a node that starts
//! now know the same.
#![allow(clippy::unwrap_used, reason = "a test that can't go on says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use keystile_core::Code;
use keystile_core::api::ApiSettings;
use keystile_core::decide::ActivationState;
use keystile_core::facts::Facts;
use keystile_core::id::{ActivationId, ApiId, KeyId, OrganizationId, ProjectId, RoleId};
use keystile_core::key::{ENTROPY_LEN, Environment, KeyDigest, KeyKind, KeyState, KeyText, Prefix};
use keystile_core::member::OrganizationKind;
use keystile_core::policy::Policy;
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_server::enforce::engine::Door;
use keystile_server::enforce::feed::Feed;
use keystile_server::enforce::file::SnapshotFile;
use keystile_server::enforce::keys::KeyEntry;
use keystile_store::records::{KeyFilter, NewKey, NewVersion, Page, ProjectAbout, Wish};
use keystile_store::{Actor, Author, Change, OpenError, Store, Who};

const AT: Timestamp = Timestamp::from_secs(1_800_000_000);
const OWNER: OrganizationId = OrganizationId::from_entropy([1; 16]);

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn id(&mut self) -> [u8; 16] {
        std::array::from_fn(|_| self.throw(256) as u8)
    }
}

async fn open(folder: &Path) -> Store {
    static FILL: AtomicU64 = AtomicU64::new(1);
    let mut fill = |bytes: &mut [u8]| -> Result<(), OpenError> {
        bytes.iter_mut().for_each(|byte| *byte = FILL.fetch_add(1, Ordering::Relaxed) as u8);
        Ok(())
    };
    Store::open(folder, &folder.join("root.key"), AT, &mut fill).await.unwrap()
}

async fn apply(store: &Store, change: Change) -> u64 {
    let actor = Actor { organization: OWNER, who: Who::System("test"), address: None, request: None };
    store.catalog.apply(&Author { actor, at: AT, idempotency: None }, change).await.unwrap().revision
}

fn text(n: u64) -> KeyText {
    let mut entropy = [0; ENTROPY_LEN];
    let mut dice = Dice(n);
    entropy.iter_mut().for_each(|byte| *byte = dice.throw(248) as u8);
    KeyText::issue(&Prefix::default(), Environment::Live, &entropy).unwrap()
}

/// Everything that a node knows, as text.
fn known(feed: &Feed, projects: u32) -> BTreeMap<String, String> {
    let snapshot = &feed.engine().snapshot;
    let mut all = BTreeMap::new();
    for opened in snapshot.keys.texts() {
        let policy =
            snapshot.policies.get(opened.entry.policy).as_ref().map(|view| (view.policy.clone(), view.roles.clone()));
        // Of a key with versions, each text is what is looked up.
        let key = KeyEntry { digest: KeyDigest::from_bytes([0; 32]), ..opened.entry };
        all.insert(format!("key {} {}", key.number, opened.version), format!("{key:?} {policy:?}"));
    }
    for number in 1..=projects {
        if let Some(project) = snapshot.projects.get(number).as_ref() {
            all.insert(
                format!("project {number}"),
                format!(
                    "{:?} {:?}",
                    project.name_header,
                    project
                        .links
                        .iter()
                        .map(|link| (link.api, link.state, &link.granted, link.plan))
                        .collect::<Vec<_>>()
                ),
            );
        }
    }
    for api in snapshot.router.load().apis() {
        all.insert(
            format!("api {}", api.number),
            format!("{} {} {:?}", api.name, api.active, api.upstream.host_header),
        );
    }
    all
}

fn new_key(store: &Store, dice: &mut Dice, n: u64) -> NewKey {
    let pepper = &store.catalog.pepper();
    NewKey {
        id: KeyId::from_entropy(dice.id()),
        name: format!("key {n}"),
        kind: KeyKind::Secret,
        hint: text(n).hint(),
        digest: pepper.digest(text(n).expose()),
        pepper_version: pepper.version(),
        text: None,
        expires_at: n.is_multiple_of(3).then_some(AT),
        tags: keystile_core::metadata::Tags::default(),
    }
}

#[tokio::test]
async fn a_node_that_followed_knows_what_a_node_that_starts_reads() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    apply(&store, Change::CreateOrganization { id: OWNER, name: "Owner".to_owned(), kind: OrganizationKind::Owner })
        .await;
    let file = SnapshotFile::new(folder.path().join("snapshot"), &store.catalog);
    let feed = Feed::start(&store, None, keystile_core::time::Timestamp::from_secs(0)).await.unwrap();
    let mut dice = Dice(7);
    let (mut projects, mut apis, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..400 {
        let roles = store.catalog.roles(OWNER, None, Page { before: None, limit: 5 }).await.unwrap();
        let role = roles.get(dice.throw(5) as usize);
        let change = match dice.throw(18) {
            0 => {
                projects.push(ProjectId::from_entropy(dice.id()));
                let (id, name) = (*projects.last().unwrap(), format!("project {n}"));
                let about = ProjectAbout { name, ..ProjectAbout::default() };
                Change::CreateProject { id, about, environment: Environment::Live }
            }
            1 => {
                apis.push(ApiId::from_entropy(dice.id()));
                let path_prefix = format!("/{n}").parse().unwrap();
                let settings = ApiSettings { path_prefix, ..ApiSettings::new("http://127.0.0.1:9".parse().unwrap()) };
                Change::CreateApi { id: *apis.last().unwrap(), name: format!("api {n}"), settings, document: None }
            }
            2 if !projects.is_empty() && dice.throw(4) == 0 => {
                let id = projects.swap_remove(dice.throw(projects.len() as u64) as usize);
                keys.retain(|(_, project)| *project != id);
                Change::DeleteProject { id }
            }
            3 if apis.len() > 2 && dice.throw(4) == 0 => {
                Change::DeleteApi { id: apis.swap_remove(dice.throw(apis.len() as u64) as usize) }
            }
            4 if !projects.is_empty() && !apis.is_empty() => {
                let (project, api) = (
                    projects[dice.throw(projects.len() as u64) as usize],
                    apis[dice.throw(apis.len() as u64) as usize],
                );
                let linked = store
                    .catalog
                    .activations(
                        OWNER,
                        keystile_store::records::ActivationFilter {
                            project: Some(project),
                            api: Some(api),
                            state: None,
                            ever: false,
                        },
                        Page { before: None, limit: 1 },
                    )
                    .await
                    .unwrap();
                match linked.first() {
                    Some(link) => Change::UpdateActivation {
                        id: link.id,
                        was: link.revision,
                        state: ActivationState::Suspended,
                        reason: String::new(),
                        granted: Some(vec![format!("pets.{n}").parse().unwrap()]),
                        plan: None,
                    },
                    None => Change::CreateActivation {
                        id: ActivationId::from_entropy(dice.id()),
                        project,
                        api,
                        wish: Wish::default(),
                    },
                }
            }
            5 if !apis.is_empty() => {
                let id = apis[dice.throw(apis.len() as u64) as usize];
                let api = store.catalog.api(OWNER, id).await.unwrap().unwrap();
                Change::UpdateApi {
                    id,
                    was: api.revision,
                    name: format!("renamed {n}"),
                    active: !api.active,
                    settings: api.settings,
                    document: None,
                }
            }
            6 if !keys.is_empty() => {
                let (id, _) = keys.swap_remove(dice.throw(keys.len() as u64) as usize);
                Change::DeleteKey { id }
            }
            7 if !keys.is_empty() => {
                let (id, _) = keys[dice.throw(keys.len() as u64) as usize];
                let key = store.catalog.key(OWNER, id).await.unwrap().unwrap();
                let state = match (key.state, dice.throw(3)) {
                    (KeyState::Active, 0) => KeyState::Disabled { since: AT },
                    (KeyState::Disabled { .. }, 1) => KeyState::Active,
                    _ => KeyState::Revoked { at: AT },
                };
                Change::KeyState { id, was: key.revision, state, action: "test", reason: String::new() }
            }
            8 if !projects.is_empty() => {
                let project = projects[dice.throw(projects.len() as u64) as usize];
                let many: Vec<NewKey> = (0..20).map(|i| new_key(&store, &mut dice, 10_000 + n * 20 + i)).collect();
                keys.extend(many.iter().map(|key| (key.id, project)));
                let policy = Policy { permissions: vec!["imported".parse().unwrap()], ..Policy::default() };
                Change::ImportKeys { project, keys: many.into_iter().map(Into::into).collect(), policy }
            }
            9 | 10 if !keys.is_empty() => {
                let (id, _) = keys[dice.throw(keys.len() as u64) as usize];
                let key = store.catalog.key(OWNER, id).await.unwrap().unwrap();
                let made = new_key(&store, &mut dice, 1_000_000 + n);
                let fresh = NewVersion {
                    hint: made.hint,
                    digest: made.digest,
                    pepper_version: made.pepper_version,
                    text: None,
                };
                let (was, former_ends_at) = (key.revision, AT.plus_secs(dice.throw(90) as i64));
                Change::RotateKey { id, was, fresh, former_ends_at, expires_at: key.expires_at }
            }
            11 if !keys.is_empty() => {
                let (id, _) = keys[dice.throw(keys.len() as u64) as usize];
                let key = store.catalog.key(OWNER, id).await.unwrap().unwrap();
                let former = store.catalog.former_versions(key.number).await.unwrap();
                let Some(former) = former.first() else { continue };
                let (was, version, ends_at) = (key.revision, former.version, AT.plus_secs(dice.throw(9) as i64));
                Change::EndKeyVersion { id, was, version, ends_at, action: "end_version" }
            }
            12 => {
                let filter = KeyFilter { deleted_after: Some(Timestamp::from_secs(0)), ..KeyFilter::default() };
                let deleted = store.catalog.keys(OWNER, filter, Page { before: None, limit: 100 }).await.unwrap();
                let Some(key) = deleted.iter().find(|key| projects.contains(&key.project)) else { continue };
                keys.push((key.id, key.project));
                Change::UndeleteKey { id: key.id }
            }
            15 => Change::CreateRole {
                id: RoleId::from_entropy(dice.id()),
                name: format!("role-{n}").parse().unwrap(),
                description: String::new(),
                permissions: vec![format!("r{n}").parse().unwrap()],
            },
            16 => {
                let Some(role) = role else { continue };
                let permissions = vec![format!("changed{n}").parse().unwrap()];
                let (id, was, name) = (role.id, role.revision, role.name.clone());
                Change::UpdateRole { id, was, name, description: String::new(), permissions }
            }
            17 if dice.throw(3) == 0 => {
                let Some(role) = role else { continue };
                Change::DeleteRole { id: role.id, from_keys: true }
            }
            _ if !projects.is_empty() => {
                let project = projects[dice.throw(projects.len() as u64) as usize];
                let key = new_key(&store, &mut dice, n);
                keys.push((key.id, project));
                let permissions = vec![format!("p{}", n % 5).parse().unwrap()];
                let roles = role.into_iter().map(|role| role.id).collect();
                let policy = Policy { permissions, roles, ..Policy::default() };
                Change::CreateKey { project, key, policy }
            }
            _ => continue,
        };
        let revision = apply(&store, change).await;
        feed.catch_up(revision).await.unwrap();
        if n == 200 {
            let history = feed.history().await.unwrap();
            file.save(&feed.engine().snapshot.keys, feed.revision(), &history).unwrap();
        }
    }
    assert!(feed.engine().snapshot.keys.len() > 200, "the dice did something");
    let fresh = Feed::start(&store, None, keystile_core::time::Timestamp::from_secs(0)).await.unwrap();
    let from_file = Feed::start(&store, Some(&file), keystile_core::time::Timestamp::from_secs(0)).await.unwrap();
    let wanted = known(&fresh, 500);
    let reachable = |feed: &Feed| {
        // Keys of deleted projects are answered as unknown, whether or not their records are gone.
        let mut all = known(feed, 500);
        all.retain(|name, _| !name.starts_with("key ") || wanted.contains_key(name));
        all
    };
    assert_eq!(reachable(&feed), wanted);
    assert_eq!(reachable(&from_file), wanted);
    let all = store.catalog.keys(OWNER, KeyFilter::default(), Page { before: None, limit: 100_000 }).await.unwrap();
    let numbers = wanted.keys().filter_map(|name| name.strip_prefix("key ")?.split(' ').next());
    assert_eq!(all.len(), numbers.collect::<BTreeSet<_>>().len());
    assert!(all.iter().any(|key| key.version > 1), "some were rotated");
    let facts = Facts::at(Moment { wall: Timestamp::from_secs(1), ticks: Ticks::from_nanos(1 << 60) });
    for number in 10_000..10_000 + 400 * 20 {
        let codes: Vec<Code> = [&feed, &fresh, &from_file]
            .map(|feed| feed.engine().check(text(number).expose(), Door::KeyAlone, &facts).code)
            .to_vec();
        assert!(codes.iter().all(|code| *code == codes[0]), "{number}: {codes:?}");
    }
}

/// A catalogue is put back to an earlier day and goes on from there; a snapshot of what came instead has the same revision.
#[tokio::test]
async fn a_snapshot_of_another_history_is_not_used() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [one, other] = folders.each_ref().map(|folder| folder.path().join("data"));
    let project = ProjectId::from_entropy([9; 16]);
    let store = open(&one).await;
    apply(&store, Change::CreateOrganization { id: OWNER, name: "Owner".to_owned(), kind: OrganizationKind::Owner })
        .await;
    let about = ProjectAbout { name: "project".to_owned(), ..ProjectAbout::default() };
    apply(&store, Change::CreateProject { id: project, about, environment: Environment::Live }).await;
    store.catalog.close().await;
    store.ledger.close().await;
    std::fs::create_dir(&other).unwrap();
    for name in ["catalog.db", "usage.db", "root.key"] {
        std::fs::copy(one.join(name), other.join(name)).unwrap();
    }

    let facts = Facts::at(Moment { wall: Timestamp::from_secs(1), ticks: Ticks::from_nanos(1 << 60) });
    let file = other.join("snapshot");
    for (folder, number) in [(&one, 1), (&other, 2)] {
        let store = open(folder).await;
        let file = SnapshotFile::new(file.clone(), &store.catalog);
        let key = new_key(&store, &mut Dice(number), number);
        apply(&store, Change::CreateKey { project, key, policy: Policy::default() }).await;
        // The second time there is the snapshot of the first.
        let feed = Feed::start(&store, Some(&file), keystile_core::time::Timestamp::from_secs(0)).await.unwrap();
        let codes = [1, 2].map(|n| feed.engine().check(text(n).expose(), Door::KeyAlone, &facts).code);
        let known = [1, 2].map(|n| if n == number { Code::Allowed } else { Code::KeyUnknown });
        assert_eq!(codes, known);
        let history = feed.history().await.unwrap();
        file.save(&feed.engine().snapshot.keys, feed.revision(), &history).unwrap();
        let again = Feed::start(&store, Some(&file), keystile_core::time::Timestamp::from_secs(0)).await.unwrap();
        assert_eq!(again.revision(), feed.revision());
        store.catalog.close().await;
        store.ledger.close().await;
    }
}
